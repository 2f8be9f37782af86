"""A room's transcript as blocks of tagged text: what is written where, and how it is to look. Pure.

A block is what one line of the transcript looks like: a message with its head, its answers and reactions, a notice, a
day. It has a key that stays the same while it changes, and equal blocks look the same. Everything people wrote goes
through `terminal.clean`; it is text, and nothing in it acts.

Tags name looks (`body`, `dim`, `sender3`) or say what a click there does: `link`, `react:👍`, `retry`, `quote`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby, islice

from dchat_client.commands import action_in
from dchat_client.deeds import deed
from dchat_client.gui import glyphs
from dchat_client.gui.bidi import broken, is_right_to_left, needs_turning, turned, turned_line
from dchat_client.room import MENTION, calls
from dchat_client.terminal import clean, clean_lines, fit
from dchat_client.transcript import Line, Sending, Transcript

GROUP_S = 300
"""Messages of one person that follow each other sooner than this share one head."""
MOST_MARKS = 60
"""Links, names and codes that are marked in one line of a message; each costs Tk as much as a line of text."""
LONG_LINES, LONG_CHARS = 60, 4000
"""A longer message is shown with its first two thirds of that, until somebody asks for all of it."""
_QUOTE_COLUMNS = 90
_LINK = re.compile(r"https?://[^\s<>\"'`]+[^\s<>\"'`.,;:!?)\]}]")
_MARKS = re.compile(f"(?P<link>{_LINK.pattern})|(?P<code>`[^`\n]+`)|(?P<mention>{MENTION.pattern})")

Piece = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Block:
    """`pieces` end with a line's end."""

    key: str
    pieces: tuple[Piece, ...]
    seq: int = 0
    """Of the message; 0 for what is none or is not stored yet."""


@dataclass(slots=True)
class _Kept:
    line: Line
    circumstances: tuple[object, ...]
    block: Block


