"""Which key does what: one table, from which the help and docs/tui.md are made, and which a file may change.

Keys have Textual's names: `ctrl+k`, `alt+enter`, `f1`, `pageup`, `r`. Several may do the same. What one does has
the name of an `action_` method: of the app (everywhere), the composer (input) or the view (messages).

The app looks keys up itself, in the order in which they come, one after the other. Textual's bindings would let a
letter overtake an Enter before it, for the letter is done by the input and the Enter by the app; so a fast hand would
send something else than it wrote, or to another room.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, cast

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS

from dchat_client.config import ConfigError

Where = Literal["everywhere", "input", "messages"]


@dataclass(frozen=True, slots=True)
class Key:
    """`name` is what the file calls it; `keys` what it is bound to unless the file says otherwise."""

    name: str
    keys: tuple[str, ...]
    about: str
    where: Where


def _keys(where: Where, *rows: tuple[str, str, str]) -> tuple[Key, ...]:
    return tuple(Key(name, tuple(keys.split()), about, where) for name, keys, about in rows)


KEYS: tuple[Key, ...] = (
    *_keys(
        "everywhere",
        ("switch_room", "ctrl+k", "go to a room by some letters of its name"),
        ("next_unread", "alt+a", "go to the next room with something unread, those with mentions first"),
        ("next_room", "alt+down", "go to the room below"),
        ("previous_room", "alt+up", "go to the room above"),
        ("scroll_older", "pageup", "read back by a page; older messages are fetched"),
        ("scroll_newer", "pagedown", "read on by a page"),
        ("scroll_oldest", "ctrl+home", "go to the oldest message loaded"),
        ("scroll_newest", "ctrl+end", "go to the newest message"),
        ("select_message", "ctrl+up f7", "select a message, to answer it or do something else with it"),
        ("toggle_rooms", "f2", "show or hide the list of rooms"),
        ("search", "f3", "search"),
        ("notify_level", "f4", "change what this room notifies of: all, mentions, none"),
        ("reconnect", "f5", "connect again now"),
        ("members", "f6", "show the members of the room"),
        ("help", "f1", "show this help"),
        ("suspend_process", "ctrl+z", "go back to the shell; `fg` returns"),
        ("quit", "ctrl+q", "quit; what is not sent yet is kept"),
    ),
    *_keys(
        "input",
        ("send", "enter", "send"),
        ("newline", "alt+enter ctrl+j", "begin a new line"),
        ("complete", "tab", "complete a name, room, emoji or command; again: the next one"),
        ("complete_back", "shift+tab", "the completion before"),
        ("leave_off", "escape", "stop answering, editing or completing"),
        ("history_back", "up ctrl+p", "what you sent before (from the first line)"),
        ("history_forward", "down ctrl+n", "what you sent after that (from the last line)"),
        ("history_search", "ctrl+r", "what you sent that has the present text in it; again: further back"),
        ("clear", "ctrl+c", "copy what is selected, else clear the input"),
        ("cursor_left", "left ctrl+b", "one sign left"),
        ("cursor_right", "right ctrl+f", "one sign right"),
        ("cursor_word_left", "ctrl+left alt+b alt+left", "one word left"),
        ("cursor_word_right", "ctrl+right alt+f alt+right", "one word right"),
        ("cursor_line_start", "home ctrl+a", "to the start of the line"),
        ("cursor_line_end", "end ctrl+e", "to the end of the line"),
        ("delete_left", "backspace", "delete the sign before the cursor"),
        ("delete_right", "delete ctrl+d", "delete the sign at the cursor"),
        ("kill_word_left", "ctrl+w alt+backspace", "cut the word before the cursor"),
        ("kill_word_right", "alt+d", "cut the word behind the cursor"),
        ("kill_to_start", "ctrl+u", "cut to the start of the line"),
        ("kill_to_end", "alt+k", "cut to the end of the line (Ctrl-K goes to a room)"),
        ("yank", "ctrl+y", "put back what was cut last"),
        ("transpose", "ctrl+t", "swap the two signs around the cursor"),
        ("undo", "ctrl+underscore", "undo"),
    ),
    *_keys(
        "messages",
        ("select_older", "up k", "select the message above"),
        ("select_newer", "down j", "select the message below; below the last one is the input"),
        ("reply", "r enter", "answer it"),
        ("react", "plus e", "react with an emoji; the same one again takes it back"),
        ("edit", "i", "edit it, if it is yours"),
        ("delete", "d delete", "delete it, after a question"),
        ("copy", "c y", "copy its text (by OSC 52, so also through ssh)"),
        ("jump", "g", "go to the message that it answers"),
        ("mark_unread", "u", "mark it and what follows as unread"),
        ("retry", "t", "send it again, if it failed"),
        ("cancel", "x", "take it back, if it failed or waits"),
        ("deselect", "escape tab", "back to the input"),
    ),
)

TITLES: dict[Where, str] = {
    "everywhere": "Everywhere",
    "input": "Writing",
    "messages": "On a selected message",
}
_NAMED = {key.name: key for key in KEYS}
_KEY = re.compile(r"(?:(?:ctrl|alt|shift|super)\+)*(?:[a-z0-9_]+|[A-Z])")


class _Legacy(Enum):
    """Keys that terminals without the kitty protocol do send, and Textual takes for two."""

    ALT_ENTER = "alt+enter"
    ALT_UP = "alt+up"
    ALT_DOWN = "alt+down"
    ALT_LEFT = "alt+left"
    ALT_RIGHT = "alt+right"


def teach_legacy_keys() -> None:
    """Have Textual know what xterm, tmux and the like send for Alt with Enter and the arrows."""
    sequences = {"\r": _Legacy.ALT_ENTER, "[1;3A": _Legacy.ALT_UP, "[1;3B": _Legacy.ALT_DOWN}
    sequences |= {"[1;3C": _Legacy.ALT_RIGHT, "[1;3D": _Legacy.ALT_LEFT}
    known = cast("dict[str, Any]", ANSI_SEQUENCES_KEYS)
    known.update({f"\x1b{sequence}": (key,) for sequence, key in sequences.items()})


def actions(where: Where, changed: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return key → name of what it does in that place."""
    return {each: key.name for key in KEYS if key.where == where for each in changed.get(key.name, key.keys)}


