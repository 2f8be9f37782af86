// One room's own page: its topic, what one wants to be told of, leaving it.

import { byId } from "./dom.js";
import { confirmed, dialog, open } from "./dialogs.js";
import { roomName } from "./faces.js";
import { ruleOf, setRule } from "./notify.js";

const KINDS = {
  public: "Everybody here may read it.",
  private: "Only its members see it.",
  dm: "A conversation between the people in it.",
};

export class About {
  #dialog = dialog("about");
  #room = null;

  /** `topic(room, text)`, `leave(room)`, `changed()`. */
  constructor(does) {
    byId("topic-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      if (await does.topic(this.#room.room, byId("topic-input").value.replace(/\s+/g, " ").trim()))
        this.#dialog.close();
    });
    for (const choice of this.#dialog.querySelectorAll("[name=notify]")) {
      choice.addEventListener("change", () => {
        setRule(this.#room.room, choice.value);
        does.changed();
      });
    }
    byId("leave").addEventListener("click", async () => {
      this.#dialog.close();
      const words =
        this.#room.kind === "public" ? "You can join again." : "Somebody in it would have to invite you again.";
      if (await confirmed(`Leave ${roomName(this.#room)}?`, words, "Leave")) does.leave(this.#room.room);
    });
  }

  open(room, me) {
    this.#room = room;
    byId("about-title").textContent = roomName(room, me);
    byId("about-kind").textContent = KINDS[room.kind] + (room.archived ? " It is archived: nothing new is taken." : "");
    byId("topic-input").value = room.topic;
    const mayWrite = room.kind !== "dm" && ["owner", "moderator", "member"].includes(room.role) && !room.archived;
    byId("topic-input").readOnly = !mayWrite;
    byId("topic-save").hidden = !mayWrite;
    byId("topic-form").hidden = room.kind === "dm";
    byId("leave").hidden = !room.role;
    for (const choice of this.#dialog.querySelectorAll("[name=notify]"))
      choice.checked = choice.value === ruleOf(room.room);
    open(this.#dialog);
  }
}
