"""The feed over Redis Streams: one blocking XREAD a connection, explicit positions, deadlines.

XREAD says nothing about what was trimmed, lost or lies in the future, so every entry's offset is checked against the
one before by arithmetic. A change of epoch is looked up in the shard's state (`ShardState.bases`) before anything of
the new epoch is handed out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from redis.exceptions import RedisError

from dchat_server.adapters.redis_nodes import RedisNodes, ShardState
from dchat_server.adapters.redis_wire import RedisWire, Value
from dchat_server.errors import BackendUnavailable
from dchat_server.model import Control, Event, Position
from dchat_server.ports import Batch, Change, FeedDown, Lost, Overtaken, Take, take_nothing

BLOCK_MS = 2000
REPLY_S = BLOCK_MS / 1000 + 2.5
"""Redis answers a blocked read after `BLOCK_MS` and up to half a second; a frozen one never does."""
COUNT = 1000

_Left = tuple[Any, list[Change] | None]
"""The reply to an XREAD, and what it brings when that is known."""


class _TakeFailed(Exception):
    """`take` raised its cause, which may look like a failure of the connection's."""


class RedisFeed:
    """Reads the shards' feeds for one worker. Not shared between tasks but for disjoint shards."""

    def __init__(self, nodes: RedisNodes) -> None:
        self._nodes = nodes
        self._feeds = {shard: nodes.keys.feed(shard) for shard in range(nodes.keys.shards)}
        self._shards = {feed.encode(): shard for shard, feed in self._feeds.items()}
        self.positions: dict[int, Position] = {}

    def groups(self) -> Sequence[Sequence[int]]:
        shards = range(self._nodes.keys.shards)
        return [[shard] for shard in shards] if self._nodes.many_nodes else [list(shards)]

    async def start(self, backlog: int) -> dict[int, Position]:
        for shard in self._feeds:
            state = self._nodes.state(shard)
            self.positions[shard] = position_at(state, max(state.first - 1, state.head - backlog, 0))
        return dict(self.positions)

    async def read(self, shards: Sequence[int], take: Take = take_nothing) -> AsyncIterator[list[Change]]:
        try:
            connection = await self._nodes.reader(shards[0])
        except (BackendUnavailable, RedisError) as error:
            raise FeedDown(str(error)) from error
        try:
            # What is found out is handed out at once: if the next look fails, nobody asks for it again.
            for shard in shards:
                if changes := await self._reopen(shard):
                    yield changes
            yield []
            while True:
                reply, taken_in = await self._until_left(connection, shards, take)
                if taken_in is not None:
                    self._move(taken_in)
                    yield taken_in
                    continue
                for feed, rows in reply:
                    async for changes in self._take(self._shards[feed], rows):
                        yield changes
        except _TakeFailed as failed:
            raise (failed.__cause__ or failed) from None
        except (RedisError, OSError, TimeoutError, BackendUnavailable) as error:
            raise FeedDown(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()

    def _until_left(self, connection: RedisWire, shards: Sequence[int], take: Take) -> asyncio.Future[_Left]:
        """Read on and on, without a task, until something is left for one: a reply that needs a look at the state of a
        shard (None: nothing of it was taken in), or changes that `take` did not take."""
        left: asyncio.Future[_Left] = asyncio.get_running_loop().create_future()
        feeds = [self._feeds[shard] for shard in shards]

        def ask() -> None:
            ids = [f"{epoch}-{offset}" for epoch, offset in (self.positions[shard] for shard in shards)]
            command: list[Value] = ["XREAD", "BLOCK", BLOCK_MS, "COUNT", COUNT, "STREAMS", *feeds, *ids]
            connection.send([command], REPLY_S, answered)

        def answered(outcome: list[Any] | Exception) -> None:
            if left.done():  # whoever waited is gone
                return
            try:
                reply = outcome if isinstance(outcome, Exception) else outcome[0]
                if isinstance(reply, Exception):
                    raise reply
                changes = self._plain(reply or ())
                if changes is not None and self._taken(take, changes):
                    ask()
                else:
                    left.set_result((reply, changes))
            except Exception as error:
                left.set_exception(error)

        ask()
        return left

    def _plain(self, reply: Sequence[Any]) -> list[Change] | None:
        """What a reply brings, when all of it goes on where its shard was read up to; else None."""
        batches: list[Change] = []
        for feed, rows in reply:
            shard = self._shards[feed]
            epoch, offset = self.positions[shard]
            last = offset + len(rows)
            # All ids lie behind where we are, and they rise: if the last one is where so many put it, none is missing.
            if rows[-1][0] != b"%d-%d" % (epoch, last):
                return None
            entries = [decode_entry(row, at) for at, (_, row) in enumerate(rows, offset + 1)]
            batches.append(Batch(shard, entries, Position(epoch, last)))
        return batches

    def _taken(self, take: Take, changes: list[Change]) -> bool:
        """Tell whether `take` took them. What it fails at counts as read."""
        try:
            if not take(changes):
                return False
        except Exception as error:
            self._move(changes)
            raise _TakeFailed from error
        self._move(changes)
        return True

    def _move(self, changes: Sequence[Change]) -> None:
        for change in changes:
            self.positions[change.shard] = change.position

    async def _take(self, shard: int, rows: list[Any]) -> AsyncIterator[list[Change]]:
        """What rows bring that are not plain: by pieces, each as soon as it is certain."""
        epoch, offset = self.positions[shard]
        prefix = b"%d-" % epoch
        entries: list[Event | Control] = []
        for entry_id, row in rows:
            if entry_id.startswith(prefix):
                at = int(entry_id[len(prefix) :])
            else:
                # Another epoch than the last entry's: make sure that nothing was lost in between before going on.
                theirs, at = map(int, entry_id.split(b"-"))
                state = self._nodes.state(shard)
                if not state.kept(Position(epoch, offset)) or not state.knows(theirs):
                    yield self._batch(shard, entries, Position(epoch, offset))
                    yield await self._reopen(shard)
                    return
                epoch, prefix = theirs, b"%d-" % theirs
            if at != offset + 1:
                yield self._batch(shard, entries, Position(epoch, offset))
                yield await self._reopen(shard, overtaken=True)
                return
            offset = at
            entries.append(decode_entry(row, at))
        yield self._batch(shard, entries, Position(epoch, offset))

    def _batch(self, shard: int, entries: list[Event | Control], position: Position) -> list[Change]:
        self.positions[shard] = position
        return [Batch(shard, entries, position)] if entries else []

    async def _reopen(self, shard: int, *, overtaken: bool = False) -> list[Change]:
        """Look at the shard's state and say what happened to the tail we had read."""
        state = await self._nodes.open_shard(shard)
        mine = self.positions[shard]
        if not state.kept(mine) or (mine.epoch == state.epoch and mine.offset > state.head):
            if mine.epoch in state.bases:
                position = Position(mine.epoch, state.bases[mine.epoch])
            elif mine.epoch == state.epoch:
                position = Position(state.epoch, state.head)
            else:  # an old backup, or a wiped server: new to us is what it has of epochs younger than ours
                older = [end for epoch, end in state.bases.items() if epoch < mine.epoch]
                position = position_at(state, max([state.first - 1, *older]))
            self.positions[shard] = position
            return [Lost(shard, position)]
        if overtaken or mine.offset + 1 < state.first:
            self.positions[shard] = Position(state.epoch, state.head)
            return [Overtaken(shard, self.positions[shard])]
        return []


def position_at(state: ShardState, offset: int) -> Position:
    """The position with this offset: offsets of older epochs keep their epoch."""
    for epoch in sorted(state.bases):
        if offset <= state.bases[epoch]:
            return Position(epoch, offset)
    return Position(state.epoch, offset)


def decode_entry(row: list[bytes], offset: int) -> Event | Control:
    """A feed entry as lua/common.lua wrote it."""
    if row[0] == b"c":
        return Control(row[1].decode(), row[3].decode(), row[5])
    epoch, seq, ts, messages = row[5].split()
    return Event(row[1].decode(), int(epoch), int(seq), row[3].decode(), int(ts), row[7], offset, int(messages))
