"""What was done, in words."""

from __future__ import annotations

import pytest

from dchat_client.deeds import deed


def test_names_and_topics_in_it_are_harmless() -> None:
    assert deed({"type": "member", "action": "kick", "user": "\x1b[2J"}) == "removed ␛[2J"
    assert deed({"type": "room", "action": "update", "topic": "a\nb"}) == "changed the room, topic: a␊b"


@pytest.mark.parametrize("event", [{}, {"type": "message", "text": "x"}, {"type": "typing"}])
def test_what_is_no_deed_has_no_words(event: dict[str, str]) -> None:
    assert deed(event) is None


def test_an_action_nobody_has_heard_of_is_still_told() -> None:
    assert deed({"type": "member", "action": "promote", "user": "bob"}) == "changed bob"
    assert deed({"type": "room", "action": "paint"}) == "changed the room"
