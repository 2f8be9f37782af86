// Keeping the reader's place while what is above or below changes: at the end one stays at the end; anywhere else the
// line one was looking at stays where it was on the screen.

const NEAR_END_PX = 32;

export class Place {
  #scroller;
  #list;

  /** `scroller` scrolls, `list` has the lines as its children. */
  constructor(scroller, list) {
    this.#scroller = scroller;
    this.#list = list;
    this.atEnd = true;
    // Also what we did not do ourselves moves lines: a window made narrower, a font that came late, a keyboard.
    const watch = new ResizeObserver(() => this.atEnd && this.toEnd());
    watch.observe(scroller);
    watch.observe(list);
  }

  /** To be called when the reader has scrolled. */
  scrolled() {
    this.atEnd = this.fromEnd <= NEAR_END_PX;
  }

  get fromStart() {
    return this.#scroller.scrollTop;
  }

  get fromEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight;
  }

  toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.atEnd = true;
  }

  /** Bring a line to where it is read best, a third from the top. */
  toLine(node) {
    const shift = node.getBoundingClientRect().top - this.#top() - this.#scroller.clientHeight / 3;
    this.#scroller.scrollTop += shift;
    this.scrolled();
  }

  /** Do `change`, which may add, take and replace lines, and keep the place. */
  keep(change) {
    if (this.atEnd) {
      change();
      this.toEnd();
      return;
    }
    const seen = this.#seen();
    change();
    const stays = seen.find(({ node }) => node.isConnected);
    if (stays) this.#scroller.scrollTop += stays.node.getBoundingClientRect().top - this.#top() - stays.offset;
  }

  /** The lines in view, with how far below the upper edge each begins. */
  #seen() {
    const top = this.#top();
    const bottom = top + this.#scroller.clientHeight;
    const seen = [];
    for (const node of this.#list.children) {
      const box = node.getBoundingClientRect();
      if (box.bottom > top && box.height > 0) seen.push({ node, offset: box.top - top });
      if (box.top > bottom) break;
    }
    return seen;
  }

  #top() {
    return this.#scroller.getBoundingClientRect().top;
  }
}
