// Choosing an emoji: to react with, or to put into what one writes.

import { byId, h } from "./dom.js";
import { dialog, open } from "./dialogs.js";
import { findEmoji } from "./emoji.js";

export class Picker {
  #dialog = dialog("picker");
  #input = byId("picker-input");
  #grid = byId("picker-grid");
  #take = null;

  constructor() {
    this.#input.addEventListener("input", () => this.#look());
    this.#input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault();
      this.#choose(this.#grid.querySelector("button"));
    });
    this.#grid.addEventListener("click", (event) => this.#choose(event.target.closest("button")));
    this.#grid.addEventListener("keydown", (event) => this.#key(event));
  }

  /** `take(emoji)` is called when one is chosen. */
  open(take) {
    this.#take = take;
    this.#input.value = "";
    this.#look();
    open(this.#dialog);
    this.#input.focus();
  }

  #look() {
    const found = findEmoji(this.#input.value.trim().replaceAll(":", ""));
    this.#grid.replaceChildren(
      ...found.map(({ emoji, names }, index) =>
        h(
          "button",
          {
            type: "button",
            title: `:${names[0]}:`,
            "aria-label": names[0].replaceAll("_", " "),
            tabIndex: index ? -1 : 0,
          },
          emoji,
        ),
      ),
    );
  }

  #choose(button) {
    if (!button) return;
    this.#dialog.close();
    this.#take(button.textContent);
  }

  /** Arrows go from one to the next, also from row to row; the grid is one stop of the Tab key. */
  #key(event) {
    const all = [...this.#grid.children];
    const index = all.indexOf(document.activeElement);
    const across = getComputedStyle(this.#grid).gridTemplateColumns.split(" ").length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
    if (!step || index < 0) return;
    event.preventDefault();
    const to = all[index + step];
    if (!to) return;
    all[index].tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }
}
