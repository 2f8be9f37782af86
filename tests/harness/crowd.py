"""Writers and readers that note everything for the checker."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import aiohttp
import orjson

from tests.harness.checker import Attempt, Missed, Opened, Placed, Record, Saw, canonical, violations
from tests.harness.people import Person
from tests.harness.sse import LineReader, SseReader, Told

DURABLE = ("message", "edit", "delete", "reaction", "member", "room")
NETWORK = (aiohttp.ClientError, OSError, TimeoutError)


class Writer:
    """Sends numbered messages one after the other. With `stubborn` each is repeated, with its key, until it is
    acknowledged, at whatever worker answers; without, each is tried once and has no key."""

    def __init__(
        self, person: Person, room: str, *, stubborn: bool = True, pause_s: float = 0.0, padding: str = ""
    ) -> None:
        self.person, self.room, self.stubborn = person, room, stubborn
        self.attempts: list[Attempt] = []
        self.trouble = 0
        """Answers that were no acknowledgement, and connections that broke."""
        self.stopped = False
        self.task: asyncio.Task[None] | None = None
        self.refusals: list[tuple[float, int, str]] = []
        """Seconds an answer took, its status and its code, for each that was no acknowledgement."""
        self._pause_s, self._padding = pause_s, padding
        self._random = random.Random(person.name)

    def start(self, count: int = 1_000_000) -> Writer:
        self.task = asyncio.create_task(self.run(count))
        return self

    @property
    def acknowledged(self) -> int:
        return sum(attempt.outcome == "ok" for attempt in self.attempts)

    async def run(self, count: int = 1_000_000) -> None:
        """Send until `count` were tried or `stopped` is set."""
        for number in range(count):
            if self.stopped:
                return
            attempt = Attempt(self.person.name, self.room, f"{self.person.name} {self.room} {number}{self._padding}")
            self.attempts.append(attempt)
            attempt.began = time.monotonic()
            while not await self._try(attempt, f"k{number}") and self.stubborn:
                self.trouble += 1
                await asyncio.sleep(self._random.uniform(0.05, 0.2))
            attempt.ended = time.monotonic()
            if self._pause_s:
                await asyncio.sleep(self._pause_s * self._random.uniform(0.5, 1.5))

    async def _try(self, attempt: Attempt, key: str) -> bool:
        body: dict[str, Any] = {"text": attempt.text}
        if self.stubborn:
            body["client_id"] = key
        worker = self._random.randrange(len(self.person.urls))
        asked = time.monotonic()
        try:
            answer = await self.person.ask(
                "POST", f"/v1/rooms/{attempt.room}/messages", body, worker=worker, timeout_s=20
            )
        except aiohttp.ClientConnectorError:
            attempt.outcome = attempt.outcome if self.stubborn else "failed"
            return False
        except NETWORK:
            return False
        if answer.status in (200, 201):
            message = answer.json["message"]
            attempt.outcome, attempt.seq, attempt.epoch = "ok", message["seq"], message["epoch"]
            return True
        self.refusals.append((time.monotonic() - asked, answer.status, answer.code))
        if 400 <= answer.status < 500 and not self.stubborn:
            attempt.outcome = "failed"
        assert answer.status in (429, 502, 503, 504), f"{attempt.text!r}: {answer}"
        return False


class Reader:
    """Reads the stream, in the form it is told or in changing ones, and reconnects by its cursor: when the connection
    ends, and, when it is `restless`, whenever it feels like it, at any worker."""

    def __init__(
        self,
        person: Person,
        *,
        rooms: Sequence[str] | None = None,
        forms: Sequence[str] = ("sse",),
        restless: tuple[int, int] | None = None,
        cursor: str | None = None,
        starts: dict[str, int] | None = None,
        allowed: frozenset[str] | None = None,
        worker: int | None = None,
        idle_s: float = 30.0,
        seed: int | None = None,
    ) -> None:
        self.person, self.rooms, self.forms, self.restless = person, rooms, forms, restless
        self.cursor, self.worker, self.idle_s = cursor, worker, idle_s
        name = person.name if seed is None else f"{person.name}/{seed}"
        self.record = Record(name, dict(starts or {}), allowed)
        self.notes: list[tuple[float, dict[str, Any]]] = []
        """Events of the stream itself, and when they came."""
        self.heads: dict[str, int] = dict(starts or {})
        """The newest seq seen of each room."""
        self.ends: list[str] = []
        """Why each connection ended."""
        self.refusals: list[tuple[int, str]] = []
        self.retries_ms: list[int] = []
        self.on_event: Callable[[dict[str, Any]], None] | None = None
        self.patience = True
        """False: a connection that ends is not made again."""
        self._random = random.Random(f"{name}")
        self._task: asyncio.Task[None] | None = None
        self.live = asyncio.Event()
        """The present connection has said hello."""

    def start(self) -> Reader:
        self._task = asyncio.create_task(self._run())
        return self

    async def stop(self) -> None:
        """End the connection. Raises what the reader failed with."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def ended(self) -> None:
        """Wait until it ends by itself (`patience` off)."""
        assert self._task is not None
        await self._task

    @property
    def failed(self) -> BaseException | None:
        if self._task is not None and self._task.done() and not self._task.cancelled():
            return self._task.exception()
        return None

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [event for _, event in self.notes if event["type"] == kind]

    def texts(self, room: str) -> list[str]:
        """Texts of the messages of a room, in the order they came."""
        events = (
            orjson.loads(entry.data) for entry in self.record.entries if isinstance(entry, Saw) and entry.room == room
        )
        return [event["text"] for event in events if event["type"] == "message"]

    def has(self, room: str, seq: int) -> bool:
        if self.failed:
            raise self.failed
        return self.heads.get(room, 0) >= seq

    async def _run(self) -> None:
        while True:
            form = self._random.choice(self.forms)
            try:
                await (self._poll() if form == "poll" else self._stream(form))
            except NETWORK as error:
                self.ends.append(type(error).__name__)
            finally:
                self.live.clear()
            if not self.patience:
                return
            await asyncio.sleep(self._random.uniform(0, 0.1))

    def _request(self, form: str) -> tuple[str, dict[str, str], dict[str, str]]:
        worker = self.worker if self.worker is not None else self._random.randrange(len(self.person.urls))
        headers, query = dict(self.person.headers), {}
        headers["Accept"] = "application/x-ndjson" if form == "ndjson" else "text/event-stream"
        if self.rooms is not None:
            query["rooms"] = ",".join(self.rooms)
        if self.cursor is not None:
            if self._random.random() < 0.5:
                headers["Last-Event-ID"] = self.cursor
            else:
                query["cursor"] = self.cursor
        return self.person.url(worker) + "/v1/events", headers, query

    async def _stream(self, form: str) -> None:
        url, headers, query = self._request(form)
        leave_after = self._random.randint(*self.restless) if self.restless else None
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=self.idle_s)
        async with self.person.http.get(url, headers=headers, params=query, timeout=timeout) as response:
            if response.status != 200:
                await self._refused(response)
                return
            self.record.entries.append(Opened(url, self.cursor))
            decoder = LineReader() if form == "ndjson" else SseReader()
            count = 0
            async for data in response.content.iter_any():
                for told in decoder.feed(data):
                    self._take(told)
                    count += told.event["type"] in DURABLE
                    if leave_after is not None and count >= leave_after:
                        # In the middle of what was received: the rest of it is lost to us, as in a crash.
                        self.ends.append("left")
                        response.close()
                        return
                if decoder.retry_ms is not None:
                    self.retries_ms.append(decoder.retry_ms)
                    decoder.retry_ms = None
            self.ends.append("closed")

    async def _poll(self) -> None:
        url, headers, query = self._request("poll")
        query["poll"] = "1"
        timeout = aiohttp.ClientTimeout(total=self.idle_s, sock_connect=5)
        async with self.person.http.get(url, headers=headers, params=query, timeout=timeout) as response:
            if response.status != 200:
                await self._refused(response)
                return
            answer = orjson.loads(await response.read())
        self.record.entries.append(Opened(url, self.cursor))
        for event in answer["events"]:
            self._take(Told(event, None))
        self._place(answer["cursor"])
        self.ends.append("polled")

    async def _refused(self, response: aiohttp.ClientResponse) -> None:
        body = await response.read()
        code = orjson.loads(body).get("code", "") if body[:1] == b"{" else ""
        self.refusals.append((response.status, code))
        self.ends.append(f"refused {response.status} {code}")
        await asyncio.sleep(0.2)

    def _take(self, told: Told) -> None:
        event = told.event
        kind = event["type"]
        if kind in DURABLE:
            room, seq = event["room"], event["seq"]
            self.record.entries.append(Saw(room, event["epoch"], seq, canonical(event)))
            self.heads[room] = seq
        else:
            if kind == "gap":
                ranges = [(each["room"], each["from"], each["to"]) for each in event["rooms"]]
                self.record.entries.append(Missed(ranges))
            self.notes.append((time.monotonic(), event))
            if kind == "hello":
                self.live.set()
        if told.cursor is not None:
            self._place(told.cursor)
        if self.on_event is not None:
            self.on_event(event)

    def _place(self, cursor: str) -> None:
        self.cursor = cursor
        self.record.entries.append(Placed())


