"""A backup's file: everything an archive holds, as a row of parts, each with a checksum, and one over all of them.

    DCHATBAK1            then parts:
    kind                 one letter
    length               4 bytes, of the body
    checksum             4 bytes, CRC-32 of the nine before it and the body
    body

    H  what this is: JSON with `backup` (a random name), `made` (ms), `shards`, `identity` of the archive, `complete`
    S  a shard: JSON with `shard`, and `epoch` and `offset` of its mark
    U  a person: the shard (2 bytes), then the record as the archives pack it
    F  who was chosen as the first administrator (restore.py, `FIRST`), as a person
    R  a room: JSON with `shard`, `record`, and `roster`, how many parts of that follow
    P  a part of the room's roster
    C  a chunk of the room: first, last, offset, ts (8 bytes each), then its data
    E  the end: JSON with how many there are of everything, and the SHA-256 of all bytes before this part

The parts of a room stand together, its chunks in order and dense. Both checksums tell damage; neither tells whether
somebody who may write the file has changed it on purpose.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

import orjson

from dchat_server.adapters.archive_forms import record_from, record_text, user_bytes, user_from
from dchat_server.model import is_name
from dchat_server.ports_archive import Chunk, Mark, RoomRecord, UserRecord

MAGIC = b"DCHATBAK1"
MAX_BODY_BYTES = 16_000_000
_HEAD = struct.Struct(">cII")
_CHUNK = struct.Struct(">QQQQ")
_SHARD = struct.Struct(">H")
_NAMES = {b"U": "people", b"R": "rooms", b"C": "chunks"}


class BadBackup(Exception):
    """The file cannot be used. The text is a sentence."""


class Part(NamedTuple):
    """One part as it stands in the file."""

    kind: bytes
    body: bytes


class Place(NamedTuple):
    """Where a writer is; see `BackupWriter.rewind`."""

    at: int
    digest: Any
    counts: Counter[str]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a whole and undamaged file holds. `made` is in ms since 1970; `complete`: everything that was acknowledged
    before it was begun, not just what the archive had by then."""

    backup: str
    made: int
    shards: int
    complete: bool
    counts: Mapping[str, int]
    size: int
    """In bytes."""


class BackupWriter:
    """Writes a new file, readable by its owner only. Under another name until `finish`: a file of the name that was
    asked for is whole. As a context manager it takes away what was not finished."""

    def __init__(self, path: Path, *, backup: str, made: int, shards: int, identity: str, complete: bool) -> None:
        """Raises FileExistsError when the file is there, or one that another run has not finished; other OSErrors."""
        self._path, self._part = path, path.with_name(path.name + ".part")
        if path.exists():
            raise FileExistsError(f"{path} is there already; give another name.")
        try:
            fd = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise FileExistsError(
                f"{self._part} is there: another backup is being written, or one was killed. Remove it if none is."
            ) from None
        self._file: BinaryIO = os.fdopen(fd, "wb", buffering=1 << 20)
        self._digest = hashlib.sha256()
        self.counts: Counter[str] = Counter()
        self._put(MAGIC)
        head = {"backup": backup, "made": made, "shards": shards, "identity": identity, "complete": complete}
        self._add(b"H", orjson.dumps(head))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        """How many bytes were written so far."""
        return self._file.tell()

    def shard(self, shard: int, mark: Mark) -> None:
        self._add(b"S", orjson.dumps({"shard": shard, "epoch": mark.epoch, "offset": mark.offset}))

    def person(self, shard: int, record: UserRecord) -> None:
        self._add(b"U" if is_name(record.user) else b"F", _SHARD.pack(shard) + user_bytes(record))

    def room(self, shard: int, record: RoomRecord, roster: list[bytes]) -> None:
        """A room; its chunks follow."""
        about = {"shard": shard, "record": orjson.Fragment(record_text(record)), "roster": len(roster)}
        self._add(b"R", orjson.dumps(about))
        for part in roster:
            self._add(b"P", part)

    def chunk(self, chunk: Chunk) -> None:
        self._add(b"C", _CHUNK.pack(*chunk[:4]) + chunk.data)

    def place(self) -> Place:
        """Where the file ends now."""
        return Place(self._file.tell(), self._digest.copy(), self.counts.copy())

    def rewind(self, place: Place) -> None:
        """Take back what was added since."""
        self._file.seek(place.at)
        self._file.truncate()
        self._digest, self.counts = place.digest.copy(), place.counts.copy()

    def finish(self) -> None:
        """End the file, have it on disk, and give it its name. Raises OSError."""
        self._add(b"E", orjson.dumps({**self.counts, "sha256": self._digest.hexdigest()}))
        self._file.flush()
        os.fsync(self._file.fileno())
        os.link(self._part, self._path)  # unlike a rename, never over a file that came meanwhile
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _add(self, kind: bytes, body: bytes) -> None:
        head = _HEAD.pack(kind, len(body), zlib.crc32(body, zlib.crc32(kind + len(body).to_bytes(4, "big"))))
        self._put(head)
        self._put(body)
        if kind in _NAMES:
            self.counts[_NAMES[kind]] += 1

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)


