"""What a worker does while it leads, with a leadership, an archive and a log that the test holds in its hands."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from dchat_server import leader as leader_module
from dchat_server.adapters.terms import LeaseTerm, Terms
from dchat_server.errors import ArchiveUnavailable, BackendUnavailable
from dchat_server.leader import Duty, Leader
from dchat_server.ports_archive import Fenced
from dchat_server.ports_cluster import Leader as WhoLeads
from dchat_server.ports_cluster import Member, Term, TermOver
from tests.harness.processes import eventually


class HandLeadership:
    """Gives a term when the test says so."""

    def __init__(self) -> None:
        self._terms = Terms()
        self.leader: WhoLeads | None = None
        self.members: Sequence[Member] | None = None
        self.state = "connected"
        self.stepped_down: list[int] = []
        self.present: LeaseTerm | None = None

    def terms(self) -> Terms:
        return self._terms

    async def elect(self, fence: int, *, timeout_s: float = 60.0) -> LeaseTerm:
        """Wait until a term is asked for, and give one."""
        async with asyncio.timeout(timeout_s):
            await self._terms.wanted.wait()
        self.present = LeaseTerm(fence)
        assert self._terms.offer(self.present)
        return self.present

    async def step_down(self) -> None:
        if self.present is not None and self.present.valid:
            self.stepped_down.append(self.present.fence)
            self.present.end("stepped down")

    def withdraw(self) -> None: ...

    def stand(self) -> None: ...

    async def start(self, me: Member) -> None: ...

    async def stop(self) -> None:
        self._terms.close()

    def set_streams(self, count: int) -> None: ...


class Store:
    """Refuses fences that are too low; fails when told to."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name, self.calls = name, calls
        self.highest = 0
        self.failing: Exception | None = None

    async def raise_fence(self, fence: int) -> None:
        self.calls.append(f"{self.name} {fence}")
        if self.failing is not None:
            raise self.failing
        if fence < self.highest:
            raise Fenced(self.highest)
        self.highest = fence


class Task:
    """A duty that does what `work` does, and notes who runs when."""

    def __init__(self, name: str, work: Callable[[Term], Awaitable[None]] | None = None) -> None:
        self.name, self._work = name, work
        self.runs = 0
        self.now = 0
        self.most_at_once = 0
        self.fences: list[int] = []

    async def run(self, term: Term) -> None:
        self.runs += 1
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        self.fences.append(term.fence)
        try:
            if self._work is None:
                await asyncio.Event().wait()
            else:
                await self._work(term)
        finally:
            self.now -= 1


class Office:
    def __init__(self, *duties: Duty) -> None:
        self.calls: list[str] = []
        self.leadership = HandLeadership()
        self.archive, self.hot = Store("archive", self.calls), Store("hot", self.calls)
        self.leader = Leader(self.leadership, self.archive, self.hot, duties)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.leader.run())
        try:
            yield
        finally:
            assert not task.done(), task
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader_module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(leader_module, "FENCED_S", 0.05)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


async def test_fences_are_raised_first_in_the_archive_then_in_the_log_and_only_then_duties_run() -> None:
    duty = Task("compact")
    office = Office(duty)
    async with office.running():
        assert office.leader.state == "following"
        await office.leadership.elect(7)
        await eventually(lambda: duty.now == 1, "the duty runs")
        assert office.calls == ["archive 7", "hot 7"]
        assert (office.leader.state, office.leader.fence) == ("leading", 7)


async def test_all_duties_run_side_by_side_and_end_with_the_term() -> None:
    duties = [Task(name) for name in ("compact", "retain", "reap")]
    office = Office(*duties)
    async with office.running():
        term = await office.leadership.elect(1)
        await eventually(lambda: all(duty.now for duty in duties), "all run")
        term.end("lost")
        await eventually(lambda: office.leader.state == "following", "it is over")
        assert not any(duty.now for duty in duties)
        await office.leadership.elect(2)
        await eventually(lambda: all(duty.fences == [1, 2] for duty in duties), "all run again")
    assert not any(duty.now for duty in duties)
    assert office.leader.facts()["terms"] == 2


