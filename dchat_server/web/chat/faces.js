// How a person is shown: a colour that is always theirs, a letter, a name.

import { h } from "./dom.js";
import { visibleLine } from "./visible.js";

const HUES = 12;

/** The class with a person's colour: the same on every device, from the user name alone. */
export function hueOf(user) {
  let number = 0;
  for (let index = 0; index < user.length; index += 1) number = (number * 31 + user.charCodeAt(index)) >>> 0;
  return `hue-${number % HUES}`;
}

/** The square with a person's first letter. */
export function face(user) {
  return h("span", { className: `face ${hueOf(user)}`, "aria-hidden": "true" }, Array.from(user)[0] ?? "?");
}

/** What a room is called in lists: its name to show, and a direct one by the people in it without `me`. */
export function roomName(room, me) {
  if (room.kind !== "dm") return visibleLine(room.display_name || room.room);
  const others = (room.users ?? []).filter((user) => user !== me);
  return others.length ? others.join(", ") : `${me} (you)`;
}
