// The open room in the page's address, so that a reload, a bookmark and the way back lead to it.

/** The room that the address asks for; "" when it asks for none. */
export function askedRoom() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

/** Write the open room (or null) into the address. The way back leads from room to room. */
export function showRoom(name) {
  const before = askedRoom();
  if (before === (name ?? "")) return;
  history[before ? "pushState" : "replaceState"](null, "", name ? `#${encodeURIComponent(name)}` : "/");
}
