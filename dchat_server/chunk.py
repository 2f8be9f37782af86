"""A chunk: a dense run of a room's events, and what became of its messages, in few bytes. Pure.

Layout: the version byte; four bytes, the length of what follows; a zstd frame; client ids, as they are. The frame holds
    one JSON line     {"first", "count", "ts", "offset", "epochs": [[epoch, first seq]…], "messages" before the first
                      event, "states", "ids": CRC-32 of the ids}
    six lines         type letters; times and feed offsets, each less the one before; and of plain messages the senders,
                      forms of the client ids, and how far back they answer
    one line an event its body, of a plain message only the text
Bodies come out as they went in, byte for byte, so an event that is told again from here is the same as the first time.
A plain message is one whose body has just the form of `wire.draft_body`; what its columns hold are parts of it, cut out
and put back, so nothing depends on how JSON is written. What became of a message since (`State`) stands apart, in
"states": seq → [text, edited, deleted, reactions, edits]. Only a deletion changes a body: the text goes, here and in
the edits of that message (see fold.py).

200 messages of 44 letters of English take 5.8 KB; with a client id of 24 hexadecimal digits each, 8.2 KB, as 12 bytes
of each are chance. As lines of whole bodies they took 6.1 and 9.6, and longer to pack. Level 19 would save 2 % for ten
times the time, a dictionary of English a fifth of what is English.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
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
_TYPES = {letter[0]: kind for kind, letter in _LETTERS.items()} | {ord("M"): "message"}
_PLAIN = re.compile(
    rb'"sender":"([a-z0-9._-]+)","text":"([^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+)"'
    rb'(?:,"client_id":"([^"\\\n ]+)")?(?:,"reply_to":([1-9][0-9]{0,15}))?\}'
)
"""The body of a plain message; its last group needs no JSON to be read."""
_PLAIN_LETTER = ord("M")
_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HEX = re.compile(rb"(?:[0-9a-f]{2})+")


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
    columns = _Columns()
    for at, (event, state) in enumerate(rows):
        if event.seq != first.seq + at:
            raise ValueError(f"{event.room}: seq {event.seq} follows {first.seq + at - 1}")
        if not epochs or event.epoch != epochs[-1][0]:
            epochs.append((event.epoch, event.seq))
        if state is not None:
            states[str(event.seq)] = list(state)  # orjson takes no named tuples
        columns.add(event, rows[at - 1].event if at else event)
    ids = b"".join(columns.ids)
    head = {
        "first": first.seq,
        "count": len(rows),
        "ts": first.ts,
        "offset": first.offset,
        "messages": first.messages - (first.type == "message"),
        "epochs": epochs,
        "states": states,
        "ids": zlib.crc32(ids),
    }
    raw = b"\n".join([orjson.dumps(head), *columns.lines()])
    frame = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(raw)
    return bytes([_VERSION]) + len(frame).to_bytes(4, "big") + frame + ids


class _Columns:
    """The parts of a chunk's events, like with like."""

    def __init__(self) -> None:
        self.kinds: list[bytes] = []
        self.times: list[bytes] = []
        self.offsets: list[bytes] = []
        self.senders: list[bytes] = []
        self.forms: list[bytes] = []
        self.replies: list[bytes] = []
        self.bodies: list[bytes] = []
        self.ids: list[bytes] = []

    def add(self, event: Event, before: Event) -> None:
        self.times.append(b"%d" % (event.ts - before.ts))
        self.offsets.append(b"%d" % (event.offset - before.offset))
        plain = _PLAIN.fullmatch(event.body) if event.type == "message" else None
        if plain is None:
            if b"\n" in event.body:
                raise ValueError(f"{event.room}: the body of seq {event.seq} is not of one line")
            self.kinds.append(_LETTERS[event.type])
            self.bodies.append(event.body)
            return
        sender, text, client_id, reply_to = plain.groups()
        self.kinds.append(b"M")
        self.senders.append(sender)
        self.forms.append(self._form(client_id))
        self.replies.append(b"-" if reply_to is None else b"%d" % (event.seq - int(reply_to)))
        self.bodies.append(text)

    def _form(self, client_id: bytes | None) -> bytes:
        """How the id is kept: `-` there is none, `u` a UUID and `h<bytes>` other hexadecimal digits, among the ids; or
        `t` and the id itself."""
        if client_id is None:
            return b"-"
        if _UUID.fullmatch(client_id):
            self.ids.append(bytes.fromhex(client_id.decode().replace("-", "")))
            return b"u"
        if _HEX.fullmatch(client_id):
            self.ids.append(bytes.fromhex(client_id.decode()))
            return b"h%d" % (len(client_id) // 2)
        return b"t" + client_id

    def lines(self) -> Iterator[bytes]:
        yield b"".join(self.kinds)
        for column in (self.times, self.offsets, self.senders, self.forms, self.replies):
            yield b" ".join(column)
        yield from self.bodies


def decode(room: str, data: bytes) -> list[Row]:
    """The rows of a chunk. About 0.5 ms for 200 events. Raises BadChunk."""
    if data[:1] != bytes([_VERSION]):
        raise BadChunk(f"{room}: a chunk of version {data[:1].hex() or 'none'}")
    try:
        end = 5 + int.from_bytes(data[1:5], "big")
        head_line, *lines = zstandard.ZstdDecompressor().decompress(data[5:end]).split(b"\n")
        head, ids = orjson.loads(head_line), data[end:]
        if head["ids"] != zlib.crc32(ids):
            raise ValueError("the ids were changed")
        states = {int(seq): _state(value) for seq, value in head["states"].items()}
        epochs = {first: epoch for epoch, first in head["epochs"]}
        seq, ts, offset, messages = head["first"], head["ts"], head["offset"], head["messages"]
        epoch = 0
        times, offsets = lines[1].split(b" "), lines[2].split(b" ")
        heads = _plain_heads(lines[3], lines[4], lines[5], ids)
        rows = []
        for letter, later, further, body in zip(lines[0], times, offsets, lines[6:], strict=True):
            epoch = epochs.get(seq, epoch)
            ts, offset = ts + int(later), offset + int(further)
            kind = _TYPES[letter]
            messages += kind == "message"
            if letter == _PLAIN_LETTER:
                sender, client_id, back = next(heads)
                reply = b',"reply_to":%d' % (seq - int(back)) if back != b"-" else b""
                body = b'"sender":"%b","text":"%b"%b%b}' % (sender, body, client_id, reply)
            rows.append(Row(Event(room, epoch, seq, kind, ts, body, offset, messages), states.get(seq)))
            seq += 1
    except (zstandard.ZstdError, ValueError, KeyError, TypeError, IndexError, StopIteration) as error:
        raise BadChunk(f"{room}: a damaged chunk ({error})") from error
    if len(rows) != head["count"]:
        raise BadChunk(f"{room}: a chunk of {head['count']} events holds {len(rows)}")
    return rows


def _plain_heads(senders: bytes, forms: bytes, replies: bytes, ids: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(sender, client id as it stands in the body, how far back it answers) of each plain message."""
    at = 0
    for sender, form, back in zip(senders.split(b" "), forms.split(b" "), replies.split(b" "), strict=True):
        if form == b"-":
            yield sender, b"", back
            continue
        if form[:1] == b"t":
            client_id = form[1:]
        else:
            size = 16 if form == b"u" else int(form[1:])
            client_id = ids[at : at + size].hex().encode()
            at += size
            if form == b"u":
                client_id = b"-".join(
                    (client_id[:8], client_id[8:12], client_id[12:16], client_id[16:20], client_id[20:])
                )
        yield sender, b',"client_id":"%b"' % client_id, back


def _state(value: Sequence[Any]) -> State:
    text, edited_at, deleted_at, reactions, edits = value
    marks = tuple((seq, emoji, user) for seq, emoji, user in reactions)
    return State(text, edited_at, deleted_at, marks, tuple((first, last) for first, last in edits))
