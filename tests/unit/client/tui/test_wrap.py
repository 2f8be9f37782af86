"""Rows are never wider than there is room, and nothing but spaces is lost between them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from dchat_client.terminal import clean
from dchat_client.tui.wrap import cut, padded, steady, wrap

texts = st.text(
    st.one_of(st.sampled_from("ab  \u0301漢字👍🏽\u200d👩❤\ufe0f🇩🇪\u2640ก็نि"), st.characters(codec="utf-8")),
    max_size=80,
).map(clean)


@pytest.mark.parametrize(
    ("text", "width", "rows"),
    [
        ("", 10, [""]),
        ("one two three", 8, ["one two", "three"]),
        ("one two", 7, ["one two"]),
        ("one    two", 5, ["one", "two"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("    indented code", 10, ["    indent", "ed code"]),
        ("漢字漢字", 5, ["漢字", "漢字"]),
        ("see 漢字漢字 there", 8, ["see 漢字", "漢字", "there"]),
        ("e\u0301e\u0301e\u0301", 2, ["e\u0301e\u0301", "e\u0301"]),
        ("🇩🇪🇫🇷", 3, ["🇩🇪", "🇫🇷"]),
    ],
)
def test_lines_break_where_people_would(text: str, width: int, rows: list[str]) -> None:
    assert wrap(text, width) == rows


@given(texts, st.integers(2, 30))
def test_no_row_is_too_wide_and_only_spaces_go(text: str, width: int) -> None:
    rows = wrap(text, width)
    assert rows
    assert all(cell_len(row) <= width for row in rows)
    assert "".join(rows).replace(" ", "") == steady(text).replace(" ", "")


@given(texts, st.integers(1, 30))
def test_cut_and_padded_text_has_the_width_that_was_asked_for(text: str, width: int) -> None:
    assert cell_len(cut(text, width)) <= width
    assert cell_len(padded(text, width)) == width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("👍🏽", "👍"),
        ("👨\u200d👩\u200d👧", "👨👩👧"),
        ("🤷\u200d♂\ufe0f", "🤷"),
        ("❤\ufe0f", "❤"),
        ("क\u094d\u200dष", "क\u094d\u200dष"),
        ("plain é 漢字", "plain é 漢字"),
    ],
)
def test_what_terminals_measure_differently_is_shown_in_a_form_they_agree_on(text: str, shown: str) -> None:
    assert steady(text) == shown


def test_a_heap_of_marks_does_not_cover_other_rows() -> None:
    assert len(steady("a" + "\u0301" * 5000 + "b")) < 20


def test_long_words_take_time_in_proportion() -> None:
    began = time.process_time()
    for text in ("a" * 16_384, "漢" * 5_000, "🇩" * 4_000, "a " * 8_000, " " * 16_000, "e\u0301" * 5_000):
        wrap(text, 40)
    assert time.process_time() - began < 5  # squares would take minutes
