// The head of the room, and what stands in place of messages or of the field to write in when there are none.

import { byId } from "./dom.js";
import { roomName } from "./faces.js";
import { visibleLine } from "./visible.js";

const MOST_NAMES = 3;

export class RoomHead {
  /** `name`: of the open room, or null; `room`: as one sees it, null when one is not in it; `transcript` of it. */
  draw(name, room, transcript, me) {
    byId("room-title").textContent = room ? roomName(room, me) : (name ?? "D-Chat");
    byId("room-topic").textContent = room ? visibleLine(room.topic) : "";
    byId("member-count").textContent = room ? String(room.members) : "";
    for (const id of ["open-members", "open-about"]) byId(id).hidden = !room;
    const mayWrite = Boolean(room) && room.role !== "reader" && !room.archived;
    byId("composer").hidden = !mayWrite;
    byId("join-bar").hidden = mayWrite || name === null;
    byId("join").hidden = Boolean(room);
    byId("join-words").textContent = whyNot(room);
    const isEmpty = transcript?.state === "ready" && !transcript.messages.length && !transcript.pending.length;
    byId("empty").hidden = name !== null && !isEmpty;
    byId("empty-words").textContent = name === null ? "You are in no room yet." : "Nothing has been said here yet.";
    byId("find-room").hidden = name !== null;
  }

  /** Who is writing just now. */
  typing(users) {
    const names = users.length > MOST_NAMES ? "Several people" : users.join(" and ");
    byId("typing").textContent = users.length ? `${names} ${users.length === 1 ? "is" : "are"} writing …` : "";
  }
}

/** Why one cannot write in a room. */
function whyNot(room) {
  if (!room) return "You are not in this room.";
  return room.archived
    ? "This room is archived: it can be read and nothing else."
    : "You may read here, and not write.";
}
