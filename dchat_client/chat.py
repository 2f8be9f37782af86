"""All that a face shows, and how each update changes it. Pure; lives in the face's own thread.

`apply` takes what the engine told and says what changed, so that a face draws that and nothing else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, assert_never

from dchat_client.items import Phase, Status
from dchat_client.room import Room, calls
from dchat_client.transcript import Line, Transcript
from dchat_client.updates import (
    Asked,
    Dropped,
    Failed,
    Happened,
    Marked,
    MembersAre,
    Missed,
    PageCame,
    Passed,
    Queued,
    RoomIs,
    Row,
    Settled,
    StatusIs,
    Synced,
    Unanswered,
    Update,
)

TYPING_S = 6.0
"""How long somebody counts as typing after the server said so last."""
MOST_EARLY = 200
"""Rooms, and events of each, that are remembered until the room is known."""


@dataclass(frozen=True, slots=True)
class Change:
    """What to draw anew.

    rooms     the list: which rooms there are, their order
    room      one room's counts, topic, role
    lines     the room's transcript; `line` when it is just that one, which is new or has changed
    page      a page came: lines were put before those there, or all were replaced
    people    the members of the room
    typing    who is writing there
    status    the connection
    alert     somebody else said `line`; `why` says how near that is to oneself
    problem   something asked for was not done, see `problem`
    """

    kind: Literal["rooms", "room", "lines", "page", "status", "people", "typing", "alert", "problem"]
    room: str | None = None
    line: Line | None = None
    why: Literal["mention", "dm", "message"] | None = None
    problem: Failed | None = None


class Chat:
    """The model. A face reads everything and changes nothing but by `apply` and a transcript's `unread_after`."""

    def __init__(self) -> None:
        self.user: Row = {}
        self.me = ""
        self.status = Status(Phase.CONNECTING)
        self.rooms: dict[str, Room] = {}
        self.transcripts: dict[str, Transcript] = {}
        self.members: dict[str, list[Row]] = {}
        self.names: dict[str, str] = {}
        """User → the name to show, as far as anybody told."""
        self._typing: dict[str, dict[str, float]] = {}
        self._early: dict[str, deque[Row]] = {}
        """Room → what happened there before the server's answer said how it stands, which may be from before that."""

    def ordered(self) -> list[Room]:
        """Return the rooms as a list shows them: rooms by name, then direct ones by the people in them."""
        return sorted(self.rooms.values(), key=lambda room: (room.kind == "dm", room.title.casefold(), room.name))

    def transcript(self, room: str) -> Transcript:
        """Return the room's transcript, an empty one when nothing was loaded yet."""
        found = self.transcripts.get(room)
        if found is None:
            found = self.transcripts[room] = Transcript(room)
        return found

    def typing(self, room: str, now: float) -> list[str]:
        """Return who is writing in the room at the monotonic time `now`."""
        there = self._typing.get(room, {})
        return sorted(user for user, until in there.items() if until > now)

    @property
    def pending(self) -> int:
        """One's own messages that are not stored yet, the failed ones included."""
        return sum(len(transcript.pending) for transcript in self.transcripts.values())

    def apply(self, update: Update, now: float = 0.0) -> list[Change]:
        """Take one update at the monotonic time `now`. Return what changed, in the order to draw it."""
        return list(self._changes(update, now))

    def _changes(self, update: Update, now: float) -> Iterator[Change]:
        match update:
            case Synced():
                yield from self._synced(update)
            case RoomIs():
                yield from self._room_is(update.room)
            case Happened():
                yield from self._happened(update.event)
            case Passed():
                yield from self._passed(update.event, now)
            case StatusIs():
                self.status = update.status
                yield Change("status")
            case Missed():
                for name in update.rooms or tuple(self.transcripts):
                    self.transcript(name).is_stale = True
                    yield Change("lines", name)
            case Asked():
                self.transcript(update.room).asked()
            case Unanswered():
                self.transcript(update.room).unanswered()
            case PageCame():
                transcript = self.transcript(update.room)
                if transcript.page(update.messages, update.head, update.has_more, before=update.before):
                    yield Change("page", update.room)
            case Queued():
                entry = update.entry
                line = self.transcript(entry.room).queued(entry, self.me, _now())
                yield Change("lines", entry.room, line)
            case Settled():
                yield from self._settled(update)
            case Dropped():
                self.transcript(update.room).dropped(update.client_id)
                yield Change("lines", update.room)
            case Marked():
                if (room := self.rooms.get(update.room)) is not None:
                    room.mark(update.seq)
                    yield Change("room", update.room)
            case MembersAre():
                self.members[update.room] = list(update.members)
                for member in update.members:
                    self.names[str(member.get("user"))] = str(member.get("display_name") or member.get("user"))
                yield Change("people", update.room)
            case Failed():
                yield Change("problem", update.room, problem=update)
            case _:
                assert_never(update)

    def _synced(self, update: Synced) -> Iterator[Change]:
        self.user, self.me = update.user, str(update.user.get("username", ""))
        self.names[self.me] = str(update.user.get("display_name") or self.me)
        rows = {str(row.get("room")): row for row in update.rooms}
        for gone in self.rooms.keys() - rows.keys():
            del self.rooms[gone]
        for name, row in rows.items():
            self._take(name, row)
        yield Change("rooms")

    def _room_is(self, row: Row) -> Iterator[Change]:
        name = str(row.get("room"))
        is_new = name not in self.rooms
        if row.get("joined", True):
            self._take(name, row)
        else:
            self.rooms.pop(name, None)
        yield Change("rooms") if is_new or name not in self.rooms else Change("room", name)

    def _take(self, name: str, row: Row) -> None:
        if (room := self.rooms.get(name)) is not None:
            room.sync(row)
            return
        room = self.rooms[name] = Room(row, self.me)
        for event in self._early.pop(name, ()):
            room.happened(event)

    def _happened(self, event: Row) -> Iterator[Change]:
        name = str(event.get("room"))
        kind, sender = event.get("type"), str(event.get("sender"))
        room = self.rooms.get(name)
        if room is not None:
            room.happened(event)
            yield Change("room", name)
        elif name in self._early or len(self._early) < MOST_EARLY:
            self._early.setdefault(name, deque(maxlen=MOST_EARLY)).append(event)
        if kind == "member":
            yield from self._moved(name, event)
        transcript = self.transcripts.get(name)
        line = None
        if transcript is not None:
            line = transcript.happened(event)
            if line is not None or kind == "message":
                yield Change("lines", name, line)
        if kind == "message":
            if self._typing.get(name, {}).pop(sender, None) is not None:
                yield Change("typing", name)
            if sender != self.me:
                why = _why(room, str(event.get("text", "")), self.me)
                yield Change("alert", name, line or _passing_line(event), why)

    def _moved(self, name: str, event: Row) -> Iterator[Change]:
        if event.get("user") == self.me and event.get("action") in ("leave", "kick"):
            # The transcript stays while it is looked at; the room is not one of ours any more.
            self._early.pop(name, None)
            if self.rooms.pop(name, None) is not None:
                yield Change("rooms")
        elif name in self.members:
            members = [row for row in self.members[name] if row.get("user") != event.get("user")]
            if event.get("role") is not None:
                user = str(event.get("user"))
                members.append({"user": user, "display_name": self.names.get(user, user), "role": event["role"]})
                members.sort(key=lambda row: str(row.get("user")))
            self.members[name] = members
            yield Change("people", name)

    def _passed(self, event: Row, now: float) -> Iterator[Change]:
        name, room = str(event.get("room")), self.rooms.get(str(event.get("room")))
        if event.get("type") == "read" and room is not None and type(event.get("read")) is int:
            room.mark(event["read"])
            yield Change("room", name)
        elif event.get("type") == "typing" and room is not None and event.get("sender") != self.me:
            self._typing.setdefault(name, {})[str(event.get("sender"))] = now + TYPING_S
            yield Change("typing", name)

    def _settled(self, update: Settled) -> Iterator[Change]:
        outcome = update.outcome
        room, transcript = outcome.entry.room, self.transcript(outcome.entry.room)
        if outcome.message is not None:
            yield Change("lines", room, transcript.stored(outcome.message))
        elif outcome.error is not None:
            line = transcript.refused(outcome.entry.client_id, outcome.error)
            yield Change("lines", room, line)
            yield Change("problem", room, problem=Failed("A message was not sent", outcome.error, room))


def _why(room: Room | None, text: str, me: str) -> Literal["mention", "dm", "message"]:
    if room is not None and room.kind == "dm":
        return "dm"
    return "mention" if calls(text, me) else "message"


def _passing_line(event: Row) -> Line:
    """Return a line for an alert about a room whose transcript is not loaded."""
    seq = event.get("seq")
    return Line(
        "message",
        seq if type(seq) is int else 0,
        0,
        str(event.get("ts", "")),
        str(event.get("sender", "")),
        str(event.get("text", "")),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
