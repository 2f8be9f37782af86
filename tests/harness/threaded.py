"""A server of a few lines in a thread of its own, for programs under test that block."""

from __future__ import annotations

import asyncio
import threading


class ThreadedServer:
    """Listens on a free port of 127.0.0.1 from the start until `stop`. `talk` is what it does with a connection."""

    def __init__(self) -> None:
        self.port = 0
        self.streams: list[asyncio.StreamWriter] = []
        """Connections that `talk` keeps open; they are cut at the end."""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._ready.wait(10)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self.end.set)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self) -> None:
        self.end = asyncio.Event()
        async with await asyncio.start_server(self._client, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self.end.wait()
            for writer in self.streams:
                writer.transport.abort()
        await asyncio.sleep(0.05)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
