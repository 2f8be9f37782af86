// Words that come up for a while: what was asked for and not done.

import { byId, h, iconButton } from "./dom.js";
import { visibleLine } from "./visible.js";

const SHOWN_MS = 8000;

/** Show `words`, in place of what was shown before. */
export function notice(words) {
  const node = h("div", { className: "notice" }, h("p", { dir: "auto" }, visibleLine(words)));
  node.append(iconButton("close", "Close", () => node.remove()));
  const place = byId("notices");
  // What lies under an open dialog cannot be seen or heard.
  const above = [...document.querySelectorAll("dialog[open]")].at(-1) ?? byId("app");
  if (place.parentNode !== above) above.append(place);
  place.replaceChildren(node);
  setTimeout(() => node.remove(), SHOWN_MS);
}
