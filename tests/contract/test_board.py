"""What every Board must do: in memory, on redis-server, Valkey and Redis Cluster."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import pytest_asyncio

from dchat_server.adapters.redis_board import RedisBoard
from dchat_server.model import Control
from dchat_server.ports import Batch
from dchat_server.ports_archive import Fenced
from dchat_server.ports_cluster import Board
from tests.cluster_fakes import MemoryBoard
from tests.contract.servers import MemoryPlace, Place, Ports, hearing

BEAT_S = 0.4


@dataclass
class Setting:
    board: Board
    place: Place
    ports: Ports

    async def pass_time(self, seconds: float) -> None:
        if isinstance(self.place, MemoryPlace):
            self.place.cluster.now_ms += int(seconds * 1000)
        else:
            await asyncio.sleep(seconds)


@pytest_asyncio.fixture
async def setting(place: Place) -> Setting:
    ports = await place.worker()
    if isinstance(place, MemoryPlace):
        return Setting(MemoryBoard(place.cluster, beat_s=BEAT_S), place, ports)
    return Setting(RedisBoard(ports.nodes, beat_s=BEAT_S), place, ports)


@pytest.fixture
def board(setting: Setting) -> Board:
    return setting.board


def said(entry: Any) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in ("at", "age_ms")}


async def test_what_a_worker_said_last_is_what_is_read(board: Board) -> None:
    assert await board.read() == {}
    await board.post("w1", {"streams": 1})
    await board.post("w2", {"streams": 2, "name": "ünïcode"})
    await board.post("w1", {"draining": True})
    found = await board.read()
    assert {worker: said(facts) for worker, facts in found.items()} == {
        "w1": {"draining": True},
        "w2": {"streams": 2, "name": "ünïcode"},
    }


async def test_who_falls_silent_is_not_read_any_more_and_comes_back_with_its_next_word(setting: Setting) -> None:
    await setting.board.post("w1", {})
    await setting.pass_time(BEAT_S * 0.75)
    await setting.board.post("w2", {})
    await setting.pass_time(BEAT_S * 0.75)
    assert set(await setting.board.read()) == {"w2"}
    assert await setting.board.silent() == ["w1"]
    await setting.board.post("w1", {})
    assert set(await setting.board.read()) == {"w1", "w2"}
    assert await setting.board.silent() == []


async def test_times_are_the_servers(setting: Setting) -> None:
    await setting.board.post("w1", {"at": 7, "age_ms": -1})
    await setting.board.post_leader(3, {"at": 7})
    await setting.pass_time(0.05)
    facts, report = (await setting.board.read())["w1"], await setting.board.read_leader()
    assert report is not None
    assert facts["age_ms"] >= 50
    assert report["age_ms"] >= 50
    if not isinstance(setting.place, MemoryPlace):
        assert abs(report["at"] - time.time() * 1000) < 60_000


async def test_the_dead_are_taken_down(board: Board) -> None:
    for worker in ("w1", "w2", "w3"):
        await board.post(worker, {})
    await board.remove(["w1", "w3", "never-there"], 5)
    await board.remove([], 5)
    assert set(await board.read()) == {"w2"}


async def test_the_leaders_report_stays_however_old(setting: Setting) -> None:
    assert await setting.board.read_leader() is None
    await setting.board.post_leader(3, {"lag": 1})
    await setting.board.post_leader(3, {"lag": 2})
    await setting.pass_time(BEAT_S * 1.5)
    report = await setting.board.read_leader()
    assert report is not None
    assert said(report) == {"lag": 2}
    assert report["age_ms"] >= BEAT_S * 1500


@pytest.mark.parametrize(("low", "high"), [(9, 10), (2**33 - 1, 2**33), (2**63 - 2, 2**63 - 1)])
async def test_a_lower_fence_than_the_highest_is_refused_and_changes_nothing(
    setting: Setting, low: int, high: int
) -> None:
    board = setting.board
    await board.post("w1", {})
    await board.post_leader(low, {"by": "old"})
    await board.post_leader(high, {"by": "new"})
    async with hearing(setting.ports.feed) as heard:
        for write in (board.post_leader(low, {}), board.remove(["w1"], low), board.tell("shed", {}, low)):
            with pytest.raises(Fenced) as refused:
                await write
            assert refused.value.seen == high
        await board.tell("shed", {"worker": "w1"}, high)
        await heard.until(lambda heard: controls(heard.changes))
        assert [control.type for control in controls(heard.changes)] == ["shed"]
    report = await board.read_leader()
    assert report is not None
    assert said(report) == {"by": "new"}
    assert set(await board.read()) == {"w1"}


async def test_a_higher_fence_is_remembered_whoever_brings_it(board: Board) -> None:
    await board.remove(["w1"], 4)
    with pytest.raises(Fenced):
        await board.post_leader(3, {})
    await board.tell("shed", {}, 6)
    with pytest.raises(Fenced):
        await board.remove(["w1"], 5)
    await board.remove(["w1"], 6)


async def test_what_is_told_reaches_every_worker_in_order(setting: Setting) -> None:
    other = await setting.place.worker()
    async with hearing(setting.ports.feed) as here, hearing(other.feed) as there:
        await setting.board.tell("drain", {"worker": "w1", "undo": False})
        await setting.board.tell("step_down", {"worker": "w1", "fence": 2**62})
        for heard in (here, there):
            await heard.until(lambda heard: len(controls(heard.changes)) == 2)
            first, second = controls(heard.changes)
            assert (first.type, orjson.loads(first.body)) == ("drain", {"worker": "w1", "undo": False})
            assert (second.type, orjson.loads(second.body)["fence"]) == ("step_down", 2**62)


async def test_anybody_may_tell_without_a_fence(board: Board) -> None:
    await board.post_leader(9, {})
    await board.tell("drain", {"worker": "w1"})


async def test_a_board_where_nobody_leads_stays_small(setting: Setting) -> None:
    if isinstance(setting.place, MemoryPlace):
        pytest.skip("the board in memory lives as long as its test")
    for number in range(201):
        await setting.board.post(f"dead-{number}", {})
    await setting.pass_time(BEAT_S * 1.5)
    await setting.board.post("w1", {})
    nodes = setting.ports.nodes
    assert await nodes.run(0, "HLEN", nodes.keys.board()) == 1


async def test_workers_are_heard_when_the_server_has_no_memory_left(mortal_place: Place) -> None:
    ports = await mortal_place.worker()
    if isinstance(mortal_place, MemoryPlace):
        pytest.skip("of Redis' memory")
    board = RedisBoard(ports.nodes)
    await board.post("w1", {"streams": 1})
    await ports.nodes.run(0, "CONFIG", "SET", "maxmemory", 1)
    await board.post("w1", {"streams": 2})
    await board.post_leader(1, {})
    assert (await board.read())["w1"]["streams"] == 2


async def test_a_wiped_server_does_not_look_as_if_it_had_a_state(setting: Setting) -> None:
    if isinstance(setting.place, MemoryPlace):
        pytest.skip("of Redis' keys")
    nodes = setting.ports.nodes
    await nodes.run(0, "DEL", nodes.keys.state(0))
    await setting.board.post_leader(9, {})
    assert await nodes.run(0, "EXISTS", nodes.keys.state(0)) == 0


def controls(changes: Any) -> list[Control]:
    return [
        entry
        for change in changes
        if isinstance(change, Batch)
        for entry in change.entries
        if isinstance(entry, Control)
    ]
