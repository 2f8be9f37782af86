"""Whatever comes in whichever order (events, answers, pages and pictures that were written before or after them),
a face shows in the end just what the server has: each message once, in its present state, and no badge that sticks.

A server of one room is played here. A page is written at some moment and arrives at a later one; its messages may be
newer than its head, as a real server reads them one after the other.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dchat_client.chat import Chat
from dchat_client.outbox import Entry, Outcome
from dchat_client.updates import (
    Asked,
    Happened,
    Marked,
    PageCame,
    Passed,
    Queued,
    RoomIs,
    Settled,
    Synced,
    Unanswered,
    Update,
)

ME, ROOM = "ada", "hall"


@dataclass
class Server:
    """The truth: what happened, in order."""

    log: list[dict[str, Any]] = field(default_factory=list)
    read: int = 0

    def add(self, kind: str, sender: str, **fields: Any) -> dict[str, Any]:
        seq = len(self.log) + 1
        self.log.append({"type": kind, "room": ROOM, "seq": seq, "epoch": 1, "ts": "t", "sender": sender, **fields})
        return self.log[-1]

    def messages(self) -> dict[int, dict[str, Any]]:
        """All messages in their present state."""
        found: dict[int, dict[str, Any]] = {}
        for event in self.log:
            target = found.get(event.get("target", 0), {})
            if event["type"] == "message":
                found[event["seq"]] = {**event, "reactions": []}
            elif event["type"] == "edit":
                target |= {"text": event["text"], "edited_at": "t"}
            elif event["type"] == "delete":
                target |= {"text": "", "deleted": True, "reactions": []}
            elif event["type"] == "reaction":
                users = [user for row in target["reactions"] for user in row["users"] if user != event["sender"]]
                users += [event["sender"]] if event["action"] == "add" else []
                target["reactions"] = [{"emoji": "👍", "users": users}] if users else []
        return found

    def living(self) -> list[int]:
        return [seq for seq, message in self.messages().items() if not message.get("deleted")]

    def row(self) -> dict[str, Any]:
        """The room as `/v1/sync` tells it."""
        own = [event["seq"] for event in self.log if event["type"] == "message" and event["sender"] == ME]
        read = max([self.read, *own])
        unread = [seq for seq in self.living() if seq > read]
        called = [seq for seq in unread if "@ada" in self.messages()[seq]["text"]]
        return {
            "room": ROOM,
            "kind": "public",
            "joined": True,
            "head": len(self.log),
            "read": read,
            "unread": len(unread),
            "mentions": len(called),
            "members": 2,
        }

    def page(self, before: int | None, limit: int) -> tuple[list[dict[str, Any]], bool]:
        there = [message for seq, message in self.messages().items() if before is None or seq < before]
        return [dict(message) for message in there[-limit:]], len(there) > limit


class Play:
    """A server, a face, and everything that is on its way between them."""

    def __init__(self, dice: random.Random) -> None:
        self.dice, self.server, self.chat = dice, Server(), Chat()
        self.told = 0
        self.sent = 0
        self.page: Callable[[], Update | None] | None = None
        """What the page under way does next: writes itself (None), or arrives."""
        self.picture: Synced | RoomIs | None = None
        self.answers: deque[Update] = deque()
        self.counted = 0
        """The head of the last picture."""
        self.looks = False
        for _ in range(dice.randrange(6)):
            self.server.add("message", "bob", text="before")
        self.told = len(self.server.log)
        self.show(Synced({"username": ME}, [self.server.row()]))

    def step(self) -> None:
        self.dice.choice(
            (
                *(self.says, self.says, self.sends, self.changes, self.hears, self.hears, self.answered),
                *(self.pages, self.pages, self.marks, self.marks_elsewhere, self.draws),
            )
        )()

    def says(self) -> None:
        self.server.add("message", "bob", text=self.dice.choice(("hi", "@ada hi", "joins")))

    def sends(self) -> None:
        self.sent += 1
        entry = Entry(ROOM, f"own {self.sent}", f"key {self.sent}")
        self.chat.apply(Queued(entry))
        message = self.server.add("message", ME, text=entry.text, client_id=entry.client_id)
        self.answers.append(Settled(Outcome(entry, dict(message))))

    def changes(self) -> None:
        if living := self.server.living():
            target, sender = self.dice.choice(living), self.dice.choice(("ada", "bob"))
            match self.dice.choice(("edit", "delete", "add", "remove")):
                case "edit":
                    self.server.add("edit", sender, target=target, text=f"edited {len(self.server.log)}")
                case "delete":
                    self.server.add("delete", sender, target=target)
                case action:
                    self.server.add("reaction", sender, target=target, emoji="👍", action=action)

    def hears(self) -> None:
        for event in self.server.log[self.told : self.told + self.dice.randrange(1, 5)]:
            self.told += 1
            self.chat.apply(Happened(event))

    def answered(self) -> None:
        if self.answers:
            self.chat.apply(self.answers.popleft())

    def pages(self) -> None:
        """Ask for a page, write it, or bring it: a step each."""
        if self.page is None:
            transcript = self.chat.transcript(ROOM)
            before = transcript.oldest if transcript.is_loaded and self.dice.random() < 0.7 else None
            self.chat.apply(Asked(ROOM))
            self.page = lambda: self._write(before)
        elif (came := self.page()) is not None:
            self.page = None
            self.chat.apply(came)

    def _write(self, before: int | None) -> None:
        head = len(self.server.log)
        for _ in range(self.dice.randrange(3)):
            self.dice.choice((self.says, self.changes))()
        messages, more = self.server.page(before, self.dice.randrange(1, 6))
        lost = self.dice.random() < 0.1
        self.page = lambda: Unanswered(ROOM) if lost else PageCame(ROOM, messages, head, more, before)

    def marks(self) -> None:
        seq = self.chat.transcript(ROOM).newest
        if seq > self.chat.rooms[ROOM].read:
            self.picture = None  # the engine leaves counts out that are from before
            self.server.read = max(self.server.read, seq)
            self.chat.apply(Marked(ROOM, seq))
            self.looks = seq < self.counted

    def marks_elsewhere(self) -> None:
        """Another device has read all; the stream says so, or says nothing because it was away, and a picture comes."""
        self.server.read = len(self.server.log)
        self.picture = None
        if self.dice.random() < 0.5:
            self.chat.apply(Passed({"type": "read", "room": ROOM, "read": self.server.read, "unread": 0}))
        else:
            self.show(RoomIs(self.server.row()))

    def draws(self) -> None:
        """Write a picture, or bring the one that was written."""
        if self.looks:  # as the engine does after a mark within what was counted
            self.looks, self.picture = False, None
            self.show(RoomIs(self.server.row()))
        elif self.picture is None:
            self.picture = Synced({"username": ME}, [self.server.row()])
        else:
            self.show(self.picture)
            self.picture = None

    def show(self, picture: Synced | RoomIs) -> None:
        row = picture.room if isinstance(picture, RoomIs) else picture.rooms[0]
        self.counted = row["head"]
        self.chat.apply(picture)

    def ends(self) -> None:
        """All that is on its way arrives."""
        while self.page is not None:
            self.pages()
        while self.answers:
            self.answered()
        if self.looks:
            self.draws()
        while self.told < len(self.server.log):
            self.hears()


@settings(max_examples=250, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(5, 50))
def test_a_face_ends_with_what_the_server_has(dice: random.Random, steps: int) -> None:
    play = Play(dice)
    for _ in range(steps):
        play.step()
    play.ends()
    shown, there = play.chat.transcript(ROOM), play.server.messages()
    if shown.is_loaded and shown.lines:
        expected = {seq: message for seq, message in there.items() if seq >= (shown.oldest or 0)}
        assert [line.seq for line in shown.lines] == list(expected)
        for line in shown.lines:
            message = expected[line.seq]
            assert (line.text, line.deleted) == (message["text"], bool(message.get("deleted")))
            assert line.edited == bool(message.get("edited_at"))
            reacted = {row["emoji"]: set(row["users"]) for row in message["reactions"]}
            assert {emoji: set(users) for emoji, users in line.reactions.items()} == reacted
        if not shown.has_older:
            assert expected == there
    assert not shown.pending
    room, row = play.chat.rooms[ROOM], play.server.row()
    assert room.unread == row["unread"]
    assert room.head == row["head"]
    play.chat.apply(Synced({"username": ME}, [row]))
    assert (room.unread, room.mentions) == (row["unread"], row["mentions"])
