// Finding rooms there are, and making new ones.

import { byId, h } from "./dom.js";
import { dialog, open, problem, settled } from "./dialogs.js";
import { signOf } from "./roomlist.js";
import { visibleLine } from "./visible.js";

const NAME = /^[a-z0-9][a-z0-9._-]{0,31}$/;

export class Browse {
  #dialog = dialog("browse");
  #create = dialog("create");
  #input = byId("browse-input");

  /** `findRooms(prefix)`, `join(room)`, `go(room)`, and `create({room, kind, topic})`, which says what went wrong
   * or nothing. */
  constructor(does) {
    this.does = does;
    this.#input.addEventListener(
      "input",
      settled(() => this.#look()),
    );
    byId("browse-list").addEventListener("click", (event) => this.#take(event.target.closest("button")));
    byId("open-create").addEventListener("click", () => this.openCreate(this.#input.value.trim()));
    byId("create-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#make();
    });
  }

  open() {
    this.#input.value = "";
    open(this.#dialog);
    this.#look();
  }

  openCreate(name = "") {
    this.#dialog.close();
    byId("create-form").reset();
    problem("create-problem", null);
    byId("create-name").value = NAME.test(name) ? name : "";
    open(this.#create);
  }

  async #look() {
    const prefix = this.#input.value.trim().toLowerCase();
    byId("browse-state").textContent = "Looking …";
    const found = await this.does.findRooms(prefix);
    if (this.#input.value.trim().toLowerCase() !== prefix) return;
    const rooms = found.filter((room) => room.kind !== "dm");
    byId("browse-state").textContent = rooms.length ? "" : "No room begins so. Make one?";
    byId("browse-list").replaceChildren(...rooms.map(row));
  }

  #take(button) {
    if (!button) return;
    this.#dialog.close();
    if (button.dataset.joined === "true") this.does.go(button.dataset.room);
    else this.does.join(button.dataset.room);
  }

  async #make() {
    const name = byId("create-name").value.trim();
    if (!NAME.test(name)) {
      problem("create-problem", "A name has small letters, digits, and . _ - ; it begins with a letter or a digit.");
      byId("create-name").focus();
      return;
    }
    const kind = new FormData(byId("create-form")).get("kind");
    const wrong = await this.does.create({ room: name, kind, topic: byId("create-topic").value.trim() });
    problem("create-problem", wrong);
    if (!wrong) this.#create.close();
  }
}

function row(room) {
  const people = `${room.members} ${room.members === 1 ? "person" : "people"}`;
  const name = visibleLine(room.display_name || room.room);
  const topic = room.topic ? ` · ${visibleLine(room.topic)}` : "";
  return h(
    "li",
    { className: "row" },
    signOf(room),
    h(
      "div",
      { className: "about" },
      h("span", { className: "name" }, name),
      h("span", { className: "quiet" }, people + topic),
    ),
    h(
      "button",
      {
        type: "button",
        "data-room": room.room,
        "data-joined": String(room.joined),
        "aria-label": `${room.joined ? "Open" : "Join"} ${name}`,
      },
      room.joined ? "Open" : "Join",
    ),
  );
}
