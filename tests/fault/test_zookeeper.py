"""Leadership when things die: workers, frozen or killed; nodes of the ensemble; the quorum; all that it ever knew."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from dchat_server import leader as leader_module
from dchat_server.adapters.terms import clock
from dchat_server.adapters.zookeeper import ZooKeeperLeadership
from dchat_server.adapters.zookeeper_client import Access
from dchat_server.leader import Duty, Leader
from dchat_server.ports_cluster import Member, Term, TermOver
from tests.harness.elected import Workers, some_workers
from tests.harness.processes import eventually, new_folder, until
from tests.harness.voter import FenceFile, Voter
from tests.harness.zookeeper import Ensemble, ensemble, shared_ensemble

SESSION_S = 2.0


@pytest.fixture(scope="module")
def three() -> Iterator[Ensemble]:
    with shared_ensemble(3) as zookeeper:
        yield zookeeper


@pytest.fixture(scope="module")
def single() -> Iterator[Ensemble]:
    with shared_ensemble(1) as zookeeper:
        yield zookeeper


# Processes


class Voters:
    """Three workers, each a process."""

    def __init__(self, zookeeper: Ensemble, **more: object) -> None:
        self.folder = new_folder()
        hosts = f"{zookeeper.hosts}/{self.folder.name}"
        self.all = [Voter(name, self.folder, hosts, SESSION_S, **more) for name in "abc"]

    async def leader(self, above: int = 0) -> Voter:
        """The one that leads with a fence above this."""
        found: Voter = await eventually(
            lambda: next((voter for voter in self.all if voter.fence > above), None), "somebody leads", every_s=0.05
        )
        return found

    def spans(self) -> list[tuple[float, float, int]]:
        return sorted(span for voter in self.all for span in voter.spans())

    def close(self) -> None:
        for voter in self.all:
            voter.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@asynccontextmanager
async def voting(zookeeper: Ensemble, **more: object) -> AsyncIterator[Voters]:
    zookeeper.revive()
    await zookeeper.ready()
    voters = Voters(zookeeper, **more)
    try:
        await eventually(lambda: all(voter.state.get("state") == "connected" for voter in voters.all), "all are there")
        yield voters
        spans = voters.spans()
        fences = [fence for _, _, fence in spans]
        assert fences == sorted(set(fences)), "fences rise with time"
        for (_, ended, _), (began, _, _) in pairwise(spans):
            assert ended <= began, "no two terms at the same time"
    finally:
        voters.close()


async def test_when_the_leading_worker_is_killed_another_leads_after_its_session(three: Ensemble) -> None:
    async with voting(three) as voters:
        first = await voters.leader()
        fence = first.fence
        first.process.kill()
        killed = time.monotonic()
        second = await voters.leader(above=fence)
        assert second is not first
        # Busy machines take longer; what matters is that it was the session that ended, and that it did.
        assert SESSION_S * 0.5 < time.monotonic() - killed < SESSION_S + 10
        await eventually(lambda: second.said("writes"), "it works")


async def test_a_leader_that_was_frozen_cannot_write_what_its_successor_would_not_know_of(three: Ensemble) -> None:
    async with voting(three, slow_listener_s=1.0, careless=True) as voters:
        first = await voters.leader()
        await eventually(lambda: first.said("writes"), "it works")
        fence = first.fence
        first.process.freeze()
        frozen = time.monotonic()
        second = await voters.leader(above=fence)
        assert second is not first
        await eventually(lambda: second.said("writes"), "the successor works")
        await asyncio.sleep(max(0.0, frozen + 3 * SESSION_S - time.monotonic()))
        first.process.thaw()
        (woke,) = await eventually(lambda: first.said("woke"), "it looks at its term")
        assert woke["gap_s"] > 2.5 * SESSION_S
        assert not woke["valid"]
        assert not woke["heard"], "the listener was to be late"
        assert woke["why"] == "deadline"
        # Its write, which does not ask whether the term is good, was on its way when it froze.
        (refused,) = await eventually(lambda: first.said("refused"), "its write is refused")
        assert refused["fence"] == fence < refused["seen"]
        await eventually(lambda: first.state["state"] == "connected", "it comes back")
        assert second.fence == refused["seen"], "its successor goes on undisturbed"
        third = next(voter for voter in voters.all if voter not in (first, second))
        third.process.kill()
        second.process.kill()
        assert await voters.leader(above=refused["seen"]) is first


async def test_when_the_ensembles_leader_is_killed_there_is_a_pause_at_most(three: Ensemble) -> None:
    async with voting(three) as voters:
        first = await voters.leader()
        fence = first.fence
        three.leader.kill()
        await voters.leader(above=fence)
        await eventually(lambda: [voter.state["state"] for voter in voters.all] == ["connected"] * 3, "all are back")
        await eventually(lambda: len({voter.state["who"] for voter in voters.all} - {"-"}) == 1, "all know who leads")


async def test_without_a_quorum_nobody_leads_and_all_say_so_until_it_is_back(three: Ensemble) -> None:
    async with voting(three) as voters:
        fence = (await voters.leader()).fence
        lost = clock()
        for node in three.nodes[:2]:
            node.kill()
        await eventually(lambda: not any(voter.fence for voter in voters.all), "nobody leads", every_s=0.05)
        assert max(ended for _, ended, _ in voters.spans()) < lost + SESSION_S
        await eventually(
            lambda: all(voter.state["state"] in ("suspended", "lost") for voter in voters.all), "all say so"
        )
        assert {voter.state["who"] for voter in voters.all} == {"-"}
        await asyncio.sleep(SESSION_S)
        assert not any(voter.fence for voter in voters.all)
        three.revive()
        await voters.leader(above=fence)
        await eventually(lambda: all(voter.state["state"] == "connected" for voter in voters.all), "all are back")


# In this process


@pytest_asyncio.fixture
async def workers() -> AsyncIterator[Workers]:
    async with some_workers() as workers:
        yield workers


@pytest.fixture
def access(single: Ensemble, tmp_path: Path) -> Access:
    return Access(f"{single.hosts}/{tmp_path.name}", session_s=SESSION_S)


async def test_an_expired_session_ends_the_term_at_once_and_the_worker_comes_back(
    single: Ensemble, access: Access, workers: Workers
) -> None:
    worker = await workers.start(access)
    term = await worker.leads()
    began = time.monotonic()
    await single.expire(worker.client_id)
    await eventually(lambda: not term.valid, "the term is over")
    assert time.monotonic() - began < SESSION_S
    again = await worker.leads(above=term.fence)
    assert again.fence > term.fence
    await eventually(lambda: worker.names == ["a"], "it is a member again")


async def test_a_restart_of_zookeeper_is_survived(access: Access, workers: Workers, single: Ensemble) -> None:
    one, two = await workers.start(access, "a"), await workers.start(access, "b")
    await eventually(lambda: one.names == two.names == ["a", "b"], "both are there")
    first: Term = await eventually(lambda: one.term or two.term, "somebody leads")
    single.nodes[0].restart()
    await eventually(lambda: not (one.term or two.term), "nobody leads")
    await eventually(lambda: any(each.term and each.term.fence > first.fence for each in (one, two)), "somebody leads")
    await eventually(lambda: one.names == two.names == ["a", "b"], "both are there again")


async def test_without_zookeeper_a_worker_starts_and_goes_on_trying(workers: Workers) -> None:
    async with ensemble(1) as zookeeper:
        zookeeper.nodes[0].kill()
        began = time.monotonic()
        worker = await workers.start(Access(zookeeper.hosts, session_s=SESSION_S))
        assert time.monotonic() - began < 1
        await asyncio.sleep(1.0)
        assert (worker.port.state, worker.port.leader, worker.port.members) == ("lost", None, None)
        zookeeper.revive()
        await worker.leads()
        await worker.port.stop()


async def test_a_frozen_zookeeper_ends_the_term_within_the_session_and_stopping_does_not_hang(
    workers: Workers,
) -> None:
    async with ensemble(1) as zookeeper:
        worker = await workers.start(Access(zookeeper.hosts, session_s=SESSION_S))
        term = await worker.leads()
        zookeeper.nodes[0].freeze()
        began = clock()
        await asyncio.wait_for(term.over(), 30)
        assert clock() - began < SESSION_S
        began = clock()
        await worker.port.stop()
        assert clock() - began < 10


async def test_a_loss_counts_before_the_loop_has_heard_of_it(workers: Workers) -> None:
    """The loop may be held up just then, by the very work that is no longer ours to do."""
    async with ensemble(1) as zookeeper:
        worker = await workers.start(Access(zookeeper.hosts, session_s=30.0))
        term = await worker.leads()
        zookeeper.nodes[0].kill()
        until(lambda: not term.valid, "the term is over")  # the loop does not turn meanwhile
        assert worker.port.state == "connected"
        with pytest.raises(TermOver, match="suspended"):
            term.check()
        await worker.port.stop()


async def test_a_server_that_is_cut_off_from_the_ensemble_confirms_no_lease(workers: Workers) -> None:
    """It answers reads, and pings, for as long as its syncLimit: here for 20 s, with a session of 2."""
    async with ensemble(3, settings=["syncLimit=100"]) as zookeeper:
        server = zookeeper.followers[0]
        worker = await workers.start(Access(server.host, session_s=SESSION_S))
        term = await worker.leads()
        began = clock()
        for node in zookeeper.nodes:
            if node is not server:
                node.freeze()
        await asyncio.wait_for(term.over(), 30)
        assert clock() - began < SESSION_S
        for node in zookeeper.nodes:
            node.thaw()
        await worker.leads(above=term.fence)
        await worker.port.stop()


async def test_a_lower_fence_after_the_ensemble_was_wiped_is_refused_and_no_duty_runs(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader_module, "FENCED_S", 0.5)
    ran: list[int] = []

    class Writing:
        name = "writing"

        async def run(self, term: Term) -> None:
            ran.append(term.fence)
            await asyncio.Event().wait()

    async with ensemble(3) as zookeeper:
        stores = [FenceFile(tmp_path / "archive"), FenceFile(tmp_path / "hot")]
        async with leading(Access(zookeeper.hosts, SESSION_S), stores, Writing()) as leader:
            await eventually(lambda: len(ran) == 1, "it leads")
            zookeeper.leader.kill()  # a new leader of the ensemble: its ids, and our fences, begin a new epoch
            await eventually(lambda: len(ran) == 2, "it leads again")
            assert ran[1] >> 32 > ran[0] >> 32
            zookeeper.wipe()
            await eventually(lambda: leader.state == "fenced", "it is fenced")
            await eventually(lambda: leader.refusals >= 2, "it tried again")
            assert len(ran) == 2
            assert leader.state == "fenced"
        async with leading(Access(zookeeper.hosts, SESSION_S, generation=1), stores, Writing()) as leader:
            await eventually(lambda: len(ran) == 3, "it leads in the next generation")
            assert leader.state == "leading"
            assert ran[2] > 1 << 56
        async with leading(Access(zookeeper.hosts, SESSION_S), stores, Writing()) as forgotten:
            await eventually(lambda: forgotten.state == "fenced", "the old generation leads no more")
            assert len(ran) == 3


@asynccontextmanager
async def leading(access: Access, stores: Sequence[FenceFile], duty: Duty, name: str = "a") -> AsyncIterator[Leader]:
    """A worker that leads whenever it may."""
    port = ZooKeeperLeadership(access)
    leader = Leader(port, *stores, [duty])
    running = asyncio.create_task(leader.run())
    try:
        await port.start(Member(name, f"{name}:1", "1", 1000, 0))
        yield leader
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await port.stop()
