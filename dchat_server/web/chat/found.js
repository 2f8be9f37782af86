// What a search found.

import { byId, h } from "./dom.js";
import { dialog, open } from "./dialogs.js";
import { fullTime } from "./dates.js";
import { face } from "./faces.js";
import { summary } from "./markdown.js";
import { visibleLine } from "./visible.js";

const MOST = 50;

export class Found {
  #dialog = dialog("found");

  /** `go(room, seq)` shows a message that was found. */
  constructor(does) {
    byId("found-list").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      this.#dialog.close();
      does.go(button.dataset.room, Number(button.dataset.seq));
    });
  }

  /** Show `messages`, newest first; `where` says in words what was searched. */
  show(words, messages, where) {
    const some = `${messages.length} ${messages.length === 1 ? "message" : "messages"}`;
    byId("found-title").textContent = `“${visibleLine(words)}”`;
    byId("found-state").textContent = `${messages.length ? some : "Nothing"} ${where}`;
    byId("found-list").replaceChildren(...messages.slice(0, MOST).map(row));
    open(this.#dialog);
  }
}

/** Those of `messages` that hold all of the words, newest first. */
export function matching(messages, words) {
  const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
  const holds = ({ text = "", sender }) => parts.every((part) => text.toLowerCase().includes(part) || sender === part);
  return messages.filter((message) => !message.deleted && holds(message)).reverse();
}

function row({ room, seq, sender, ts, text }) {
  const about = {
    type: "button",
    "data-room": room,
    "data-seq": String(seq),
    "aria-label": `Go to the message of ${sender}`,
  };
  return h(
    "li",
    { className: "row" },
    face(sender),
    h(
      "div",
      { className: "about" },
      h("span", { className: "name" }, sender, " ", h("span", { className: "quiet" }, `in ${room}, ${fullTime(ts)}`)),
      h("span", { className: "wrap", dir: "auto" }, summary(text, 300)),
    ),
    h("button", about, "Show"),
  );
}
