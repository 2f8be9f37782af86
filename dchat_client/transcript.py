"""What is shown of one room: a window of its messages that follows the stream and grows backwards by pages. Pure.

Theory of operation
===================

The window is a dense stretch of the room's messages up to now; `has_older` says that there are more below it. Three
streams feed it, in any interleaving, and each may tell what another has told before:

    events     in the room's order, once each; a message is added, an edit, deletion or reaction changes one
    pages      messages in the state they had when the server wrote the page
    answers    of one's own sends

A message is known by its seq, and an epoch that rises replaces it. Changes say what is, not what is added (this text,
this person's reaction), so applying one twice, or a whole run of them from the start, ends the same.

A page may have been written before an event that is already here. While one is under way (`asked` to `page`), events
are kept, and those above the page's head are applied to it once more. Only a window that is loaded is kept up; without
one, events pass by.

One's own messages that are not stored yet stand in `pending`, below all others. The first of the two that tell that one
was stored, answer or event, moves it up; by its `client_id`, so that the other finds it there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from dchat_client.errors import ChatError
from dchat_client.outbox import Entry
from dchat_client.updates import Row

MOST_MEANWHILE = 5000
"""Events kept while a page is under way. When that was not enough the page is of no use, and older ones are fetched
once somebody looks at them."""
MOST_LINES = 20_000
"""Messages of one room that are kept; beyond, the oldest are let go, to be fetched again."""


class Sending(Enum):
    """What becomes of one's own message."""

    PENDING = "pending"
    FAILED = "failed"


@dataclass(slots=True)
class Line:
    """One thing to show: a message, or a notice (`kind` is the event's type: member, room) with `event` as it came."""

    kind: str
    seq: int
    epoch: int
    ts: str
    sender: str
    text: str = ""
    client_id: str | None = None
    reply_to: int | None = None
    edited: bool = False
    deleted: bool = False
    reactions: dict[str, list[str]] = field(default_factory=dict)
    """Emoji → who, in the order of their reacting."""
    event: Row = field(default_factory=dict)
    sending: Sending | None = None
    error: ChatError | None = None
    """Why it was refused, for a failed one."""
    version: int = 0
    """Rises with each change: a face that keeps drawn lines compares it."""


