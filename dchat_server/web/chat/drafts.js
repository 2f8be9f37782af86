// What was written and not sent, by room; kept in this browser, also over a reload.

const PREFIX = "dchat.draft.";
const MOST_CHARS = 16_384;

/** The drafts of one person. Storage that is full or refused only means that a reload forgets them. */
export class Drafts {
  #prefix;
  #memory = new Map();

  constructor(user) {
    this.#prefix = `${PREFIX}${user}.`;
  }

  get(room) {
    if (this.#memory.has(room)) return this.#memory.get(room);
    try {
      return localStorage.getItem(this.#prefix + room) ?? "";
    } catch {
      return "";
    }
  }

  set(room, text) {
    this.#memory.set(room, text);
    try {
      if (text) localStorage.setItem(this.#prefix + room, text.slice(0, MOST_CHARS));
      else localStorage.removeItem(this.#prefix + room);
    } catch {
      // Only memory has it then.
    }
  }

  /** Forget all, when somebody signs out. */
  static clear() {
    try {
      for (const key of Object.keys(localStorage)) if (key.startsWith(PREFIX)) localStorage.removeItem(key);
    } catch {
      // Nothing was kept.
    }
  }
}
