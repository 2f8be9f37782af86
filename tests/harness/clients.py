"""People who use the client's own core, as every face does, and people who use plain HTTP and repeat nothing. All note
what they did for the checker, and what they were shown of any trouble."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from contextlib import aclosing, suppress

import aiohttp
import orjson

from dchat_client.connection import Connection
from dchat_client.errors import ChatError
from dchat_client.follow import follow
from dchat_client.items import Delivery, Gap, Item, Phase, StatusChanged
from dchat_client.position import Bookmark
from dchat_client.session import Session
from tests.harness.checker import Attempt, Missed, Record, Saw, canonical
from tests.harness.crowd import NETWORK
from tests.harness.people import Person

ASKED = "the server asked to reconnect"
"""What a session gives as the reason of a planned move."""


class ClientReader:
    """A stream kept by the client's session: what comes out of it is what a person sees."""

    def __init__(self, person: Person, starts: dict[str, int], cursor: str) -> None:
        self.person = person
        self.record = Record(f"{person.name}/client", dict(starts))
        self.heads = dict(starts)
        self.asked: list[float] = []
        """When the server asked it to come back elsewhere, by the monotonic clock."""
        self.opened: list[float] = []
        """When a stream said hello."""
        self.trouble: list[str] = []
        """Every other reason for which a stream ended or did not open."""
        self.live = asyncio.Event()
        self._cursor = cursor
        self.task = asyncio.create_task(self._run())

    def has(self, room: str, seq: int) -> bool:
        if self.task.done():
            self.task.result()
        return self.heads.get(room, 0) >= seq

    async def stop(self) -> None:
        """End the stream. Raises what the reader failed with."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def _run(self) -> None:
        session = Session(bookmark=Bookmark(self._cursor))
        async with (
            Connection([self.person.url()], self.person.token) as connection,
            aclosing(follow(connection, session)) as items,
        ):
            async for item in items:
                self._take(item)
                session.commit(item)

    def _take(self, item: Item) -> None:
        match item:
            case Delivery(room=room, position=position, event=event):
                self.record.entries.append(Saw(room, position.epoch, position.seq, canonical(event)))
                self.heads[room] = position.seq
            case Gap(ranges=ranges):
                self.record.entries.append(Missed([(each.room, each.first, each.last) for each in ranges]))
            case StatusChanged(status=status):
                if status.phase is Phase.LIVE:
                    self.opened.append(time.monotonic())
                    self.live.set()
                elif status.phase is Phase.RECONNECTING and status.reason == ASKED:
                    self.asked.append(time.monotonic())
                elif status.phase is Phase.RECONNECTING:
                    self.trouble.append(status.reason)


class _Sender:
    """Sends numbered messages, one after the other."""

    def __init__(self, person: Person, room: str, pause_s: float) -> None:
        self.person, self.room = person, room
        self.attempts: list[Attempt] = []
        self.trouble: list[str] = []
        """What it was shown instead of an acknowledgement."""
        self.stopped = False
        self._pause_s, self._random = pause_s, random.Random(person.name)
        self.task = asyncio.create_task(self._run())

    @property
    def done(self) -> int:
        """How many were acknowledged."""
        return sum(attempt.outcome == "ok" for attempt in self.attempts)

    async def _run(self) -> None:
        for number in itertools.count():
            if self.stopped:
                return
            attempt = Attempt(self.person.name, self.room, f"{self.person.name} {number}", began=time.monotonic())
            self.attempts.append(attempt)
            await self._send(attempt, number)
            attempt.ended = time.monotonic()
            await asyncio.sleep(self._pause_s * self._random.uniform(0.5, 1.5))

    async def _send(self, attempt: Attempt, number: int) -> None:
        raise NotImplementedError

    @staticmethod
    def _stored(attempt: Attempt, message: dict[str, object]) -> None:
        attempt.outcome, attempt.seq, attempt.epoch = "ok", int(str(message["seq"])), int(str(message["epoch"]))


class ClientSender(_Sender):
    """By the client's connection, which repeats what may be repeated. What it raises, a person is shown."""

    async def _send(self, attempt: Attempt, number: int) -> None:
        async with Connection([self.person.url()], self.person.token) as connection:
            try:
                message, _ = await connection.post_message(self.room, attempt.text, client_id=f"k{number}")
            except ChatError as error:
                self.trouble.append(str(error))
            else:
                self._stored(attempt, message)


class PlainSender(_Sender):
    """By plain HTTP on one connection that is kept open for as long as the other side lets it. Nothing is repeated."""

    async def _run(self) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as self._http:
            await super()._run()

    async def _send(self, attempt: Attempt, number: int) -> None:
        url = f"{self.person.url()}/v1/rooms/{self.room}/messages"
        try:
            async with self._http.post(url, json={"text": attempt.text}, headers=self.person.headers) as response:
                answer = await response.read()
        except NETWORK as error:
            self.trouble.append(f"{type(error).__name__}: {error}")
            return
        if response.status == 201:
            self._stored(attempt, orjson.loads(answer)["message"])
        else:
            attempt.outcome = "unknown" if response.status >= 500 else "failed"
            self.trouble.append(f"{response.status} {answer[:120]!r}")


class Visitor:
    """Opens a stream on a connection of its own, reads how it begins, and goes; over and over. Like a browser's
    EventSource it would never come back from an error."""

    def __init__(self, person: Person, pause_s: float) -> None:
        self.person, self._pause_s = person, pause_s
        self.visits = 0
        self.trouble: list[str] = []
        self.task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Raises what it failed with."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task

    async def _run(self) -> None:
        url = self.person.url() + "/v1/events"
        while True:
            try:
                async with (
                    aiohttp.ClientSession(headers=self.person.headers) as http,
                    http.get(url, timeout=aiohttp.ClientTimeout(total=30)) as response,
                ):
                    began = await response.content.readline()
                    if (response.status, began) != (200, b"event: hello\n"):
                        self.trouble.append(f"{response.status} {began!r}")
            except NETWORK as error:
                self.trouble.append(f"{type(error).__name__}: {error}")
            self.visits += 1
            await asyncio.sleep(self._pause_s)
