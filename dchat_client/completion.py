"""Completing what is being written: names, rooms, emoji, commands. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from dchat_client.commands import COMMANDS, LEVELS
from dchat_client.pictures import named

MOST_OPTIONS = 8
_TOKEN = re.compile(r"(?:^|(?<=[\s(]))([@#:]?)([\w.+-]*)$")


@dataclass(frozen=True, slots=True)
class Option:
    """What is put in, and how it is shown in the row of options."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Completion:
    """Options for what stands from `start` up to the cursor."""

    start: int
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """What there is to complete: people here first, then others; rooms one is in first."""

    people: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()


def complete(text: str, sources: Sources, *, asked: bool) -> Completion | None:
    """Return the options for `text`, which ends at the cursor; None when there are none.

    Without being `asked` (by Tab), only for what begins with @, #, : and two letters, or / at the start.
    """
    if text.startswith("/") and "\n" not in text and (found := _of_command(text, sources)) is not None:
        return found if found.options else None
    match = _TOKEN.search(text)
    if match is None:
        return None
    sign, begun = match.groups()
    start = match.start()
    match sign:
        case "@":
            return _found(start, (Option(f"@{name} ", f"@{name}") for name in _beginning(begun, sources.people)))
        case "#":
            return _found(start, (Option(f"#{room} ", f"#{room}") for room in _beginning(begun, sources.rooms)))
        case ":":
            if len(begun) < 2:
                return None
            return _found(start, (Option(f"{emoji} ", f"{emoji} {name}") for name, emoji in named(begun, MOST_OPTIONS)))
    if not asked or not begun:
        return None
    return _found(start, (Option(f"@{name} ", f"@{name}") for name in _beginning(begun, sources.people)))


def _of_command(text: str, sources: Sources) -> Completion | None:
    """Return the options for a command or its first word; None where text is free."""
    if text.startswith("//"):
        return None
    name, space, word = text[1:].partition(" ")
    if not space:
        names = [command for command in COMMANDS if command.name.startswith(name.lower())]
        return Completion(0, tuple(Option(f"/{command.name} ", f"/{command.name}") for command in names))
    command = next((command for command in COMMANDS if command.name == name.lower()), None)
    if command is None or " " in word:
        return None
    things: Iterable[str] = {"room": sources.rooms, "user": sources.people, "level": LEVELS}.get(command.word, ())
    start = len(text) - len(word)
    options = tuple(Option(f"{thing} ", thing) for thing in _beginning(word.lstrip("#@"), things))[:MOST_OPTIONS]
    return Completion(start, options) if options or command.word else None


def _beginning(begun: str, things: Iterable[str]) -> Iterable[str]:
    begun = begun.lower()
    return (thing for thing in dict.fromkeys(things) if thing.lower().startswith(begun))


def _found(start: int, options: Iterable[Option]) -> Completion | None:
    some = tuple(option for option, _ in zip(options, range(MOST_OPTIONS), strict=False))
    return Completion(start, some) if some else None
