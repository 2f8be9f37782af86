"""How events look."""

from __future__ import annotations

from typing import Any

import pytest

from dchat_client.cli.lines import Lines
from dchat_client.terminal import Style

PLAIN = Lines(Style(False))


def shown(**event: Any) -> list[str]:
    return [line.removeprefix("--:-- ") for line in PLAIN.of({"ts": "?", "sender": "ada", **event})]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        ({"type": "message", "text": "hi"}, "ada: hi"),
        ({"text": "hi"}, "ada: hi"),
        ({"text": "hi", "reply_to": 3, "edited_at": "x"}, "ada (to 3): hi (edited)"),
        ({"text": "hi", "reactions": [{"emoji": "👍", "count": 2}]}, "ada: hi  👍 2"),
        ({"deleted": True}, "ada: (deleted)"),
        ({"type": "edit", "target": 3, "text": "ho"}, "* ada changed #3 to: ho"),
        ({"type": "delete", "target": 3}, "* ada deleted #3"),
        ({"type": "reaction", "target": 3, "emoji": "👍", "action": "add"}, "* ada reacted with 👍 on #3"),
        ({"type": "reaction", "target": 3, "emoji": "👍", "action": "remove"}, "* ada took back 👍 on #3"),
        ({"type": "member", "user": "ada", "action": "join"}, "* ada joined"),
        ({"type": "member", "user": "ada", "action": "leave"}, "* ada left"),
        ({"type": "member", "user": "bob", "action": "invite"}, "* ada brought in bob"),
        ({"type": "member", "user": "bob", "action": "kick"}, "* ada removed bob"),
        ({"type": "member", "user": "bob", "action": "role", "role": "reader"}, "* ada made bob reader"),
        ({"type": "room", "action": "create", "topic": "us"}, "* ada made the room, topic: us"),
        ({"type": "room", "action": "archive", "topic": ""}, "* ada archived the room"),
    ],
)
def test_each_type_has_its_words(event: dict[str, Any], line: str) -> None:
    assert shown(**event) == [line]


def test_an_unknown_type_has_none() -> None:
    assert shown(type="typing") == []


def test_room_number_and_time_are_shown_on_wish() -> None:
    event = {"ts": "2020-01-02T03:04:05.678Z", "room": "lobby", "seq": 7, "sender": "ada", "text": "x"}
    (line,) = Lines(Style(False), show_room=True, show_seq=True).of(event)
    assert line.startswith("2020-01-0")
    assert line.endswith(" lobby #7 ada: x")


def test_colours_stand_around_cleaned_text_only() -> None:
    (line,) = Lines(Style(True)).of({"ts": "?", "sender": "m\x1b[0m", "text": "\x1b[31mx"})
    assert line.count("\x1b[") == 4
    assert line.endswith(": ␛[31mx")
