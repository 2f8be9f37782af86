"""Chunks: what goes in comes out, within bounds, and damage is noticed."""

from __future__ import annotations

import random
import secrets
from typing import Any

import pytest

from dchat_server import wire
from dchat_server.chunk import MAX_BYTES, MAX_EVENTS, BadChunk, Row, State, decode, encode, pack
from dchat_server.model import Event
from tests.data.chatlog import chat_log


def rows_of(bodies: list[bytes], first: int = 1, kinds: str = "message", seed: int = 1) -> list[Row]:
    dice = random.Random(seed)
    ts, offset, messages, epoch = 1_764_000_000_000, 1000, 10, 5
    rows = []
    for at, body in enumerate(bodies):
        ts, offset = ts + dice.choice([0, 1, 5000]), offset + dice.choice([1, 1, 40])
        epoch += dice.random() < 0.05
        kind = dice.choice(kinds.split())
        messages += kind == "message"
        rows.append(Row(Event("lobby", epoch, first + at, kind, ts, body, offset, messages)))
    return rows


def body(**fields: Any) -> bytes:
    return wire.fields(**fields)


def test_every_kind_of_event_and_state_comes_back_as_it_was() -> None:
    rows = rows_of(
        [body(sender="ada", text=f"tëxt\\n {at}") for at in range(150)], 70, "message edit delete member room"
    )
    rows = [
        row._replace(state=State("new", 5, None, ((9, "👍🏽", "ada"), (11, "x", "bob")), ((3, 4), (9, 9))))
        if at % 7 == 0
        else row._replace(state=State(deleted_at=77))
        if at % 7 == 1
        else row
        for at, row in enumerate(rows)
    ]
    (packed,) = pack(rows)
    assert decode("lobby", packed.data) == rows


IDS = (
    None,
    "5f0c9a8e7d6b5a4938271605",
    "5F0C9A8E",
    "abc",
    "0f8b6a52-1c6e-4d3b-9a7e-2f1d0c9b8a76",
    "0f8b6a52-1C6e-4d3b-9a7e-2f1d0c9b8a76",
    "0f8b6a521c6e-4d3b-9a7e-2f1d0c9b8a76",
    "a1b2c3d4e5f60718-15",
    "-",
    "u",
    "h3",
    "with a space",
    'quote " and \\ backslash',
    "ünïcode",
    "ab" * 32,
)


def test_messages_of_every_form_come_back_byte_for_byte() -> None:
    dice = random.Random(2)
    bodies = [
        wire.draft_body(
            dice.choice(["ada", "b.o-b_9"]), text, dice.choice(IDS), dice.choice([None, 1, 70, 5000, 1 << 52])
        )
        for _, text in chat_log(600)
    ]
    bodies += [
        wire.draft_body("ada", text, client_id, reply_to)
        for text in ("", "\\", '"', "a\\", '\\"', "x")
        for client_id in IDS
        for reply_to in (None, 3)
    ]
    # Forms that no draft has today, or not quite.
    bodies += [
        b'"sender":"ada","text":"x","reply_to":0}',
        b'"sender":"ada","text":"x","reply_to":007}',
        b'"sender":"ada","text":"x","reply_to":-5}',
        b'"sender":"ada","text":"x","reply_to":99999999999999999999}',
        b'"sender":"ada", "text":"x"}',
        b'"sender":"ADA","text":"x"}',
        b'"text":"x","sender":"ada"}',
        b'"sender":"ada","text":"x","more":1}',
        b'"sender":"ada","deleted":true}',
        b'"sender":"ada","text":"x"}}',
        b"}",
    ]
    rows = rows_of(bodies, 60)
    packed = pack(rows)
    assert [row for each in packed for row in decode("lobby", each.data)] == rows
    mixed = rows_of(bodies, 60, "message edit delete reaction member room")
    assert [row for each in pack(mixed) for row in decode("lobby", each.data)] == mixed


def test_a_body_of_two_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="one line"):
        encode(rows_of([b'"sender":"ada",\n"text":"x"}']))


def test_ids_take_no_more_than_the_chance_in_them() -> None:
    bare, with_ids = (
        encode(rows_of([wire.draft_body("ada", f"text {at}", client_id(), None) for at in range(200)]))
        for client_id in (lambda: None, lambda: secrets.token_hex(12))
    )
    assert len(with_ids) < len(bare) + 200 * 12 + 100


def test_a_chunk_has_at_most_200_events_and_they_are_as_few_as_that_allows() -> None:
    rows = rows_of([body(sender="ada", text="x")] * 450)
    packed = pack(rows)
    assert [len(each.rows) for each in packed] == [MAX_EVENTS, MAX_EVENTS, 50]
    assert [row for each in packed for row in decode("lobby", each.data)] == rows


def test_large_events_make_smaller_chunks() -> None:
    rows = rows_of([body(sender="ada", text=secrets.token_hex(8000)) for _ in range(40)])
    packed = pack(rows)
    assert max(len(each.data) for each in packed) <= MAX_BYTES
    assert [row for each in packed for row in decode("lobby", each.data)] == rows
    (single,) = pack(rows_of([body(sender="ada", text=secrets.token_hex(100_000))]))
    assert len(single.rows) == 1


def test_what_is_not_dense_or_empty_is_refused() -> None:
    rows = rows_of([body(sender="ada", text="x")] * 3)
    with pytest.raises(ValueError, match="follows"):
        pack([rows[0], rows[2]])
    with pytest.raises(ValueError, match="at least one"):
        pack([])


def test_damage_and_other_versions_are_noticed() -> None:
    data = encode(rows_of([body(sender="ada", text="x")] * 9))
    for bad in (b"", b"\\x00" + data[1:], b"\\xff" + data[1:], data[:-1], data[:1], data[:9] + b"xx" + data[11:]):
        with pytest.raises(BadChunk):
            decode("lobby", bad)
