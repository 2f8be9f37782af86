"""A chunk: a dense run of a room's events, and what became of its messages, in few bytes. Pure.

Layout: the version byte, then a zstd frame of
    one JSON line     {"first", "count", "epochs": [[epoch, first seq]…], "messages" before the first event, "states"}
    one line an event <type letter><time delta> <offset delta> <body>
Bodies are kept as they were sent, so an event that is told again from here has the same bytes as the first time. What
became of a message since (`State`) stands apart, in "states": seq → [text, edited, deleted, reactions, edits]. Only a
deletion changes a body: the text goes, here and in the edits of that message (see fold.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
import zstandard

from dchat_server.model import Event

MAX_EVENTS = 200
MAX_BYTES = 64 * 1024
"""What a chunk may have, packed."""
MAX_RAW_BYTES = 256 * 1024
"""What it is packed from, but for a single event that is larger: reading one message unpacks no more."""
_VERSION = 1
_LEVEL = 9
_LETTERS = {"message": b"m", "edit": b"e", "delete": b"d", "reaction": b"r", "member": b"p", "room": b"c"}
_TYPES = {letter[0]: kind for kind, letter in _LETTERS.items()}


class State(NamedTuple):
    """What became of a message. `reactions` are (seq of the reaction, emoji, user), rising by seq; `edits` ranges
    (first seq, last seq) within which all its edits are, rising."""

    text: str | None = None
    edited_at: int | None = None
    deleted_at: int | None = None
    reactions: tuple[tuple[int, str, str], ...] = ()
    edits: tuple[tuple[int, int], ...] = ()


class Row(NamedTuple):
    """An archived event; `state` of a message that was touched."""

    event: Event
    state: State | None = None


class Packed(NamedTuple):
    """A chunk's rows and bytes."""

    rows: Sequence[Row]
    data: bytes


class BadChunk(ValueError):
    """These bytes are no chunk that this version reads."""


def pack(rows: Sequence[Row]) -> list[Packed]:
    """These consecutive rows of one room as chunks, as few as the bounds allow. About 1 ms for 200 events.

    Raises ValueError when there are none, or they are not dense.
    """
    out: list[Packed] = []
    start = size = 0
    for end, row in enumerate(rows):
        more = len(row.event.body) + 20 + (len(repr(row.state)) if row.state else 0)
        if end > start and (end - start == MAX_EVENTS or size + more > MAX_RAW_BYTES):
            out += _fitting(rows[start:end])
            start, size = end, 0
        size += more
    return out + _fitting(rows[start:])


def _fitting(rows: Sequence[Row]) -> list[Packed]:
    """As one chunk; as two when that has more bytes than a chunk may."""
    data = encode(rows)
    if len(data) <= MAX_BYTES or len(rows) == 1:
        return [Packed(rows, data)]
    half = len(rows) // 2
    return _fitting(rows[:half]) + _fitting(rows[half:])


def encode(rows: Sequence[Row]) -> bytes:
    """The bytes of one chunk, whatever its size."""
    if not rows:
        raise ValueError("a chunk holds at least one event")
    first = rows[0].event
    epochs: list[tuple[int, int]] = []
    states: dict[str, Any] = {}
    lines: list[bytes] = []
    ts, offset = first.ts, first.offset
    for at, (event, state) in enumerate(rows):
        if event.seq != first.seq + at:
            raise ValueError(f"{event.room}: seq {event.seq} follows {first.seq + at - 1}")
        if not epochs or event.epoch != epochs[-1][0]:
            epochs.append((event.epoch, event.seq))
        if state is not None:
            states[str(event.seq)] = list(state)  # orjson takes no named tuples
        lines.append(b"%b%d %d %b" % (_LETTERS[event.type], event.ts - ts, event.offset - offset, event.body))
        ts, offset = event.ts, event.offset
    before = first.messages - (first.type == "message")
    head = {
        "first": first.seq,
        "count": len(rows),
        "ts": first.ts,
        "offset": first.offset,
        "messages": before,
        "epochs": epochs,
        "states": states,
    }
    raw = b"\n".join([orjson.dumps(head), *lines])
    return bytes([_VERSION]) + zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(raw)


def decode(room: str, data: bytes) -> list[Row]:
    """The rows of a chunk. About 0.3 ms for 200 events. Raises BadChunk."""
    if data[:1] != bytes([_VERSION]):
        raise BadChunk(f"{room}: a chunk of version {data[:1].hex() or 'none'}")
    try:
        raw = zstandard.ZstdDecompressor().decompress(data[1:])
        head_line, *lines = raw.split(b"\n")
        head = orjson.loads(head_line)
        states = {int(seq): _state(value) for seq, value in head["states"].items()}
        epochs = {first: epoch for epoch, first in head["epochs"]}
        seq, ts, offset, messages = head["first"], head["ts"], head["offset"], head["messages"]
        epoch = 0
        rows = []
        for line in lines:
            epoch = epochs.get(seq, epoch)
            later, further, body = line[1:].split(b" ", 2)
            ts, offset = ts + int(later), offset + int(further)
            kind = _TYPES[line[0]]
            messages += kind == "message"
            rows.append(Row(Event(room, epoch, seq, kind, ts, body, offset, messages), states.get(seq)))
            seq += 1
    except (zstandard.ZstdError, ValueError, KeyError, TypeError) as error:
        raise BadChunk(f"{room}: a damaged chunk ({error})") from error
    if len(rows) != head["count"]:
        raise BadChunk(f"{room}: a chunk of {head['count']} events holds {len(rows)}")
    return rows


def _state(value: Sequence[Any]) -> State:
    text, edited_at, deleted_at, reactions, edits = value
    marks = tuple((seq, emoji, user) for seq, emoji, user in reactions)
    return State(text, edited_at, deleted_at, marks, tuple((first, last) for first, last in edits))
