/** What the picture is made of: lines, and boxes with a line or two of words in them. */

import { shape } from "./dom.js";
import { isFine, partName } from "./memory.js";
import { short, state } from "./words.js";

const CROWN = "M0 4 4 8 8 1 12 8 16 4 14.5 13H1.5Z";

/** A line; `kinds` are classes that say how it is. */
export function edge(kinds, path) {
  return shape("path", { class: `edge ${kinds}`, d: path, "stroke-width": 1.5 });
}

/** The box of the log, the election or the archive, crossed out when it does not do its work. */
export function partNode(name, box, told, em) {
  const fine = isFine(name, told.state);
  const word = fine === null ? "unknown" : fine ? "fine" : "broken";
  const letters = Math.floor(box.width / em / 0.55);
  const is = short(state(told.state).replace(/^archive /, ""), Math.floor(letters * 1.15));
  const node = boxed(`part ${name} ${word}`, box, em, [short(partName(name, told), letters), is]);
  if (word === "broken") node.append(cross(box, false));
  return node;
}

/** One or two strokes across a box. */
export function cross({ x, y, width, height }, twice) {
  const back = twice ? `M${x} ${y}L${x + width} ${y + height}` : "";
  return shape("path", { class: "cross", d: `${back}M${x + width} ${y}L${x} ${y + height}` });
}

/** The leader's sign, at the left of its box. */
export function crown(box, roomy, em) {
  const size = (1.05 * em) / 16;
  const y = box.y + (roomy ? 0.72 * em : box.height / 2 - 7 * size);
  const transform = `translate(${box.x + 0.7 * em} ${y}) scale(${size})`;
  return shape("path", { class: "crown", d: CROWN, transform });
}

/** A text at the right end of a box of one line. */
export function aside(box, em) {
  const place = { x: box.x + box.width - 0.7 * em, y: box.y + box.height / 2 + 0.35 * em };
  return shape("text", { class: "aside", ...place, "text-anchor": "end" });
}

/** A box with one or two lines in it; `indent` leaves room for a sign before the first. */
export function boxed(kinds, box, em, lines, indent = 0) {
  const corner = kinds.startsWith("part") ? 1.2 * em : 0.5 * em;
  const [inset, anchor] = kinds.startsWith("worker") ? [0.8 * em, "start"] : [box.width / 2, "middle"];
  const middle = box.y + box.height / 2;
  const levels = lines.length === 1 ? [middle + 0.35 * em] : [middle - 0.25 * em, middle + 1.05 * em];
  const texts = lines.map((line, at) => {
    const place = { x: box.x + inset + (at ? 0 : indent), y: levels[at], "text-anchor": anchor };
    return shape("text", { class: at ? "aside" : "name", ...place }, line);
  });
  const frame = shape("rect", { x: box.x, y: box.y, width: box.width, height: box.height, rx: corner });
  return shape("g", { class: `node ${kinds}` }, frame, ...texts);
}
