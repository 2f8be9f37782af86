"""What must hold of a run, over the history and everything that writers and readers noted. Pure.

Writers note `Attempt`s, readers keep a `Record`. `violations` looks at all of it and returns a sentence for each thing
that must not be:

1. Each acknowledged message is in the history once, at the seq that was acknowledged.
2. One that was refused is not there; one whose outcome nobody knows is there once or not at all; nothing else is there.
3. Each reader saw a contiguous run of every room, or was told of a gap; a (room, epoch, seq) is the same event for
   everybody, and the history shows it; after a reconnect only what followed the last cursor may come again.
4. A message that was sent after another one of the same writer was acknowledged has a higher seq.
5. A reader that knew where it began (`starts`) missed nothing from there to `heads`, but for gaps it was told of.
8. Nobody received an event of a room that is not among those they may see.

And `seams`, over `Walk`s through the history, `Change`s of messages and a witness' `Sight`s of log and archive:

5. Each walk through the history is the final history up to where it ended, at least to the head it knew of; it shows
   each message as some event of the streams left it, no older than what was acknowledged before the walk began, and
   never older than an earlier walk did. With what readers saw from their starts on, every walk joins the stream.
6. The log let go of nothing that the archive did not hold; watermarks, floors and fences never went back; no write with
   a lower fence was accepted after one with a higher.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

Outcome = Literal["ok", "failed", "unknown"]
Message = Mapping[str, Any]


@dataclass(slots=True)
class Attempt:
    """One message a writer tried to send. `began` and `ended` are seconds of one clock."""

    writer: str
    room: str
    text: str
    outcome: Outcome = "unknown"
    seq: int | None = None
    epoch: int | None = None
    began: float = 0.0
    ended: float = float("inf")


@dataclass(slots=True)
class Opened:
    """A reader connected. `cursor` is what it resumed from; None: it began."""

    worker: str
    cursor: str | None


@dataclass(slots=True)
class Saw:
    """A durable event, as JSON with sorted keys, without its cursor."""

    room: str
    epoch: int
    seq: int
    data: bytes


@dataclass(slots=True)
class Placed:
    """A cursor was given: a reconnect resumes after everything before it."""


@dataclass(slots=True)
class Missed:
    """The server announced a gap: (room, first, last)."""

    ranges: list[tuple[str, int, int]]


@dataclass
class Record:
    """All that one reader received. `starts` is the head of each room where the reader began."""

    reader: str
    starts: dict[str, int] = field(default_factory=dict)
    allowed: frozenset[str] | None = None
    """Rooms this reader may see; None: any."""
    entries: list[Opened | Saw | Placed | Missed] = field(default_factory=list)

    def gaps(self) -> list[tuple[str, int, int]]:
        return [each for entry in self.entries if isinstance(entry, Missed) for each in entry.ranges]

    def seqs(self, room: str) -> list[int]:
        return [entry.seq for entry in self.entries if isinstance(entry, Saw) and entry.room == room]

    @property
    def connections(self) -> int:
        return sum(isinstance(entry, Opened) for entry in self.entries)


@dataclass(slots=True)
class Walk:
    """Somebody's way through the whole history of a room. `messages` oldest first; `head` was known when it began."""

    reader: str
    room: str
    head: int = 0
    began: float = 0.0
    ended: float = float("inf")
    messages: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Change:
    """An acknowledged change to a message; `kind` is edit, delete, add or remove, `value` the new text or the emoji."""

    room: str
    seq: int
    kind: str
    value: str
    began: float
    ended: float = float("inf")


@dataclass(frozen=True, slots=True)
class Sight:
    """What a witness saw of a room: first the log (`first` seq it holds, the watermark it knows, its fence), then the
    archive."""

    room: str
    first: int
    known: int
    log_fence: int
    watermark: int
    floor: int
    fence: int


@dataclass(frozen=True, slots=True)
class Write:
    """A write to the archive with a fence, in the order in which they were carried out. `scope` is what the fence was
    compared with: each shard has its own."""

    fence: int
    accepted: bool
    scope: str = ""


