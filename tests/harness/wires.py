"""A TCP proxy that spoils things: swallows replies, cuts, delays, blocks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.harness.processes import free_port


class Wire:
    """Carries connections from `port` to `target` on 127.0.0.1, in the loop of the test."""

    def __init__(self, target: int) -> None:
        self.port, self.target = free_port(), target
        self.blocked = False
        """Nothing passes, in either direction; connections stay open."""
        self.delay_s = 0.0
        """Each piece of a reply waits so long."""
        self.cut_replies = 0.0
        """Share of replies, 0 to 1, instead of which the connection is cut: the request was acted on."""
        self.spoiled = 0
        """How often a reply was swallowed or cut."""
        self._swallow: bytes | None = None
        self._swallow_left = 0
        self._random = random.Random(7)
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def swallow(self, marker: bytes, times: int = 1) -> None:
        """Lose the replies to the next `times` requests that hold `marker`: the server acts, its word never arrives.
        That connection stays open and dumb."""
        self._swallow, self._swallow_left = marker, times

    def cut(self) -> None:
        """End all connections now."""
        for pair in self._pairs:
            for writer in pair:
                writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, out = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, out)
        self._pairs.add(pair)
        dumb = asyncio.Event()
        pumps = [
            asyncio.create_task(self._requests(reader, out, dumb)),
            asyncio.create_task(self._replies(there, writer, dumb)),
        ]
        self._tasks.update(pumps)
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pairs.discard(pair)
            for side in pair:
                side.transport.abort()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._tasks.difference_update(pumps)

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dumb: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if self._swallow_left and self._swallow is not None and self._swallow in data:
                    self._swallow_left -= 1
                    self.spoiled += 1
                    dumb.set()
                while self.blocked:
                    await asyncio.sleep(0.05)
                writer.write(data)
                await writer.drain()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dumb: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                while self.blocked:
                    await asyncio.sleep(0.05)
                if dumb.is_set():
                    continue
                if self.cut_replies and self._random.random() < self.cut_replies:
                    self.spoiled += 1
                    return
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def wire_to(target: int) -> AsyncIterator[Wire]:
    """A `Wire` to a port, open inside the block."""
    wire = Wire(target)
    handlers: set[asyncio.Task[None]] = set()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: asyncio would log it as a fault when we cancel its.
        task = asyncio.ensure_future(wire._serve(reader, writer))
        handlers.add(task)
        task.add_done_callback(handlers.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", wire.port)
    try:
        yield wire
    finally:
        server.close()
        for task in list(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await server.wait_closed()
