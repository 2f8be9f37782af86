"""Who is asked to give up streams, how many, and when nobody is."""

from __future__ import annotations

from typing import Any

import pytest

from dchat_server.ports_archive import Fenced
from dchat_server.ports_cluster import Leader, Member, TermOver
from dchat_server.rebalance import PATIENCE_S, PAUSE, ROUND, Balance, Rebalance
from tests.cluster_fakes import FakeLeadership, FakeTerm, MemoryBoard
from tests.fakes import MemoryCluster

ROUND_S, PAUSE_S = ROUND * PATIENCE_S, PAUSE * PATIENCE_S


class Rounds:
    """Rounds of a balance, `ROUND_S` apart."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.balance = Balance(lambda: self.now)

    def round(self, **streams: int) -> dict[str, int]:
        self.now += ROUND_S
        return self.balance.round(streams)

    def wait(self, seconds: float, **streams: int) -> dict[str, int]:
        """What the rounds of so many seconds ask for in the end; those before must ask for nothing."""
        rounds = int(seconds / ROUND_S)
        for _ in range(rounds - 1):
            assert self.round(**streams) == {}
        return self.round(**streams)


def test_after_a_scale_out_the_overloaded_shed_and_end_even() -> None:
    rounds, streams, moved = Rounds(), {"w1": 3000, "w2": 3000, "w3": 0}, 0
    for _ in range(100):
        orders = rounds.round(**streams)
        for worker, count in orders.items():
            assert count <= streams[worker] * 0.02 * ROUND_S
            assert streams[worker] - count >= 2000, "below the mean"
            streams[worker] -= count
            moved += count
            streams["w3"] += count  # where the balancer sends them
    assert max(streams.values()) <= 2000 * 1.05 + 1
    assert moved <= 2000  # none was moved twice


def test_nobody_is_asked_before_it_has_lasted() -> None:
    rounds = Rounds()
    assert rounds.wait(PATIENCE_S, w1=1000, w2=0) == {}
    assert rounds.round(w1=1000, w2=0) == {"w1": 200}
    rounds = Rounds()
    for _ in range(10):  # now this one, now that one
        assert rounds.round(w1=1000, w2=0) == {}
        assert rounds.round(w1=500, w2=500) == {}


@pytest.mark.parametrize(
    "streams",
    [
        {"w1": 119, "w2": 81},
        {"w1": 1190, "w2": 810},
        {"w1": 99, "w2": 1},
        {"w1": 0, "w2": 0},
        {"w1": 500},
        {},
    ],
)
def test_a_little_unevenness_is_left_alone(streams: dict[str, int]) -> None:
    assert Rounds().wait(600, **streams) == {}


def test_what_was_begun_goes_on_until_it_is_nearly_even() -> None:
    rounds = Rounds()
    rounds.wait(PATIENCE_S + ROUND_S, w1=1300, w2=700)
    assert rounds.round(w1=1100, w2=900) == {"w1": 100}  # 10 % over: nobody would begin here
    assert rounds.round(w1=1040, w2=960) == {}
    assert rounds.round(w1=1100, w2=900) == {}


def test_streams_that_come_back_each_time_are_left_alone_for_a_while() -> None:
    rounds = Rounds()
    assert rounds.wait(PATIENCE_S + ROUND_S, w1=1000, w2=0)
    asked = 1
    while rounds.round(w1=1000, w2=0):
        asked += 1
        assert asked < 10
    assert rounds.wait(PAUSE_S - ROUND_S, w1=1000, w2=0) == {}
    assert rounds.round(w1=1000, w2=0)


class Stage:
    def __init__(self) -> None:
        self.cluster = MemoryCluster()
        self.board = MemoryBoard(self.cluster)
        members = [Member(name, "", "1", 1, 0) for name in ("w1", "w2")]
        self.leadership = FakeLeadership(Leader("w1", 7), members)
        self.now = 0.0
        self.duty = Rebalance(self.leadership, self.board, Balance(lambda: self.now))

    async def look(self, term: FakeTerm | None = None, **more: dict[str, Any]) -> list[dict[str, Any]]:
        """What is told in a round, after long patience, when the board says so."""
        facts = {"w1": {"streams": 1000}, "w2": {"streams": 0}, **more}
        for _ in range(2):
            for worker, said in facts.items():
                await self.board.post(worker, said)
            self.now += PATIENCE_S + 1
            await self.duty.look(term or FakeTerm(7))
        return [told for kind, told in self.board.told if kind == "shed"]


async def test_the_overloaded_worker_is_told_how_many_and_how_fast() -> None:
    here = Stage()
    assert await here.look() == [{"worker": "w1", "streams": 200, "seconds": ROUND_S}]
    assert here.duty.ordered == 200


def test_who_is_less_patient_looks_more_often_and_moves_streams_as_much_faster() -> None:
    now = 1000.0
    balance = Balance(lambda: now, patience_s=3.0)
    assert balance.round_s == 1.0
    for _ in range(3):
        assert balance.round({"w1": 1000, "w2": 0}) == {}
        now += balance.round_s
    assert balance.round({"w1": 1000, "w2": 0}) == {"w1": 200}


async def test_nobody_is_asked_while_a_worker_drains() -> None:
    assert await Stage().look(w3={"streams": 900, "draining": True}) == []


async def test_nobody_is_asked_while_a_member_is_silent() -> None:
    here = Stage()
    here.leadership.members = [*(here.leadership.members or ()), Member("w3", "", "1", 1, 0)]
    assert await here.look() == []


async def test_a_worker_that_left_does_not_count() -> None:
    here = Stage()
    assert await here.look(w2={"streams": 0, "left": True}) == []


async def test_a_leader_whose_term_is_over_or_was_followed_asks_nobody() -> None:
    here, term = Stage(), FakeTerm(7)
    term.end()
    with pytest.raises(TermOver):
        await here.look(term)
    here = Stage()
    await here.board.post_leader(8, {})
    with pytest.raises(Fenced):
        await here.look()
    assert here.board.told == []