async def caught_up(readers: Sequence[Reader], heads: dict[str, int], *, timeout_s: float = 60.0) -> None:
    """Wait until every reader has seen all of `heads`; gives up silently, for the checker to say what is missing."""
    deadline = time.monotonic() + timeout_s
    for reader in readers:
        while time.monotonic() < deadline and not all(reader.has(room, seq) for room, seq in heads.items()):
            await asyncio.sleep(0.02)


async def stop_all(readers: Sequence[Reader]) -> None:
    for reader in readers:
        await reader.stop()


async def run_of(
    writers: Sequence[Writer], readers: Sequence[Reader], rooms: Sequence[str], *, lossy: bool = False
) -> tuple[list[str], dict[str, int]]:
    """End a run: stop the writers, let the readers catch up, stop them, and return the violations and the heads."""
    for writer in writers:
        writer.stopped = True
    await asyncio.gather(*(writer.task for writer in writers if writer.task))
    anybody = readers[0].person if readers else writers[0].person
    heads = {room: await anybody.head(room) for room in rooms}
    await caught_up(readers, heads)
    await stop_all(readers)
    history = {room: await anybody.history(room) for room in rooms}
    attempts = [attempt for writer in writers for attempt in writer.attempts]
    found = violations(history, attempts, [reader.record for reader in readers], heads=heads, lossy=lossy)
    return found, heads
