"""Pages: the newest, a stretch, and what a gap left out, with as few requests as it takes."""

from __future__ import annotations

from typing import Any, cast

import pytest

from dchat_client.connection import Connection
from dchat_client.errors import ServerFault
from dchat_client.history import forward, missing, newest, page
from dchat_client.items import GapRange
from dchat_client.position import Position


class Room:
    """A room as pages show it: `places` are the (epoch, seq) of its messages."""

    def __init__(self, places: list[tuple[int, int]], head: int | None = None) -> None:
        self.places = places
        self.head = head or (places[-1][1] if places else 0)
        self.asked: list[dict[str, Any]] = []

    async def request(self, method: str, path: str, *, params: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(params)
        limit = params["limit"]
        if "after" in params:
            found = [place for place in self.places if place[1] > params["after"]]
            part = found[:limit]
        else:
            found = [place for place in self.places if place[1] < params.get("before", 1 << 60)]
            part = found[-limit:]
        rows = [{"room": "r", "epoch": epoch, "seq": seq} for epoch, seq in part]
        return {"messages": rows, "head": self.head, "has_more": len(found) > limit}


def of(room: Room) -> Connection:
    return cast(Connection, room)


def dense(count: int, epoch: int = 1) -> list[tuple[int, int]]:
    return [(epoch, seq) for seq in range(1, count + 1)]


@pytest.mark.parametrize(("count", "requests"), [(1, 1), (200, 1), (201, 2), (450, 3), (9999, 3)])
async def test_the_newest_come_oldest_first(count: int, requests: int) -> None:
    room = Room(dense(450))
    found = await newest(of(room), "r", count)
    assert [message["seq"] for message in found.messages] == list(range(max(1, 451 - count), 451))
    assert found.head == 450
    assert len(room.asked) == requests


async def test_the_newest_of_nothing_is_nothing() -> None:
    assert (await newest(of(Room([])), "r", 10)).messages == []
    assert (await newest(of(Room(dense(5))), "r", 0)).messages == []


async def test_a_stretch_goes_forward_and_asks_no_page_too_many() -> None:
    room = Room(dense(450))
    assert [m["seq"] async for m in forward(of(room), "r", after=10, last=210)] == list(range(11, 211))
    assert len(room.asked) == 1
    assert [m["seq"] async for m in forward(of(room), "r")] == list(range(1, 451))
    assert [m async for m in forward(of(room), "r", after=5, last=5)] == []


async def test_a_gap_ahead_of_what_was_seen_is_its_stretch() -> None:
    room = Room(dense(450))
    gap = GapRange("r", 301, 310, Position(1, 300))
    assert [m["seq"] async for m in missing(of(room), gap)] == list(range(301, 311))
    assert len(room.asked) == 1


async def test_a_gap_that_reaches_back_costs_one_look_when_nothing_changed() -> None:
    room = Room(dense(10_000))
    gap = GapRange("r", 1, 10_000, Position(1, 9_990))
    assert [m["seq"] async for m in missing(of(room), gap)] == list(range(9_991, 10_001))
    assert len(room.asked) == 2


async def test_a_gap_that_reaches_back_brings_what_was_written_anew() -> None:
    room = Room([*dense(94), (2, 95), (2, 97)], head=98)
    gap = GapRange("r", 1, 98, Position(1, 100))
    assert [(m["epoch"], m["seq"]) async for m in missing(of(room), gap)] == [(2, 95), (2, 97)]


async def test_recovering_goes_on_after_what_is_done() -> None:
    room = Room(dense(50))
    assert [m["seq"] async for m in missing(of(room), GapRange("r", 1, 50), done=48)] == [49, 50]


async def test_a_server_that_repeats_itself_is_not_asked_for_ever() -> None:
    class Stuck(Room):
        async def request(self, method: str, path: str, *, params: dict[str, Any]) -> dict[str, Any]:
            return {"messages": [{"room": "r", "epoch": 1, "seq": 3}], "head": 9, "has_more": True}

    assert len([m async for m in forward(of(Stuck([])), "r", after=3)]) == 1


async def test_a_page_that_makes_no_sense_is_an_error() -> None:
    class Odd(Room):
        async def request(self, method: str, path: str, *, params: dict[str, Any]) -> dict[str, Any]:
            return {"messages": {}}

    with pytest.raises(ServerFault):
        await page(of(Odd([])), "r")