def canonical(event: Mapping[str, Any]) -> bytes:
    """The event as bytes that two readers can compare, whatever form it came in."""
    return orjson.dumps({name: value for name, value in event.items() if name != "cursor"}, option=orjson.OPT_SORT_KEYS)


def violations(
    history: Mapping[str, Sequence[Message]],
    attempts: Iterable[Attempt] = (),
    records: Iterable[Record] = (),
    *,
    heads: Mapping[str, int] | None = None,
    lossy: bool = False,
) -> list[str]:
    """Everything that must not be, as sentences; empty when all is well.

    `history`: room → its messages as the pages give them, oldest first. `heads`: room → seq that every reader of it
    must have reached. `lossy`: what was acknowledged may be missing if some reader was told of a gap there (a server
    that promises only memory lost its tail).
    """
    attempts, records = list(attempts), list(records)
    told = [each for record in records for each in record.gaps()] if lossy else []
    found = _in_history(history, attempts, told)
    found += _own_order(attempts)
    events: dict[tuple[str, int, int], tuple[bytes, str]] = {}
    for record in records:
        found += _run_of(record, heads or {})
        found += _same_for_all(record, events)
    found += _as_in_history(history, events)
    return found


def _in_history(
    history: Mapping[str, Sequence[Message]], attempts: Sequence[Attempt], told: Sequence[tuple[str, int, int]]
) -> list[str]:
    found = []
    places: dict[tuple[str, str, str], list[Message]] = defaultdict(list)
    for room, messages in history.items():
        last = 0
        for message in messages:
            if message["seq"] <= last:
                found.append(f"{room}: the history has seq {message['seq']} after {last}")
            last = message["seq"]
            places[room, message["sender"], message.get("text", "")].append(message)
    for attempt in attempts:
        there = places.pop((attempt.room, attempt.writer, attempt.text), [])
        name = f"{attempt.room}: {attempt.writer}'s {attempt.text[:40]!r}"
        seqs = [message["seq"] for message in there]
        if len(there) > 1:
            found.append(f"{name} is there {len(there)} times, at {seqs}")
        elif attempt.outcome == "failed" and there:
            found.append(f"{name} was refused and is there, at {seqs[0]}")
        elif attempt.outcome == "ok" and not there:
            excused = any(room == attempt.room and first <= (attempt.seq or 0) <= last for room, first, last in told)
            if not excused:
                found.append(f"{name} was acknowledged as {attempt.seq} and is not there")
        elif attempt.outcome == "ok" and (attempt.seq, attempt.epoch) != (seqs[0], there[0]["epoch"]):
            place = f"{attempt.epoch}-{attempt.seq}"
            found.append(f"{name} was acknowledged as {place} and is at {there[0]['epoch']}-{seqs[0]}")
    rooms = {attempt.room for attempt in attempts}
    for (room, sender, text), there in places.items():
        if room in rooms:
            found.append(f"{room}: nobody sent {sender}'s {text[:40]!r} at {[message['seq'] for message in there]}")
    return found


def _own_order(attempts: Sequence[Attempt]) -> list[str]:
    found = []
    lines: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        if attempt.outcome == "ok":
            lines[attempt.writer, attempt.room].append(attempt)
    for (writer, room), mine in lines.items():
        # In the order of their starts, each must lie above all that had ended by then.
        ended = sorted(mine, key=lambda attempt: attempt.ended)
        highest, at = 0, 0
        for attempt in sorted(mine, key=lambda attempt: attempt.began):
            while at < len(ended) and ended[at].ended <= attempt.began:
                highest = max(highest, ended[at].seq or 0)
                at += 1
            if (attempt.seq or 0) <= highest:
                found.append(f"{room}: {writer} sent {attempt.seq} after {highest} was acknowledged")
    return found


