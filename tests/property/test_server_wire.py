"""Whatever people write, it stays one line of JSON and one event."""

from __future__ import annotations

import base64
import json
import zlib

from hypothesis import given
from hypothesis import strategies as st

from dchat_server import wire
from dchat_server.cursor import Cursor, LiveCursor
from dchat_server.model import Event, Position, iso, parse_iso
from tests.property.sse import decode

_LINES = ("\n", "\r", "\r\n", "\n\n", "\x0b", "\x85", "\u2028", "\u2029", "\ufeff", "\u202e", "\0", "\x1b[2J", "\x7f")
_FORMS = ("\ndata: x", "\n\nevent: hello\ndata: {}\n\n", "id: x\n", ": ", "retry: 1\n", '","cursor":"x', "}", '"', "\\")
HOSTILE = st.sampled_from((*_LINES, *_FORMS, "🎉", "é", "e\u0301"))
TEXT = st.one_of(st.text(), st.lists(st.one_of(HOSTILE, st.text(max_size=5))).map("".join))
KIND = st.sampled_from(["message", "edit", "delete", "reaction", "member", "room"])


@st.composite
def events(draw: st.DrawFn) -> tuple[Event, dict[str, object]]:
    fields: dict[str, object] = {
        "sender": "ada",
        "text": draw(TEXT),
        "client_id": draw(TEXT),
        "n": draw(st.integers(0, 2**53)),
    }
    number = draw(st.integers(1, 2**53))
    event = Event("kitchen", 1764, number, draw(KIND), draw(st.integers(0, 4e12)), wire.fields(**fields), number, 1)
    return event, fields


@given(st.lists(events(), min_size=1, max_size=5), st.sampled_from([None, b"AQx_-"]))
def test_every_text_is_one_event_to_a_browser(
    some: list[tuple[Event, dict[str, object]]], cursor: bytes | None
) -> None:
    raw = wire.sse([wire.event_frame(event) for event, _ in some], cursor)
    for line in raw.split(b"\n"):
        assert line == b"" or line.startswith((b"event: ", b"data: {", b"id: "))
    seen = decode(raw)
    assert [each.type for each in seen] == [event.type for event, _ in some]
    for each, (event, fields) in zip(seen, some, strict=True):
        told = json.loads(each.data)
        assert (told["room"], told["seq"], told["epoch"]) == (event.room, event.seq, event.epoch)
        assert {name: told[name] for name in fields} == fields
    assert seen[-1].last_id == (cursor or b"").decode()
    assert all(each.last_id == "" for each in seen[:-1])


@given(st.lists(events(), min_size=1, max_size=5), st.sampled_from([None, b"AQx_-"]))
def test_every_text_is_one_json_line(some: list[tuple[Event, dict[str, object]]], cursor: bytes | None) -> None:
    raw = wire.ndjson([wire.event_frame(event) for event, _ in some], cursor)
    *rows, rest = raw.split(b"\n")
    assert rest == b""
    told = [json.loads(row) for row in rows]
    assert [{name: each[name] for name in fields} for each, (_, fields) in zip(told, some, strict=True)] == [
        fields for _, fields in some
    ]
    assert [each.get("cursor") for each in told] == [None] * (len(told) - 1) + [cursor and cursor.decode()]


@given(TEXT)
def test_events_of_the_stream_itself_hold_any_text_as_well(text: str) -> None:
    (seen,) = decode(wire.sse([wire.control_frame("degraded", reason=text)], None))
    assert json.loads(seen.data) == {"type": "degraded", "reason": text}


@given(st.integers(0, 253_402_300_799_999))
def test_a_time_survives_being_written_and_read(ms: int) -> None:
    assert parse_iso(iso(ms)) == ms


POSITION = st.builds(Position, st.integers(0, 2**40), st.integers(0, 2**53))


@given(st.lists(POSITION, min_size=1, max_size=40).map(tuple))
def test_a_cursor_comes_back_as_it_was(positions: tuple[Position, ...]) -> None:
    text = Cursor(positions).encode()
    assert Cursor.decode(text) == Cursor(positions)
    assert text.isascii()
    assert not set(text) & set('"\\\r\n =&?#%')  # it goes into headers, query strings and JSON as it is


@given(st.one_of(st.text(), st.text(alphabet="ABCDEFghij0189-_=", max_size=200)))
def test_what_is_no_cursor_is_none(text: str) -> None:
    cursor = Cursor.decode(text)
    assert cursor is None or all(position >= (0, 0) for position in cursor.positions)


@given(st.binary(max_size=60))
def test_garbage_with_a_right_sum_is_no_exception_either(raw: bytes) -> None:
    for head in (raw, b"\x01" + raw, b"\x01\x01" + raw, b"\x01\x02\x00" + raw):
        text = base64.urlsafe_b64encode(head + zlib.crc32(head).to_bytes(4, "big")[:2]).rstrip(b"=").decode()
        cursor = Cursor.decode(text)
        if cursor is not None:
            assert Cursor.decode(cursor.encode()) == cursor


@given(
    st.lists(POSITION, min_size=1, max_size=8),
    st.lists(st.tuples(st.integers(0, 7), POSITION, st.booleans()), max_size=40),
)
def test_a_live_cursor_is_the_cursor_of_its_place_after_any_moves(
    start: list[Position], moves: list[tuple[int, Position, bool]]
) -> None:
    live, places = LiveCursor(start), list(start)
    for shard, position, look in moves:
        shard %= len(places)
        live.move(shard, position)
        places[shard] = position
        if look:
            assert live.encode().decode() == Cursor(tuple(places)).encode()
    assert live.encode().decode() == Cursor(tuple(places)).encode()
    assert live.snapshot() == Cursor(tuple(places))
