"""One message of a source, and the text it becomes in a room. Pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

MAX_NAME_CHARS = 80
# What the server takes for a mention: "@" before a name, but not in the middle of a word or an address.
_MENTION = re.compile(r"(?<![\w@.-])@(?=[a-z0-9])")
_QUIET_AT = "＠"


class UnfitSource(Exception):
    """A source cannot be read; the text says what and where."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message somebody wrote elsewhere.

    `key` names it among all messages of all sources, the same at each reading; `answers` is the key of the message it
    replies to. `when` is the time as it is shown, "" when the source does not tell. `reactions` are (emoji, names).
    """

    key: str
    who: str
    when: str
    text: str
    answers: str | None = None
    is_action: bool = False
    is_edited: bool = False
    reactions: tuple[tuple[str, tuple[str, ...]], ...] = ()
    files: tuple[str, ...] = ()

    @property
    def digest(self) -> bytes:
        """The key in 20 bytes."""
        return digest_of(self.key)


class Source(Protocol):
    """Messages of one room, oldest first, read as they are asked for; `done` of `total` bytes are read so far.

    `left_out` counts what is no message (joins, deleted ones) or was not understood. Raises UnfitSource.
    """

    done: int
    total: int
    left_out: int

    def __iter__(self) -> Iterator[Said]: ...

    def remarks(self) -> list[str]:
        """Sentences about what a person should know, once all is read."""
        ...


def digest_of(key: str) -> bytes:
    """Return a key in 20 bytes."""
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=20).digest()


def client_id(digest: bytes, part: int, parts: int) -> str:
    """Return the idempotency key of a message, or of one of the parts it is sent in."""
    return f"import-{digest.hex()}" + (f".{part}" if parts > 1 else "")


def rendered(said: Said, *, mentions: bool = False) -> str:
    """Return the text that stands for `said`: who and when in front, behind it what became of it.

        [2024-05-01 09:12:33Z] ada: See the report
        (edited) (file: report.pdf, 12 KB) (🎉 bob, eve)

    Without `mentions` every @ that would call somebody is written ＠: what was said years ago calls nobody today.
    """
    head = f"[{said.when}] " if said.when else ""
    head += f"* {name_of(said.who)} " if said.is_action else f"{name_of(said.who)}: "
    marks = ["edited"] if said.is_edited else []
    marks += [f"file: {name_of(file)}" for file in said.files]
    marks += [f"{name_of(emoji)} {', '.join(map(name_of, names))}".rstrip() for emoji, names in said.reactions]
    tail = " ".join(f"({mark})" for mark in marks)
    text = head + said.text + ("\n" if said.text and tail else "") + tail
    return sendable(text if mentions else _MENTION.sub(_QUIET_AT, text))


def sendable(text: str) -> str:
    """Return `text` with what UTF-8 cannot carry (half characters) replaced by �."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def name_of(text: str) -> str:
    """Return a name on one line, at most 80 characters, without anything that is not seen; never empty."""
    kept = "".join(" " if char.isspace() else char for char in text[: 4 * MAX_NAME_CHARS] if _is_seen(char))
    return " ".join(kept.split())[:MAX_NAME_CHARS] or "?"


def _is_seen(char: str) -> bool:
    # Joiners stay: emoji and some scripts are spelt with them, and terminals' faces clean what they show anyway.
    return char.isspace() or char in "\u200c\u200d" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
