// Completion while writing: @names, #rooms, :emoji: and /commands. What could be meant is pure; `Completion` shows it.

import { byId, h } from "./dom.js";
import { COMMANDS } from "./commands.js";
import { findEmoji } from "./emoji.js";

const MOST = 8;
const WORD = /(?:^|[\s(])([@#:])([\p{L}\p{N}._+-]*)$/u;

/** What is being written at the end of `before` (the text up to the caret), or null: `{kind, prefix, from}`. */
export function beginning(before) {
  const command = /^\/([a-z]*)$/.exec(before);
  if (command) return { kind: "/", prefix: command[1], from: 0 };
  const argument = /^\/(join|leave|msg|invite)\s+@?#?([a-z0-9._-]*)$/.exec(before);
  if (argument) {
    const kind = ["join", "leave"].includes(argument[1]) ? "room" : "person";
    return { kind, prefix: argument[2], from: before.length - argument[2].length };
  }
  const word = WORD.exec(before);
  if (!word) return null;
  const [, kind, prefix] = word;
  if (kind === ":" && prefix.length < 2) return null;
  return { kind, prefix: prefix.toLowerCase(), from: before.length - prefix.length - 1 };
}

/** What may be meant, best first: `{text, shown, about}`. `known`: `{people: [{user, name}], rooms: [{room, topic}]}`. */
export function candidates({ kind, prefix }, known) {
  const starts = (name) => name.toLowerCase().startsWith(prefix);
  const people = () => known.people.filter(({ user, name }) => starts(user) || starts(name ?? ""));
  const rooms = () => known.rooms.filter(({ room }) => starts(room));
  const all = {
    "/": () =>
      COMMANDS.filter(({ name }) => starts(name)).map(({ name, takes, does }) => ({
        text: `/${name} `,
        shown: `/${name} ${takes}`,
        about: does,
      })),
    "@": () =>
      people().map(({ user, name }) => ({ text: `@${user} `, shown: `@${user}`, about: name === user ? "" : name })),
    "#": () => rooms().map(({ room, topic }) => ({ text: `#${room} `, shown: `#${room}`, about: topic })),
    ":": () =>
      findEmoji(prefix, MOST).map(({ emoji, names }) => ({ text: `${emoji} `, shown: emoji, about: `:${names[0]}:` })),
    person: () =>
      people().map(({ user, name }) => ({ text: `${user} `, shown: user, about: name === user ? "" : name })),
    room: () => rooms().map(({ room, topic }) => ({ text: `${room} `, shown: room, about: topic })),
  }[kind]();
  return all.slice(0, MOST);
}

/** The list above the message field. The field keeps the focus; `aria-activedescendant` says which is chosen. */
export class Completion {
  #field;
  #list = byId("completions");
  #known;
  #found = [];
  #at = null;
  #chosen = 0;

  constructor(field, known) {
    this.#field = field;
    this.#known = known;
    this.#list.addEventListener("mousedown", (event) => {
      event.preventDefault(); // the field keeps the focus
      const item = event.target.closest("li");
      if (item) this.take(Number(item.dataset.index));
    });
  }

  get isOpen() {
    return this.#found.length > 0;
  }

  /** Look again at what is being written. */
  look() {
    const { selectionStart: caret, selectionEnd: end, value } = this.#field;
    this.#at = caret === end ? beginning(value.slice(0, caret)) : null;
    this.#found = this.#at ? candidates(this.#at, this.#known()) : [];
    const only = this.#found[0]?.text.trimEnd();
    if (this.#found.length === 1 && this.#at && only === value.slice(this.#at.from, caret)) this.#found = [];
    this.#chosen = 0;
    this.#show();
  }

  close() {
    this.#found = [];
    this.#show();
  }

  /** Deal with a key; true when it was for the list. */
  key(event) {
    if (!this.isOpen) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      this.#chosen = (this.#chosen + step + this.#found.length) % this.#found.length;
      this.#show();
    } else if (event.key === "Tab" || event.key === "Enter") this.take(this.#chosen);
    else if (event.key === "Escape") this.close();
    else return false;
    event.preventDefault();
    return true;
  }

  take(index) {
    const { text } = this.#found[index];
    const after = this.#field.selectionStart;
    const skip = text.endsWith(" ") && this.#field.value[after] === " " ? 1 : 0;
    this.#field.setRangeText(text, this.#at.from, after + skip, "end");
    this.close();
    this.#field.dispatchEvent(new Event("input", { bubbles: true }));
    this.#field.focus();
  }

  #show() {
    this.#list.hidden = !this.isOpen;
    if (!this.isOpen) {
      this.#field.removeAttribute("aria-activedescendant");
      this.#list.replaceChildren();
      return;
    }
    this.#list.replaceChildren(
      ...this.#found.map(({ shown, about }, index) =>
        h(
          "li",
          {
            id: `completion-${index}`,
            role: "option",
            "aria-selected": String(index === this.#chosen),
            "data-index": index,
          },
          h("span", {}, shown),
          h("span", { className: "quiet" }, about),
        ),
      ),
    );
    this.#field.setAttribute("aria-activedescendant", `completion-${this.#chosen}`);
    this.#list.children[this.#chosen].scrollIntoView({ block: "nearest" });
  }
}
