"""How lines of a transcript look as rows of a terminal: spans of cleaned text, each with the name of a style. Pure.

─────────────── Friday, 27 November 2026 ───────────────      a day begins
14:03 ada        Hello! This is a message that is long
                 enough for two rows (edited)                 rows behind the first begin under the text
                 👍 2  🎉 1
                 ╭ ada: Hello! This is a mess…                what it answers
14:04 bob        Yes.
───────────────────────── new ──────────────────────────      what one has not read yet
14:05            And so on.                                   the name is not said again
  …   you        Not stored yet.
  ✗   you        Refused.
                 not sent: the room is archived …
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache

from rich.cells import cell_len

from dchat_client.commands import action_in
from dchat_client.deeds import deed
from dchat_client.room import MENTION
from dchat_client.terminal import clean, clean_lines
from dchat_client.transcript import Line, Sending
from dchat_client.tui.wrap import cut, padded, wrap

Span = tuple[str, str]
Row = tuple[Span, ...]

TIME_WIDTH = 5
GUTTER_WIDTH = 1
MOST_ROWS = 2000
"""Of one message: one of 16 KiB may have that many lines. Nobody reads them in a row; `copy` has all of them."""
_TOGETHER_S = 300


@dataclass(frozen=True, slots=True)
class Measure:
    """Columns there are. `of` chooses those of a name by the width of all."""

    width: int
    name: int

    @classmethod
    def of(cls, width: int) -> Measure:
        """Return the measure for a view of `width` columns."""
        width = max(width, 24)
        return cls(width, 5 if width < 40 else 10 if width < 90 else 14)

    @property
    def margin(self) -> int:
        """Columns to the left of the text."""
        return GUTTER_WIDTH + TIME_WIDTH + 1 + self.name + 1

    @property
    def text(self) -> int:
        """Columns of the text; one is left free at the right."""
        return self.width - self.margin - 1


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was, for the person who reads: their day, their minute."""

    day: date | None
    minute: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Around:
    """What the rows of a line depend on beside itself."""

    day: date | None = None
    """Set when a new day begins with it."""
    is_first_unread: bool = False
    same_sender: bool = False
    same_minute: bool = False
    quote: tuple[str, str] | None = None
    """Who said what, of the message it answers; ("", "") when that is not loaded."""


@lru_cache(maxsize=32768)
def moment(ts: str) -> Moment:
    """Return the local time of an ISO time; one without day and minute when it is none."""
    try:
        when = datetime.fromisoformat(ts).astimezone()
    except (ValueError, OverflowError, OSError):
        return Moment(None, "--:--", 0.0)
    return Moment(when.date(), when.strftime("%H:%M"), when.timestamp())


def follows(before: Line | None, line: Line) -> tuple[bool, bool]:
    """Tell whether `line` goes on what the line before it said: same sender, and in the same minute."""
    if before is None or before.kind != "message" or line.kind != "message" or before.sender != line.sender:
        return False, False
    then, now = moment(before.ts), moment(line.ts)
    if line.sending is not None or before.sending is not None:
        return line.sending is before.sending, False
    if then.day != now.day or now.at_s - then.at_s > _TOGETHER_S:
        return False, False
    return True, then.minute == now.minute


def rows_of(line: Line, around: Around, measure: Measure, me: str) -> tuple[Row, ...]:
    """Return the rows that show `line`, separators above it included. Nothing in them acts on a terminal."""
    rows: list[Row] = []
    if around.day is not None:
        # No %-d: it is not everywhere.
        rows.append(_rule(f"{around.day:%A}, {around.day.day} {around.day:%B %Y}", "day", measure))
    if around.is_first_unread:
        rows.append(_rule("new", "unread", measure))
    rows += _message(line, around, measure, me) if line.kind == "message" else _notice(line, measure)
    return tuple(rows)


def _message(line: Line, around: Around, measure: Measure, me: str) -> list[Row]:
    first = _head(line, around, measure)
    blank: Row = ((" " * measure.margin, "text"),)
    rows: list[Row] = []
    if around.quote is not None:
        rows.append((*first, *_quote(around.quote, line.reply_to, measure)))
        first = blank
    for row in _body(line, measure, me):
        rows.append((*first, *row))
        first = blank
    if line.reactions and not line.deleted:
        rows += [(*blank, *row) for row in _reactions(line.reactions, measure, me)]
    if line.sending is Sending.FAILED:
        why = clean(line.error.detail) if line.error is not None else "it waited too long"
        rows += [(*blank, (part, "failed")) for part in wrap(f"not sent: {why}", measure.text)]
    return rows


