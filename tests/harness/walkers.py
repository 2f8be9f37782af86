"""People who change what they said, and people who walk through a room's whole history again and again; all of them
note what they did and saw for the checker."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from tests.harness.checker import Attempt, Change, Walk
from tests.harness.crowd import NETWORK
from tests.harness.people import Answer, Person

RETRYABLE = (429, 502, 503, 504)


class Changer:
    """Sends messages and edits, deletes and reacts to them, old ones and new ones, each time until it is
    acknowledged. Nobody else changes these messages."""

    def __init__(self, person: Person, room: str, *, pause_s: float = 0.0, seed: int = 0) -> None:
        self.person, self.room, self.stopped = person, room, False
        self.attempts: list[Attempt] = []
        self.changes: list[Change] = []
        self.texts: dict[int, str | None] = {}
        """seq → what it says; None: deleted."""
        self.reactions: dict[int, set[str]] = {}
        self.task: asyncio.Task[None] | None = None
        self.trouble: list[tuple[int, str]] = []
        """Status and code of answers that were no acknowledgement; (0, …) when there was none."""
        self._pause_s, self._random = pause_s, random.Random(f"{person.name} {seed}")
        self._keys = 0

    def start(self) -> Changer:
        self.task = asyncio.create_task(self.run())
        return self

    async def stop(self) -> None:
        self.stopped = True
        if self.task is not None:
            await self.task

    @property
    def acknowledged(self) -> int:
        return len(self.attempts) + len(self.changes) - (not self.stopped)

    async def run(self, count: int = 1_000_000) -> None:
        """Say and change things until `count` were done or `stopped` is set."""
        for number in range(count):
            if self.stopped:
                return
            alive = [seq for seq, text in self.texts.items() if text is not None]
            act = self._random.choice(("say", "say", "edit", "react", "delete")) if len(alive) > 5 else "say"
            if act == "say":
                await self._say(number)
            else:
                # As often one of the first as one of the last: those are in the archive, these are not.
                some = self._random.choice((alive[:8], alive[-4:], alive))
                await getattr(self, f"_{act}")(self._random.choice(some), number)
            if self._pause_s:
                await asyncio.sleep(self._pause_s * self._random.uniform(0.5, 1.5))

    async def _say(self, number: int) -> None:
        self._keys += 1
        text = f"{self.person.name} {self.room} says {number}"
        attempt = Attempt(self.person.name, self.room, text, began=time.monotonic())
        self.attempts.append(attempt)
        body = {"text": text, "client_id": f"c{self._keys}"}
        answer = await self._must("POST", f"/v1/rooms/{self.room}/messages", body)
        message = answer.json["message"]
        attempt.outcome, attempt.seq, attempt.epoch = "ok", message["seq"], message["epoch"]
        attempt.ended = time.monotonic()
        self.texts[message["seq"]] = text

    async def _edit(self, seq: int, number: int) -> None:
        text = f"{self.person.name} {self.room} says {seq} anew {number}"
        await self._change("edit", seq, text, "PATCH", "", {"text": text})
        self.texts[seq] = text

    async def _delete(self, seq: int, number: int) -> None:
        await self._change("delete", seq, "", "DELETE", "", None)
        self.texts[seq] = None

    async def _react(self, seq: int, number: int) -> None:
        mine = self.reactions.setdefault(seq, set())
        emoji = self._random.choice("👍🎉👀")
        add = emoji not in mine
        kind, method = ("add", "PUT") if add else ("remove", "DELETE")
        await self._change(kind, seq, emoji, method, f"/reactions/{quote(emoji)}", None)
        (mine.add if add else mine.remove)(emoji)

    async def _change(self, kind: str, seq: int, value: str, method: str, more: str, body: Any) -> None:
        change = Change(self.room, seq, kind, value, time.monotonic())
        await self._must(method, f"/v1/rooms/{self.room}/messages/{seq}{more}", body)
        change.ended = time.monotonic()
        self.changes.append(change)

    async def _must(self, method: str, path: str, body: Any) -> Answer:
        while True:
            try:
                worker = self._random.randrange(len(self.person.urls))
                answer = await self.person.ask(method, path, body, worker=worker, timeout_s=20)
            except NETWORK as error:
                self.trouble.append((0, type(error).__name__))
            else:
                if answer.status < 300:
                    return answer
                self.trouble.append((answer.status, answer.code))
                assert answer.status in RETRYABLE, f"{method} {path}: {answer}"
            await asyncio.sleep(self._random.uniform(0.05, 0.2))


class Walker:
    """Walks through rooms from one end to the other, forward and backward, in pages of changing size, at any worker."""

    def __init__(self, person: Person, rooms: Sequence[str], *, pause_s: float = 0.02, seed: int = 0) -> None:
        self.person, self.rooms = person, rooms
        self.walks: list[Walk] = []
        self.trouble: list[tuple[int, str]] = []
        self.task: asyncio.Task[None] | None = None
        self.stopped = False
        self._pause_s, self._random = pause_s, random.Random(f"{person.name} {seed}")

    def start(self) -> Walker:
        self.task = asyncio.create_task(self._run())
        return self

    async def stop(self) -> None:
        """End after the present walk."""
        self.stopped = True
        if self.task is not None:
            await self.task

    async def _run(self) -> None:
        while not self.stopped:
            await self.walk(self._random.choice(self.rooms))
            await asyncio.sleep(self._pause_s)

    async def walk(self, room: str) -> Walk:
        """One walk through all of the room."""
        backward, limit = self._random.random() < 0.5, self._random.choice((7, 40, 200))
        walk = Walk(f"{self.person.name} {'back' if backward else 'forward'} by {limit}", room, began=time.monotonic())
        walk.head = (await self._get(f"/v1/rooms/{room}"))["room"]["head"]
        place = "" if backward else "&after=0"
        while True:
            page = await self._get(f"/v1/rooms/{room}/messages?limit={limit}{place}")
            messages = page["messages"]
            walk.messages = messages + walk.messages if backward else walk.messages + messages
            if not page["has_more"]:
                break
            assert messages, f"a page of {room} is empty and has more"
            place = f"&before={messages[0]['seq']}" if backward else f"&after={messages[-1]['seq']}"
        walk.ended = time.monotonic()
        self.walks.append(walk)
        return walk

    async def _get(self, path: str) -> Any:
        while True:
            try:
                worker = self._random.randrange(len(self.person.urls))
                answer = await self.person.ask("GET", path, worker=worker, timeout_s=20)
            except NETWORK as error:
                self.trouble.append((0, type(error).__name__))
            else:
                if answer.status == 200:
                    return answer.json
                self.trouble.append((answer.status, answer.code))
                assert answer.status in RETRYABLE, f"{path}: {answer}"
            await asyncio.sleep(self._random.uniform(0.05, 0.2))
