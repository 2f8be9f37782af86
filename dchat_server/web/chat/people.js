// Other people: the members of a room, and writing to somebody directly.

import { byId, h, icon } from "./dom.js";
import { dialog, open, problem, settled } from "./dialogs.js";
import { face } from "./faces.js";
import { visibleLine } from "./visible.js";

const MOST = 16;

/** Who is in the room, and inviting others. */
export class Members {
  #dialog = dialog("members");
  #room = null;

  /** `invite(room, user)`, `write(user)`, `me()`. */
  constructor(does) {
    this.does = does;
    byId("members-list").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      this.#dialog.close();
      does.write(button.dataset.user);
    });
    byId("invite-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      const name = byId("invite-name").value.trim().replace(/^@/, "").toLowerCase();
      if (name && (await does.invite(this.#room, name))) byId("invite-name").value = "";
    });
  }

  /** Open it for a room; `render` brings its members. */
  open(room, mayInvite) {
    if (room !== this.#room || !this.isOpen) {
      byId("members-list").replaceChildren();
      byId("members-state").textContent = "Looking …";
    }
    this.#room = room;
    byId("invite-form").hidden = !mayInvite;
    open(this.#dialog);
  }

  get isOpen() {
    return this.#dialog.open;
  }

  /** The members have come, or have changed. */
  render(room, rows) {
    if (room !== this.#room || !this.isOpen) return;
    byId("members-state").textContent = `${rows.length} ${rows.length === 1 ? "person" : "people"}`;
    byId("members-list").replaceChildren(...rows.map((member) => this.#row(member)));
  }

  #row({ user, display_name: name, role, presence }) {
    const write = h("button", { type: "button", "data-user": user, "aria-label": `Write to ${user}` }, "Write");
    const isMe = user === this.does.me();
    return personRow(user, name, [role === "member" ? null : role, presence], isMe ? null : write);
  }
}

/** Choosing whom to write to. */
export class Direct {
  #dialog = dialog("direct");
  #input = byId("direct-input");
  #chosen = new Set();

  /** `findUsers(prefix)`, `write(users)`, which says what went wrong or nothing; `me()`. */
  constructor(does) {
    this.does = does;
    this.#input.addEventListener(
      "input",
      settled(() => this.#look()),
    );
    byId("direct-people").addEventListener("click", (event) =>
      this.#toggle(event.target.closest("button")?.dataset.user),
    );
    byId("direct-chosen").addEventListener("click", (event) =>
      this.#toggle(event.target.closest("button")?.dataset.user),
    );
    byId("direct-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (document.activeElement === this.#input && this.#input.value) this.#take();
      else this.#start();
    });
  }

  open() {
    this.#chosen.clear();
    this.#input.value = "";
    problem("direct-problem", null);
    open(this.#dialog);
    this.#input.focus();
    this.#chips();
    this.#look();
  }

  async #look() {
    const prefix = this.#input.value.trim().toLowerCase();
    const found = (await this.does.findUsers(prefix)).filter((user) => user.username !== this.does.me());
    if (this.#input.value.trim().toLowerCase() !== prefix) return;
    byId("direct-state").textContent = found.length ? "" : "Nobody is called so.";
    byId("direct-people").replaceChildren(...found.map((user) => this.#row(user)));
  }

  #row({ username, display_name: name, presence }) {
    const isChosen = this.#chosen.has(username);
    const about = { type: "button", "data-user": username, "aria-pressed": String(isChosen) };
    about["aria-label"] = `Choose ${username}`;
    return personRow(username, name, [presence], h("button", about, isChosen ? "Chosen" : "Choose"));
  }

  /** Enter in the field: the first that was found. */
  #take() {
    const first = byId("direct-people").querySelector("button");
    if (first) this.#toggle(first.dataset.user, true);
    this.#input.value = "";
    this.#look();
  }

  #toggle(user, add = false) {
    if (!user) return;
    if (this.#chosen.has(user) && !add) this.#chosen.delete(user);
    else if (this.#chosen.size < MOST) this.#chosen.add(user);
    const isFromChip = byId("direct-chosen").contains(document.activeElement);
    this.#chips();
    if (isFromChip) this.#input.focus();
    for (const button of byId("direct-people").querySelectorAll("button")) {
      const isChosen = this.#chosen.has(button.dataset.user);
      button.setAttribute("aria-pressed", String(isChosen));
      button.textContent = isChosen ? "Chosen" : "Choose";
    }
  }

  #chips() {
    byId("direct-chosen").replaceChildren(
      ...[...this.#chosen].map((user) =>
        h(
          "li",
          {},
          h("button", { type: "button", "data-user": user, "aria-label": `Without ${user}` }, user, icon("close")),
        ),
      ),
    );
    byId("direct-submit").disabled = this.#chosen.size === 0;
  }

  async #start() {
    if (!this.#chosen.size) return;
    const wrong = await this.does.write([...this.#chosen]);
    problem("direct-problem", wrong);
    if (!wrong) this.#dialog.close();
  }
}

/** A person in a list: face, name to show, user name and what else there is to say, and a button. */
function personRow(user, name, more, button) {
  const shown = name || user;
  const about = [shown === user ? null : user, ...more.filter((each) => each !== "offline")]
    .filter(Boolean)
    .join(" · ");
  const words = h("div", { className: "about" }, h("span", { className: "name", dir: "auto" }, visibleLine(shown)));
  if (about) words.append(h("span", { className: "quiet" }, about));
  const sign = face(user);
  if (more.includes("online")) sign.classList.add("online");
  return h("li", { className: "row" }, sign, words, button);
}