class _Place:
    """Where a reader is in one room."""

    __slots__ = ("covered", "covered_epoch", "epoch", "gap", "last", "reached", "start")

    def __init__(self, start: int | None) -> None:
        self.start = start
        """The head where the reader began. Its cursor may lie a little before that, never behind it."""
        self.last: int | None = None
        self.covered: int | None = None
        """The last seq that came, and the last one before the cursor in hand; None: none yet."""
        self.reached = start or 0
        self.epoch = self.covered_epoch = 0
        self.gap: tuple[int, int] | None = None
        """What may be missing before the next event, as the server said."""


def _run_of(record: Record, heads: Mapping[str, int]) -> list[str]:
    found = []
    places = {room: _Place(seq) for room, seq in record.starts.items()}
    for entry in record.entries:
        if isinstance(entry, Opened):
            if entry.cursor is None and not record.starts:
                places.clear()
            for place in places.values():
                # What came after the cursor comes again, from there.
                place.last, place.epoch = place.covered, place.covered_epoch
        elif isinstance(entry, Placed):
            for place in places.values():
                place.covered, place.covered_epoch = place.last, place.epoch
        elif isinstance(entry, Missed):
            for room, first, last in entry.ranges:
                place = places.setdefault(room, _Place(None))
                low, high = place.gap or (first, last)
                place.gap = (min(first, low), max(last, high))
                place.reached = max(place.reached, last)
        else:
            where = f"{record.reader}: {entry.room}:{entry.seq}"
            if record.allowed is not None and entry.room not in record.allowed:
                found.append(f"{where} is none of the reader's business")
            found += _step(where, places.setdefault(entry.room, _Place(None)), entry)
    for room, place in places.items():
        if place.reached < heads.get(room, 0):
            found.append(f"{record.reader}: {room} ended at {place.reached} of {heads[room]}")
    if not record.gaps():
        for room, start in record.starts.items():
            missing = set(range(start + 1, heads.get(room, start) + 1)) - set(record.seqs(room))
            if missing:
                found.append(f"{record.reader}: {room} misses {sorted(missing)[:5]} ({len(missing)} in all)")
    return found


def _step(where: str, place: _Place, entry: Saw) -> list[str]:
    """Judge the next event of a room, and move the place."""
    found = []
    expected = None if place.last is None else place.last + 1
    if expected is None and place.start is not None and entry.seq > place.start:
        expected = place.start + 1
    if entry.epoch < place.epoch:
        found.append(f"{where} has epoch {entry.epoch} after {place.epoch}")
    if place.gap is not None:
        low, high = place.gap
        if entry.seq != expected and not min(low, expected or low) <= entry.seq <= high + 1:
            found.append(f"{where} came after a gap of {place.gap}")
        place.gap = None
    elif expected is not None and entry.seq > expected:
        found.append(f"{where} came where {expected} was next: a hole without a word")
    elif expected is not None and entry.seq < expected:
        found.append(f"{where} came again, or late: {expected} was next")
    place.last, place.epoch = entry.seq, entry.epoch
    place.reached = max(place.reached, entry.seq)
    return found


def _same_for_all(record: Record, events: dict[tuple[str, int, int], tuple[bytes, str]]) -> list[str]:
    found = []
    for entry in record.entries:
        if isinstance(entry, Saw):
            data, other = events.setdefault((entry.room, entry.epoch, entry.seq), (entry.data, record.reader))
            if data is not entry.data and data != entry.data and not _scrubbed(data, entry.data):
                found.append(f"{entry.room}:{entry.seq} is {entry.data!r} to {record.reader} and {data!r} to {other}")
    return found


def _scrubbed(one: bytes, other: bytes) -> bool:
    """Whether one of two events is the other without what was said, as it is told again once that was deleted."""
    told, again = sorted((orjson.loads(one), orjson.loads(other)), key=lambda event: bool(event.get("deleted")))
    kept = ("type", "room", "seq", "epoch", "id", "ts", "sender", "target", "client_id")
    without = {name: told[name] for name in kept if name in told} | {"deleted": True}
    return told["type"] in ("message", "edit") and again == without