def _head(line: Line, around: Around, measure: Measure) -> Row:
    match line.sending:
        case Sending.PENDING:
            time: Span = ("  …  ", "pending")
        case Sending.FAILED:
            time = ("  ✗  ", "failed")
        case None:
            time = (" " * TIME_WIDTH if around.same_minute else moment(line.ts).minute, "time")
    name = "" if around.same_sender else clean(line.sender)
    return (
        (" " * GUTTER_WIDTH, "text"),
        time,
        (" ", "text"),
        (padded(name, measure.name), f"name {line.sender}" if name else "text"),
        (" ", "text"),
    )


def _quote(quote: tuple[str, str], reply_to: int | None, measure: Measure) -> Row:
    sender, text = quote
    if not sender:
        return ((cut(f"╭ an answer to message {reply_to}", measure.text), "quote"),)
    name = cut(clean(sender), measure.name)
    rest = measure.text - 1 - len("╭ ") - cell_len(name) - len(": ")
    return (("╭ ", "quote"), (name, f"name {sender}"), (cut(f": {clean(text)}", rest + 2), "quote"))


def _body(line: Line, measure: Measure, me: str) -> list[Row]:
    if line.deleted:
        return [(("(deleted)", "tombstone"),)]
    action = action_in(line.text)
    style = "action" if action is not None else "pending" if line.sending is not None else "text"
    parts: list[str] = []
    for part in clean_lines(action if action is not None else line.text):
        parts += wrap(part, measure.text)
        if len(parts) > MOST_ROWS:
            parts[MOST_ROWS:] = ["…"]
            break
    rows = [_with_calls(part, style, me) for part in parts]
    if line.edited:
        last = parts[-1]
        mark: Span = (" (edited)", "edited")
        if len(wrap(last + mark[0], measure.text)) == 1:
            rows[-1] = (*rows[-1], mark)
        else:
            rows.append(((mark[0].strip(), mark[1]),))
    return rows


def _with_calls(text: str, style: str, me: str) -> Row:
    """Return a row of text in which `@name` stands out, one's own more than others'."""
    if "@" not in text:
        return ((text, style),)
    spans: list[Span] = []
    done = 0
    for match in MENTION.finditer(text):
        name = match[1].rstrip(".-_") or match[1]
        spans += [(text[done : match.start()], style), (f"@{name}", "call me" if name == me else f"name {name}")]
        done = match.start() + 1 + len(name)
    return tuple(span for span in (*spans, (text[done:], style)) if span[0])


def _reactions(reactions: dict[str, list[str]], measure: Measure, me: str) -> list[Row]:
    rows: list[Row] = []
    row: list[Span] = []
    used = 0
    for emoji, users in reactions.items():
        shown = cut(f"{clean(emoji)} {len(users)}", measure.text)
        size = cell_len(shown) + 2
        if row and used + size > measure.text:
            rows.append(tuple(row))
            row, used = [], 0
        row += [(shown, "my reaction" if me in users else "reaction"), ("  ", "text")]
        used += size
    return [*rows, tuple(row)]


def _notice(line: Line, measure: Measure) -> list[Row]:
    words = f"{clean(line.sender)} {clean(deed(line.event) or '')}"
    head: Row = ((" " * GUTTER_WIDTH, "text"), (moment(line.ts).minute, "time"), (" ", "text"))
    head = (*head, (padded("*", measure.name), "notice"), (" ", "text"))
    rows: list[Row] = []
    for part in wrap(words, measure.text):
        rows.append((*(head if not rows else ((" " * measure.margin, "text"),)), (part, "notice")))
    return rows


def _rule(words: str, style: str, measure: Measure) -> Row:
    width = measure.width - GUTTER_WIDTH - 1
    words = f" {words} "
    left = max(2, (width - len(words)) // 2)
    return ((" " * GUTTER_WIDTH, "text"), ("─" * left + words + "─" * max(2, width - left - len(words)), style))
