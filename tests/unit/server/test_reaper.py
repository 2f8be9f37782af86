"""The leader reports once a second and takes the dead off the board; a later term's leader stops it."""

from __future__ import annotations

import asyncio

import pytest

from dchat_server import reaper
from dchat_server.ports_archive import Fenced
from dchat_server.ports_cluster import Leader, Member, TermOver
from dchat_server.reaper import Reaper
from tests.cluster_fakes import FakeLeadership, FakeTerm, MemoryBoard
from tests.fakes import MemoryCluster

W1, W2 = (Member(name, f"10.0.0.{at}:5000", "1", 1, 0) for at, name in enumerate(("w1", "w2")))


class Stage:
    def __init__(self) -> None:
        self.cluster = MemoryCluster()
        self.board = MemoryBoard(self.cluster)
        self.leadership = FakeLeadership(Leader("w1", 7), [W1])
        self.reaper = Reaper("w1", self.leadership, self.board, {"archive": lambda: {"lag": 3}, "slow": self.slow})

    async def slow(self) -> dict[str, int]:
        await asyncio.sleep(0)
        return {"found": 1}


async def test_the_report_has_a_part_of_each_source_and_names_the_term() -> None:
    here = Stage()
    await here.reaper.report(FakeTerm(7))
    report = await here.board.read_leader()
    assert report is not None
    assert (report["worker"], report["epoch"]) == ("w1", 7)
    assert (report["archive"], report["slow"]) == ({"lag": 3}, {"found": 1})


async def test_who_is_silent_and_no_member_is_taken_down_and_nobody_else() -> None:
    here = Stage()
    for worker in ("w1", "w2", "dead"):
        await here.board.post(worker, {})
    here.cluster.now_ms += 11_000
    await here.board.post("w2", {})  # cut off from the ensemble, but it speaks
    await here.reaper.reap(FakeTerm(7))
    assert set(here.board.facts) == {"w1", "w2"}  # w1 is frozen, perhaps: the election still has it
    assert here.reaper.reaped == 1


async def test_without_an_ensemble_silence_is_enough() -> None:
    here = Stage()
    here.leadership.members = None
    await here.board.post("w2", {})
    here.cluster.now_ms += 11_000
    await here.reaper.reap(FakeTerm(7))
    assert not here.board.facts


async def test_a_leader_whose_term_is_over_writes_nothing() -> None:
    here = Stage()
    await here.board.post("dead", {})
    here.cluster.now_ms += 11_000
    term = FakeTerm(7)
    term.end()
    for work in (here.reaper.report(term), here.reaper.reap(term)):
        with pytest.raises(TermOver):
            await work
    assert (here.board.report, set(here.board.facts)) == (None, {"dead"})


async def test_a_leader_of_an_earlier_term_is_refused_and_ends() -> None:
    here = Stage()
    await here.board.post_leader(8, {"worker": "w2"})
    async with asyncio.timeout(10):
        with pytest.raises(Fenced):
            await here.reaper.run(FakeTerm(7))
    report = await here.board.read_leader()
    assert report is not None
    assert report["worker"] == "w2"


async def test_it_goes_on_when_the_board_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper, "REPORT_S", 0.01)
    here = Stage()
    here.board.down = True
    work = asyncio.create_task(here.reaper.run(FakeTerm(7)))
    await asyncio.sleep(0.05)
    here.board.down = False
    async with asyncio.timeout(10):
        while here.board.report is None:
            await asyncio.sleep(0.005)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