def _as_in_history(
    history: Mapping[str, Sequence[Message]], events: Mapping[tuple[str, int, int], tuple[bytes, str]]
) -> list[str]:
    """Messages that readers saw stand in the history at the same place (when that epoch is the one that was kept)."""
    found = []
    kept = {(room, message["epoch"], message["seq"]): message for room, page in history.items() for message in page}
    taken = {(room, seq): epoch for room, epoch, seq in kept}
    for (room, epoch, seq), (data, reader) in events.items():
        if room not in history:
            continue
        event = orjson.loads(data)
        message = kept.get((room, epoch, seq))
        if event["type"] != "message":
            if message is not None:
                found.append(f"{room}:{seq} is a {event['type']} to {reader} and a message in the history")
        elif message is None:
            if taken.get((room, seq), epoch) == epoch and not _was_lost(history[room], epoch):
                found.append(f"{room}:{seq} reached {reader} and is not in the history")
        elif not message.get("deleted") and "edited_at" not in message:
            seen = {name: event.get(name) for name in ("text", "sender", "ts", "client_id", "reply_to")}
            stored = {name: message.get(name) for name in seen}
            if seen != stored:
                found.append(f"{room}:{seq} is {seen} to {reader} and {stored} in the history")
    return found


def _was_lost(messages: Sequence[Message], epoch: int) -> bool:
    """A later epoch is in use: events of this one may be gone with a lost tail (which readers had to be told of)."""
    return bool(messages) and messages[-1]["epoch"] > epoch


def seams(
    history: Mapping[str, Sequence[Message]],
    records: Iterable[Record] = (),
    walks: Iterable[Walk] = (),
    changes: Iterable[Change] = (),
    sights: Iterable[Sight] = (),
    writes: Iterable[Write] = (),
) -> list[str]:
    """Everything that must not be where archive and log meet, as sentences; empty when all is well."""
    walks, changes = list(walks), list(changes)
    texts = _texts_of(records)
    found = [words for walk in walks for words in _walked(walk, history.get(walk.room, ()), texts)]
    found += [words for walk in walks for words in _shows(f"{walk.reader} in {walk.room}", walk, changes)]
    finals = (Walk("the history", room, 0, float("inf"), messages=list(page)) for room, page in history.items())
    found += [words for final in finals for words in _shows(f"{final.reader} of {final.room}", final, changes)]
    return found + _went_back(walks) + _let_go(sights) + _overwritten(writes)


Texts = Mapping[tuple[str, int], set[str]]


def _texts_of(records: Iterable[Record]) -> Texts:
    """(room, seq) → every text the message ever had, as streams were told."""
    texts: dict[tuple[str, int], set[str]] = defaultdict(set)
    seen: set[tuple[str, int, int]] = set()
    for record in records:
        for entry in record.entries:
            if not isinstance(entry, Saw) or (entry.room, entry.epoch, entry.seq) in seen:
                continue
            seen.add((entry.room, entry.epoch, entry.seq))
            event = orjson.loads(entry.data)
            # What is replayed after a deletion has no text any more.
            if event["type"] == "message" and "text" in event:
                texts[entry.room, entry.seq].add(event["text"])
            elif event["type"] == "edit" and "text" in event:
                texts[entry.room, event["target"]].add(event["text"])
    return texts


def _walked(walk: Walk, final: Sequence[Message], texts: Texts) -> list[str]:
    where = f"{walk.reader} in {walk.room}"
    seqs = [message["seq"] for message in walk.messages]
    top = max([walk.head, *seqs])
    wanted = [message["seq"] for message in final if message["seq"] <= top]
    found = []
    if seqs != sorted(set(seqs)):
        found.append(f"{where}: the pages overlap or run backwards")
    if lacking := sorted(set(wanted) - set(seqs)):
        found.append(f"{where}: of {walk.head} events it lacks {lacking[:5]} ({len(lacking)} in all)")
    oldest = final[0]["seq"] if final else 0
    if strange := sorted(set(seqs) - set(wanted) - set(range(oldest))):
        found.append(f"{where}: it has {strange[:5]}, which the history has not")
    epochs = {message["seq"]: message["epoch"] for message in final}
    for message in walk.messages:
        seq = message["seq"]
        if epochs.get(seq, message["epoch"]) != message["epoch"]:
            found.append(f"{where}: {seq} has epoch {message['epoch']} and later {epochs[seq]}")
        known = texts.get((walk.room, seq))
        if known and "text" in message and message["text"] not in known:
            found.append(f"{where}: {seq} says {message['text'][:40]!r}, which nobody was told")
    return found


