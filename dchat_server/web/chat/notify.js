// Telling somebody who is looking elsewhere: the page's title and icon, and desktop notifications for those who want them.

import { byId } from "./dom.js";
import { roomName } from "./faces.js";
import { weight } from "./roomlist.js";
import { summary } from "./markdown.js";
import { visibleLine } from "./visible.js";

const WANTED = "dchat.notifications";
const RULES = "dchat.notify.";

/** What one wants to be told of in a room: `all`, `mentions`, `none`. Direct messages count as calls. */
export function ruleOf(room) {
  return stored(RULES + room) ?? "mentions";
}

export function setRule(room, rule) {
  store(RULES + room, rule === "mentions" ? null : rule);
}

export function isWanted() {
  return stored(WANTED) === "yes" && globalThis.Notification?.permission === "granted";
}

/** Turn desktop notifications on or off. Returns what stands in the way, or nothing. */
export async function want(on) {
  store(WANTED, null);
  if (!on) return null;
  if (!globalThis.Notification) return "This browser has none, or not over plain HTTP.";
  const answer = await Notification.requestPermission();
  if (answer !== "granted") return "The browser does not allow them. Its settings for this site say so.";
  store(WANTED, "yes");
  return null;
}

/** Somebody said `message` in `room`; `isCall`: by name, or directly. `go()` opens the room. */
export function tell(room, message, isCall, go) {
  const rule = ruleOf(room.room);
  if (rule === "none" || (rule === "mentions" && !isCall)) return;
  if (!isWanted() || (document.visibilityState === "visible" && document.hasFocus())) return;
  const title = room.kind === "dm" ? message.sender : `${message.sender} in ${roomName(room)}`;
  // One tag a message: several tabs show it once.
  const note = new Notification(title, {
    body: summary(message.text),
    tag: `${room.room}:${message.seq}`,
    icon: "/web/chat/icon.svg",
  });
  note.addEventListener("click", () => {
    window.focus();
    note.close();
    go();
  });
}

/** Say in the title and the icon how much waits. */
export function badge(rooms, title) {
  const calls = rooms.filter((room) => ruleOf(room.room) !== "none").reduce((sum, room) => sum + weight(room), 0);
  const isFresh = rooms.some((room) => room.unread > 0);
  document.title = `${calls ? `(${calls}) ` : isFresh ? "• " : ""}${title ? `${visibleLine(title)} · ` : ""}D-Chat`;
  const icon = document.querySelector("link[rel=icon]");
  const wanted = calls ? "/web/chat/icon-unread.svg" : "/web/chat/icon.svg";
  if (icon.getAttribute("href") !== wanted) icon.setAttribute("href", wanted);
}

/** Wire the checkbox in the settings. */
export function wireNotifications() {
  const box = byId("notifications");
  const hint = byId("notifications-hint");
  box.checked = isWanted();
  box.addEventListener("change", async () => {
    const wrong = await want(box.checked);
    hint.hidden = !wrong;
    hint.textContent = wrong ?? "";
    box.checked = isWanted();
  });
}

function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function store(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // It holds until the page is left, then.
  }
}
