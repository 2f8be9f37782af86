"""Emoji to choose from."""

from __future__ import annotations

from dchat_client.pictures import MOST_USED, is_reaction, named


def test_short_names_come_before_what_has_the_letters_inside() -> None:
    assert named("tada", 3)[0] == ("tada", "🎉")
    assert [emoji for _, emoji in named("rocket", 1)] == ["🚀"]


def test_an_emoji_is_offered_once_whatever_its_names() -> None:
    found = [emoji for _, emoji in named("thumb", 20)]
    assert len(found) == len(set(found))


def test_what_may_be_a_reaction() -> None:
    assert all(is_reaction(emoji) for emoji in (*MOST_USED, "1️⃣", "🇩🇪", "👨\u200d👩\u200d👧"))
    assert not any(is_reaction(text) for text in ("", "ok", "1", "👍 ", "漢", "-", "👍" * 20))
