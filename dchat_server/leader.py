"""What a worker does while it leads: raise the fences, then run all duties side by side until the term is over.

Theory of operation. A term is a lease that may end at any moment, also in the middle of a write that this process will
only notice a minute later. So nothing here relies on noticing. Every write carries the term's fence; the first thing
done in a term is to have the archive, and then the message log, refuse all lower ones. The archive comes first because
it alone lasts: a fence that it refuses must not have reached the log.

A refusal (`Fenced`) while raising means that the fence is lower than one seen before. Elections give rising fences, so
the ensemble must have been wiped, or the archive belongs to another one. A person has to say which; the term is given
up and the next one asked for only after a pause, for every worker would be refused alike. A refusal in the middle of a
term means that another leads and that we were slow to hear of it.

A duty that fails by itself is started again after a pause, while the others go on. At the end of a term all are
cancelled and waited for. One that does not end (it waits for a thread that waits for a dead server) can do no harm,
for its fence is old; but it is not started a second time before its first run has ended.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from dchat_server.errors import ArchiveUnavailable, BackendUnavailable, ChatError
from dchat_server.ports_archive import Fenced
from dchat_server.ports_cluster import Leadership, Term, TermOver

log = structlog.get_logger("dchat.leader")

RAISE_S = 30.0
"""How long a leader tries to raise the fences before it lets another worker try, that may see more of the world."""
END_S = 10.0
"""How long duties have to end when the term does."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Between two runs of a duty that fails, doubled each time."""
STEADY_S = 60.0
"""A duty that ran for so long has not failed in a row."""
FENCED_S = 5.0
"""Pause after a refused fence, doubled up to `LONGEST_PAUSE_S`."""
REMIND_S = 300.0
"""How often a refused fence that stays refused is logged as an error."""
STALLED = ("no_archive", "no_log", "fenced")
"""States that say what is missing, also after the term was given up."""


class Duty(Protocol):
    """Something that the leader does."""

    @property
    def name(self) -> str: ...

    async def run(self, term: Term) -> None:
        """Do it until cancelled, with `term.check()` before each step that writes. Raises Fenced or TermOver when the
        term is over. May be run again after any end."""
        ...


class Fencing(Protocol):
    """What refuses fences that are too low: the archive, the message log."""

    async def raise_fence(self, fence: int) -> None: ...


@dataclass(slots=True)
class _Run:
    """How a duty is doing. `at` is in ms since 1970; `stuck` is a run that did not end with its term."""

    running: bool = False
    failures: int = 0
    error: str = ""
    at: int = 0
    stuck: asyncio.Future[None] | None = None


