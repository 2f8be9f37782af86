// Which part of a long room is in the page: at most MOST lines, moved along as the reader scrolls. Pure.
//
// Bounds are kept as keys of lines, not as numbers: pages that are put in above move all numbers and no key.

const MOST = 300;
const STEP = 80;
const BEGIN = 120;

export class Window {
  #first = null;
  #last = null;

  /** True while the newest line belongs to it; new ones come in by themselves then. */
  get follows() {
    return this.#last === null;
  }

  /** Begin anew at the newest lines. */
  reset() {
    this.#first = null;
    this.#last = null;
  }

  /** `[from, to)` in `keys`, of all lines there are. */
  bounds(keys) {
    const found = this.#last === null ? -1 : keys.indexOf(this.#last);
    if (found < 0) this.#last = null;
    const to = found < 0 ? keys.length : found + 1;
    const known = this.#first === null ? -1 : keys.indexOf(this.#first);
    // While the reader is at the end, old lines are let go of at the other side.
    const from = Math.max(known < 0 ? to - BEGIN : known, to - MOST, 0);
    return [from, to];
  }

  /** Take in older lines; false when all there are are in. */
  older(keys) {
    const [from, to] = this.bounds(keys);
    if (from === 0) return false;
    this.#set(keys, from - STEP, Math.min(to, from - STEP + MOST));
    return true;
  }

  /** Take in newer lines; false when all there are are in. */
  newer(keys) {
    const [from, to] = this.bounds(keys);
    if (to === keys.length) return false;
    this.#set(keys, Math.max(from, to + STEP - MOST), to + STEP);
    return true;
  }

  /** Stay where it is, whatever comes behind: the reader is looking at something older. */
  hold(keys) {
    const [from, to] = this.bounds(keys);
    this.#first = keys[from] ?? null;
    this.#last = keys[to - 1] ?? null;
  }

  /** Move to around a line. */
  around(keys, index) {
    this.#set(keys, index - BEGIN / 2, index + BEGIN / 2);
  }

  #set(keys, from, to) {
    this.#first = keys[Math.max(0, from)] ?? null;
    this.#last = to >= keys.length ? null : keys[to - 1];
  }
}