def read_keys(table: Mapping[str, object], path: Path) -> dict[str, tuple[str, ...]]:
    """Return what `[keys]` of a file changes: name → keys, none of them empty tuples' meaning "not at all".

    A value is one text with keys between spaces. Raises ConfigError for an unknown name, something that is no
    key, and a key that would do two things in the same place.
    """
    changed: dict[str, tuple[str, ...]] = {}
    for name, value in table.items():
        if name not in _NAMED:
            raise ConfigError(f"{path}: there is no key named {name!r}; docs/tui.md and F1 list them.")
        if not isinstance(value, str):
            raise ConfigError(f'{path}: {name} must be a text with keys in it, as in "ctrl+k f9".')
        keys = tuple(value.split())
        for key in keys:
            if not _KEY.fullmatch(key):
                raise ConfigError(f"{path}: {name}: {key!r} is no key; write it as ctrl+k, alt+enter, f9, plus or r.")
        changed[name] = keys
    _check_clashes(changed, path)
    return changed


def _check_clashes(changed: Mapping[str, tuple[str, ...]], path: Path) -> None:
    taken: dict[tuple[Where, str], str] = {}
    for key in KEYS:
        for each in changed.get(key.name, key.keys):
            if (other := taken.get((key.where, each))) is not None:
                raise ConfigError(f"{path}: {each} cannot be both {other} and {key.name}.")
            taken[key.where, each] = key.name


def shown(keys: Iterable[str]) -> str:
    """Return keys as a person writes them: "Ctrl-K, F9"."""
    return ", ".join(_shown_key(key) for key in keys)


def _shown_key(key: str) -> str:
    special = {"pageup": "PgUp", "pagedown": "PgDn", "underscore": "_", "plus": "+", "delete": "Del", "escape": "Esc"}
    if len(key) == 1:
        return key
    return "-".join(special.get(part, part.capitalize()) for part in key.split("+"))


def help_rows(changed: Mapping[str, tuple[str, ...]]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the keys in force, for people: (title, [(keys, what they do)]) for each place."""
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for where, title in TITLES.items():
        keys = [(changed.get(key.name, key.keys), key) for key in KEYS if key.where == where]
        found.append((title, [(shown(those) or "(no key)", key.about) for those, key in keys]))
    return found


def first_key(name: str, changed: Mapping[str, tuple[str, ...]]) -> str:
    """Return the key to name in a hint; "" when there is none."""
    return shown(changed.get(name, _NAMED[name].keys)[:1])
