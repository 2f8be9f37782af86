"""How lines look as rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from rich.cells import cell_len

from dchat_client.errors import Refused
from dchat_client.transcript import Line, Sending
from dchat_client.tui.rows import MOST_ROWS, Around, Measure, Row, follows, moment, rows_of

MEASURE = Measure.of(60)


def line(text: str = "hi", **more: Any) -> Line:
    return Line(**{"kind": "message", "seq": 7, "epoch": 1, "ts": "?", "sender": "bob", "text": text, **more})


def shown(rows: tuple[Row, ...]) -> list[str]:
    return ["".join(text for text, _ in row).rstrip() for row in rows]


def styles(rows: tuple[Row, ...], text: str) -> list[str]:
    return [style for row in rows for part, style in row if part == text]


def test_a_message_has_time_name_and_text_and_goes_on_under_its_text() -> None:
    rows = shown(rows_of(line("a word " * 12), Around(), MEASURE, "ada"))
    assert rows[0] == " --:-- bob        a word a word a word a word a word a word"
    assert rows[1].startswith(" " * MEASURE.margin + "a word")


def test_a_message_right_after_one_of_the_same_person_says_neither_name_nor_minute() -> None:
    assert shown(rows_of(line(), Around(same_sender=True, same_minute=True), MEASURE, "ada")) == [" " * 18 + "hi"]


@pytest.mark.parametrize(
    ("more", "rows"),
    [
        ({"edited": True}, ["hi (edited)"]),
        ({"deleted": True, "text": ""}, ["(deleted)"]),
        ({"reactions": {"👍": ["ada", "eve"], "🎉": ["bob"]}}, ["hi", "👍 2  🎉 1"]),
        ({"text": "_waves_"}, ["waves"]),
        ({"sending": Sending.FAILED, "error": Refused("too much", code="x")}, ["hi", "not sent: too much"]),
        ({"text": "a\n\nb"}, ["a", "", "b"]),
    ],
)
def test_what_became_of_a_message_is_seen(more: dict[str, Any], rows: list[str]) -> None:
    assert [row[MEASURE.margin :] for row in shown(rows_of(line(**more), Around(), MEASURE, "ada"))] == rows


def test_pending_and_failed_ones_are_told_apart_without_colours() -> None:
    (pending,) = shown(rows_of(line(sending=Sending.PENDING), Around(), MEASURE, "ada"))
    failed = shown(rows_of(line(sending=Sending.FAILED), Around(), MEASURE, "ada"))[0]
    assert pending.split()[0] == "…"
    assert failed.split()[0] == "✗"


def test_days_and_what_is_new_have_lines_of_their_own() -> None:
    rows = shown(rows_of(line(), Around(day=date(2026, 11, 7), is_first_unread=True), MEASURE, "ada"))
    assert " Saturday, 7 November 2026 " in rows[0]
    assert " new " in rows[1]
    assert {cell_len(row) for row in rows[:2]} == {MEASURE.width - 1}


def test_what_is_answered_is_quoted_in_one_row() -> None:
    rows = shown(rows_of(line(reply_to=3), Around(quote=("eve", "long " * 40)), MEASURE, "ada"))
    assert rows[0].startswith(" --:-- bob        ╭ eve: long long")
    assert rows[0].endswith("…")
    assert rows[1].strip() == "hi"
    rows = shown(rows_of(line(reply_to=3), Around(quote=("", "")), MEASURE, "ada"))
    assert "╭ an answer to message 3" in rows[0]


def test_who_is_called_stands_out_and_oneself_most() -> None:
    rows = rows_of(line("@ada and @bob. not a@ada"), Around(), MEASURE, "ada")
    assert styles(rows, "@ada") == ["call me"]
    assert styles(rows, "@bob") == ["name bob"]


def test_ones_own_reactions_stand_out() -> None:
    rows = rows_of(line(reactions={"👍": ["ada"], "🎉": ["bob"]}), Around(), MEASURE, "ada")
    assert styles(rows, "👍 1") == ["my reaction"]
    assert styles(rows, "🎉 1") == ["reaction"]


def test_nothing_of_others_gets_through_as_it_is() -> None:
    hostile = "\x1b[2J\u202e"
    dirty = line(
        hostile,
        sender=hostile,
        reactions={hostile: ["x"]},
        sending=Sending.FAILED,
        error=Refused(hostile, code="x"),
        reply_to=1,
    )
    notice = line(kind="member", sender=hostile, event={"type": "member", "action": "kick", "user": hostile})
    for each in (dirty, notice):
        for row in shown(rows_of(each, Around(quote=(hostile, hostile)), MEASURE, "ada")):
            assert not set(row) & set(hostile[0] + hostile[-1]), row


@pytest.mark.parametrize("width", [10, 24, 39, 60, 100, 300])
def test_no_row_is_wider_than_the_view(width: int) -> None:
    measure = Measure.of(width)
    many = {chr(0x1F600 + number): ["x"] for number in range(60)}
    text = "漢字" * 40 + " word" * 30 + "x" * 200
    for each in (
        line(text, reactions=many),
        line("x", sender="n" * 40, reply_to=1),
        line(kind="room", event={"topic": text}),
    ):
        for row in shown(rows_of(each, Around(quote=("q" * 40, text)), measure, "ada")):
            assert cell_len(row) <= max(width, 24)


def test_a_message_of_very_many_lines_has_an_end() -> None:
    rows = rows_of(line("x\n" * 16_000), Around(), MEASURE, "ada")
    assert len(rows) <= MOST_ROWS + 1


def test_who_goes_on_is_told_by_person_time_and_state() -> None:
    first = line(ts="2026-11-27T10:00:00Z")
    assert follows(None, first) == (False, False)
    assert follows(first, line(ts="2026-11-27T10:00:30Z")) == (True, True)
    assert follows(first, line(ts="2026-11-27T10:02:00Z")) == (True, False)
    assert follows(first, line(ts="2026-11-27T10:06:00Z")) == (False, False)
    assert follows(first, line(ts="2026-11-27T10:00:30Z", sender="eve")) == (False, False)
    assert follows(first, replace(first, sending=Sending.PENDING)) == (False, False)
    assert moment("nonsense").day is None