class Transcript:
    """The window of one room."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.lines: list[Line] = []
        """By seq. A face may read it and must not change it."""
        self.pending: list[Line] = []
        self.is_loaded = False
        self.has_older = True
        self.is_stale = False
        """Something was missed; a page is coming that replaces the window."""
        self.unread_after: int | None = None
        """The seq below the line that says "unread"; None: no such line. The face moves it."""
        self._asked = 0
        self._meanwhile: deque[Row] = deque(maxlen=MOST_MEANWHILE)
        self._let_go = 0
        """The seq of the last event that `_meanwhile` was too small for."""

    def __iter__(self) -> Iterator[Line]:
        yield from self.lines
        yield from self.pending

    @property
    def oldest(self) -> int | None:
        """The seq of the first line."""
        return self.lines[0].seq if self.lines else None

    @property
    def newest(self) -> int:
        """The seq of the last line; 0 without one."""
        return self.lines[-1].seq if self.lines else 0

    def find(self, seq: int) -> Line | None:
        """Return the line of that seq, when it is in the window."""
        at = self._place(seq)
        return self.lines[at] if at < len(self.lines) and self.lines[at].seq == seq else None

    def find_pending(self, client_id: str) -> Line | None:
        """Return one's own message that is not stored yet."""
        return next((line for line in self.pending if line.client_id == client_id), None)

    def last_own(self, sender: str) -> Line | None:
        """Return the sender's last message that can be edited."""
        own = (line for line in reversed(self.lines) if line.kind == "message" and line.sender == sender)
        return next((line for line in own if not line.deleted), None)

    # The three streams

    def happened(self, event: Row) -> Line | None:
        """Apply a durable event. Return the line that is new or has changed; None when nothing shown has."""
        if self._asked:
            if len(self._meanwhile) == MOST_MEANWHILE:
                self._let_go = _seq(self._meanwhile[0])
            self._meanwhile.append(event)
        if event.get("type") == "message":
            self._settle(event.get("client_id"), event.get("sender"))
        return self._apply(event) if self.is_loaded else None

    def asked(self) -> None:
        """A page is under way."""
        self._asked += 1

    def unanswered(self) -> None:
        """It does not come."""
        self._asked = max(0, self._asked - 1)
        if not self._asked:
            self._meanwhile.clear()
            self._let_go = 0

    def page(self, messages: Sequence[Row], head: int, has_more: bool, *, before: int | None) -> bool:
        """Take a page. Return False when it is of no use: it does not lie just below the window any more, or too much
        happened meanwhile.
        """
        in_time = self._let_go <= head
        if before is None:
            self._replace(messages if in_time else (), has_more or not in_time)
        usable = before is None or (in_time and self.is_loaded and before == self.oldest)
        if before is not None and usable:
            self._prepend(messages, has_more)
        if usable:
            for event in self._meanwhile:
                # To a page from further back, only changes are new: the messages are in the window.
                if _seq(event) > head and (before is None or event.get("type") != "message"):
                    self._apply(event)
        self.unanswered()
        return usable

    def stored(self, message: Row) -> Line | None:
        """The answer of one's own send. Return the line when it is new here."""
        self._settle(message.get("client_id"), message.get("sender"))
        seq = _seq(message)
        if not self.is_loaded or self.find(seq) is not None or (self.has_older and seq < (self.oldest or seq + 1)):
            return None  # nothing shown, there already, or so late that it belongs to an older page
        return self._insert(_line({**message, "type": "message"}))

    # One's own, not stored yet

    def queued(self, entry: Entry, sender: str, ts: str) -> Line:
        """Show one's own message as waiting; again, when it had failed."""
        line = self.find_pending(entry.client_id)
        if line is None:
            line = Line("message", 0, 0, ts, sender, entry.text, entry.client_id, entry.reply_to)
            self.pending.append(line)
        line.sending, line.error = Sending.PENDING, None
        line.version += 1
        return line

    def refused(self, client_id: str, error: ChatError) -> Line | None:
        """The server refused it for good; it stays, to be tried again or taken away."""
        line = self.find_pending(client_id)
        if line is not None:
            line.sending, line.error = Sending.FAILED, error
            line.version += 1
        return line

    def dropped(self, client_id: str) -> None:
        """It was taken back."""
        self.pending = [line for line in self.pending if line.client_id != client_id]

    # Bounds

    def trim(self, keep: int) -> None:
        """Let the oldest lines go, all but `keep`; they can be had again as pages."""
        if len(self.lines) > keep:
            del self.lines[: len(self.lines) - keep]
            self.has_older = True

    def _replace(self, messages: Iterable[Row], has_more: bool) -> None:
        self.lines = [_line({**message, "type": "message"}) for message in messages]
        self.has_older, self.is_loaded, self.is_stale = has_more, True, False
        for line in self.lines:
            if line.client_id is not None:
                self._settle(line.client_id, line.sender)

    def _prepend(self, messages: Iterable[Row], has_more: bool) -> None:
        self.lines[:0] = [_line({**message, "type": "message"}) for message in messages]
        self.has_older = has_more

    def _settle(self, client_id: object, sender: object) -> None:
        if self.pending and client_id is not None:
            self.pending = [line for line in self.pending if (line.client_id, line.sender) != (client_id, sender)]

    def _apply(self, event: Row) -> Line | None:
        match event.get("type"):
            case "message":
                known = self.find(_seq(event))
                if known is not None and known.epoch >= event.get("epoch", 0):
                    return None
                return self._insert(_line(event))
            case "edit" | "delete" | "reaction":
                target = event.get("target")
                line = self.find(target) if type(target) is int else None
                return line if line is not None and line.kind == "message" and _amend(line, event) else None
            case "member" | "room":
                return self._insert(_line(event))
        return None

    def _insert(self, line: Line) -> Line:
        at = self._place(line.seq)
        if at < len(self.lines) and self.lines[at].seq == line.seq:
            line.version = self.lines[at].version + 1
            self.lines[at] = line
        else:
            self.lines.insert(at, line)
            if len(self.lines) > MOST_LINES + MOST_LINES // 10:
                self.trim(MOST_LINES)
        return line

    def _place(self, seq: int) -> int:
        if not self.lines or seq > self.lines[-1].seq:
            return len(self.lines)
        return bisect_left(self.lines, seq, key=lambda line: line.seq)


def _amend(line: Line, event: Row) -> bool:
    """Change a message by an event. Return False when it was so already."""
    before = (line.text, line.edited, line.deleted, {emoji: list(users) for emoji, users in line.reactions.items()})
    match event.get("type"):
        case "edit" if not line.deleted:
            line.text, line.edited = str(event.get("text", "")), True
        case "delete":
            line.text, line.deleted, line.reactions = "", True, {}
        case "reaction" if not line.deleted:
            _react(line.reactions, str(event.get("emoji", "")), str(event.get("sender", "")), event.get("action"))
    if before == (line.text, line.edited, line.deleted, line.reactions):
        return False
    line.version += 1
    return True


def _react(reactions: dict[str, list[str]], emoji: str, user: str, action: object) -> None:
    users = reactions.get(emoji, [])
    if action == "add" and user not in users:
        reactions[emoji] = [*users, user]
    elif action == "remove" and user in users:
        users = [each for each in users if each != user]
        if users:
            reactions[emoji] = users
        else:
            del reactions[emoji]


def _seq(event: Row) -> int:
    seq = event.get("seq")
    return seq if type(seq) is int else 0


def _line(event: Row) -> Line:
    """Return the line of a durable event or of a page's message."""
    reply_to, epoch, client_id = event.get("reply_to"), event.get("epoch"), event.get("client_id")
    kind = str(event.get("type"))
    return Line(
        kind,
        _seq(event),
        epoch if type(epoch) is int else 0,
        str(event.get("ts", "")),
        str(event.get("sender", "")),
        str(event.get("text", "")),
        client_id if isinstance(client_id, str) else None,
        reply_to if type(reply_to) is int else None,
        edited=bool(event.get("edited_at")),
        deleted=bool(event.get("deleted")),
        reactions=_reactions(event.get("reactions")),
        event={} if kind == "message" else event,
    )


def _reactions(rows: object) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and isinstance(row.get("users"), list):
            found[str(row.get("emoji"))] = [str(user) for user in row["users"]]
    return found