async def test_the_next_term_is_asked_for_only_when_all_duties_have_ended() -> None:
    let_go = asyncio.Event()

    async def slow_to_end(_: Term) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await let_go.wait()

    duty = Task("slow", slow_to_end)
    office = Office(duty)
    async with office.running():
        term = await office.leadership.elect(1)
        await eventually(lambda: duty.now == 1, "it runs")
        term.end("lost")
        await asyncio.sleep(0.05)
        assert not office.leadership.terms().wanted.is_set()
        let_go.set()
        await office.leadership.elect(2)


async def test_a_duty_that_does_not_end_holds_up_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader_module, "END_S", 0.05)
    let_go = asyncio.Event()

    async def hang(_: Term) -> None:
        while not let_go.is_set():
            with suppress(asyncio.CancelledError):
                await let_go.wait()

    hanging, other = Task("hanging", hang), Task("other")
    office = Office(hanging, other)
    async with office.running():
        term = await office.leadership.elect(1)
        await eventually(lambda: hanging.now == 1, "it runs")
        with capture_logs() as lines:
            term.end("lost")
            await office.leadership.elect(2)
        assert [line["duty"] for line in lines if line["event"] == "duty_stuck"] == ["hanging"]
        await eventually(lambda: other.fences == [1, 2], "the other one runs")
        assert office.leader.facts()["duties"]["hanging"]["stuck"]
        assert hanging.runs == 1
        let_go.set()
        await eventually(lambda: hanging.runs == 2, "it runs again")
        assert hanging.most_at_once == 1
        assert not office.leader.facts()["duties"]["hanging"]["stuck"]


async def test_a_duty_that_fails_is_started_again_while_the_others_go_on() -> None:
    async def fail_twice(_: Term) -> None:
        if failing.runs <= 2:
            raise ArchiveUnavailable() if failing.runs == 1 else ValueError("a mistake of ours")
        await asyncio.Event().wait()

    failing, steady = Task("failing", fail_twice), Task("steady")
    office = Office(failing, steady)
    async with office.running():
        await office.leadership.elect(1)
        await eventually(lambda: failing.runs == 3, "it was started again")
        assert steady.runs == 1
        facts = office.leader.facts()["duties"]
        assert facts["failing"]["failures"] == 2
        assert facts["failing"]["error"] == "ValueError: a mistake of ours"
        assert facts["failing"]["at"] > 0
        assert facts["steady"] == {"running": True, "failures": 0, "error": "", "at": 0, "stuck": False}
        assert office.leader.state == "leading"


async def test_the_pause_of_a_duty_that_goes_on_failing_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader_module, "FIRST_PAUSE_S", 0.1)

    async def fail(_: Term) -> None:
        raise OSError("no")

    failing = Task("failing", fail)
    office = Office(failing)
    with capture_logs():  # to write of a failure takes longer than the first pauses
        began = time.monotonic()
        async with office.running():
            await office.leadership.elect(1)
            await eventually(lambda: failing.runs >= 6, "it is tried again")
        assert time.monotonic() - began >= (0.1 + 0.2 + 0.4 + 0.8 + 1.6) / 2


async def test_a_duty_that_fails_while_it_is_cancelled_ends_all_the_same() -> None:
    async def fail_at_end(_: Term) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise BackendUnavailable()

    duty = Task("untidy", fail_at_end)
    office = Office(duty)
    async with office.running():
        term = await office.leadership.elect(1)
        await eventually(lambda: duty.now == 1, "it runs")
        term.end("lost")
        await office.leadership.elect(2, timeout_s=5)


async def test_a_duty_that_returns_has_no_more_to_do_in_this_term() -> None:
    async def nothing(_: Term) -> None: ...

    idle, steady = Task("idle", nothing), Task("steady")
    office = Office(idle, steady)
    async with office.running():
        term = await office.leadership.elect(1)
        await eventually(lambda: steady.now == 1, "the other one runs")
        await asyncio.sleep(0.05)
        assert (idle.runs, office.leader.state) == (1, "leading")
        term.end("lost")
        await office.leadership.elect(2)
        await eventually(lambda: idle.runs == 2, "it runs again")


