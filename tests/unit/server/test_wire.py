from __future__ import annotations

import json
from pathlib import Path

import pytest

from dchat_server import wire
from dchat_server.model import Draft, Event, Message, Sent, parse_iso
from tests.property.sse import Seen, decode

GOLDEN = Path(__file__).parents[2] / "golden" / "server"
TS = 1_795_413_840_123


def body(**fields: object) -> bytes:
    return wire.fields(**fields)


CREATED = body(sender="ada", action="create", kind="public", topic="", display_name="General")
EVENTS = [
    Event("general", 1764, 1, "room", TS, CREATED, 1, 0),
    Event("general", 1764, 2, "member", TS, body(sender="ada", user="ada", action="join", role="owner"), 2, 0),
    Event("general", 1764, 3, "message", TS, wire.draft_body("ada", 'hi\n\u2028@bob "q" \\ \0 🎉', "c-1", None), 3, 1),
    Event("general", 1764, 4, "message", TS + 1, wire.draft_body("bob", "שלום", None, 3), 4, 2),
    Event("general", 1764, 5, "edit", TS + 2, body(sender="ada", target=3, text="hello"), 5, 2),
    Event("general", 1764, 6, "reaction", TS + 3, body(sender="bob", target=3, emoji="👍🏽", action="add"), 6, 2),
    Event("general", 1765, 7, "delete", TS + 4, body(sender="ada", target=3), 7, 2),
    Event("general", 1765, 8, "member", TS + 5, body(sender="bob", user="bob", action="leave", role=None), 8, 2),
]


def stream() -> bytes:
    """A stream as it goes over the wire: hello, one write of several events, one of one, a ping, a goodbye."""
    hello = wire.control_frame(
        "hello", worker="w1", protocol=1, time="2026-11-23T06:04:00.123Z", cursor="AQ", rooms=["general"]
    )
    many, one = [wire.event_frame(event) for event in EVENTS[:7]], [wire.event_frame(EVENTS[7])]
    ping = wire.control_frame("ping", time="2026-11-23T06:04:15.000Z", cursor="Aw")
    return wire.sse([hello], b"AQ") + wire.sse(many, b"Ag") + wire.sse(one, b"Aw") + wire.sse([ping], b"Aw") + wire.sse(
        [wire.control_frame("auth_expired", reason="revoked")], None
    )  # fmt: skip


def lines() -> bytes:
    many, one = [wire.event_frame(event) for event in EVENTS[:7]], [wire.event_frame(EVENTS[7])]
    ping = wire.control_frame("ping", time="2026-11-23T06:04:15.000Z", cursor="Aw")
    return wire.ndjson(many, b"Ag") + wire.ndjson(one, b"Aw") + wire.ndjson([ping], None)


@pytest.mark.parametrize(("name", "made"), [("stream.sse", stream), ("stream.ndjson", lines)])
def test_the_bytes_of_a_stream_are_these(name: str, made: object) -> None:
    """Clients in the field were written against these: a change here is a change of the contract."""
    assert callable(made)
    assert (GOLDEN / name).read_bytes() == made()


OF_BOTH_SIDES = sorted((GOLDEN.parent / "sse").glob("*.json"))


@pytest.mark.parametrize("file", OF_BOTH_SIDES, ids=lambda file: file.stem)
def test_the_decoder_of_these_tests_reads_what_the_client_reads(file: Path) -> None:
    raw = file.with_suffix(".txt").read_bytes()
    wanted = [(each["type"], each["data"], each["last_event_id"]) for each in json.loads(file.read_text())["events"]]
    assert [tuple(each) for each in decode(raw)] == wanted


@pytest.mark.parametrize(
    "file", [file for file in OF_BOTH_SIDES if file.stem.startswith("server-")], ids=lambda file: file.stem
)
def test_the_server_writes_the_very_bytes_that_the_client_is_tested_with(file: Path) -> None:
    raw, frames = b"", []
    for each in json.loads(file.read_text())["events"]:
        fields = json.loads(each["data"])
        kind = fields.pop("type")
        if "seq" in fields:
            room, seq, epoch, ts = (fields.pop(name) for name in ("room", "seq", "epoch", "ts"))
            fields.pop("id", None)
            frames.append(wire.event_frame(Event(room, epoch, seq, kind, parse_iso(ts), wire.fields(**fields), 1, 1)))
        else:
            frames.append(wire.control_frame(kind, **fields))
        if each["last_event_id"]:
            raw += wire.sse(frames, each["last_event_id"].encode())
            frames = []
    assert raw == file.with_suffix(".txt").read_bytes()
    assert not frames


