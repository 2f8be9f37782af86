"""Short names of emoji."""

from __future__ import annotations

import unicodedata

import pytest

from dchat_client.emoji import SHORTCODES, emoji_of, names_like, with_emoji


@pytest.mark.parametrize(
    ("text", "emoji"),
    [(":tada:", "🎉"), (":+1:", "👍"), ("🎉", "🎉"), (":nonsense:", ":nonsense:"), ("tada", "tada"), ("::", "::")],
)
def test_a_short_name_becomes_its_emoji_and_everything_else_stays(text: str, emoji: str) -> None:
    assert emoji_of(text) == emoji


def test_short_names_inside_a_text_are_replaced() -> None:
    assert with_emoji("ship it :rocket::tada: at 10:30:15 :no_such:") == "ship it 🚀🎉 at 10:30:15 :no_such:"


def test_names_are_completed_shortest_first() -> None:
    assert names_like(":thumbs") == [":thumbsup:", ":thumbsdown:"]
    assert names_like("star", limit=1) == [":star:"]


def test_the_server_takes_every_emoji_of_the_table() -> None:
    for name, emoji in SHORTCODES.items():
        assert 1 <= len(emoji) <= 32, name
        assert not any(char.isspace() or unicodedata.category(char) in ("Cc", "Cs", "Co") for char in emoji), name
