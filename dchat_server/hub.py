"""The hub: from one worker's log reader to all its open streams. Pure: no sockets, no tasks, no clock but `trail`'s.

Theory of operation
-------------------
*Order.* One reader (pump.py) hands the hub what the feeds hold, each shard in order. `publish` puts each event's bytes
on its room's channel; `flush` then gives every stream of a touched channel one write. All streams of a room get the
same bytes object. The last event of a write carries the hub's cursor as its `id:`. That cursor names everything the
hub has published, in all rooms, so it is right for every stream, whatever rooms the stream is in.

*Replay → live.* Opening a stream has three steps, and only the first two wait for anything:
  1. `watch` registers the person, so membership changes from now on are noted; then memberships are read from Redis.
  2. `seat` applies the noted changes, subscribes the stream and returns the hub's cursor H, all in one go. What is
     published from then on is queued in the stream, and it is exactly what lies behind H.
  3. The opener writes what lies between the client's cursor and H, then `go_live` writes the queue and opens the way.
So nothing is left out and nothing comes twice, however the steps interleave with publishing. A client whose cursor is
ahead of H (its last worker had read further) waits before step 2 until the hub has caught up.

*Slow readers.* A stream's queue is bounded; once live, its transport's write buffer is (connection.py sets the mark).
Past either bound the stream is closed. It resumes by its cursor, and the others have not noticed.

*Memory.* A stream in a room costs that room one list slot. Closed streams are left in the list, marked, and swept when
they are the larger half, so closing ten thousand streams costs ten thousand sweeps of nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

import orjson

from dchat_server import wire
from dchat_server.cursor import Cursor, LiveCursor
from dchat_server.latency import Trail
from dchat_server.model import Control, Event, Position
from dchat_server.ports import Batch
from dchat_server.stream import CLOSED, LIVE, LIVE_LINES, REPLAYING, Channel, Stream
from dchat_server.window import Window
from dchat_server.wire import Frame

MAX_QUEUED_BYTES = 1 << 20
"""What may wait in a stream while it replays."""


class Hub:
    """All streams of a worker. `positions` is where its log reader starts; `shard_of` says where a room lies."""

    def __init__(
        self,
        positions: Sequence[Position],
        shard_of: Callable[[str], int],
        *,
        on_control: Callable[[Control], None] = lambda control: None,
        slots: int = 15,
    ) -> None:
        self.cursor = LiveCursor(positions)
        self.windows = [Window(position) for position in positions]
        self.count = 0
        self.delivered = 0
        self.closed_slow = 0
        self.trail = Trail()
        """How long it takes from a send's request to here."""
        self.shard_of, self._on_control = shard_of, on_control
        self._channels: dict[str, Channel] = {}
        self._users: dict[str, list[Stream]] = {}
        self._touched: list[Channel] = []
        self._slots: list[list[Stream]] = [[] for _ in range(slots)]
        self._next_slot = 0

    # --- streams come and go -------------------------------------------------------------------------------------

    def watch(self, stream: Stream) -> None:
        """Step 1: from now on the person's membership changes are noted for this stream."""
        stream.watch()
        self._users.setdefault(stream.user, []).append(stream)
        self._slots[self._next_slot].append(stream)
        self._next_slot = (self._next_slot + 1) % len(self._slots)
        self.count += 1

    def seat(self, stream: Stream, rooms: Mapping[str, bool]) -> Cursor:
        """Step 2: subscribe to `rooms` (name → public). Returns H; what comes behind H is queued in the stream."""
        self.flush()
        seats = dict(rooms)
        for room, member in stream.changed():
            if member and (stream.wanted is None or room in stream.wanted):
                seats.setdefault(room, False)
            elif not member and not seats.get(room):
                seats.pop(room, None)
        if stream.mode != CLOSED:  # it may have been, while its memberships were read
            stream.queue = []
            for room, public in seats.items():
                self._subscribe(stream, room, public)
        return self.cursor.snapshot()

    def go_live(self, stream: Stream) -> None:
        """Step 3: write what was queued; from now on events are written as they come."""
        if stream.mode != REPLAYING:
            return
        queue, stream.queue, stream.queued = stream.queue or (), None, 0
        stream.mode = LIVE_LINES if stream.lines else LIVE
        for data in queue:
            stream.out.write(data)

    def drop(self, stream: Stream) -> None:
        """Forget a stream. May be called again."""
        if stream.mode == CLOSED:
            return
        stream.mode = CLOSED
        stream.queue = None
        self.count -= 1
        for channel in stream.channels:
            channel.dead += 1
            if channel.dead > 8 + len(channel.streams) // 2 or channel.dead >= len(channel.streams):
                self._sweep(channel)
        stream.channels = []
        mine = self._users.get(stream.user)
        if mine is not None:
            if stream in mine:
                mine.remove(stream)
            if not mine:
                del self._users[stream.user]

    def close(self, stream: Stream, *last: Frame) -> None:
        """Write the last words and close."""
        if stream.mode != CLOSED:
            self.drop(stream)
            with suppress(Exception):  # a transport that is closed already: its connection_lost is on the way
                if last:
                    stream.out.write(stream.encode(last, None))
                stream.out.close()

    def cut(self, stream: Stream) -> None:
        """Close a stream that does not keep up, without waiting for its buffer."""
        if stream.mode != CLOSED:
            self.closed_slow += 1
            self.drop(stream)
            stream.out.abort()

    def streams(self) -> list[Stream]:
        return [stream for slot in self._slots for stream in slot if stream.mode != CLOSED]

    def users(self) -> dict[str, int]:
        """How many streams each person has here."""
        return {user: len(streams) for user, streams in self._users.items()}

    # --- events ----------------------------------------------------------------------------------------------------

    def publish(self, batch: Batch) -> None:
        """Take in what one shard's feed brought. `flush` sends it out."""
        window = self.windows[batch.shard]
        offset = batch.position.offset - len(batch.entries)
        epoch = self.cursor.positions[batch.shard].epoch
        last: Event | None = None
        for entry in batch.entries:
            offset += 1
            if isinstance(entry, Control):
                window.skip(offset)
                if entry.type == "typing":
                    self._typing(entry, batch.shard, last)
                else:
                    self._control(entry)
                continue
            last, epoch = entry, entry.epoch
            channel = self._channels.get(entry.room)
            kept = window.add(entry)
            if entry.type == "member":
                self._member(entry, kept.frame(), batch.shard, Position(epoch, offset))
            elif channel is not None:
                self._put(channel, entry.seq, kept.frame())
        self.cursor.move(batch.shard, batch.position)

    def flush(self) -> None:
        """One write to every stream of every touched channel."""
        touched, self._touched = self._touched, []
        if not touched:
            return
        cursor = self.cursor.encode()
        if len(touched) == 1:
            channel = touched[0]
            frames, channel.pending = channel.pending, []
            self._deliver(channel.streams, frames, cursor)
        else:
            self._deliver_shares(touched, cursor)
        self.trail.passed(touched)
        self._sweep_empty(touched)

    def _deliver_shares(self, touched: Sequence[Channel], cursor: bytes) -> None:
        """To each stream of several channels, its share of their events in one write."""
        shares: dict[Stream, list[list[Frame]]] = {}
        for channel in touched:
            frames, channel.pending = channel.pending, []
            for stream in channel.streams:
                if stream in shares:
                    shares[stream].append(frames)
                else:
                    shares[stream] = [frames]
        # Streams in the same touched rooms share their bytes.
        groups: dict[tuple[int, ...], list[Stream]] = {}
        for stream, parts in shares.items():
            groups.setdefault(tuple(map(id, parts)), []).append(stream)
        for streams in groups.values():
            self._deliver(streams, [item for part in shares[streams[0]] for item in part], cursor)

    def _deliver(self, streams: list[Stream], frames: list[Frame], cursor: bytes) -> None:
        data = wire.sse(frames, cursor)
        lines: bytes | None = None
        sent = 0
        for stream in streams:
            mode = stream.mode
            try:
                if mode == LIVE:
                    stream.out.write(data)
                    sent += 1
                elif mode != CLOSED:
                    if stream.lines:
                        lines = lines or wire.ndjson(frames, cursor)
                    self._deliver_other(stream, lines if stream.lines and lines else data)
                    sent += 1
            except Exception:  # a transport that is closed already: its connection_lost is on the way
                self.drop(stream)
        self.delivered += sent * len(frames)

    def _deliver_other(self, stream: Stream, data: bytes) -> None:
        if stream.mode != REPLAYING:
            stream.out.write(data)
        elif stream.queue is not None:
            stream.queue.append(data)
            stream.queued += len(data)
            if stream.queued > MAX_QUEUED_BYTES:
                self.cut(stream)

    def _put(self, channel: Channel, seq: int, frame: Frame) -> None:
        if not channel.pending:
            self._touched.append(channel)
        channel.pending.append(frame)
        channel.seq = max(channel.seq, seq)
        channel.last = seq

    def _member(self, event: Event, frame: Frame, shard: int, position: Position) -> None:
        """A membership event: who comes in sees it, who goes sees it as the last thing."""
        body = wire.body_fields(event)
        user, member = body.get("user", ""), body.get("role") is not None
        streams = [stream for stream in self._users.get(user, ()) if not stream.note(event.room, member)]
        if streams and member:
            # What was published before is flushed to those who were in the room then, not to the newcomer.
            self.cursor.move(shard, Position(position.epoch, position.offset - 1))
            self.flush()
            for stream in streams:
                if stream.wanted is None or event.room in stream.wanted:
                    self._subscribe(stream, event.room, False)
        channel = self._channels.get(event.room)
        if channel is not None:
            self._put(channel, event.seq, frame)
            if streams and not member:
                self.cursor.move(shard, position)
                self.flush()
                for stream in streams:
                    if stream.wanted is None or not channel.public:
                        self._unsubscribe(stream, channel)

    def _control(self, control: Control) -> None:
        self._on_control(control)
        if control.type == "revoke":
            digests = set(orjson.loads(control.body)["digests"])
            words = wire.control_frame("auth_expired", reason="revoked")
            for stream in list(self._users.get(control.user, ())):
                if stream.digest in digests:
                    self.close(stream, words)
        elif control.type == "read":
            self.tell(self._users.get(control.user, ()), wire.frame("read", control.body))

    def _typing(self, control: Control, shard: int, last: Event | None) -> None:
        """Somebody is writing something: told to the others who are in the room, behind what was said there before;
        `last` is the last event of the shard that was taken in with this."""
        channel = self._channels.get(orjson.loads(control.body)["room"])
        if channel is not None:
            if channel.pending:
                if last is not None:
                    self.cursor.move(shard, Position(last.epoch, last.offset))
                self.flush()
            others = (stream for stream in channel.streams if stream.user != control.user)
            self.tell(others, wire.frame("typing", control.body))

    # --- events of the stream itself -----------------------------------------------------------------------------

    def tell(self, streams: Iterable[Stream], frame: Frame, *, cursor: bool = False) -> None:
        """Write one event to each of these streams that is live; it moves no cursor unless `cursor`."""
        place = self.cursor.encode() if cursor else None
        encoded = {False: wire.sse([frame], place), True: wire.ndjson([frame], place)}
        for stream in list(streams):
            if stream.mode < REPLAYING:
                try:
                    stream.out.write(encoded[stream.lines])
                except Exception:
                    self.drop(stream)

    def ping(self, slot: int, time: str, now_ms: int) -> None:
        """Ping one share of the streams, and close those whose token has expired. Call each slot once a round."""
        self.flush()
        streams = self._slots[slot] = [stream for stream in self._slots[slot] if stream.mode != CLOSED]
        for stream in streams:
            if stream.expires_at is not None and stream.expires_at <= now_ms:
                self.close(stream, wire.control_frame("auth_expired", reason="expired"))
        place = self.cursor.encode()
        self.tell(streams, wire.control_frame("ping", time=time, cursor=place.decode()), cursor=True)

    def slot(self, slot: int) -> list[Stream]:
        return self._slots[slot]

    def audience(self, room: str) -> int:
        """How many streams a room has here."""
        channel = self._channels.get(room)
        return 0 if channel is None else len(channel.streams) - channel.dead

    def rooms_on(self, shard: int) -> list[str]:
        """Rooms of a shard that streams here are in."""
        return [channel.name for channel in self._channels.values() if channel.shard == shard]

    def lost(self, shard: int, position: Position, heads: Mapping[str, int]) -> None:
        """The shard's tail is gone: `heads` says up to where each room's log is still the old one. Tells the streams
        of rooms that had more: what the window holds behind `position`, what was acknowledged, what was replayed. A
        room of which none of that says anything is told when something may have been lost."""
        self.flush()
        self.trail.forget()
        window = self.windows[shard]
        # A server that lost everything goes on far above all offsets there were: which of those are gone, only the
        # rooms' heads say.
        anew = position.offset > window.last
        gone = window.since(window.first - 1 if anew else position.offset)
        unsure = gone is None or (anew and window.first > 1)
        reached: dict[str, int] = {}
        for kept in gone or ():
            reached[kept.event.room] = kept.event.seq
        self.windows[shard] = Window(position)
        self.cursor.move(shard, position)
        for room, head in heads.items():
            channel = self._channels.get(room)
            if channel is None:
                continue
            last = max(channel.seq, reached.get(room, 0))
            if unsure and (not anew or not last):
                last = max(last, head + 1)
            channel.seq = head
            if last > head:
                gap = [{"room": room, "from": head + 1, "to": last}]
                frame = wire.control_frame("gap", rooms=gap, refetch=True)
                self.tell(channel.streams, frame)
                for stream in channel.streams:
                    if stream.mode == REPLAYING and stream.queue is not None:
                        stream.queue.append(stream.encode([frame], None))

    def overtaken(self, shard: int, position: Position) -> None:
        """The feed moved on without this worker: everybody resumes by cursor, from the room logs."""
        self.flush()
        self.trail.forget()
        self.windows[shard] = Window(position)
        self.cursor.move(shard, position)
        for stream in self.streams():
            self.close(stream, wire.control_frame("reconnect", after_ms=0))

    def saw(self, room: str, seq: int, began: float | None = None) -> None:
        """A send of this worker was acknowledged with `seq`: should it be lost, streams here must be told. `began`:
        when its request was there, by the monotonic clock."""
        channel = self._channels.get(room)
        if channel is not None:
            if seq > channel.seq:
                channel.seq = seq
            if began is not None and began >= self.trail.due:
                self.trail.sent(channel, seq, began)

    # --- channels --------------------------------------------------------------------------------------------------

    def _subscribe(self, stream: Stream, room: str, public: bool) -> None:
        channel = self._channels.get(room)
        if channel is None:
            channel = self._channels[room] = Channel(room, self.shard_of(room), public)
        elif public:
            channel.public = True
        if channel not in stream.channels:
            stream.channels.append(channel)
            channel.streams.append(stream)

    def _unsubscribe(self, stream: Stream, channel: Channel) -> None:
        if channel in stream.channels:
            stream.channels.remove(channel)
            channel.streams = [other for other in channel.streams if other is not stream]
            self._sweep(channel)

    def _sweep(self, channel: Channel) -> None:
        channel.streams = channel.live()
        channel.dead = 0
        self._forget(channel)

    def _sweep_empty(self, channels: Sequence[Channel]) -> None:
        """Forget the channels whose last stream went while something was still to be sent there."""
        for channel in channels:
            if channel.dead >= len(channel.streams):
                self._sweep(channel)

    def _forget(self, channel: Channel) -> None:
        if not channel.streams and not channel.pending:
            self._channels.pop(channel.name, None)
