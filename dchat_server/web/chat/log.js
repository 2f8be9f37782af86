// The messages of the room one is in: which lines there are, in which order, and where the reader stands in them.
//
// Lines are kept by key and made anew only when they look different (line.js `lookOf`), so an edit or a reaction costs
// one line. Only a window of them is in the page (window.js), and the reader's place is kept through every change
// (place.js).

import { dayKey, dayName } from "./dates.js";
import { byId, h } from "./dom.js";
import { lineNode, linesOf, lookOf } from "./line.js";
import { Place } from "./place.js";
import { Window } from "./window.js";

const NEAR_PX = 700;
const QUIET_PX = 200;
const GROUP_MS = 5 * 60_000;

export class Log {
  #scroller = byId("log");
  #list = byId("lines");
  #older = byId("older");
  #newest = byId("to-newest");
  #place = new Place(this.#scroller, this.#list);
  #window = new Window();
  #nodes = new Map(); // key → {node, look}
  #lines = []; // of the transcript, one's own that wait at the end
  #keys = [];
  #unfolded = new Set();
  #transcript = null;
  #me = "";
  #marker = null;
  #isFirstLook = true;
  #seen = null; // the key of the newest line that was in view

  /** `wants.older()` asks for an older page, `wants.quoted(seq)` for a message that is answered and not loaded (it is
   * returned when it is known); `wants.seen(atEnd)` is told after every change and scroll. */
  constructor(wants) {
    this.wants = wants;
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#newest.addEventListener("click", () => this.toNewest());
  }

  get atEnd() {
    return this.#place.atEnd && this.#window.follows;
  }

  /** Show another room from its unread line on, or from its end. `marker`: the seq above which all is new, or null. */
  show(transcript, me, marker) {
    this.#transcript = transcript;
    this.#me = me;
    this.#marker = marker;
    this.#isFirstLook = true;
    this.#seen = null;
    this.#unfolded.clear();
    this.#nodes.clear();
    this.#list.replaceChildren();
    this.#window.reset();
    this.#place.atEnd = true;
    this.render();
  }

