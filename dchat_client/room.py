"""One room as a list of rooms shows it, with counts that come down again. Pure.

The server counts what is unread at some `head`; what comes over the stream after that is counted here, each message by
its seq. So a snapshot and the stream may tell of the same message, in either order, and it counts once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from dchat_client.updates import Row

MENTION = re.compile(r"(?<![\w@.-])@([a-z0-9][a-z0-9._-]{0,31})")
"""How the server finds who is called in a text."""

MOST_GONE = 1000
"""Deletions remembered until the next snapshot; with more, a badge may be wrong until then."""


def calls(text: str, user: str) -> bool:
    """Tell whether `text` calls `user` by `@name`."""
    return "@" in text and any((name.rstrip(".-_") or name) == user for name in MENTION.findall(text))


@dataclass(slots=True)
class _Later:
    """A message that came after the snapshot."""

    seq: int
    mention: bool


class Room:
    """A room one is in."""

    def __init__(self, row: Row, me: str) -> None:
        self.name = str(row.get("room", ""))
        self._me = me
        self.kind, self.topic, self.display_name, self.role = "public", "", "", None
        self.users: list[str] = []
        """The people of a dm."""
        self.members = 0
        self.is_archived = False
        self.head = 0
        self.read = 0
        self.last_ts = ""
        """When something was said last, as far as it came over the stream."""
        self._at = 0
        self._posted = 0
        self._unread = 0
        self._mentions = 0
        self._later: list[_Later] = []
        self._gone: dict[int, int] = {}
        """Messages of before the snapshot that were deleted after it: which → the seq of the deletion."""
        self.sync(row)

    @property
    def unread(self) -> int:
        """Messages of others that one has not read."""
        return self._unread + len(self._later)

    @property
    def mentions(self) -> int:
        """Those of them that call one by name."""
        return self._mentions + sum(later.mention for later in self._later)

    @property
    def title(self) -> str:
        """What to call it: a dm by its other people, any other by its display name."""
        if self.kind == "dm":
            return ", ".join(user for user in self.users if user != self._me) or self._me
        return self.display_name or self.name

    def sync(self, row: Row) -> None:
        """Take what the server says of the room."""
        self.kind, self.topic = str(row.get("kind", self.kind)), str(row.get("topic", self.topic))
        self.display_name = str(row.get("display_name", self.display_name))
        self.role, self.is_archived = row.get("role", self.role), bool(row.get("archived", self.is_archived))
        self.members = _whole(row, "members", self.members)
        if isinstance(row.get("users"), list):
            self.users = [str(user) for user in row["users"]]
        head = _whole(row, "head", self.head)
        self.head = max(self.head, head)
        if "read" in row:
            self.read = _whole(row, "read", self.read)
            self._at, self._unread, self._mentions = head, _whole(row, "unread", 0), _whole(row, "mentions", 0)
            self._later = [later for later in self._later if later.seq > max(head, self.read)]
            self._gone = {target: seq for target, seq in self._gone.items() if seq > head}
            for target in self._gone:
                self._uncount(target)
            if self._posted > head:
                self.mark(self._posted)

    def happened(self, event: Row) -> None:
        """Count a durable event of this room."""
        seq = _whole(event, "seq", 0)
        self.head = max(self.head, seq)
        match event.get("type"):
            case "message":
                self.last_ts = str(event.get("ts", ""))
                self._said(event, seq)
            case "edit":
                self._edited(event)
            case "delete":
                self._deleted(_whole(event, "target", 0), seq)
            case "room":
                self.topic = str(event.get("topic", self.topic))
                self.display_name = str(event.get("display_name", self.display_name))
                self.is_archived = {"archive": True, "unarchive": False}.get(str(event.get("action")), self.is_archived)
            case "member" if seq > self._at:
                self._moved(event)

    def mark(self, seq: int) -> None:
        """One has read up to `seq`, here or elsewhere, or back to it."""
        if seq < self.read:
            # Backwards: how many are unread then, the server is asked; see the engine.
            self.read = seq
            return
        self.read = seq
        self._later = [later for later in self._later if later.seq > seq]
        if seq >= self._at:
            self._unread = self._mentions = 0

    def _said(self, event: Row, seq: int) -> None:
        if event.get("sender") == self._me:
            self._posted = max(seq, self._posted)
            self.mark(max(seq, self.read))  # what one writes oneself one has read, and all before it
        elif seq > max(self._at, self.read) and all(later.seq != seq for later in self._later[-8:]):
            self._later.append(_Later(seq, calls(str(event.get("text", "")), self._me)))

    def _edited(self, event: Row) -> None:
        for later in self._later:
            if later.seq == event.get("target"):
                later.mention = calls(str(event.get("text", "")), self._me)

    def _deleted(self, target: int, seq: int) -> None:
        self._later = [later for later in self._later if later.seq != target]
        if seq > self._at:
            self._gone[target] = seq
            if len(self._gone) > MOST_GONE:
                del self._gone[next(iter(self._gone))]
            self._uncount(target)

    def _uncount(self, target: int) -> None:
        """Take a deleted message out of the counts of the snapshot."""
        if self.read < target <= self._at:
            self._unread = max(0, self._unread - 1)
            self._mentions = min(self._mentions, self._unread)

    def _moved(self, event: Row) -> None:
        action, user = event.get("action"), event.get("user")
        if action in ("join", "invite"):
            self.members += 1
        elif action in ("leave", "kick"):
            self.members = max(0, self.members - 1)
        if user == self._me:
            self.role = event.get("role")


def _whole(row: Row, name: str, otherwise: int) -> int:
    value: Any = row.get(name)
    return value if type(value) is int and value >= 0 else otherwise