@pytest.mark.parametrize("error", [Fenced(9), TermOver(), ExceptionGroup("", [ValueError(), Fenced(9)])])
async def test_fenced_or_term_over_from_a_duty_ends_the_term_for_all(error: Exception) -> None:
    async def give_way(_: Term) -> None:
        if one.runs == 1:
            raise error
        await asyncio.Event().wait()

    one, other = Task("one", give_way), Task("other")
    office = Office(one, other)
    async with office.running():
        await office.leadership.elect(1)
        await eventually(lambda: office.leadership.stepped_down == [1], "it steps down")
        assert office.leader.facts()["refusals"] == (0 if isinstance(error, TermOver) else 1)
        await office.leadership.elect(2)
        await eventually(lambda: other.fences[-1:] == [2] and other.now == 1, "all run in the next term")
        assert other.most_at_once == 1


async def test_a_fence_lower_than_the_stored_one_is_given_up_with_an_error_and_no_duty_ever_runs() -> None:
    duty = Task("compact")
    office = Office(duty)
    office.archive.highest = 1 << 32
    async with office.running():
        with capture_logs() as lines:
            for fence in range(1, 5):
                await office.leadership.elect(fence)
                await eventually(lambda: office.leader.state == "fenced", "it is fenced")
                await eventually(lambda fence=fence: office.leadership.stepped_down[-1:] == [fence], "it steps down")
        assert [line["log_level"] for line in lines if line["event"] == "fence_refused"] == ["error"]  # once for now
        assert office.calls == [f"archive {fence}" for fence in range(1, 5)]  # the log was not touched
        assert duty.runs == 0
        assert office.leader.facts()["refusals"] == 4
        assert office.leader.fence == 0
        assert office.leader.state == "fenced"
        office.leadership.leader = WhoLeads("other", 9)  # another one has no better fence
        assert office.leader.state == "fenced"
        office.leadership.leader = WhoLeads("other", (1 << 32) + 1)
        assert office.leader.state == "following"
        await office.leadership.elect((1 << 56) + 10)  # of the next generation
        await eventually(lambda: duty.now == 1, "it leads")
        assert office.leader.state == "leading"


async def test_a_refused_fence_does_not_make_workers_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader_module, "FENCED_S", 0.2)
    office = Office()
    office.hot.highest = 1 << 32
    async with office.running():

        async def keep_electing() -> None:
            for fence in range(1, 1000):
                await office.leadership.elect(fence)

        electing = asyncio.create_task(keep_electing())
        await asyncio.sleep(1.2)
        electing.cancel()
        assert 2 <= office.leader.terms <= 4  # at 0, 0.2, 0.6 and 1.4 s, or a fifth earlier


@pytest.mark.parametrize(
    ("store", "error", "state"),
    [("archive", ArchiveUnavailable(), "no_archive"), ("hot", BackendUnavailable(), "no_log")],
)
async def test_what_is_away_is_waited_for_and_named(store: str, error: Exception, state: str) -> None:
    duty = Task("compact")
    office = Office(duty)
    away: Any = getattr(office, store)
    away.failing = error
    async with office.running():
        term = await office.leadership.elect(3)
        await eventually(lambda: office.leader.state == state, f"it says {state}")
        assert duty.runs == 0
        away.failing = None
        await eventually(lambda: duty.now == 1, "it leads")
        assert term.valid


async def test_an_archive_that_stays_away_lets_another_worker_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader_module, "RAISE_S", 0.2)
    office = Office()
    office.archive.failing = ArchiveUnavailable()
    async with office.running():
        await office.leadership.elect(3)
        await eventually(lambda: office.leadership.stepped_down == [3], "it steps down")
        assert office.leader.state == "no_archive"
        office.leadership.leader = WhoLeads("other", 4)
        assert office.leader.state == "following"


async def test_a_term_that_ends_while_fences_are_raised_runs_no_duty() -> None:
    duty = Task("compact")
    office = Office(duty)
    office.archive.failing = ArchiveUnavailable()
    async with office.running():
        term = await office.leadership.elect(3)
        await eventually(lambda: office.leader.state == "no_archive", "it tries")
        term.end("lost")
        office.archive.failing = None
        await office.leadership.elect(4)
        await eventually(lambda: duty.now == 1, "it leads in the next term")
        assert duty.fences == [4]


async def test_it_ends_when_the_leadership_is_stopped() -> None:
    office = Office()
    task = asyncio.create_task(office.leader.run())
    await asyncio.sleep(0.01)
    await office.leadership.stop()
    await asyncio.wait_for(task, 5)
