"""What one step of a room makes of a run of events: the checks, the chunks, the next record. Pure."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from dchat_server.chunk import MAX_EVENTS, Row, pack
from dchat_server.compactor_reach import Reach
from dchat_server.fold import fold
from dchat_server.model import Event
from dchat_server.ports_archive import MAX_ROSTER_PARTS, Chunk, RoomRecord
from dchat_server.roster import Roster, fold_facts

MAX_RUN_EVENTS = 10 * MAX_EVENTS
MAX_RUN_BYTES = 1_500_000
"""What one step takes on."""
OPEN_BYTES = 4096
"""A last chunk with less than this, packed, takes up more events; see compactor_room.py."""
ROSTER_EVENTS = 500
SMALL_ROSTER_BYTES = 2048
OLDEST_ROSTER_EVENTS = 20_000
"""When the roster is stored again; see `roster_due`."""


class Stuck(Exception):
    """This room cannot be archived as it stands, and time alone will not help. `reason` is one word."""

    def __init__(self, room: str, reason: str, detail: str) -> None:
        super().__init__(f"{room}: {detail}")
        self.room, self.reason = room, reason


class Known(NamedTuple):
    """What is remembered of a room between two steps: its record, the last chunk if that takes up more, and the size
    of the stored roster."""

    record: RoomRecord
    tail: Chunk | None
    roster_bytes: int = 0


class Packed(NamedTuple):
    """A run ready to be committed."""

    put: list[Chunk]
    tail: int


def next_record(old: RoomRecord, run: Sequence[Event], tail: int) -> RoomRecord:
    """The room's record once the run is archived."""
    last = run[-1]
    return replace(
        old,
        version=old.version + 1,
        watermark=last.seq,
        messages=last.messages,
        ts=last.ts,
        offset=last.offset,
        epochs=_epochs(old.epochs, run),
        facts=fold_facts(old.facts, run),
        tail=tail,
        commit=secrets.token_hex(8),
    )


def bounded(events: Sequence[Event]) -> Sequence[Event]:
    """As many of the events as one step takes on; at least one."""
    size = 0
    for at, event in enumerate(events[:MAX_RUN_EVENTS]):
        size += len(event.body)
        if size > MAX_RUN_BYTES and at:
            return events[:at]
    return events[:MAX_RUN_EVENTS]


def check_epochs(record: RoomRecord, epochs: Sequence[tuple[int, int]]) -> None:
    """Raise Stuck when the log was written anew from somewhere before the watermark: the two have parted."""
    if record.epochs and record.epochs[-1][0] != _epoch_at(epochs, record.watermark):
        raise Stuck(
            record.room,
            "parted",
            f"seq {record.watermark} is archived under epoch {record.epochs[-1][0]}, the log has it under "
            f"{_epoch_at(epochs, record.watermark)}",
        )


def check_run(record: RoomRecord, events: Sequence[Event]) -> None:
    """Raise Stuck unless the events go on from the record: seqs and message counts dense, times and offsets rising."""
    seq, messages, ts, offset = record.watermark, record.messages, record.ts, record.offset
    for event in events:
        seq += 1
        messages += event.type == "message"
        if event.seq != seq:
            raise Stuck(record.room, "hole", f"seq {event.seq} stands in the log where {seq} should")
        if event.messages != messages or event.ts < ts or event.offset <= offset:
            raise Stuck(record.room, "disorder", f"seq {seq} does not go on from the one before it")
        ts, offset = event.ts, event.offset


def packed_run(known: Known, reach: Reach, run: Sequence[Event]) -> Packed:
    """The chunks to write for a run: those it changes, and its own rows behind the last chunk or in it."""
    changed, new = fold(reach.rows(), run)
    put: list[Chunk] = []
    start: list[Row] = []
    for chunk, rows in reach.chunks:
        after = [changed.get(row.event.seq, row) for row in rows]
        if known.tail is not None and chunk.first == known.tail.first:
            start = after
        elif after != rows:
            put += chunks_of(after)
    put += chunks_of([*start, *new])
    return Packed(put, put[-1].first)


def chunks_of(rows: Sequence[Row]) -> list[Chunk]:
    """These consecutive rows as chunks."""
    out = []
    for part, data in pack(rows):
        last = part[-1].event
        out.append(Chunk(part[0].event.seq, last.seq, last.offset, last.ts, data))
    return out


def takes_more(tail: Chunk) -> bool:
    """Whether a last chunk is to be rewritten with the events that follow."""
    return tail.last - tail.first + 1 < MAX_EVENTS and len(tail.data) < OPEN_BYTES


def roster_due(known: Known, run: Sequence[Event]) -> bool:
    """Whether to store the roster with this run.

    A small one whenever people come or go. A larger one when so many events have passed that to write it costs little
    beside their chunks, which is one for each 8 bytes of it. So a restored room reads a few chunks at most, but for
    the very largest rooms.
    """
    if known.roster_bytes <= SMALL_ROSTER_BYTES and any(event.type in ("member", "room") for event in run):
        return True
    most = min(max(ROSTER_EVENTS, known.roster_bytes // 8), OLDEST_ROSTER_EVENTS)
    return run[-1].seq - known.record.roster_at >= most


def roster_after(roster: Roster, run: Sequence[Event]) -> list[bytes] | None:
    """The stored form of the roster after the run; None when it is too large to be stored."""
    for event in run:
        roster.apply(event)
    parts = roster.encode(MAX_ROSTER_PARTS)
    return parts if len(parts) <= MAX_ROSTER_PARTS else None


def _epoch_at(epochs: Sequence[tuple[int, int]], seq: int) -> int:
    return max((epoch for epoch, first in epochs if first <= seq), default=0)


def _epochs(epochs: tuple[tuple[int, int], ...], run: Sequence[Event]) -> tuple[tuple[int, int], ...]:
    for event in run:
        if not epochs or event.epoch != epochs[-1][0]:
            epochs = (*epochs, (event.epoch, event.seq))
    return epochs
