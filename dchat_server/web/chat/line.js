// One line of a room as nodes: a message, one's own on its way, or a piece of news. What is clicked in it says what it
// asks for in `data-do`; log.js listens for all lines at once.

import { fullTime, timeOfDay } from "./dates.js";
import { h, icon, unseen } from "./dom.js";
import { isJumbo } from "./emoji.js";
import { face, hueOf } from "./faces.js";
import { rendered, summary } from "./markdown.js";
import { visibleLine } from "./visible.js";

const FOLD_LINES = 30;
const FOLD_CHARS = 3000;
const MAX_NAMES = 30;

/**
 * What a line shows: a `message` as the transcript has it, and for one's own on its way `sending` (pending, sending or failed), why
 * it failed, and its `clientId`.
 * @typedef {{key: string, message: object, sending: string | null, error: Error | null, clientId: string | null}} Line
 */

/** The lines of a transcript, one's own that wait at the end. */
export function linesOf(transcript, me) {
  const lines = transcript.messages.map((message) => ({ key: `s${message.seq}`, message, sending: null }));
  for (const { clientId, text, replyTo, at, state, error } of transcript.pending) {
    const message = { sender: me, text, reply_to: replyTo, ts: new Date(at).toISOString() };
    lines.push({ key: `p${clientId}`, message, sending: state, error, clientId });
  }
  return lines;
}

/** What a line looks like depends on this and nothing else. Messages are never changed, only replaced. */
export function lookOf(line, { first, quoted, unfolded }) {
  return [line.sending ? line.key : line.message, line.sending, line.error?.message, first, quoted, unfolded];
}

/** The list item of a line. `first`: the first of a person's row, which bears their name. `quoted`: the message it
 * answers, if it is known here. `unfolded`: show a long one in full. */
export function lineNode(line, { me, first, quoted, unfolded }) {
  const { message, sending } = line;
  const node = h("li", { className: ["line", first && "first", sending].filter(Boolean).join(" "), tabIndex: -1 });
  if (first) node.append(face(message.sender));
  else node.append(h("span", { className: "margin", "aria-hidden": "true" }, timeOfDay(message.ts)));
  const body = h("div", { className: "body" }, byline(message, first));
  if (message.deleted) {
    body.append(h("p", { className: "gone" }, "This message was deleted."));
  } else {
    if (message.reply_to) body.append(quote(message.reply_to, quoted));
    body.append(...textOf(message, me, unfolded));
    if (body.querySelector(".call-me")) node.classList.add("calls-me");
    if (message.edited_at)
      body.append(h("span", { className: "remark", title: fullTime(message.edited_at) }, "(edited)"));
    if (message.reactions?.length) body.append(reactions(message.reactions, me));
  }
  if (sending) body.append(fate(line));
  node.append(body);
  return node;
}

function byline(message, first) {
  const time = h("time", { dateTime: message.ts, title: fullTime(message.ts) }, timeOfDay(message.ts));
  const sender = h("span", { className: `sender ${hueOf(message.sender)}` }, message.sender);
  return h("div", { className: first ? "byline" : "byline unseen" }, sender, " ", time);
}

function textOf(message, me, unfolded) {
  const node = h("div", { className: "text", dir: "auto" }, rendered(message.text, me));
  if (isJumbo(message.text)) node.classList.add("jumbo");
  const isLong = message.text.length > FOLD_CHARS || message.text.split("\n", FOLD_LINES + 1).length > FOLD_LINES;
  if (!isLong) return [node];
  node.classList.toggle("folded", !unfolded);
  const toggle = {
    type: "button",
    className: "unfold",
    "data-do": "unfold",
    "aria-expanded": String(Boolean(unfolded)),
  };
  return [node, h("button", toggle, unfolded ? "Show less" : "Show all of it")];
}

function quote(seq, quoted) {
  const said = quoted?.deleted ? "a message that was deleted" : quoted ? summary(quoted.text) : "an earlier message";
  return h(
    "button",
    { type: "button", className: "quoted", "data-do": "jump", "data-seq": String(seq), title: "Go to that message" },
    icon("reply"),
    unseen("Answers "),
    quoted ? h("span", { className: `sender ${hueOf(quoted.sender)}` }, quoted.sender) : null,
    h("span", { dir: "auto" }, said),
  );
}

function reactions(all, me) {
  const list = h("ul", { className: "reactions", "aria-label": "Reactions" });
  for (const { emoji, count, users } of all) {
    const names = users.slice(0, MAX_NAMES).join(", ") + (users.length > MAX_NAMES ? " …" : "");
    const shown = visibleLine(emoji);
    const about = {
      type: "button",
      className: "reaction",
      title: names,
      "data-do": "react",
      "data-emoji": emoji,
      "aria-pressed": String(users.includes(me)),
      "aria-label": `${shown}, ${count}: ${names}`,
    };
    list.append(h("li", {}, h("button", about, h("span", {}, shown), h("span", {}, String(count)))));
  }
  return list;
}

/** What is becoming of one's own message. */
function fate(line) {
  if (line.sending !== "failed") {
    const cancel = h("button", { type: "button", className: "link", "data-do": "cancel" }, "Throw away");
    const isWaiting = line.sending === "pending";
    return h("p", { className: "fate" }, isWaiting ? "Waiting to be sent" : "Sending …", isWaiting ? cancel : null);
  }
  return h(
    "p",
    { className: "fate" },
    `Not sent: ${visibleLine(line.error?.message ?? "the server refused it")} `,
    h("button", { type: "button", className: "link", "data-do": "retry" }, "Try again"),
    h("button", { type: "button", className: "link", "data-do": "cancel" }, "Throw away"),
  );
}
