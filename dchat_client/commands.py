"""What a line of input means: something to say, a command, or a mistake. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
LEVELS = ("all", "mentions", "none")


@dataclass(frozen=True, slots=True)
class Say:
    """A message for the room."""

    text: str


@dataclass(frozen=True, slots=True)
class Run:
    """A command: its name, the first word behind it if it takes one ("" when left out), and the rest."""

    name: str
    word: str = ""
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Nothing is done; `words` say why."""

    words: str


@dataclass(frozen=True, slots=True)
class Command:
    """`word` is what its first word names: room, user, level, or nothing; `needs` what may not be left out."""

    name: str
    usage: str
    about: str
    word: str = ""
    needs: tuple[str, ...] = ()


COMMANDS: tuple[Command, ...] = (
    Command("join", "/join ROOM", "go into a public room", "room", ("word",)),
    Command("leave", "/leave [ROOM]", "leave this room, or another one", "room"),
    Command("msg", "/msg USER [TEXT]", "write to one person", "user", ("word",)),
    Command("create", "/create ROOM", "make a room", "new", ("word",)),
    Command("topic", "/topic [TEXT]", "show the topic, or change it"),
    Command("members", "/members", "show who is in this room"),
    Command("invite", "/invite USER", "bring somebody into this room", "user", ("word",)),
    Command("search", "/search WORDS", "find messages", needs=("rest",)),
    Command("me", "/me TEXT", "say what you do: *waves*", needs=("rest",)),
    Command("notify", "/notify [all|mentions|none]", "what this room notifies of", "level"),
    Command("reconnect", "/reconnect", "connect again now"),
    Command("help", "/help", "show keys and commands"),
    Command("quit", "/quit", "quit; what is not sent yet is kept"),
)
_NAMED = {command.name: command for command in COMMANDS}


def parse(text: str) -> Say | Run | Mistake:
    """Return what `text` means. `//` at its start is a slash that is meant to be said."""
    if not text.startswith("/"):
        return Say(text)
    if text.startswith("//"):
        return Say(text[1:])
    name, rest = _first_word(text[1:])
    command = _NAMED.get(name.lower())
    if command is None:
        return Mistake(f"There is no command /{name}. To say it, begin with two slashes: //{name}")
    word = ""
    if command.word:
        word, rest = _first_word(rest)
    if ("word" in command.needs and not word) or ("rest" in command.needs and not rest):
        return Mistake(f"{command.usage}: {command.about}.")
    if problem := _misfit(command, word, rest):
        return Mistake(problem)
    return Run(command.name, word.lstrip("#@") if command.word in ("room", "user", "new") else word, rest)


def _first_word(text: str) -> tuple[str, str]:
    word = re.match(r"\S*", text)
    end = word.end() if word is not None else 0
    return text[:end], text[end:].strip()


def _misfit(command: Command, word: str, rest: str) -> str:
    if command.name in ("members", "reconnect", "help", "quit") and rest:
        return f"/{command.name} takes nothing behind it."
    if command.name not in ("msg",) and command.word and rest:
        return f"{command.usage}: one word only."
    if command.word == "level" and word and word not in LEVELS:
        return f"{command.usage}: {word!r} is none of them."
    if command.word in ("room", "user", "new") and word and not NAME.fullmatch(word.lstrip("#@")):
        return f"{word!r} names nothing: names have lower-case letters, digits, dots, dashes and underscores."
    return ""


def action_text(text: str) -> str:
    """Return what `/me TEXT` sends: the text in Markdown's italics, as other programs show it, too."""
    return f"_{text}_"


def action_in(text: str) -> str | None:
    """Return what `action_text` was made of; None when `text` is something else."""
    inner = text[1:-1]
    is_action = len(text) > 2 and text[0] == text[-1] == "_" and "_" not in (inner[0], inner[-1]) and "\n" not in inner
    return inner if is_action and not inner[0].isspace() and "_ " not in inner and " _" not in inner else None