def verify(path: Path) -> Summary:
    """Read all of the file; what it holds. Needs 16 MB of memory at most. Raises BadBackup, OSError."""
    digest, counts = hashlib.sha256(), Counter[str]()
    head: Mapping[str, Any] | None = None
    for kind, body in _parts(path, digest):
        if kind == b"H":
            head = orjson.loads(body)
        elif kind in _NAMES:
            counts[_NAMES[kind]] += 1
        elif kind == b"E":
            end = orjson.loads(body)
            if head is None or end.pop("sha256") != digest.hexdigest() or end != counts:
                raise BadBackup(f"{path} is damaged: its parts are not those it was made of.")
            return Summary(head["backup"], head["made"], head["shards"], head["complete"], counts, path.stat().st_size)
    raise AssertionError("a file ends with its end, or is damaged")


def parts(path: Path) -> Iterator[Part]:
    """The parts of a file, one by one. Raises BadBackup where it is damaged."""
    return _parts(path, hashlib.sha256())


def _parts(path: Path, digest: Any) -> Iterator[Part]:
    """`digest` takes in all that comes before the end. Each part was looked at before it is given out."""
    with path.open("rb") as file:
        magic = file.read(len(MAGIC))
        if magic[:-1] != MAGIC[:-1]:
            raise BadBackup(f"{path} is no backup of D-Chat's.")
        if magic != MAGIC:
            raise BadBackup(f"{path} was written by a later version of D-Chat.")
        digest.update(magic)
        while True:
            at, head = file.tell(), file.read(_HEAD.size)
            if len(head) < _HEAD.size:
                raise BadBackup(f"{path} is cut off: it ends at byte {at + len(head)}, before its last part.")
            kind, length, checksum = _HEAD.unpack(head)
            if length > MAX_BODY_BYTES:
                raise BadBackup(f"{path} is damaged at byte {at}.")
            body = file.read(length)
            if len(body) < length:
                raise BadBackup(f"{path} is cut off: it ends at byte {at + len(head) + len(body)}, within a part.")
            if zlib.crc32(body, zlib.crc32(head[:5])) != checksum:
                raise BadBackup(f"{path} is damaged at byte {at}.")
            if kind == b"E":
                if file.read(1):
                    raise BadBackup(f"{path} is damaged: something was added behind its end.")
                yield Part(kind, body)
                return
            digest.update(head)
            digest.update(body)
            yield Part(kind, body)


def shard_from(body: bytes) -> tuple[int, Mark]:
    found = orjson.loads(body)
    return found["shard"], Mark(found["epoch"], found["offset"])


def person_from(body: bytes) -> tuple[int, UserRecord]:
    (shard,) = _SHARD.unpack_from(body)
    return shard, user_from(body[_SHARD.size :])


def room_from(body: bytes) -> tuple[int, RoomRecord, int]:
    """Shard, record, and how many parts of a roster follow."""
    found = orjson.loads(body)
    return found["shard"], record_from(orjson.dumps(found["record"])), found["roster"]


def chunk_from(body: bytes) -> Chunk:
    first, last, offset, ts = _CHUNK.unpack_from(body)
    return Chunk(first, last, offset, ts, body[_CHUNK.size :])
