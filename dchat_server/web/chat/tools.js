// What one can do with a message: the bar of buttons, and the keys while a line has the focus.
//
// There is one bar; it goes into the line that the pointer is over, or that has the focus. Of all lines one is a stop
// of the Tab key, the active one; arrows go from line to line, as in a list.

import { byId, h, iconButton } from "./dom.js";

export const LINE_KEYS = [
  ["↑ ↓ Home End", "from message to message"],
  ["r", "reply"],
  ["+", "react"],
  ["e", "edit one's own"],
  ["Delete", "delete"],
  ["c", "copy the text"],
  ["Esc", "back to writing"],
];

export class Tools {
  #log;
  #list = byId("lines");
  #bar = h("div", { className: "tools", role: "group", "aria-label": "What to do with this message" });
  #active = null;

  /** `does`: `react(line, emoji)`, `pick(line)`, `reply(line)`, `edit(line)`, `remove(line)`, `jump(seq)`,
   * `retry(line)`, `cancel(line)`, `write()`; `may(line)` says which of edit and remove are offered. */
  constructor(log, does) {
    this.#log = log;
    this.does = does;
    this.#list.addEventListener("pointerover", (event) => event.pointerType === "mouse" && this.#to(event.target));
    this.#list.addEventListener("pointerleave", () => this.#list.contains(document.activeElement) || this.#rest());
    this.#list.addEventListener("focusin", (event) => this.#to(event.target));
    this.#list.addEventListener("click", (event) => this.#clicked(event));
    this.#list.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Lines have changed: the active one may be gone or another node now. */
  refresh() {
    const newest = [...this.#list.querySelectorAll(".line")].at(-1) ?? null;
    const next = this.#active?.isConnected ? this.#active : (this.#list.querySelector(".line.active") ?? newest);
    if (next !== this.#active) this.#activate(next, next?.classList.contains("active"));
  }

  /** Go to the newest message with the keyboard. */
  focus() {
    const newest = [...this.#list.querySelectorAll(".line")].at(-1);
    (newest ?? byId("log")).focus();
  }

  #to(target) {
    const node = target.closest?.(".line");
    if (node && node !== this.#bar.parentNode) this.#activate(node, true);
  }

  /** Nobody is about to do something with a message. */
  #rest() {
    this.#active?.classList.remove("active");
    this.#bar.remove();
  }

  #activate(node, withBar) {
    this.#rest();
    if (this.#active) this.#active.tabIndex = -1;
    this.#active = node;
    if (!node) return;
    node.tabIndex = 0;
    const line = this.#log.lineOf(node);
    if (!withBar || !line) return;
    node.classList.add("active");
    if (line.sending || line.message.deleted) return;
    this.#bar.replaceChildren(...this.#buttons(line));
    node.append(this.#bar);
  }

  #buttons(line) {
    const may = this.does.may(line);
    return [
      may.write && iconButton("smile", "React", () => this.does.pick(line)),
      may.write && iconButton("reply", "Reply", () => this.does.reply(line)),
      may.edit && iconButton("edit", "Edit", () => this.does.edit(line)),
      may.remove && iconButton("bin", "Delete", () => this.does.remove(line)),
    ].filter(Boolean);
  }

  #clicked(event) {
    const asked = event.target.closest("[data-do]");
    if (!asked) return;
    const line = this.#log.lineOf(asked);
    const { do: what, emoji, seq } = asked.dataset;
    if (what === "jump") this.does.jump(Number(seq));
    else if (!line) return;
    else if (what === "react") this.does.react(line, emoji);
    else if (what === "unfold") this.#log.toggleFold(line);
    else if (what === "retry" || what === "cancel") this.does[what](line);
  }

  #key(event) {
    const node = event.target.closest(".line");
    if (!node || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") this.does.write();
    else if (event.target === node && !this.#move(event.key, node) && !this.#act(event.key, node)) return;
    else if (event.target !== node) return;
    event.preventDefault();
  }

  #move(key, node) {
    const lines = [...this.#list.querySelectorAll(".line")];
    const index = lines.indexOf(node);
    const to = { ArrowUp: index - 1, ArrowDown: index + 1, Home: 0, End: lines.length - 1 }[key];
    if (to === undefined) return false;
    if (to >= lines.length) this.does.write();
    else lines[Math.max(0, to)].focus();
    lines[Math.max(0, to)]?.scrollIntoView({ block: "nearest" });
    return true;
  }

  #act(key, node) {
    const line = this.#log.lineOf(node);
    if (!line || line.sending || line.message.deleted) return false;
    const may = this.does.may(line);
    if (key === "r" && may.write) this.does.reply(line);
    else if (key === "+" && may.write) this.does.pick(line);
    else if (key === "e" && may.edit) this.does.edit(line);
    else if ((key === "Delete" || key === "d") && may.remove) this.does.remove(line);
    else if (key === "c") navigator.clipboard?.writeText(line.message.text).catch(() => {});
    else return false;
    return true;
  }
}
