"""The worker's log reader: tasks that read the feeds and hand everything to the hub.

One task a connection (one in all, or one a shard on Redis Cluster). A read that fails is started again at once; if it
is not back within `GRACE_S`, streams are told `degraded`, and `recovered` once it is. Pings are sent only while the
reader is alive, so a client that gets none for two intervals knows that its worker is no use.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence

import structlog

from dchat_server import wire
from dchat_server.cursor import Cursor
from dchat_server.errors import ChatError
from dchat_server.hub import Hub
from dchat_server.model import Event
from dchat_server.ports import Batch, Change, Feed, FeedDown, Lost, RoomLog

GRACE_S = 0.5
ALIVE_S = 5.0
"""A reader that has heard nothing from Redis for so long is not alive: an idle one hears every two seconds."""
SLICE_BYTES = 128 * 1024
"""What is published before the loop may send it: a burst must not look like a slow reader to the write buffers."""

log = structlog.get_logger("dchat.pump")


class Pump:
    """Runs the feed's readers. `start` once, `stop` once. `on_break` is called when entries of the feed may have been
    missed: what was announced there must then be asked for."""

    def __init__(self, feed: Feed, hub: Hub, room_log: RoomLog, on_break: Callable[[], None] = lambda: None) -> None:
        self._feed, self._hub, self._log, self._on_break = feed, hub, room_log, on_break
        self._tasks: list[asyncio.Task[None]] = []
        self._heard: dict[int, float] = {}
        self._down: set[int] = set()
        self._advanced = asyncio.Event()

    def start(self) -> None:
        for at, group in enumerate(self._feed.groups()):
            self._heard[at] = asyncio.get_running_loop().time()
            self._tasks.append(asyncio.create_task(self._read(at, group), name=f"feed-{at}"))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def alive(self) -> bool:
        """True while every reader has heard from Redis lately."""
        return not self._down and self.heard_within(ALIVE_S)

    def heard_within(self, seconds: float) -> bool:
        """True when every reader has heard from Redis in the last `seconds`."""
        oldest = min(self._heard.values(), default=0.0)
        return asyncio.get_running_loop().time() - oldest < seconds

    async def reach(self, cursor: Cursor, timeout_s: float) -> bool:
        """Wait until the hub has published all that lies before `cursor`; False when it has not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._behind(cursor):
                    self._advanced.clear()
                    await self._advanced.wait()
        except TimeoutError:
            return False
        return True

    def _behind(self, cursor: Cursor) -> bool:
        here = self._hub.cursor.positions
        return any(wanted > have for wanted, have in zip(cursor.positions, here, strict=True))

    async def _read(self, at: int, group: Sequence[int]) -> None:
        loop = asyncio.get_running_loop()
        pause = 0.0
        warning = loop.call_later(GRACE_S, self._mark_down, at)

        def heard() -> None:
            nonlocal pause
            pause = 0.0
            warning.cancel()
            self._heard[at] = loop.time()
            self._mark_up(at)

        def take(changes: Sequence[Change]) -> bool:
            heard()
            return self._publish_at_once(changes)

        while True:
            try:
                async for changes in self._feed.read(group, take):
                    heard()
                    await self._publish(changes)
            except FeedDown as error:
                log.warning("feed_down", group=at, error=str(error))
            except Exception:
                # A mistake of ours. What was not published must not be missing silently: all resume by cursor.
                log.exception("feed_reader_failed", group=at)
                for shard in group:
                    self._hub.overtaken(shard, self._feed.positions[shard])
                self._on_break()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(0.1 + pause * 2, 1.0)
            if pause > 0.1:
                self._mark_down(at)
            warning.cancel()
            warning = loop.call_later(GRACE_S, self._mark_down, at)

    def _publish_at_once(self, changes: Sequence[Change]) -> bool:
        """Publish what happens as a rule, before anything else is done; False when it takes a while, and nothing was
        published. So a message goes out while its bytes are read, and before its sender is answered, instead of when
        the reader's task has its turn."""
        size = 0
        for change in changes:
            if not isinstance(change, Batch):
                return False
            for entry in change.entries:
                size += len(entry.body) + 128
        if size > SLICE_BYTES:
            return False
        for change in changes:
            self._hub.publish(change)  # type: ignore[arg-type]
        self._hub.flush()
        self._advanced.set()
        return True

    async def _publish(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, Batch):
                for part, more in _slices(change):
                    self._hub.publish(part)
                    if more:
                        self._hub.flush()
                        await asyncio.sleep(0)
            elif isinstance(change, Lost):
                log.error("log_tail_lost", shard=change.shard, position=change.position)
                kept = await self._kept(change.shard, change.position.offset)
                self._hub.lost(change.shard, change.position, kept)
                self._on_break()
            else:
                log.warning("feed_overtook_reader", shard=change.shard)
                self._hub.overtaken(change.shard, change.position)
                self._on_break()
        self._hub.flush()
        self._advanced.set()

    async def _kept(self, shard: int, offset: int) -> dict[str, int]:
        """The last seq up to `offset` of each room of a shard; what its log holds behind that was written since. Waits
        for Redis: without it there is nothing to read either."""
        kept: dict[str, int] = {}
        for room in self._hub.rooms_on(shard):
            while room not in kept:
                try:
                    kept[room] = max((await self._log.locate(room, offset=offset)).first - 1, 0)
                except ChatError as error:
                    log.warning("loss_unknown", shard=shard, error=str(error))
                    await asyncio.sleep(0.2)
        return kept

    def _mark_down(self, at: int) -> None:
        if not self._down:
            self._hub.tell(self._hub.streams(), wire.control_frame("degraded", reason="message log out of reach"))
        self._down.add(at)

    def _mark_up(self, at: int) -> None:
        if at in self._down:
            self._down.discard(at)
            if not self._down:
                log.info("feed_recovered")
                self._hub.tell(self._hub.streams(), wire.control_frame("recovered"))


def _slices(batch: Batch) -> Iterator[tuple[Batch, bool]]:
    """The batch in parts of about `SLICE_BYTES`, and whether more follow."""
    start, size = 0, 0
    offset = batch.position.offset - len(batch.entries)
    epoch = batch.position.epoch
    for at, entry in enumerate(batch.entries):
        if isinstance(entry, Event):
            size += len(entry.body) + 128
            epoch = entry.epoch
        if size > SLICE_BYTES and at + 1 < len(batch.entries):
            position = batch.position._replace(epoch=epoch, offset=offset + at + 1)
            yield Batch(batch.shard, batch.entries[start : at + 1], position), True
            start, size = at + 1, 0
    yield Batch(batch.shard, batch.entries[start:], batch.position), False