class Composer:
    """Makes blocks for one room. Lines that have not changed since the last time cost a look each."""

    def __init__(
        self,
        me: str,
        names: Mapping[str, str],
        colours: int,
        drawn: glyphs.Drawn = str,
        fits: Callable[[str], bool] | None = None,
    ) -> None:
        """`colours` is how many tags `sender0`… there are. `fits` is given where text from right to left has to be
        turned by us, and tells whether a text fits on one line; `reflow` when that has changed.
        """
        self._me, self._names, self._colours, self._drawn, self._fits = me, names, colours, drawn, fits
        self._kept: dict[str, _Kept] = {}
        self._unfolded: set[str] = set()
        self._flow = 0

    def reflow(self) -> bool:
        """Lines have become longer or shorter. True when something has to be drawn anew for it."""
        self._flow += 1
        return self._fits is not None and any(needs_turning(kept.line.text) for kept in self._kept.values())

    def blocks(self, transcript: Transcript, lines: Iterable[Line], today: date) -> list[Block]:
        """Return the blocks of `lines`, a stretch of the transcript, and of one's own messages that wait."""
        kept: dict[str, _Kept] = {}
        found: list[Block] = []
        before: Line | None = None
        day: date | None = None
        is_marked = transcript.unread_after is None
        for line in (*lines, *transcript.pending):
            moment = local(line.ts)
            if moment is not None and moment.date() != day:
                day, before = moment.date(), None
                found.append(_day(day, today))
            if not is_marked and line.seq > (transcript.unread_after or 0):
                is_marked, before = True, None
                found.append(Block("unread", (("\u2002new\u2002\n", ("unread",)),)))
            key = _key(line)
            quoted = None if line.reply_to is None else transcript.find(line.reply_to)
            flow = self._flow if self._fits is not None and needs_turning(line.text) else 0
            circumstances = (line.version, _follows(before, line), self._name(line.sender), flow, *_state(quoted))
            was = self._kept.get(key)
            if was is None or was.line is not line or was.circumstances != circumstances:
                was = _Kept(line, circumstances, Block(key, tuple(self._pieces(line, before, quoted)), line.seq))
            kept[key] = was
            found.append(was.block)
            before = line
        self._kept = kept
        return found

    def is_folded(self, line: Line) -> bool:
        """Tell whether only the beginning of a message is shown."""
        is_long = len(line.text) > LONG_CHARS or line.text.count("\n") > LONG_LINES
        return is_long and not line.deleted and _key(line) not in self._unfolded

    def unfold(self, line: Line) -> None:
        """Show all of a message from now on."""
        self._unfolded.add(_key(line))
        self._kept.pop(_key(line), None)

    def quote(self, line: Line) -> str:
        """Return a message's beginning on one line, to know it by."""
        words = (
            "deleted"
            if line.deleted
            else fit(" ".join(clean(line.text[:1000].replace("\n", " ")).split()), _QUOTE_COLUMNS)
        )
        text = self._drawn(f"{self._name(line.sender)}: {words}")
        if self._fits is None or not needs_turning(text):
            return text
        _, end = broken(text, self._fits)[0]  # turned as a whole, it has to stay on one line
        return turned_line(text if end == len(text) else text[:end].rstrip() + "…")

    def _pieces(self, line: Line, before: Line | None, quoted: Line | None) -> Iterator[Piece]:
        if line.kind != "message":
            yield from self._tagged(f"{self._name(line.sender)} {clean(deed(line.event) or line.kind)}  ", "notice")
            yield _time(line), ("notice", "time")
            yield "\n", ("notice",)
            return
        ground = ("calls",) if line.sender != self._me and calls(line.text, self._me) else ()
        if line.reply_to is not None:
            words = self.quote(quoted) if quoted is not None else "an earlier message"
            yield from self._tagged(f"↪ {words}", "quote", *ground)
            yield "\n", ("quote", *ground)
        if not _follows(before, line):
            head = ("head", "answer", *ground) if line.reply_to is not None else ("head", *ground)
            yield from self._tagged(self._name(line.sender), *head, self.colour(line.sender))
            yield f"  {_time(line)}\n", (*head, "time")
        yield from self._body(line, ground)
        yield from self._reactions(line, ground)

    def _body(self, line: Line, ground: tuple[str, ...]) -> Iterator[Piece]:
        if line.deleted:
            yield "message deleted\n", ("body", "deleted", *ground)
            return
        look = {None: (), Sending.PENDING: ("pending",), Sending.FAILED: ("failed",)}[line.sending]
        action = action_in(line.text)
        if glyphs.is_pictures(line.text):
            yield self._drawn(clean(line.text.strip())), ("body", "big", *look, *ground)
        elif action is not None:
            yield from self._tagged(f"{self._name(line.sender)} {clean(action)}", "body", "action", *look, *ground)
        else:
            lines, is_whole = self._shown(line)
            yield from self._text(lines, look, ground)
            if not is_whole:
                yield "\n", ("body", *ground)
                yield f"Show all of it ({len(line.text)} characters)", ("body", "act", "unfold", *ground)
        if line.edited:
            yield "  (edited)", ("body", "mark", *ground)
        if line.sending is Sending.PENDING:
            yield "  sending …", ("body", "mark", *ground)
        yield "\n", ("body", *ground)
        if line.sending is Sending.FAILED:
            yield f"not sent: {clean(str(line.error))}  ", ("body", "error")
            yield "Try again", ("body", "act", "retry")
            yield "  ", ("body",)
            yield "Take back", ("body", "act", "cancel")
            yield "\n", ("body",)

    def _shown(self, line: Line) -> tuple[list[str], bool]:
        """Return the lines of a message that are shown, and whether that is all of it."""
        if not self.is_folded(line):
            return clean_lines(line.text), True
        return clean_lines(line.text[: LONG_CHARS * 2 // 3])[: LONG_LINES * 2 // 3], False

    def _text(self, lines: list[str], look: tuple[str, ...], ground: tuple[str, ...]) -> Iterator[Piece]:
        """Yield lines of text; those between two that begin with ``` are code, as they stand."""
        fenced, begun = False, False
        for number, text in enumerate(lines):
            if text.startswith("```") and (fenced or any(each.startswith("```") for each in lines[number + 1 :])):
                fenced = not fenced
                continue
            if begun:
                yield "\n", ("body", *ground)
            begun = True
            if fenced:
                yield f"{text} ", ("body", "code", *look, *ground)
            else:
                yield from self._in_order(list(self._marked(text, look, ground)))

    def _in_order(self, pieces: list[Piece]) -> Iterator[Piece]:
        """Yield a line's pieces as they are seen, where Tk does not see to that."""
        text = "".join(piece for piece, _ in pieces)
        if self._fits is None or not needs_turning(text):
            yield from pieces
            return
        tags = [each for piece, each in pieces for _ in piece]
        side = ("turned",) if is_right_to_left(text) else ()
        for number, line in enumerate(turned(text, self._fits)):
            if number:
                yield "\n", ("body", *side)
            for own, chars in groupby(line, key=lambda place: tags[place[0]]):
                yield "".join(char for _, char in chars), (*own, *side)

    def _marked(self, text: str, look: tuple[str, ...], ground: tuple[str, ...]) -> Iterator[Piece]:
        at = 0
        for found in islice(_MARKS.finditer(text), MOST_MARKS):
            yield from self._tagged(text[at : found.start()], "body", *look, *ground)
            at = found.end()
            if found.lastgroup == "link" or found["link"]:
                yield found[0], ("body", "link", *ground)
            elif found["code"]:
                yield found[0], ("body", "code", *look, *ground)
            else:
                mine = calls(found[0], self._me)
                yield found[0], ("body", "me" if mine else "person", *look, *ground)
        yield from self._tagged(text[at:], "body", *look, *ground)

    def _reactions(self, line: Line, ground: tuple[str, ...]) -> Iterator[Piece]:
        if not line.reactions:
            return
        for emoji, users in line.reactions.items():
            mine = ("mine",) if self._me in users else ()
            tags = ("reaction", *mine, f"react:{emoji}", *ground)
            yield from self._tagged(f"\u2009{clean(emoji)}", *tags)
            yield f" {len(users)}\u2009", tags
            yield "  ", ("reactions", *ground)
        yield "\n", ("reactions", *ground)

    def _tagged(self, text: str, *tags: str) -> Iterator[Piece]:
        """Yield text with pictures in their own font."""
        for run, is_picture in glyphs.runs(text):
            if run:
                yield self._drawn(run), (*tags, "emoji") if is_picture else tags

    def _name(self, user: str) -> str:
        return clean(self._names.get(user) or user)

    def colour(self, user: str) -> str:
        """Return the tag of a person's colour, the same every time."""
        return f"sender{sum((index + 1) * ord(char) for index, char in enumerate(user)) % self._colours}"


@lru_cache(4096)
def local(ts: str) -> datetime | None:
    """Return a time of the wire as it is on this machine's clock; None when it is none."""
    try:
        return datetime.fromisoformat(ts).astimezone()
    except (ValueError, OverflowError, OSError):
        return None


def day_words(day: date, today: date) -> str:
    """Return a day as one says it."""
    words = {0: "Today", 1: "Yesterday"}.get((today - day).days)
    return words or f"{day:%A}, {day.day} {day:%B %Y}"


def _day(day: date, today: date) -> Block:
    return Block(f"day {day.isoformat()}", ((f"{day_words(day, today)}\n", ("day",)),))


def _key(line: Line) -> str:
    return f"m{line.seq}" if line.sending is None else f"p{line.client_id}"


def _state(quoted: Line | None) -> tuple[object, ...]:
    return () if quoted is None else (id(quoted), quoted.version)


def _time(line: Line) -> str:
    moment = local(line.ts)
    return "--:--" if moment is None else f"{moment:%H:%M}"


def _follows(before: Line | None, line: Line) -> bool:
    """Tell whether a message stands under the head of the one before."""
    if before is None or before.kind != "message" or line.reply_to is not None or before.sender != line.sender:
        return False
    earlier, later = local(before.ts), local(line.ts)
    return earlier is not None and later is not None and (later - earlier).total_seconds() < GROUP_S
