// The list of rooms at the side, with what is unread in each; on a phone a drawer.

import { byId, h, icon, unseen } from "./dom.js";
import { face, roomName } from "./faces.js";

const narrow = matchMedia("(width < 720px)");

export class RoomList {
  #nav = byId("rooms");
  #shade = byId("shade");
  #opener = byId("show-rooms");
  #nodes = new Map(); // room → {node, look}

  /** `open(room)` is called when one is chosen. */
  constructor(open) {
    this.#nav.addEventListener("click", (event) => {
      const link = event.target.closest("[data-room]");
      if (!link) return;
      this.close();
      open(link.dataset.room);
    });
    this.#nav.addEventListener("keydown", (event) => this.#key(event));
    this.#opener.addEventListener("click", () => this.#setOpen(true));
    byId("close-rooms").addEventListener("click", () => this.close());
    this.#shade.addEventListener("click", () => this.close());
    narrow.addEventListener("change", () => this.#setOpen(false));
    this.#setOpen(false);
  }

  /** Draw `rooms`, in their order, with `current` marked. */
  render(rooms, current, me) {
    const [direct, others] = [rooms.filter((room) => room.kind === "dm"), rooms.filter((room) => room.kind !== "dm")];
    this.#fill(byId("room-list"), others, current, me, "No rooms yet. Find or make one with +.");
    this.#fill(byId("direct-list"), direct, current, me, "Nobody yet.");
    for (const name of this.#nodes.keys()) if (!rooms.some((room) => room.room === name)) this.#nodes.delete(name);
    const elsewhere = rooms.filter((room) => room.room !== current && room.unread > 0);
    const calls = elsewhere.reduce((sum, room) => sum + weight(room), 0);
    byId("elsewhere-count").hidden = !elsewhere.length;
    byId("elsewhere-count").textContent = calls ? short(calls) : "•";
  }

  close() {
    if (!this.#nav.classList.contains("open")) return;
    this.#setOpen(false);
    this.#opener.focus();
  }

  #setOpen(open) {
    this.#nav.classList.toggle("open", open);
    this.#shade.hidden = !open;
    this.#opener.setAttribute("aria-expanded", String(open));
    byId("room").inert = open;
    if (open) (this.#nav.querySelector("[aria-current]") ?? byId("close-rooms")).focus();
  }

  #fill(list, rooms, current, me, nothing) {
    const wanted = rooms.map((room) => this.#item(room, room.room === current, me));
    if (!wanted.length) wanted.push(h("li", { className: "nothing quiet" }, nothing));
    const same = wanted.length === list.children.length && wanted.every((node, index) => node === list.children[index]);
    if (same) return;
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.room : null;
    list.replaceChildren(...wanted);
    if (focused) list.querySelector(`[data-room="${CSS.escape(focused)}"]`)?.focus();
  }

  #item(room, isCurrent, me) {
    const look = JSON.stringify([roomName(room, me), room.kind, room.unread, room.mentions, isCurrent]);
    const known = this.#nodes.get(room.room);
    if (known?.look === look) return known.node;
    const node = h("li", {}, link(room, isCurrent, me));
    this.#nodes.set(room.room, { node, look });
    return node;
  }

  #key(event) {
    if (event.key === "Escape") this.close();
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const links = [...this.#nav.querySelectorAll("[data-room]")];
    const to = links[links.indexOf(document.activeElement) + step];
    if (links.includes(document.activeElement) && to) {
      to.focus();
      event.preventDefault();
    }
  }
}

/** The sign before a room's name: #, a lock, or a face. */
export function signOf(room, me) {
  if (room.kind === "dm") return face((room.users ?? []).find((user) => user !== me) ?? me);
  return h("span", { className: "sign", "aria-hidden": "true" }, room.kind === "private" ? icon("lock") : "#");
}

function link(room, isCurrent, me) {
  const about = {
    type: "button",
    className: room.unread && !isCurrent ? "room-link fresh" : "room-link",
    "data-room": room.room,
    "aria-current": isCurrent ? "page" : null,
  };
  const name = h("span", { className: "name", dir: "auto" }, roomName(room, me));
  return h("button", about, signOf(room, me), name, ...(isCurrent ? [] : counts(room)));
}

function counts(room) {
  if (!room.unread) return [];
  const calls = weight(room);
  const number = calls || room.unread;
  const words = calls && room.kind !== "dm" ? `, ${calls} calling you` : `, ${room.unread} unread`;
  return [
    h("span", { className: calls ? "count calls" : "count", "aria-hidden": "true" }, short(number)),
    unseen(words),
  ];
}

/** How many messages of a room are for oneself: those that call one, and all of a direct one. */
export function weight(room) {
  return room.kind === "dm" ? room.unread : room.mentions;
}

function short(number) {
  return number > 99 ? "99+" : String(number);
}

/** Rooms in the order of the list: rooms by name, then conversations by the people in them. */
export function inOrder(rooms, me) {
  const named = rooms.map((room) => ({ room, isDirect: room.kind === "dm", name: roomName(room, me) }));
  named.sort((one, other) => one.isDirect - other.isDirect || one.name.localeCompare(other.name));
  return named.map(({ room }) => room);
}

/** The name of the room to begin with: one that calls, else one with something unread, else the first; null for none. */
export function firstOf(rooms) {
  const found = rooms.find((room) => weight(room) > 0) ?? rooms.find((room) => room.unread > 0) ?? rooms[0];
  return found?.room ?? null;
}

/** The name of the room `step` further down than `name`, round and round; `onlyUnread`: among those to be read. */
export function neighbourOf(name, rooms, step, onlyUnread) {
  const there = rooms.filter((room) => !onlyUnread || room.unread || room.room === name);
  const index = there.findIndex((room) => room.room === name);
  return there[(index + step + there.length) % there.length]?.room ?? name;
}