def test_the_golden_stream_says_to_a_browser_what_happened() -> None:
    seen = decode((GOLDEN / "stream.sse").read_bytes())
    assert [each.type for each in seen] == ["hello", *(event.type for event in EVENTS), "ping", "auth_expired"]
    assert [json.loads(each.data)["type"] for each in seen] == [each.type for each in seen]
    third = json.loads(seen[3].data)
    assert third == {
        "type": "message",
        "room": "general",
        "seq": 3,
        "epoch": 1764,
        "id": "general:3",
        "ts": "2026-11-23T06:04:00.123Z",
        "sender": "ada",
        "text": 'hi\n\u2028@bob "q" \\ \0 🎉',
        "client_id": "c-1",
    }
    assert json.loads(seen[4].data)["reply_to"] == 3
    assert [each.last_id for each in seen] == ["AQ"] * 7 + ["Ag", "Aw", "Aw", "Aw"]


def test_json_lines_say_the_same_and_the_last_of_a_write_carries_the_cursor() -> None:
    said = [json.loads(line) for line in (GOLDEN / "stream.ndjson").read_bytes().split(b"\n")[:-1]]
    of_sse = [json.loads(each.data) for each in decode((GOLDEN / "stream.sse").read_bytes()) if each.type != "hello"]
    assert [each.get("cursor") for each in said] == [None] * 6 + ["Ag", "Aw", "Aw"]
    for line in said[:-1]:
        line.pop("cursor", None)
    assert said == of_sse[: len(said)]


def test_only_messages_have_an_id_of_their_own() -> None:
    ids = [json.loads(wire.event_data(event)).get("id") for event in EVENTS]
    assert ids == [None, None, "general:3", "general:4", None, None, None, None]


def test_a_sender_gets_back_what_readers_get() -> None:
    draft = Draft("ada", "x", wire.draft_body("ada", "x", "c", 2), "c")
    sent = json.loads(wire.sent_message(Sent("general", 1764, 3, TS), draft))
    event = json.loads(wire.event_data(Event("general", 1764, 3, "message", TS, draft.body, 9, 1)))
    assert event.pop("type") == "message"
    assert sent == event


def test_a_message_in_its_present_state() -> None:
    event = EVENTS[2]
    message = Message(
        event, "ada", {"text": "hello", "client_id": "c-1"}, edited_at=TS + 2, reactions={"👍": ["bob", "cat"]}
    )
    assert wire.message_object(message) == {
        "id": "general:3",
        "room": "general",
        "seq": 3,
        "epoch": 1764,
        "ts": "2026-11-23T06:04:00.123Z",
        "sender": "ada",
        "text": "hello",
        "client_id": "c-1",
        "edited_at": "2026-11-23T06:04:00.125Z",
        "reactions": [{"emoji": "👍", "count": 2, "users": ["bob", "cat"]}],
    }


def test_a_deleted_message_shows_nothing_of_what_it_said() -> None:
    gone = Message(
        EVENTS[2], "ada", {"text": "secret", "client_id": "c"}, edited_at=TS, deleted=True, reactions={"x": ["bob"]}
    )
    shown = wire.message_object(gone)
    assert shown["deleted"] is True
    assert set(shown) == {"id", "room", "seq", "epoch", "ts", "sender", "deleted"}


def test_a_write_without_a_cursor_leaves_the_last_id_as_it_was() -> None:
    frame = wire.control_frame("degraded", reason="x")
    assert decode(wire.sse([frame], b"A") + wire.sse([frame], None)) == [
        Seen("degraded", frame.data.decode(), "A"),
        Seen("degraded", frame.data.decode(), "A"),
    ]


def test_a_problem_points_to_its_documentation() -> None:
    problem = wire.problem("room_taken", 409, "The room name is taken", "Choose another.", {"room": "x"})
    assert problem == {
        "type": "/docs/errors#room_taken",
        "title": "The room name is taken",
        "status": 409,
        "detail": "Choose another.",
        "code": "room_taken",
        "room": "x",
    }
