from __future__ import annotations

import pytest

from dchat_client.gui import glyphs


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("plain", [("plain", False)]),
        ("hi 😀!", [("hi ", False), ("😀", True), ("!", False)]),
        ("❤️ and ❤", [("❤️", True), (" and ❤", False)]),
        ("👍🏽👨‍👩‍👧", [("👍🏽👨‍👩‍👧", True)]),
        ("你好 → 1", [("你好 → 1", False)]),
        ("", [("", False)]),
    ],
)
def test_runs_tell_pictures_from_text(text: str, found: list[tuple[str, bool]]) -> None:
    assert list(glyphs.runs(text)) == found


def test_runs_lose_nothing() -> None:
    text = "a😀b❤️c1️⃣d🇩🇪e👍🏽"
    assert "".join(run for run, _ in glyphs.runs(text)) == text


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("👍🏽", "👍"),
        ("👨‍👩‍👧", "👨👩👧"),
        ("1️⃣", "1"),
        ("🇩🇪 🇫🇷", "DE FR"),
        ("❤️", "❤"),
        ("नमस्ते क्‍ष", "नमस्ते क्‍ष"),
    ],
)
def test_what_x11_draws_in_pieces_is_drawn_simpler(text: str, drawn: str) -> None:
    assert glyphs.simplified(text) == drawn


def test_a_library_that_colour_pictures_would_bring_down_gets_none() -> None:
    old, new = glyphs.drawn_by("x11", lambda: 20304), glyphs.drawn_by("x11", lambda: 20306)
    assert old("well done 🎉") == "well done :party popper:"
    assert new("well done 🎉👍🏽") == "well done 🎉👍"


def test_other_systems_draw_everything_themselves() -> None:
    assert glyphs.drawn_by("aqua")("👍🏽 🇩🇪") == "👍🏽 🇩🇪"


@pytest.mark.parametrize(
    ("text", "is_so"), [("🎉🎉", True), ("👍🏽", True), ("hi 🎉", False), ("", False), ("🎉" * 40, False)]
)
def test_a_few_pictures_alone_are_shown_large(text: str, is_so: bool) -> None:
    assert glyphs.is_pictures(text) is is_so
