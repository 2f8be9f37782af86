"""Completing names, rooms, emoji and commands."""

from __future__ import annotations

import pytest

from dchat_client.completion import MOST_OPTIONS, Sources, complete

SOURCES = Sources(("ada", "alan", "bob"), ("lobby", "dev", "design"))


def options(text: str, *, asked: bool = False) -> list[str]:
    found = complete(text, SOURCES, asked=asked)
    return [] if found is None else [text[: found.start] + option.text for option in found.options]


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("@a", ["@ada ", "@alan "]),
        ("hello @b", ["hello @bob "]),
        ("(@al", ["(@alan "]),
        ("mail@a", []),
        ("see #de", ["see #dev ", "see #design "]),
        ("/jo", ["/join "]),
        ("/join l", ["/join lobby "]),
        ("/join #d", ["/join dev ", "/join design "]),
        ("/msg a", ["/msg ada ", "/msg alan "]),
        ("/msg ada @b", ["/msg ada @bob "]),
        ("/notify m", ["/notify mentions "]),
        ("/nothing", []),
        ("//jo", []),
        ("a\n/jo", []),
        ("fine :tada", ["fine 🎉 "]),
        ("at 10:3", []),
        ("ok :", []),
        ("", []),
    ],
)
def test_what_begins_with_a_sign_is_offered_while_writing(text: str, completed: list[str]) -> None:
    assert options(text) == completed


def test_a_bare_word_is_completed_to_a_name_only_when_asked() -> None:
    assert options("al") == []
    assert options("al", asked=True) == ["@alan "]
    assert options("tell al", asked=True) == ["tell @alan "]
    assert options("tell ", asked=True) == []


def test_emoji_are_found_by_short_names_and_by_their_unicode_names() -> None:
    assert "👍 " in options(":thumbs")
    assert "🦒 " in options(":giraf")
    assert len(options(":face")) == MOST_OPTIONS
