"""The feed's reader where looks at the servers fail in between; all else is in tests/contract/test_feed.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from dchat_server.adapters.redis_feed import RedisFeed
from dchat_server.adapters.redis_keys import Keys
from dchat_server.adapters.redis_nodes import ShardState
from dchat_server.errors import BackendUnavailable
from dchat_server.model import Event, Position
from dchat_server.ports import Batch, Change, FeedDown, Lost, Take, take_nothing

OLD = ShardState(1, 10, 1, {})
CUT = ShardState(2, 6, 1, {1: 6})
"""The epoch rose; of what was said in the one before, 6 are left."""


class Connection:
    """Answers each read with what it is told to; `closed` once it is."""

    def __init__(self, replies: list[Any]) -> None:
        self.replies, self.closed = replies, False

    def send(self, commands: Sequence[Any], timeout_s: float, told: Callable[[Any], None]) -> None:
        if self.replies:
            told([self.replies.pop(0)])

    def close(self) -> None:
        self.closed = True


class Nodes:
    """Two shards on one server. `away`: at how many looks from now on it is out of reach."""

    many_nodes = False

    def __init__(self) -> None:
        self.keys = Keys(2)
        self.states = {0: OLD, 1: OLD}
        self.away: list[bool] = []
        self.replies: list[Any] = []

    def state(self, shard: int) -> ShardState:
        return OLD

    async def open_shard(self, shard: int) -> ShardState:
        if self.away and self.away.pop(0):
            raise BackendUnavailable("away")
        return self.states[shard]

    async def reader(self, shard: int) -> Any:
        return Connection(self.replies)


@pytest.fixture
def nodes() -> Nodes:
    return Nodes()


@pytest.fixture
async def feed(nodes: Nodes) -> RedisFeed:
    feed = RedisFeed(nodes)  # type: ignore[arg-type]
    await feed.start(0)
    return feed


async def read(feed: RedisFeed, most: int, take: Take = take_nothing) -> list[Change]:
    """What it hands out, until it is down or has handed out so many."""
    changes: list[Change] = []
    try:
        async for some in feed.read([0, 1], take):
            changes += some
            if len(changes) >= most:
                break
    except FeedDown:
        pass
    return changes


def row(offset: int, epoch: int = 1) -> list[Any]:
    fields = [b"r", b"hall", b"t", b"message", b"x", b"%d %d 5 1" % (epoch, offset), b"d", b"}"]
    return [b"%d-%d" % (epoch, offset), fields]


async def test_a_loss_is_told_though_the_look_at_the_next_shard_fails(nodes: Nodes, feed: RedisFeed) -> None:
    nodes.states, nodes.away = {0: CUT, 1: CUT}, [False, True]
    assert await read(feed, 9) == [Lost(0, Position(1, 6))]
    assert await read(feed, 1) == [Lost(1, Position(1, 6))]


async def test_what_came_before_a_gap_is_told_though_the_look_at_it_fails(nodes: Nodes, feed: RedisFeed) -> None:
    nodes.away = [False, False, True]
    nodes.replies = [[[nodes.keys.feed(0).encode(), [row(11), row(13)]]]]
    (batch,) = await read(feed, 9)
    assert isinstance(batch, Batch)
    assert [entry.offset for entry in batch.entries if isinstance(entry, Event)] == [11]
    assert feed.positions[0] == Position(1, 11)


@pytest.mark.parametrize("error", [OSError("ours"), TimeoutError(), BackendUnavailable("ours"), ZeroDivisionError()])
async def test_what_take_raises_is_never_taken_for_the_servers_fault(
    nodes: Nodes, feed: RedisFeed, error: Exception
) -> None:
    def fail(changes: list[Change]) -> bool:
        raise error

    nodes.replies = [[[nodes.keys.feed(0).encode(), [row(11)]]]]
    with pytest.raises(type(error)):
        await read(feed, 9, fail)
    assert feed.positions[0] == Position(1, 11), "not read again and again"
