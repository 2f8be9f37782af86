"""The loop that keeps a session connected, with a connection and a clock made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import pytest

from dchat_client.backoff import Backoff
from dchat_client.connection import Connection
from dchat_client.errors import Busy, NotFound, SignInNeeded, Unreachable
from dchat_client.follow import follow
from dchat_client.items import Delivery, Item, Phase, StatusChanged
from dchat_client.session import Attach, Session

HELLO = b'event: hello\ndata: {"type":"hello"}\nid: c0\n\n'


def message(seq: int) -> bytes:
    return f'data: {{"type":"message","room":"r","seq":{seq},"epoch":1}}\nid: c{seq}\n\n'.encode()


class Scripted:
    """A connection whose streams are scripted:

    an error to raise, or the pieces to give (None: wait for ever).
    """

    def __init__(self, *streams: Exception | list[bytes | None]) -> None:
        self.streams = list(streams)
        self.attached: list[Attach] = []
        self.turned = 0

    @asynccontextmanager
    async def stream(self, attach: Attach) -> AsyncIterator[Any]:
        self.attached.append(attach)
        script = self.streams.pop(0)
        if isinstance(script, Exception):
            raise script
        yield Pieces(script)

    def use_next_url(self) -> None:
        self.turned += 1


class Pieces:
    def __init__(self, pieces: list[bytes | None]) -> None:
        self._pieces = list(pieces)

    async def read(self) -> bytes:
        piece = self._pieces.pop(0) if self._pieces else b""
        if piece is None:
            await asyncio.sleep(60)
        return piece or b""


async def run(scripted: Scripted, *, count: int, session: Session | None = None, **options: Any) -> list[Item]:
    """Take `count` deliveries and everything before them."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    session = session or Session(backoff=Backoff(dice=lambda: 0.5))
    items: list[Item] = []
    async with aclosing(follow(cast(Connection, scripted), session, sleep=sleep, **options)) as stream:
        async for item in stream:
            items.append(item)
            session.commit(item)
            if sum(isinstance(item, Delivery) for item in items) == count:
                return items
    return items


async def test_it_comes_back_with_the_committed_cursor_after_anything_that_may_pass() -> None:
    scripted = Scripted(
        [HELLO + message(1)],
        Unreachable("gone", code="unreachable"),
        Busy("busy", code="overloaded", status=503),
        [b"data: no json\n\n"],
        [message(1), message(2)],
    )
    items = await run(scripted, count=2)
    assert [item.position.seq for item in items if isinstance(item, Delivery)] == [1, 2]
    assert [attach.cursor for attach in scripted.attached] == [None, "c1", "c1", "c1", "c1"]
    assert scripted.turned == 4
    phases = [item.status.phase for item in items if isinstance(item, StatusChanged)]
    assert phases[:4] == [Phase.LIVE, Phase.RECONNECTING, Phase.CONNECTING, Phase.RECONNECTING]


async def test_silence_ends_a_connection() -> None:
    scripted = Scripted([HELLO, None], [HELLO, message(1)])
    session = Session(idle_timeout_s=0.05, backoff=Backoff(dice=lambda: 0.0))
    items = await run(scripted, count=1, session=session)
    assert any("nothing came" in item.status.reason for item in items if isinstance(item, StatusChanged))


@pytest.mark.parametrize("error", [NotFound("no", code="room_not_found"), SignInNeeded("no", code="unauthorized")])
async def test_what_will_not_pass_is_raised(error: Exception) -> None:
    session = Session()
    with pytest.raises(type(error)):
        await run(Scripted(error), count=1, session=session)
    assert session.status.phase is Phase.OFFLINE


async def test_being_signed_out_is_raised_after_what_came_before_it() -> None:
    expired = b'data: {"type":"auth_expired","reason":"revoked"}\n\n'
    with pytest.raises(SignInNeeded, match="revoked"):
        await run(Scripted([HELLO + message(1) + expired]), count=2)


async def test_the_first_stream_has_limited_patience_and_later_ones_none() -> None:
    gone = Unreachable("gone", code="unreachable")
    with pytest.raises(Unreachable):
        await run(Scripted(gone), count=1, first_patience_s=0.0)
    items = await run(Scripted([HELLO], gone, gone, [message(1)]), count=1, first_patience_s=0.0)
    assert isinstance(items[-1], Delivery)


async def test_a_planned_reconnect_leaves_at_once() -> None:
    reconnect = b'data: {"type":"reconnect","after_ms":1}\n\n'
    scripted = Scripted([HELLO + reconnect, None], [HELLO, message(1)])
    async with asyncio.timeout(5):
        await run(scripted, count=1)
