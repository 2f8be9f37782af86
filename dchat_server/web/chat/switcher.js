// Ctrl-K: go to a room or a person by a few letters of the name.

import { byId, h } from "./dom.js";
import { dialog, open, settled } from "./dialogs.js";
import { face, roomName } from "./faces.js";
import { signOf, weight } from "./roomlist.js";
import { visibleLine } from "./visible.js";

const MOST = 12;

export class Switcher {
  #dialog = dialog("switcher");
  #input = byId("switcher-input");
  #list = byId("switcher-list");
  #choices = [];
  #chosen = 0;
  #people = [];

  /** `rooms()`: those one is in, and `me()`; `findRooms(prefix)`, `findUsers(prefix)` ask the server; `go(room)`,
   * `join(room)`, `write(user)` do what was chosen. */
  constructor(does) {
    this.does = does;
    const ask = settled((prefix) => this.#ask(prefix));
    this.#input.addEventListener("input", () => {
      this.#people = [];
      this.#look();
      ask(this.#input.value.trim().toLowerCase());
    });
    this.#input.addEventListener("keydown", (event) => this.#key(event));
    this.#list.addEventListener("click", (event) => {
      const item = event.target.closest("li");
      if (item) this.#take(Number(item.dataset.index));
    });
  }

  open() {
    this.#input.value = "";
    this.#people = [];
    open(this.#dialog);
    this.#look();
  }

  async #ask(prefix) {
    if (!prefix) return;
    const [rooms, users] = await Promise.all([this.does.findRooms(prefix), this.does.findUsers(prefix)]);
    if (this.#input.value.trim().toLowerCase() !== prefix) return;
    const others = rooms.filter((room) => !room.joined && room.kind === "public");
    this.#people = [
      ...others.map((room) => ({
        sign: () => signOf(room),
        name: room.display_name || room.room,
        about: "not joined",
        go: () => this.does.join(room.room),
      })),
      ...users.map(({ username, display_name: name }) => ({
        sign: () => face(username),
        name: username,
        about: name === username ? "" : name,
        go: () => this.does.write(username),
      })),
    ];
    this.#look(true);
  }

  #look(keepChosen = false) {
    const part = this.#input.value.trim().toLowerCase();
    const me = this.does.me();
    const mine = ranked(this.does.rooms(), part, me).map((room) => ({
      sign: () => signOf(room, me),
      name: roomName(room, me),
      about: weight(room) ? `${weight(room)} for you` : room.unread ? `${room.unread} unread` : "",
      go: () => this.does.go(room.room),
    }));
    this.#choices = [...mine, ...this.#people].slice(0, MOST);
    if (!keepChosen) this.#chosen = 0;
    this.#show();
  }

  #show() {
    this.#chosen = Math.min(this.#chosen, Math.max(0, this.#choices.length - 1));
    this.#list.replaceChildren(
      ...this.#choices.map(({ sign, name, about }, index) =>
        h(
          "li",
          {
            id: `choice-${index}`,
            role: "option",
            "aria-selected": String(index === this.#chosen),
            "data-index": index,
          },
          sign(),
          h("span", { className: "name", dir: "auto" }, visibleLine(name)),
          h("span", { className: "quiet" }, visibleLine(about)),
        ),
      ),
    );
    this.#input.setAttribute("aria-expanded", String(this.#choices.length > 0));
    if (this.#choices.length) this.#input.setAttribute("aria-activedescendant", `choice-${this.#chosen}`);
    else this.#input.removeAttribute("aria-activedescendant");
    this.#list.children[this.#chosen]?.scrollIntoView({ block: "nearest" });
  }

  #key(event) {
    if (event.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.#choices.length) {
      this.#chosen = (this.#chosen + step + this.#choices.length) % this.#choices.length;
      this.#show();
    } else if (event.key === "Enter") this.#take(this.#chosen);
    else return;
    event.preventDefault();
  }

  #take(index) {
    const choice = this.#choices[index];
    if (!choice) return;
    this.#dialog.close();
    choice.go();
  }
}

/** Rooms whose name holds `part`; those that begin with it, and those with something unread, first. */
function ranked(rooms, part, me) {
  const score = (room) => {
    const names = [roomName(room, me).toLowerCase(), room.room];
    const place = names.some((name) => name.startsWith(part))
      ? 0
      : names.some((name) => name.includes(part))
        ? 1
        : null;
    return place === null ? null : place * 4 + (weight(room) ? 0 : room.unread ? 1 : 2);
  };
  return rooms
    .map((room) => ({ room, score: score(room) }))
    .filter((entry) => entry.score !== null)
    .sort((one, other) => one.score - other.score)
    .map(({ room }) => room);
}
