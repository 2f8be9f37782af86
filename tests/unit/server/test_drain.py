from __future__ import annotations

import asyncio
import json

import pytest

from dchat_server import drain
from dchat_server.drain import WAVES, reconnect_frame, send_away
from dchat_server.hub import Hub, Stream
from dchat_server.model import Position
from tests.property.sse import decode


class Out:
    def __init__(self) -> None:
        self.data = b""
        self.closed_at: float | None = None

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        self.closed_at = asyncio.get_running_loop().time()

    abort = close


def streams(hub: Hub, count: int) -> list[Out]:
    outs = []
    for number in range(count):
        out = Out()
        stream = Stream(f"user{number}", "d", out, lines=number % 2 == 1)
        hub.watch(stream)
        hub.seat(stream, {"hall": False})
        hub.go_live(stream)
        outs.append(out)
    return outs


def test_a_browser_is_told_when_to_come_back_as_well() -> None:
    frame = reconnect_frame(1234)
    assert frame.block == b'retry: 1234\nevent: reconnect\ndata: {"type":"reconnect","after_ms":1234}\n'
    assert [each.type for each in decode(frame.block + b"\n")] == ["reconnect"]
    assert json.loads(frame.data) == {"type": "reconnect", "after_ms": 1234}


def test_the_notice_is_a_part_of_the_drain_and_long_enough_for_two_questions_of_a_balancer() -> None:
    assert drain.notice_of(12.0) > 2.0
    assert drain.notice_of(600.0) == drain.notice_of(12.0)
    assert [drain.notice_of(drain_s) for drain_s in (4.0, 0.0)] == [1.0, 0.0]


async def test_everybody_is_sent_away_each_at_a_time_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "PER_SECOND", 1000)
    hub = Hub([Position(1, 0)], lambda room: 0)
    outs = streams(hub, 200)
    began = asyncio.get_running_loop().time()
    await send_away(hub, 5.0)
    assert hub.count == 0
    times = sorted({round(out.closed_at - began, 3) for out in outs if out.closed_at is not None})
    assert len(times) >= WAVES
    assert 0.1 < times[-1] < 1.5
    delays = [int(out.data.split(b'"after_ms":')[1].split(b"}")[0]) for out in outs]
    assert all(100 <= delay < drain.SPREAD_MS for delay in delays)
    assert len(set(delays)) > 100


async def test_it_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "PER_SECOND", 10)
    hub = Hub([Position(1, 0)], lambda room: 0)
    streams(hub, 100)
    began = asyncio.get_running_loop().time()
    await send_away(hub, 0.2)
    assert hub.count == 0
    assert asyncio.get_running_loop().time() - began < 1.0


async def test_nobody_is_sent_away_at_once_and_late_comers_are_not_forgotten() -> None:
    hub = Hub([Position(1, 0)], lambda room: 0)
    await send_away(hub, 1.0)
    outs = streams(hub, 40)
    leaving = asyncio.create_task(send_away(hub, 0.1))
    await asyncio.sleep(0)
    outs += streams(hub, 1)
    await leaving
    assert hub.count == 0
    assert all(out.closed_at is not None for out in outs)
