// The field one writes in: sending, answering, editing, drafts. What a text means is commands.js's part.

import { byId } from "./dom.js";
import { Completion } from "./completion.js";
import { understood } from "./commands.js";
import { withEmoji } from "./emoji.js";
import { summary } from "./markdown.js";

const MAX_BYTES = 16_384;
const TYPING_MS = 4000;
const utf8 = new TextEncoder();
/** On a phone's keyboard there is no Shift-Enter: Enter makes a line there, and the button sends. */
const fingers = matchMedia("(hover: none) and (pointer: coarse)");

export class Composer {
  #field = byId("draft");
  #context = byId("context");
  #completion;
  #room = null;
  #about = null; // {reply: message} or {edit: message}
  #drafts = null;
  #typedAt = 0;

  /** `does`: `say(room, text, replyTo)`, `edit(message, text)`, `command(name, rest)`, `editLast()`, `typing(room)`,
   * `up()` (to the messages), `problem(words)`. `known`: see completion.js. */
  constructor(does, known) {
    this.does = does;
    this.#completion = new Completion(this.#field, known);
    this.#field.enterKeyHint = fingers.matches ? "enter" : "send";
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    byId("context-drop").addEventListener("click", () => this.#drop());
    this.#field.addEventListener("input", () => this.#changed());
    this.#field.addEventListener("keydown", (event) => this.#key(event));
    this.#field.addEventListener("click", () => this.#completion.look());
    this.#field.addEventListener("blur", () => this.#completion.close());
  }

  /** Write in another room from now on; its draft comes back. */
  show(room, title, drafts) {
    this.#drafts = drafts;
    this.#room = room;
    this.#about = null;
    this.#context.hidden = true;
    this.#completion.close();
    this.#put(room ? drafts.get(room) : "");
    this.#field.placeholder = title ? `Message ${title}` : "Message";
  }

  focus() {
    this.#field.focus();
  }

  reply(message) {
    if (this.#about?.edit) this.#put(this.#drafts.get(this.#room));
    this.#say({ reply: message }, `Answering ${message.sender}: ${summary(message.text)}`);
  }

  edit(message) {
    this.#put(message.text);
    this.#say({ edit: message }, "Editing your message");
  }

  /** Put a text in where the caret is. */
  insert(text) {
    this.#field.focus();
    this.#field.setRangeText(text, this.#field.selectionStart, this.#field.selectionEnd, "end");
    this.#changed();
  }

  #say(about, words) {
    this.#about = about;
    byId("context-text").textContent = words;
    this.#context.hidden = false;
    this.#field.focus();
  }

  #drop() {
    if (this.#about?.edit) this.#put(this.#drafts.get(this.#room));
    this.#about = null;
    this.#context.hidden = true;
    this.#field.focus();
  }

  #put(text) {
    this.#field.value = text;
    this.#grow();
  }

  #changed() {
    this.#grow();
    this.#completion.look();
    if (this.#about?.edit || !this.#room) return;
    this.#drafts.set(this.#room, this.#field.value);
    const now = Date.now();
    if (this.#field.value && !this.#field.value.startsWith("/") && now - this.#typedAt > TYPING_MS) {
      this.#typedAt = now;
      this.does.typing(this.#room);
    }
  }

  /** As high as its text, where `field-sizing` does not do it. */
  #grow() {
    if (CSS.supports("field-sizing", "content")) return;
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }

  #key(event) {
    // While a syllable is being composed, Enter and the arrows belong to the input method.
    if (event.isComposing || event.keyCode === 229) return;
    if (this.#completion.key(event)) return;
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { key, shiftKey } = event;
    const isEmpty = this.#field.value === "";
    if (key === "Enter" && !shiftKey && !fingers.matches) this.#send();
    else if (key === "Escape" && this.#about) this.#drop();
    else if (key === "ArrowUp" && isEmpty && !shiftKey) this.does.editLast();
    else if (key === "ArrowUp" && shiftKey && isEmpty) this.does.up();
    else return;
    event.preventDefault();
  }

  #send() {
    const text = withEmoji(this.#field.value).replace(/\s+$/, "");
    if (!text.trim()) return;
    const about = this.#about;
    const meant = about?.edit ? { say: text } : understood(text);
    if (meant.unknown) {
      this.does.problem(`There is no command /${meant.unknown}. Begin with // to say a text that begins with a slash.`);
      return;
    }
    const { length } = utf8.encode(meant.say ?? "");
    if (length > MAX_BYTES) {
      this.does.problem(`The message is too long by ${length - MAX_BYTES} bytes.`);
      return;
    }
    if (about?.edit) {
      void this.#change(about.edit, meant.say);
      return;
    }
    if (meant.command) {
      this.#clear();
      this.does.command(meant.command, meant.rest);
    } else if (this.does.say(this.#room, meant.say, about?.reply?.seq ?? null)) {
      this.#clear();
    }
  }

  /** Have a message edited; what was written comes back when the server does not take it. */
  async #change(message, text) {
    const room = this.#room;
    this.#drop();
    if (text === message.text || (await this.does.edit(message, text))) return;
    if (this.#room !== room || this.#about) return;
    this.edit(message);
    this.#put(text);
  }

  #clear() {
    this.#put("");
    this.#drafts.set(this.#room, "");
    this.#typedAt = 0;
    this.#completion.close();
    if (this.#about) this.#drop();
  }
}
