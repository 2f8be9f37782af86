from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat_client.gui import bidi


def shown(text: str, right_to_left: bool | None = None) -> str:
    direction = bidi.is_right_to_left(text) if right_to_left is None else right_to_left
    return "".join(text[place] for place in bidi.seen(text, right_to_left=direction))


@pytest.mark.parametrize(
    ("text", "is_seen"),
    [
        ("abc", "abc"),
        ("שלום", "םולש"),
        ("שלום עולם", "םלוע םולש"),
        ("abc שלום def", "abc םולש def"),
        ("שלום abc עולם", "םלוע abc םולש"),
        ("שלום 123 עולם", "םלוע 123 םולש"),
        ("abc שלום עולם def", "abc םלוע םולש def"),
        ("abc שלום 12:30 עולם", "abc םלוע 12:30 םולש"),
        ("שלום, abc!", "!abc ,םולש"),
        ("abc שלום!", "abc םולש!"),
    ],
)
def test_a_line_is_put_into_the_order_in_which_it_is_seen(text: str, is_seen: str) -> None:
    assert shown(text) == is_seen


def test_a_paragraph_runs_as_its_first_strong_letter_does() -> None:
    assert bidi.is_right_to_left("123 שלום abc")
    assert not bidi.is_right_to_left("123 abc שלום")
    assert not bidi.is_right_to_left("123 …")


def test_a_mark_stays_behind_its_letter() -> None:
    assert shown("שָׁב") == "בשָׁ"


@given(st.text(st.sampled_from("ab שלםمرحبا12,.:!()\u0301ָ"), max_size=40), st.booleans())
def test_nothing_is_lost_or_doubled(text: str, right_to_left: bool) -> None:
    assert sorted(bidi.seen(text, right_to_left=right_to_left)) == list(range(len(text)))
    assert len(bidi.shaped(text)) == len(text)


@given(st.text(st.sampled_from("abcdef \u05d0"), max_size=60), st.integers(1, 12))
def test_lines_cover_the_paragraph_and_fit(text: str, width: int) -> None:
    lines = bidi.broken(text, lambda piece: len(piece.rstrip()) <= width)
    assert "".join(text[start:end] for start, end in lines) == text
    assert all(len(text[start:end].rstrip()) <= width for start, end in lines)


def test_a_line_is_broken_between_words_when_it_can_be() -> None:
    text = "aaa bbb ccc"
    assert [text[start:end] for start, end in bidi.broken(text, lambda piece: len(piece) <= 8)] == ["aaa bbb ", "ccc"]


def test_arabic_letters_take_the_forms_they_have_beside_each_other() -> None:
    # beh alone; beh-beh: initial and final; alef does not join what follows it
    assert bidi.shaped("ب") == "\ufe8f"
    assert bidi.shaped("بب") == "\ufe91\ufe90"
    assert bidi.shaped("ببب") == "\ufe91\ufe92\ufe90"
    assert bidi.shaped("اب") == "\ufe8d\ufe8f"
    assert bidi.shaped("با") == "\ufe91\ufe8e"


def test_a_mark_between_two_letters_does_not_part_them() -> None:
    assert bidi.shaped("بَب") == "\ufe91\u064e\ufe90"


def test_brackets_are_turned_round() -> None:
    assert bidi.mirrored("(") == ")"
    assert bidi.mirrored("a") == "a"


@pytest.mark.parametrize(("text", "is_so"), [("abc 你好 😀", False), ("abc ש", True), ("م", True)])
def test_only_lines_that_need_it_are_turned(text: str, is_so: bool) -> None:
    assert bidi.needs_turning(text) is is_so
