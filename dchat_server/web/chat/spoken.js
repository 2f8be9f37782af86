// What is said to those who hear the page instead of seeing it.

import { byId, h } from "./dom.js";

const KEPT = 5;

/** Have `text` read out when nothing else is. */
export function spoken(text) {
  const place = byId("spoken");
  place.append(h("p", {}, text));
  while (place.children.length > KEPT) place.firstChild.remove();
}
