"""What the adapters of the archive have in common: how records look at rest, and the bounds of a change. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any, NamedTuple

import orjson
import zstandard

from dchat_server.ports_archive import (
    MAX_DROPS,
    MAX_PART_BYTES,
    MAX_PUT_BYTES,
    MAX_PUTS,
    MAX_ROSTER_PARTS,
    RoomChange,
    RoomRecord,
    UserRecord,
)

_RECORD_FIELDS = tuple(field.name for field in fields(RoomRecord))


def check(change: RoomChange) -> None:
    """Raise ValueError when a change is over the bounds of one step, or contradicts itself."""
    room, puts, drops, roster = change.record.room, change.put, change.drop, change.roster or ()
    firsts = [chunk.first for chunk in puts]
    if change.record.version < 1 or not change.record.commit:
        raise ValueError(f"{room}: a step has a version over 0 and a commit text")
    if len(puts) > MAX_PUTS or sum(len(chunk.data) for chunk in puts) > MAX_PUT_BYTES or len(drops) > MAX_DROPS:
        raise ValueError(f"{room}: {len(puts)} chunks to put and {len(drops)} to drop are too much for one step")
    if len({*firsts, *drops}) < len(firsts) + len(drops):
        raise ValueError(f"{room}: a step names a chunk twice")
    if len(roster) > MAX_ROSTER_PARTS or any(len(part) > MAX_PART_BYTES for part in roster):
        raise ValueError(f"{room}: the roster is too large")


def is_public(record: RoomRecord) -> bool:
    """Whether anybody may list the room."""
    return record.facts.get("kind") == "public"


def record_text(record: RoomRecord) -> str:
    """A room's record as JSON."""
    return orjson.dumps({name: getattr(record, name) for name in _RECORD_FIELDS}).decode()


def record_from(text: str | bytes) -> RoomRecord:
    """The record of a JSON text. Members this version does not know are ignored, missing ones have their default."""
    found: dict[str, Any] = {name: value for name, value in orjson.loads(text).items() if name in _RECORD_FIELDS}
    if "epochs" in found:
        found["epochs"] = tuple((epoch, first) for epoch, first in found["epochs"])
    return RoomRecord(**found)


def user_bytes(record: UserRecord) -> bytes:
    """A person's record as packed JSON: about a third of its text."""
    parts = {
        "user": record.user,
        "account": dict(record.account),
        "tokens": dict(record.tokens),
        "rooms": list(record.rooms),
        "markers": dict(record.markers),
    }
    return zstandard.ZstdCompressor(level=6, write_checksum=True).compress(orjson.dumps(parts))


def user_from(data: bytes) -> UserRecord:
    """The record of packed JSON."""
    found = orjson.loads(zstandard.ZstdDecompressor().decompress(data))
    return UserRecord(found["user"], found["account"], found["tokens"], found["rooms"], found["markers"])


def digests(record: UserRecord) -> list[str]:
    """The SHA-256 of each of a person's tokens, sorted."""
    return sorted({str(orjson.loads(facts)["digest"]) for facts in record.tokens.values()})


def half_filled(place: str) -> str:
    """What is said of an archive that has got only a part of a backup."""
    return f"{place} has got only a part of a backup; repeat dchat-server restore with the same file."


def not_empty(place: str) -> str:
    """What is said of an archive that no backup can be put into."""
    return f"{place} is not empty; a backup goes into a new archive only."


class Outline(NamedTuple):
    """A chunk without its data."""

    first: int
    last: int
    offset: int
    ts: int


def first_match(at: Callable[[int], Outline | None], end: int, beyond: Callable[[Outline], bool]) -> Outline | None:
    """The first chunk of a room that is `beyond`, where every chunk behind such a one is so as well.

    `at(seq)` is the last chunk that begins at `seq` or before; `end` a seq that no chunk begins behind. Asks for one
    chunk and then for about log2 of their number.
    """
    found = at(end)
    if found is None or not beyond(found):
        return None
    low = 0  # whatever begins at `low` or before is not beyond
    while low < found.first - 1:
        middle = (low + found.first) // 2
        probe = at(middle)
        if probe is not None and beyond(probe):
            found = probe
        else:
            low = middle if probe is None else max(middle, probe.last)
    return found