def _shows(where: str, walk: Walk, changes: Sequence[Change]) -> list[str]:
    """What was acknowledged before the walk began, it shows, unless something later may have undone it."""
    found = []
    there = {message["seq"]: message for message in walk.messages}
    mine = [change for change in changes if change.room == walk.room and change.seq in there]
    last: dict[tuple[int, str], Change] = {}
    for change in mine:
        about = change.value if change.kind in ("add", "remove") else "text"
        key = (change.seq, about)
        if change.ended <= walk.began and (key not in last or last[key].ended < change.ended):
            last[key] = change
    for (seq, about), change in last.items():
        message = there[seq]
        later = any(
            other.seq == seq and (other.value if other.kind in ("add", "remove") else "text") in (about, "text")
            for other in mine
            if other is not change and other.began >= change.ended and other.began <= walk.ended
        )
        if later or (message.get("deleted") and change.kind != "delete"):
            continue
        emojis = {each["emoji"] for each in message.get("reactions", ())}
        shown = {
            "edit": message.get("text") == change.value,
            "delete": bool(message.get("deleted")),
            "add": change.value in emojis,
            "remove": change.value not in emojis,
        }[change.kind]
        if not shown:
            found.append(f"{where}: {seq} does not show the {change.kind} {change.value[:40]!r} acknowledged before it")
    return found


def _went_back(walks: Sequence[Walk]) -> list[str]:
    """A message that was seen edited or deleted is never seen as it was before, by a walk that began afterwards."""
    found = []
    latest: dict[tuple[str, int], tuple[str, str]] = {}
    ends = sorted(walks, key=lambda walk: walk.ended)
    at = 0
    for walk in sorted(walks, key=lambda walk: walk.began):
        while at < len(ends) and ends[at].ended <= walk.began:
            for message in ends[at].messages:
                key = (ends[at].room, message["seq"])
                latest[key] = max(latest.get(key, ("", "")), (_version(message), ends[at].reader))
            at += 1
        for message in walk.messages:
            before, reader = latest.get((walk.room, message["seq"]), ("", ""))
            if _version(message) < before:
                found.append(f"{walk.reader} in {walk.room}: {message['seq']} is older than {reader} saw it before")
    return found


def _version(message: Message) -> str:
    """What sorts as the versions of a message do."""
    return "deleted" if message.get("deleted") else str(message.get("edited_at", ""))


def _let_go(sights: Iterable[Sight]) -> list[str]:
    found = []
    before: dict[str, Sight] = {}
    for sight in sights:
        if sight.first - 1 > sight.watermark:
            found.append(f"{sight.room}: the log begins at {sight.first}, the archive ends at {sight.watermark}")
        if sight.known > sight.watermark:
            found.append(f"{sight.room}: the log was told of {sight.known}, the archive ends at {sight.watermark}")
        earlier = before.get(sight.room, sight)
        for name in ("known", "watermark", "floor", "fence", "log_fence"):
            if getattr(sight, name) < getattr(earlier, name):
                found.append(f"{sight.room}: {name} went from {getattr(earlier, name)} to {getattr(sight, name)}")
        before[sight.room] = sight
    return found


def _overwritten(writes: Iterable[Write]) -> list[str]:
    found = []
    highest: dict[str, int] = defaultdict(int)
    for write in writes:
        if write.accepted and write.fence < highest[write.scope]:
            found.append(f"a write with fence {write.fence} was accepted after one with {highest[write.scope]}")
        if write.accepted:
            highest[write.scope] = max(highest[write.scope], write.fence)
    return found
