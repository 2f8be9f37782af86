"""Which key does what."""

from __future__ import annotations

from pathlib import Path

import pytest

from dchat_client.config import ConfigError
from dchat_client.tui.composer import Composer
from dchat_client.tui.everywhere import Everywhere
from dchat_client.tui.keymap import KEYS, actions, first_key, help_rows, read_keys, shown
from dchat_client.tui.view import TranscriptView

FILE = Path("tui.toml")


def test_every_key_has_something_that_does_it() -> None:
    owners = {"everywhere": Everywhere, "input": Composer, "messages": TranscriptView}
    for key in KEYS:
        assert hasattr(owners[key.where], f"action_{key.name}"), key.name


def test_the_usual_keys_do_one_thing_each_in_each_place() -> None:
    assert read_keys({}, FILE) == {}
    assert actions("everywhere", {})["ctrl+k"] == "switch_room"
    assert not actions("everywhere", {}).keys() & actions("input", {}).keys()


def test_a_file_may_change_and_take_away_keys() -> None:
    changed = read_keys({"switch_room": "f9 ctrl+g", "reconnect": ""}, FILE)
    table = actions("everywhere", changed)
    assert table["f9"] == table["ctrl+g"] == "switch_room"
    assert "ctrl+k" not in table
    assert "f5" not in table
    assert first_key("switch_room", changed) == "F9"
    assert first_key("reconnect", changed) == ""


def test_two_keys_may_be_swapped() -> None:
    changed = read_keys({"next_room": "alt+up", "previous_room": "alt+down"}, FILE)
    assert actions("everywhere", changed)["alt+up"] == "next_room"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"fly": "f9"}, "no key named 'fly'"),
        ({"quit": 3}, "must be a text"),
        ({"quit": "ctrl-q"}, "'ctrl-q' is no key"),
        ({"quit": "f2"}, "f2 cannot be both toggle_rooms and quit"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_place(table: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=r"^tui\.toml: ") as raised:
        read_keys(table, FILE)
    assert words in str(raised.value)


def test_help_tells_the_keys_in_force() -> None:
    rows = dict(row for _, rows in help_rows({"switch_room": ("f9",)}) for row in rows)
    assert rows["F9"].startswith("go to a room")
    assert shown(["alt+enter", "pageup", "ctrl+underscore", "j"]) == "Alt-Enter, PgUp, Ctrl-_, j"