class Leader:
    """This worker as the leader, whenever it is. `run` does it; everything else only tells."""

    def __init__(self, leadership: Leadership, archive: Fencing, hot: Fencing, duties: Sequence[Duty]) -> None:
        self._leadership, self._archive, self._hot, self._duties = leadership, archive, hot, duties
        self._runs = {duty.name: _Run() for duty in duties}
        self._state, self._since = "following", _now()
        self._fence = self._last_fence = 0
        self._refused_by = 0
        self._pause_s = 0.0
        self._reminded_at = -REMIND_S
        self.terms = 0
        """Terms that began here."""
        self.refusals = 0
        """How often something of ours was refused because a higher fence had been seen."""

    @property
    def state(self) -> str:
        """`following`: another leads, or nobody. `raising`: just elected. `leading`. And how it can stall, until this
        worker leads or another does: `no_archive`, `no_log`: elected, but the fence cannot be raised; `fenced`: elected
        with a fence that is refused.
        """
        other = self._leadership.leader
        if self._fence or self._state not in STALLED or other is None:
            return self._state
        superseded = other.fence != self._last_fence and other.fence >= self._refused_by
        return "following" if superseded else self._state

    @property
    def fence(self) -> int:
        """The fence of the present term; 0 when there is none."""
        return self._fence

    def facts(self) -> dict[str, Any]:
        """How this worker does as the leader, for reports. Times are in ms since 1970; a duty's `error` is its last
        one, at `at`, empty when there was none; `stuck` says that it did not end with an earlier term."""
        return {
            "state": self.state,
            "since": self._since,
            "fence": self._fence,
            "terms": self.terms,
            "refusals": self.refusals,
            "duties": {
                name: {
                    "running": run.running,
                    "failures": run.failures,
                    "error": run.error,
                    "at": run.at,
                    "stuck": run.stuck is not None and not run.stuck.done(),
                }
                for name, run in self._runs.items()
            },
        }

    async def run(self) -> None:
        """Lead in each term of this worker, until cancelled or until the leadership is stopped. Run it once."""
        async for term in self._leadership.terms():
            self.terms += 1
            self._fence = self._last_fence = term.fence
            try:
                await self._serve(term)
            except Fenced as error:
                await self._refused(error)
            except TermOver:
                await self._leadership.step_down()  # whoever said so: we work no more, so another shall
            except Exception:
                log.exception("leader_failed", fence=term.fence)
                await self._leadership.step_down()
            finally:
                self._fence = 0
                if self._state not in STALLED:
                    self._become("following")
            if self._pause_s:  # until we ask for the next term, we do not stand
                await asyncio.sleep(self._pause_s * random.uniform(0.8, 1.0))

    async def _serve(self, term: Term) -> None:
        if not await self._raise_fences(term):
            return
        self._pause_s, self._refused_by, self._reminded_at = 0.0, 0, -REMIND_S
        self._become("leading")
        log.info("leading", fence=term.fence)
        works = [asyncio.ensure_future(self._keep(duty, term)) for duty in self._duties]
        over = asyncio.ensure_future(term.over())
        try:
            done, _ = await asyncio.wait([over, *works], return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            over.cancel()
            await self._end(works)
            log.info("leading_no_more", fence=term.fence)

    async def _raise_fences(self, term: Term) -> bool:
        """Have archive and log refuse lower fences than ours; False when the term ended before, or is given up."""
        self._become("raising")
        ends, pause_s = time.monotonic() + RAISE_S, 0.2
        while term.valid:
            lacking = "no_archive"
            try:
                async with asyncio.timeout(RAISE_S):
                    await self._archive.raise_fence(term.fence)
                    lacking = "no_log"
                    await self._hot.raise_fence(term.fence)
                return True
            except (ArchiveUnavailable, BackendUnavailable, TimeoutError) as error:
                self._become(lacking)
                log.warning("fence_not_raised", state=lacking, fence=term.fence, error=str(error))
            if time.monotonic() > ends:
                log.error("term_given_up", state=lacking, fence=term.fence)
                await self._leadership.step_down()
                return False
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s * random.uniform(0.5, 1.0)):
                    await term.over()
            pause_s = min(2 * pause_s, 5.0)
        self._become("following")
        return False

    async def _refused(self, error: Fenced) -> None:
        self.refusals += 1
        if self._state == "leading":
            log.warning("superseded", fence=self._fence, seen=error.seen)
        else:
            self._become("fenced")
            self._refused_by = max(self._refused_by, error.seen)
            self._pause_s = min(max(FENCED_S, 2 * self._pause_s), LONGEST_PAUSE_S)
            if time.monotonic() - self._reminded_at >= REMIND_S:
                self._reminded_at = time.monotonic()
                log.error(
                    "fence_refused",
                    fence=self._fence,
                    seen=error.seen,
                    hint="ZooKeeper was wiped or is another one; raise DCHAT_ZOOKEEPER_GENERATION on all workers",
                )
        await self._leadership.step_down()

    async def _keep(self, duty: Duty, term: Term) -> None:
        """Run a duty, again whenever it fails. Raises Fenced or TermOver; returns when the term is over."""
        run, pause_s = self._runs[duty.name], FIRST_PAUSE_S
        if run.stuck is not None:
            await asyncio.wait([run.stuck])
            run.stuck = None
        while True:
            began, run.running = time.monotonic(), True
            try:
                await duty.run(term)
                run.running = False  # it has no more to do in this term
                return await term.over()
            except (Exception, asyncio.CancelledError) as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                if ending := _ending(error):
                    raise ending from error
                self._note_failure(duty, error)
            finally:
                run.running = False
            if time.monotonic() - began > STEADY_S:
                pause_s = FIRST_PAUSE_S
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _note_failure(self, duty: Duty, error: BaseException) -> None:
        run = self._runs[duty.name]
        run.failures += 1
        run.error, run.at = f"{type(error).__name__}: {error}"[:500], _now()
        if isinstance(error, ChatError):
            log.warning("duty_failed", duty=duty.name, error=str(error))
        else:
            log.error("duty_failed", duty=duty.name, exc_info=error)

    async def _end(self, works: Sequence[asyncio.Future[None]]) -> None:
        """Cancel the duties and wait for their end, but not for ever."""
        for work in works:
            work.cancel()
        if not works:
            return
        done, stuck = await asyncio.wait(works, timeout=END_S)
        for work in done:
            if not work.cancelled() and (error := work.exception()) is not None and not _ending(error):
                log.error("duty_failed_at_end", exc_info=error)
        for duty, work in zip(self._duties, works, strict=True):
            if work in stuck:
                self._runs[duty.name].stuck = work
                log.error("duty_stuck", duty=duty.name, waited_s=END_S)

    def _become(self, state: str) -> None:
        if state != self._state:
            self._state, self._since = state, _now()


def _ending(error: BaseException) -> Fenced | TermOver | None:
    """What in an error, or in a group of errors, says that the term is over."""
    if isinstance(error, Fenced | TermOver):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for each in error.exceptions if (found := _ending(each))), None)
    return None


def _now() -> int:
    return int(time.time() * 1000)