  /** Bring the page up to what the transcript holds now. */
  render() {
    if (!this.#transcript) return;
    this.#lines = linesOf(this.#transcript, this.#me);
    this.#keys = this.#lines.map((line) => line.key);
    this.#draw();
    if (this.#isFirstLook && this.#isLoaded) {
      this.#isFirstLook = false;
      this.#toUnread();
    }
    // What is near the edges comes in at once, for instance after a page of old messages was loaded.
    this.#fill();
    this.#tell();
  }

  /** Go to the end; `allIsRead`: nothing counts as new any more. */
  toNewest({ allIsRead = false } = {}) {
    if (allIsRead) this.#marker = null;
    this.#window.reset();
    this.#transcript?.shrink();
    this.render();
    this.#place.toEnd();
    this.#tell();
  }

  /** Show from here on that what is above `seq` is new. */
  mark(seq) {
    this.#marker = seq;
    this.render();
  }

  /** Scroll to the message `seq`; false when it is not among those loaded. */
  jump(seq) {
    const key = `s${seq}`;
    const index = this.#keys.indexOf(key);
    if (index < 0) return false;
    const [from, to] = this.#window.bounds(this.#keys);
    if (index < from || index >= to) {
      this.#place.atEnd = false;
      this.#window.around(this.#keys, index);
      this.#draw();
    }
    const { node } = this.#nodes.get(key);
    this.#place.toLine(node);
    if (!this.#place.atEnd) this.#window.hold(this.#keys);
    node.focus({ preventScroll: true });
    node.classList.add("flash");
    setTimeout(() => node.classList.remove("flash"), 1600);
    this.#tell();
    return true;
  }

  /** The line that a node belongs to. */
  lineOf(node) {
    const key = node.closest("[data-key]")?.dataset.key;
    return this.#lines[this.#keys.indexOf(key)];
  }

  toggleFold({ key }) {
    if (!this.#unfolded.delete(key)) this.#unfolded.add(key);
    this.render();
  }

  get #isLoaded() {
    return this.#transcript?.state === "ready";
  }

  #scrolled() {
    const was = this.atEnd;
    this.#place.scrolled();
    if (was && !this.#place.atEnd) this.#window.hold(this.#keys);
    this.#fill();
    this.#tell();
  }

  /** Take in lines near the edges of the window, and ask for older ones when there are no more. */
  #fill() {
    if (this.#place.fromStart < NEAR_PX) {
      if (this.#window.older(this.#keys)) this.#draw();
      else if (this.#isLoaded && this.#transcript.hasOlder) this.wants.older();
    }
    if (this.#place.fromEnd < NEAR_PX && this.#window.newer(this.#keys)) this.#draw();
    else if (this.#place.atEnd && !this.#window.follows) this.#window.reset();
  }

  #draw() {
    this.#place.keep(() => {
      const [from, to] = this.#window.bounds(this.#keys);
      this.#older.textContent = this.#above(from);
      this.#reconcile(this.#wanted(from, to));
    });
  }

  /** What stands above the first line. */
  #above(from) {
    if (this.#transcript.state === "failed")
      return `The messages could not be loaded: ${this.#transcript.error?.message}`;
    if (!this.#isLoaded) return "Loading …";
    if (from > 0 || this.#transcript.hasOlder) return "Loading older messages …";
    return this.#keys.length ? "This is where it began." : "";
  }

  /** The items of the list: days, the unread line, lines. */
  #wanted(from, to) {
    const wanted = [];
    let marked = this.#marker === null;
    let before = null;
    for (let index = from; index < to; index += 1) {
      const { key, message } = this.#lines[index];
      if (!before || dayKey(before.ts) !== dayKey(message.ts)) {
        wanted.push(separator("day", `day ${key}`, dayName(message.ts)));
        before = null;
      }
      if (!marked && message.seq > this.#marker && message.sender !== this.#me) {
        marked = true;
        wanted.push(separator("unread-line", "unread", "New"));
        before = null;
      }
      wanted.push(this.#item(this.#lines[index], !goesOn(before, message)));
      before = message;
    }
    return wanted;
  }

  #item(line, first) {
    const answers = line.message.reply_to;
    const quoted = answers ? (this.#transcript.get(answers) ?? this.wants.quoted(answers)) : null;
    const about = { me: this.#me, first, quoted, unfolded: this.#unfolded.has(line.key) };
    return { key: line.key, look: lookOf(line, about), make: () => lineNode(line, about) };
  }

  #reconcile(wanted) {
    const kept = new Set(wanted.map(({ key }) => key));
    for (const [key, { node }] of this.#nodes) {
      if (kept.has(key)) continue;
      node.remove();
      this.#nodes.delete(key);
    }
    let next = this.#list.firstElementChild;
    for (const { key, look, make } of wanted) {
      let known = this.#nodes.get(key);
      if (!known || !isSame(known.look, look)) {
        const node = make();
        node.dataset.key = key;
        if (known) next = replaced(known.node, node, next);
        known = { node, look };
        this.#nodes.set(key, known);
      }
      if (known.node === next) next = next.nextElementSibling;
      else this.#list.insertBefore(known.node, next);
    }
  }

  /** Where reading begins: at the first line that is new, unless all that is new is in view anyway. */
  #toUnread() {
    const line = this.#list.querySelector(".unread-line");
    const top = this.#scroller.getBoundingClientRect().top;
    if (!line || line.getBoundingClientRect().top >= top) return;
    this.#place.toLine(line);
    if (!this.#place.atEnd) this.#window.hold(this.#keys);
  }

  #tell() {
    const { atEnd } = this;
    if (atEnd) this.#seen = this.#keys.at(-1) ?? null;
    const fresh = this.#fresh();
    this.#newest.hidden = atEnd || (fresh === 0 && this.#place.fromEnd < QUIET_PX && this.#window.follows);
    this.#newest.classList.toggle("fresh", fresh > 0);
    byId("to-newest-text").textContent = fresh ? `${fresh} new` : "Newest";
    this.wants.seen(atEnd);
  }

  /** How many messages have come below what was in view. */
  #fresh() {
    const from = this.#keys.indexOf(this.#seen);
    return from < 0 ? 0 : this.#keys.length - from - 1;
  }
}

function separator(className, key, text) {
  return { key, look: [text], make: () => h("li", { className }, h("span", {}, text)) };
}

/** Whether a message goes on what the one before it began: the same person, within minutes, answering nothing. */
function goesOn(before, message) {
  if (before?.sender !== message.sender || message.reply_to) return false;
  return Math.abs(Date.parse(message.ts) - Date.parse(before.ts)) < GROUP_MS;
}

function isSame(one, other) {
  return one.length === other.length && one.every((value, index) => value === other[index]);
}

/** Put `fresh` where `old` is; the focus stays in the line. Returns what is to come next in the list. */
function replaced(old, fresh, next) {
  const focused = old.contains(document.activeElement);
  if (old.classList.contains("active")) fresh.classList.add("active");
  old.replaceWith(fresh);
  if (focused) fresh.focus({ preventScroll: true });
  return old === next ? fresh : next;
}
