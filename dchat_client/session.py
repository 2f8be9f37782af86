"""A reader's session: what to ask for when connecting, and what the bytes that come mean. Pure.

Theory of operation
===================

A session outlives its connections. It is told what happens (`connecting`, `receive`, `lost`, each with the
time) and answers with items for the face (`items`) and with deadlines for whoever holds the socket. It
opens nothing, waits for nothing and looks at no clock, so it can be driven through any history in a test,
and by any face: a terminal, a window, a bot.

Three places are kept, in this order along the stream:

    committed   the face has taken everything up to here; stored, and what a new connection resumes from
    seen        handed to the face; what is not above it is a repeat
    received    decoded events that wait in `_queue`, unjudged

The first two are kept in ledger.py.

*Taking.* `items()` judges one event at a time, when the face asks for the next, because the face may move
`seen` itself meanwhile, by recovering a gap. `commit(item)` says that the face is done with an item: it has
printed it and flushed. Only that moves the committed place. A face that stops between two commits, however
it stops, gets the rest again.

*Cursor.* The server names places by cursors and may give one for a whole write, on its last event. An
event's cursor is the id in force after it, so the committed cursor may lie before some events already
taken; a resume then repeats these, and they are dropped by their positions (see position.py). A ping, or a
block with nothing but an id, moves the cursor without an event; it counts as committed as soon as
everything before it is.

*Holes.* `seq` is dense, so an event that is not the next one of its room proves that something is missing;
a `Gap` goes out before it. A room's first event proves nothing. A gap that the server announces comes out
the same way, widened by what the numbers say. The face fetches the ranges as pages, tells `recovered` of
each message it takes, and commits. Without `rooms`, the stream follows one's memberships, and what happened
between leaving and joining again is not missing: one's own leave forgets the room's position, one's own
join sets it anew.

*Alive.* The server pings every 15 s. Bytes of any kind count as life; after `idle_timeout_s` without any, the
connection is dead, whatever TCP thinks. The time-out counts from `reading()`, so a face that is slow is not
a dead server.

*Coming back.* An unplanned loss waits with jitter (backoff.py), on top of `retry:` or Retry-After. A
`reconnect` event is planned, and its wait was already jittered by the server: taken as it is, unless
the stream was short-lived: a server that sends its clients away at once must not be asked in a circle. The
wait starts from the shortest again once a stream was live for `stable_s`, not at its first byte, or a
server that dies after hello would be hammered.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dchat_client.backoff import Backoff
from dchat_client.errors import StreamBroken
from dchat_client.items import Delivery, Gap, GapRange, Item, Passing, Phase, Resumed, Status, StatusChanged
from dchat_client.ledger import Ledger
from dchat_client.position import Bookmark, Position, place_of
from dchat_client.protocol import Decoder, StreamTooLarge


@dataclass(frozen=True, slots=True)
class Attach:
    """What to ask `GET /v1/events` for. `cursor` wins over `since`; without both the stream begins now."""

    rooms: tuple[str, ...] | None
    cursor: str | None
    since: str | None


class Session:
    """One reader of one stream. `rooms` None follows all rooms of `me`, the user's own name."""

    def __init__(
        self,
        *,
        rooms: Iterable[str] | None = None,
        me: str | None = None,
        bookmark: Bookmark | None = None,
        since: str | None = None,
        idle_timeout_s: float = 35.0,
        stable_s: float = 10.0,
        backoff: Backoff | None = None,
    ) -> None:
        self.status = Status(Phase.CONNECTING)
        self.idle_timeout_s = idle_timeout_s
        self.closing = False
        """The server asked to leave this connection; close it and call `lost`."""
        self._rooms = tuple(rooms) if rooms is not None else None
        self._me = me
        self._since = since
        self._stable_s = stable_s
        self._backoff = backoff or Backoff()
        self._ledger = Ledger(bookmark)
        self._decoder = Decoder()
        self._id = ""
        self._queue: deque[tuple[dict[str, Any], str | None]] = deque()
        self._outgoing: deque[Item] = deque()
        self._planned_s: float | None = None
        self._alive_at = 0.0
        self._live_since: float | None = None
        self._retry_at: float | None = None

    # What the holder of the socket calls

    def connecting(self, now: float) -> Attach:
        """Begin a connection and return what to ask for; bytes still queued from the last one are dropped."""
        self._queue.clear()
        self._decoder, self._id = Decoder(), ""
        self._planned_s, self._live_since, self._retry_at = None, None, None
        self.closing = False
        self._alive_at = now
        self._change(Status(Phase.CONNECTING))
        cursor = self._ledger.cursor
        return Attach(self._rooms, cursor, None if cursor else self._since)

    def reading(self, now: float) -> None:
        """The wait for the next bytes begins (again); the time before it does not count as silence."""
        self._alive_at = max(self._alive_at, now)

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes of the stream. Raises StreamBroken when they cannot be read; then call `lost`."""
        self._alive_at = now
        if self._live_since is not None and now - self._live_since >= self._stable_s:
            self._backoff.reset()
        try:
            events = self._decoder.feed(data)
        except StreamTooLarge as error:
            raise StreamBroken(str(error), code="stream_broken") from None
        for event in events:
            # Only an id of its own moves the cursor: one in force from before may lie behind a ping's.
            cursor, self._id = (
                (event.last_event_id if event.last_event_id != self._id else None),
                event.last_event_id,
            )
            try:
                body = json.loads(event.data)
            except (ValueError, RecursionError):
                body = None
            if not isinstance(body, dict):
                raise StreamBroken("the stream carried something that is not a JSON object", code="stream_broken")
            body.setdefault("type", event.type)
            if body["type"] == "hello":
                self._live_since = now
            self._queue.append((body, cursor or None))
        if self._decoder.last_event_id != self._id:
            self._id = self._decoder.last_event_id
            self._queue.append(({}, self._id or None))

    def lost(self, now: float, reason: str, *, retry_after_s: float | None = None) -> None:
        """The connection ended or could not be made;

        the status says when to try again. Offline stays offline.
        """
        if self.status.phase is Phase.OFFLINE:
            return
        if self._planned_s is not None:
            settled = self._live_since is not None and now - self._live_since >= self._stable_s
            wait_s = self._planned_s if settled else self._backoff.next(self._planned_s)
            reason = "the server asked to reconnect"
        else:
            asked_s = retry_after_s
            if asked_s is None and self._decoder.retry_ms is not None:
                asked_s = self._decoder.retry_ms / 1000
            wait_s = self._backoff.next(asked_s)
        self._retry_at = now + wait_s
        self._live_since = None
        self._change(Status(Phase.RECONNECTING, wait_s, reason))

    def stop(self, reason: str) -> None:
        """Go offline for good: signed out, refused, or closed by the user."""
        self._retry_at, self._live_since = None, None
        self._change(Status(Phase.OFFLINE, reason=reason))

    @property
    def deadline(self) -> float | None:
        """When something is due:

        the next try while reconnecting, else the moment the silence has lasted too long.
        """
        if self.status.phase is Phase.RECONNECTING:
            return self._retry_at
        return None if self.status.phase is Phase.OFFLINE else self._alive_at + self.idle_timeout_s

    # What the face calls

    def items(self) -> Iterator[Item]:
        """Yield what is to be shown next until nothing is left; commit each item once it is taken."""
        while self._outgoing or self._queue:
            if not self._outgoing:
                self._judge(*self._queue.popleft())
            while self._outgoing:
                yield self._outgoing.popleft()

    @property
    def has_more(self) -> bool:
        """More items can be had without waiting; when not, this is the time to flush, commit and store."""
        return bool(self._outgoing or self._queue)

    def commit(self, item: Item) -> None:
        """The face is done with `item` and everything before it; a restart goes on after it."""
        self._ledger.commit(item.number)

    def recovered(self, message: dict[str, Any]) -> None:
        """The face took `message` from a page, in the room's order, everything before it having been
        committed.
        """
        if place := place_of(message):
            self._ledger.recover(*place)

    def begin(self, room: str, position: Position) -> None:
        """The face has shown the room up to `position` by other means (pages);

        the stream goes on after it.
        """
        self._ledger.take(room, position)

    def rewind(self) -> None:
        """Forget what was handed out but not committed; the next connection brings it again."""
        self._queue.clear()
        self._outgoing.clear()
        self._ledger.rewind()

    @property
    def bookmark(self) -> Bookmark:
        """A copy of the committed place, to be stored."""
        return self._ledger.bookmark()

    # Judging, one event at a time

    def _judge(self, event: dict[str, Any], cursor: str | None) -> None:
        place = place_of(event) if "seq" in event else None
        if place is not None:
            self._durable(event, *place, cursor)
            return
        match event.get("type"):
            case "resumed":
                item = Resumed(number=self._ledger.next_number(), replayed=_count(event, "replayed"))
                self._hand_out(item, cursor)
            case "gap":
                self._announced(event, cursor)
            case "ping":
                # Handed out, so that a face that stores its place hears of the new cursor in quiet rooms too.
                self._hand_out(self._passing(event), cursor or _text(event, "cursor"))
            case None | "hello" | "degraded" | "recovered" | "reconnect" | "auth_expired":
                self._control(event, cursor)
            case _:
                self._hand_out(self._passing(event), cursor)

    def _control(self, event: dict[str, Any], cursor: str | None) -> None:
        match event.get("type"):
            case "hello":
                # Its cursor is where this stream began; only one that was not resumed may take it as its own.
                if self._ledger.cursor is None and self._since is None and self._ledger.is_settled:
                    cursor = cursor or _text(event, "cursor")
                self._change(Status(Phase.LIVE), hello=event)
            case "degraded":
                self._change(Status(Phase.DEGRADED, reason=_text(event, "reason") or ""))
            case "recovered":
                self._change(Status(Phase.LIVE))
            case "reconnect":
                self._planned_s = self._backoff.floor(_count(event, "after_ms") / 1000)
                self.closing = True
            case "auth_expired":
                self.stop(_text(event, "reason") or "the sign-in is not valid any more")
        self._ledger.pass_by(cursor)

    def _durable(self, event: dict[str, Any], room: str, position: Position, cursor: str | None) -> None:
        seen = self._ledger.seen(room)
        if seen is not None and position <= seen:
            self._ledger.pass_by(cursor)
            return
        own = self._own_membership(event)
        if seen is not None and position.seq > seen.seq + 1 and own != "join":
            # Judged again after the gap: the face may have found this very event on a page.
            self._queue.appendleft((event, cursor))
            self._gap((GapRange(room, seen.seq + 1, position.seq - 1, seen),), None, announced=False)
            return
        number = self._ledger.next_number()
        self._outgoing.append(Delivery(number=number, event=event, room=room, position=position))
        self._ledger.hand_out(number, cursor, [(room, position)], forgets=room if own == "leave" else None)

    def _own_membership(self, event: dict[str, Any]) -> str | None:
        if self._rooms is not None or self._me is None:
            return None
        if event.get("type") != "member" or event.get("user") != self._me:
            return None
        return {"join": "join", "invite": "join", "leave": "leave", "kick": "leave"}.get(str(event.get("action")))

    def _announced(self, event: dict[str, Any], cursor: str | None) -> None:
        ranges = []
        rows = event.get("rooms")
        for row in rows if isinstance(rows, list) else []:
            if not isinstance(row, dict):
                continue
            room, first, last = (row.get(name) for name in ("room", "from", "to"))
            if isinstance(room, str) and type(first) is int and type(last) is int and first <= last:
                seen = self._ledger.seen(room)
                ranges.append(GapRange(room, min(first, seen.seq + 1) if seen else first, last, seen))
        self._gap(tuple(ranges), cursor, announced=True)

    def _gap(self, ranges: tuple[GapRange, ...], cursor: str | None, *, announced: bool) -> None:
        number = self._ledger.next_number()
        self._outgoing.append(Gap(number=number, ranges=ranges, announced=announced))
        self._ledger.hand_out(number, cursor, covers=[(gap.room, gap.last) for gap in ranges])

    def _passing(self, event: dict[str, Any]) -> Passing:
        return Passing(number=self._ledger.next_number(), event=event)

    def _hand_out(self, item: Item, cursor: str | None) -> None:
        self._outgoing.append(item)
        self._ledger.hand_out(item.number, cursor)

    def _change(self, status: Status, hello: dict[str, Any] | None = None) -> None:
        if status == self.status and hello is None:
            return
        self.status = status
        number = self._ledger.next_number()
        self._outgoing.append(StatusChanged(number=number, status=status, hello=hello))


def _text(event: dict[str, Any], name: str) -> str | None:
    value = event.get(name)
    return value if isinstance(value, str) and value else None


def _count(event: dict[str, Any], name: str) -> int:
    value = event.get(name)
    return value if type(value) is int and value >= 0 else 0
