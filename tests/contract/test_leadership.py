"""What every Leadership must do: on a lock file of this machine, and on a real ZooKeeper."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from dchat_server.adapters.local_leadership import LocalLeadership
from dchat_server.adapters.zookeeper import ZooKeeperLeadership
from dchat_server.adapters.zookeeper_client import Access
from dchat_server.ports_cluster import Leadership, Member, Term, TermOver
from tests.harness.processes import eventually
from tests.harness.zookeeper import Ensemble, shared_ensemble

SESSION_S = 1.2


@dataclass
class Worker:
    """One worker: its leadership, and the reader of its terms."""

    name: str
    port: Leadership
    terms: list[Term] = field(default_factory=list)
    work_s: float = 0.0
    """How long its work goes on after a term is over."""
    reader: asyncio.Task[None] | None = None

    @property
    def leads(self) -> bool:
        return bool(self.terms) and self.terms[-1].valid

    async def read(self) -> None:
        async for term in self.port.terms():
            self.terms.append(term)
            await term.over()
            await asyncio.sleep(self.work_s)

    async def stop(self) -> None:
        await self.port.stop()
        if self.reader is not None:
            await asyncio.wait_for(self.reader, 10)


class Town(ABC):
    """Where workers elect their leader."""

    def __init__(self) -> None:
        self.workers: list[Worker] = []

    @abstractmethod
    def leadership(self) -> Leadership: ...

    async def worker(self, name: str, *, reads: bool = True) -> Worker:
        worker = Worker(name, self.leadership())
        self.workers.append(worker)
        await worker.port.start(Member(name, f"{name}.example:5000", "1.2", int(time.time() * 1000), 0))
        if reads:
            worker.reader = asyncio.create_task(worker.read())
        return worker

    async def leader(self, among: Sequence[Worker] | None = None) -> Worker:
        """The one that leads, as soon as one does."""
        workers = self.workers if among is None else among
        found: Worker = await eventually(lambda: _leading(workers), "somebody leads")
        return found

    async def close(self) -> None:
        for worker in self.workers:
            await worker.stop()


def _leading(workers: Sequence[Worker]) -> Worker | None:
    return next((worker for worker in workers if worker.leads), None)


class LocalTown(Town):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder, self._fence = folder, 0

    def leadership(self) -> Leadership:
        return LocalLeadership(self._folder / "leader", self._next_fence)

    async def _next_fence(self) -> int:
        self._fence += 1
        return self._fence


class ZooKeeperTown(Town):
    def __init__(self, hosts: str) -> None:
        super().__init__()
        self._hosts = hosts

    def leadership(self) -> Leadership:
        return ZooKeeperLeadership(Access(self._hosts, session_s=SESSION_S))


@pytest.fixture(scope="module")
def zookeeper() -> Iterator[Ensemble]:
    with shared_ensemble(1) as zookeeper:
        yield zookeeper


@pytest_asyncio.fixture(params=["local", "zookeeper"])
async def town(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    if request.param == "local":
        monkeypatch.setattr("dchat_server.adapters.local_leadership.TRY_S", 0.2)
        monkeypatch.setattr("dchat_server.adapters.local_leadership.AFTER_YOU_S", 0.6)
        town: Town = LocalTown(tmp_path)
    else:
        zookeeper: Ensemble = request.getfixturevalue("zookeeper")
        town = ZooKeeperTown(f"{zookeeper.hosts}/{tmp_path.name}")
    try:
        yield town
    finally:
        await town.close()


async def test_of_three_workers_one_leads_and_it_goes_on(town: Town) -> None:
    for name in "abc":
        await town.worker(name)
    first = await town.leader()
    (term,) = first.terms
    assert 0 < term.fence < 2**63
    for _ in range(18):  # longer than a session: the lease is confirmed meanwhile
        await asyncio.sleep(0.1)
        assert term.valid
        term.check()
    assert [worker.terms for worker in town.workers if worker is not first] == [[], []]


async def test_stopping_hands_over_to_a_higher_fence_until_nobody_is_left(town: Town) -> None:
    workers = [await town.worker(name) for name in "abc"]
    fences = []
    while workers:
        leader = await town.leader(workers)
        fences.append(leader.terms[-1].fence)
        workers.remove(leader)
        await leader.stop()
        assert not leader.terms[-1].valid
    assert fences == sorted(set(fences))


async def test_stepping_down_hands_over_to_another(town: Town) -> None:
    for name in "abc":
        await town.worker(name)
    first = await town.leader()
    (term,) = first.terms
    await first.port.step_down()
    assert not term.valid
    second = await town.leader()
    assert second is not first
    assert second.terms[-1].fence > term.fence
    await first.port.step_down()  # it does not lead: nothing happens
    await asyncio.sleep(0.1)
    assert second.terms[-1].valid


async def test_one_that_is_alone_leads_again_after_stepping_down(town: Town) -> None:
    worker = await town.worker("a")
    await town.leader()
    await worker.port.step_down()
    await town.leader()
    first, second = worker.terms
    assert second.fence > first.fence


async def test_one_that_withdraws_gives_its_term_up_and_never_leads_whoever_dies(town: Town) -> None:
    for name in "abc":
        await town.worker(name)
    first = await town.leader()
    (term,) = first.terms
    first.port.withdraw()
    assert not term.valid
    others = [worker for worker in town.workers if worker is not first]
    for _ in range(2):
        leader = await town.leader(others)
        others.remove(leader)
        await leader.stop()
    await asyncio.sleep(1.0)  # nobody else is left: it does not lead all the same
    assert len(first.terms) == 1


async def test_one_that_withdraws_while_it_waits_for_its_turn_is_passed_over(town: Town) -> None:
    first = await town.worker("a")
    await town.leader()
    waiting, last = await town.worker("b"), await town.worker("c")
    await asyncio.sleep(0.2)
    waiting.port.withdraw()
    await asyncio.sleep(0.2)
    await first.port.step_down()
    assert await town.leader([waiting, last]) is last
    assert not waiting.terms


async def test_one_that_withdrew_leads_again_once_it_stands(town: Town) -> None:
    worker = await town.worker("a")
    await town.leader()
    worker.port.withdraw()
    worker.port.withdraw()
    await asyncio.sleep(0.5)
    assert not worker.leads
    worker.port.stand()
    worker.port.stand()
    await town.leader()
    first, second = worker.terms
    assert second.fence > first.fence


async def test_one_that_withdrew_before_it_began_leaves_leading_to_the_others(town: Town) -> None:
    early = Worker("early", town.leadership())
    town.workers.append(early)
    early.port.withdraw()
    early.reader = asyncio.create_task(early.read())
    await early.port.start(Member("early", "early.example:5000", "1.2", 1, 0))
    other = await town.worker("other")
    assert await town.leader() is other
    assert not early.terms


async def test_a_term_is_over_once_and_for_good(town: Town) -> None:
    worker = await town.worker("a")
    await town.leader()
    (term,) = worker.terms
    over = asyncio.create_task(term.over())
    await asyncio.sleep(0)
    assert not over.done()
    await worker.port.step_down()
    await asyncio.wait_for(over, 5)
    await eventually(lambda: worker.leads, "it leads again")
    assert not term.valid
    with pytest.raises(TermOver):
        term.check()
    await term.over()


async def test_terms_do_not_overlap_and_fences_rise_however_often_the_leader_changes(town: Town) -> None:
    for name in "abc":
        await town.worker(name)
    seen: list[int] = []
    ends = time.monotonic() + 2.5
    while time.monotonic() < ends:
        leading = [worker for worker in town.workers if worker.leads]
        assert len(leading) <= 1
        if leading:
            seen.append(leading[0].terms[-1].fence)
            await leading[0].port.step_down()
        await asyncio.sleep(0.005)
    assert len(set(seen)) >= 2
    assert seen == sorted(seen)
    fences = [term.fence for worker in town.workers for term in worker.terms]
    assert len(fences) == len(set(fences))


async def test_the_next_term_begins_only_after_work_of_the_last_has_ended(town: Town) -> None:
    worker = await town.worker("a")
    worker.work_s = 2.0
    await town.leader()
    await worker.port.step_down()
    ended = time.monotonic()
    await eventually(lambda: len(worker.terms) == 2, "it leads again")
    assert time.monotonic() - ended >= 1.9


async def test_one_whose_reader_does_not_wait_leaves_leading_to_the_others(town: Town) -> None:
    idle = await town.worker("idle", reads=False)
    busy = await town.worker("busy")
    assert await town.leader() is busy
    assert not idle.terms


async def test_a_reader_that_went_away_while_waiting_gets_no_term(town: Town) -> None:
    gone, other = await town.worker("gone"), await town.worker("other")
    await town.leader()
    leader, waiting = (gone, other) if gone.leads else (other, gone)
    assert waiting.reader is not None
    waiting.reader.cancel()
    with suppress(asyncio.CancelledError):
        await waiting.reader
    waiting.reader = None
    await leader.port.step_down()
    await eventually(lambda: len(leader.terms) == 2, "the other one leads again")
    assert not waiting.terms


async def test_everybody_sees_who_leads(town: Town) -> None:
    workers = [await town.worker(name) for name in "abc"]
    leader = await town.leader()

    def all_see(one: Worker) -> bool:
        seen = [worker.port.leader for worker in workers]
        return all(each is not None and (each.worker, each.fence) == (one.name, one.terms[-1].fence) for each in seen)

    await eventually(lambda: all_see(leader), "all see the leader")
    await leader.port.step_down()
    second = await town.leader()
    await eventually(lambda: all_see(second), "all see the second leader")
    workers.remove(second)
    await second.stop()
    third = await town.leader(workers)
    await eventually(lambda: all_see(third), "those who are left see the third leader")


async def test_members_are_those_who_are_there_or_cannot_be_known(town: Town) -> None:
    workers = [await town.worker(name) for name in "cab"]
    if isinstance(town, LocalTown):
        assert [worker.port.members for worker in workers] == [None, None, None]
        assert {worker.port.state for worker in workers} == {"local"}
        return

    def names(worker: Worker) -> list[str]:
        return [member.worker for member in worker.port.members or ()]

    await eventually(lambda: all(names(worker) == ["a", "b", "c"] for worker in workers), "all see all")
    assert {worker.port.state for worker in workers} == {"connected"}
    (first, _, _) = workers[0].port.members or ()
    assert (first.address, first.version, first.streams) == ("a.example:5000", "1.2", 0)
    assert abs(first.started_at / 1000 - time.time()) < 60
    await workers[0].stop()
    await eventually(lambda: all(names(worker) == ["a", "b"] for worker in workers[1:]), "two are left")
    assert workers[0].port.members is None


async def test_the_number_of_streams_is_told_within_some_seconds(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(town, LocalTown):
        (await town.worker("a")).port.set_streams(3)
        return
    monkeypatch.setattr("dchat_server.adapters.zookeeper_members.TELL_S", 0.3)
    one, two = await town.worker("a"), await town.worker("b")
    one.port.set_streams(17)
    await eventually(lambda: [each.streams for each in two.port.members or ()] == [17, 0], "the other one knows")


async def test_stopping_ends_the_readers_iteration_and_may_be_repeated(town: Town) -> None:
    worker = await town.worker("a")
    await town.leader()
    await worker.port.stop()
    await worker.port.stop()
    assert worker.reader is not None
    await asyncio.wait_for(worker.reader, 5)
    assert not worker.terms[-1].valid
