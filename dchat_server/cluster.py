"""One worker's part in the cluster: it says what it does, does what it is asked to, and knows what all the others do.

Theory of operation
-------------------
*Saying.* Once a second the worker posts its facts on the board (`Board.post`): counters, rates, how late its loop is.
Posting never holds anything up: a board that does not answer is tried again with the next beat.

*Being asked.* Operators and the leader speak through the feed, which every worker reads anyway: `drain`, `step_down`
and `shed` name one worker, and that worker acts. All of them may be repeated. One that is lost (the feed lost its tail)
has no effect, and who asked sees that on the board. A worker that drains does not stand for election, for it may be
ended at any moment, until it is taken back.

*Knowing.* `snapshot` puts together who is a member (Leadership), what each said last (Board) and what the leader
reports. Each part may be away. Then what it would say is None and `errors` says why, and the answer comes all the
same, within `ANSWER_S`. Those who ask at the same time share one look at the board.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
import structlog

from dchat_server.drain import LONGEST_NOTICE_S, send_away, send_some_away
from dchat_server.errors import ChatError
from dchat_server.model import Control
from dchat_server.ports_cluster import Board, Leader, Leadership, Member
from dchat_server.snapshot import Heard, leader_of, picture
from dchat_server.vitals import Facts, Gauge, Work

log = structlog.get_logger("dchat.cluster")

POST_S = 1.0
ANSWER_S = 1.5
"""A part that has not answered by then is told as away."""
DRAIN_S = 10.0
SHED_MOST_S = 60.0
SHED_MOST_SHARE = 0.5


class Cluster:
    """One worker's view of the cluster and its part in it. `start` once, `stop` once; `on_control` gets every control
    entry of the feed. `leading` says how far this worker has come as the leader, see `leader.Leader.state`; `kinds` is
    what this worker's parts are, see `Config.kinds`; for `notice_s` a worker that drains still takes streams."""

    def __init__(
        self,
        me: Member,
        work: Work,
        leadership: Leadership,
        board: Board,
        *,
        leading: Callable[[], str] = lambda: "following",
        kinds: Mapping[str, str],
        notice_s: float = LONGEST_NOTICE_S,
    ) -> None:
        self._kinds, self._notice_s = kinds, notice_s
        self.me, self.leadership, self.board = me, leadership, board
        self._work = work
        self._gauge = Gauge(me, work, leading=leading)
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked_to_drain = False
        self._leaving = False
        self._draining: asyncio.Task[None] | None = None
        self._shedding: asyncio.Task[None] | None = None
        self._look: asyncio.Task[Heard] | None = None

    def start(self) -> None:
        self._spawn(self._beat())

    async def stop(self) -> None:
        """End what is under way, and say so on the board."""
        self.leave()
        for task in list(self._tasks):
            task.cancel()
        if self._look is not None:
            self._look.cancel()
        await asyncio.gather(*self._tasks, *([self._look] if self._look else ()), return_exceptions=True)
        await self._post({"left": True})

    def leave(self) -> None:
        """The process is going to end: another shall lead while this one drains, and from now on nothing that operators
        ask changes that."""
        self._leaving = True
        self.leadership.withdraw()

    @property
    def refuses_streams(self) -> bool:
        """True while this worker takes no streams, because it was asked to drain or is going to end."""
        return self._work.refuses_streams

    # --- saying ----------------------------------------------------------------------------------------------------

    @property
    def facts(self) -> Facts:
        """What this worker said last of itself."""
        return self._gauge.last

    async def _beat(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            facts = self._gauge.look()
            self.leadership.set_streams(facts.streams)
            await self._post(facts.wire())
            due = max(due + POST_S, loop.time())
            while (left_s := due - loop.time()) > 0:
                nap_s = min(left_s, 0.1)
                slept_from = loop.time()
                await asyncio.sleep(nap_s)
                late_ms = (loop.time() - slept_from - nap_s) * 1000
                self._gauge.loop_lag_ms = max(self._gauge.loop_lag_ms, late_ms)

    async def _post(self, facts: Mapping[str, Any]) -> None:
        # Whatever is wrong with the board is said by whoever reads it; the next beat tries again.
        try:
            async with asyncio.timeout(ANSWER_S):
                await self.board.post(self.me.worker, facts)
        except (ChatError, TimeoutError):
            pass
        except Exception:
            log.exception("board_post_failed")

    # --- being asked -----------------------------------------------------------------------------------------------

    def on_control(self, control: Control) -> None:
        """Act on a control entry of the feed that names this worker; nothing happens for any other."""
        if control.type not in ("drain", "step_down", "shed"):
            return
        facts = orjson.loads(control.body)
        if facts["worker"] != self.me.worker or self._leaving:
            return
        if control.type == "drain":
            self._drain(undo=facts.get("undo") is True)
        elif control.type == "step_down":
            # A term has a number, so an order that comes late does not end a later one.
            leader = self.leadership.leader
            if leader is None or leader.fence == facts["epoch"]:
                self._spawn(self._step_down())
        else:
            self._shed(facts["streams"], facts["seconds"])

    def _drain(self, *, undo: bool) -> None:
        if undo:
            if self._asked_to_drain:
                log.info("drain_undone")
                self._asked_to_drain = self._work.draining = self._work.refuses_streams = False
                self.leadership.stand()
                if self._draining is not None:
                    self._draining.cancel()
        elif not self._work.draining:
            log.info("drain_asked", streams=self._work.hub.count)
            self._asked_to_drain = self._work.draining = True
            self.leadership.withdraw()
            self._draining = self._spawn(self._send_away())

    async def _send_away(self) -> None:
        """Streams go elsewhere, those too that were just opening."""
        await asyncio.sleep(self._notice_s)
        self._work.refuses_streams = True
        while True:
            if self._work.hub.count:
                await send_away(self._work.hub, DRAIN_S)
            await asyncio.sleep(0.5)

    async def _step_down(self) -> None:
        log.info("stepping_down")
        await self.leadership.step_down()

    def _shed(self, streams: int, seconds: float) -> None:
        """Send some streams away, slowly. One order at a time: the leader looks again before it gives the next."""
        if self._work.draining or (self._shedding is not None and not self._shedding.done()):
            return
        count = min(streams, int(self._work.hub.count * SHED_MOST_SHARE))
        if count > 0:
            log.info("shedding_streams", streams=count, seconds=seconds)
            over_s = min(max(seconds, 1.0), SHED_MOST_S)
            self._shedding = self._spawn(send_some_away(self._work.hub, count, over_s))

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("cluster_work_failed", exc_info=error)

    # --- knowing ---------------------------------------------------------------------------------------------------

    async def snapshot(self) -> dict[str, Any]:
        """The cluster as this worker knows it now, in the form of `GET /v1/cluster`. Takes `ANSWER_S` at most."""
        heard = await self._hear()
        positions = self._work.hub.cursor.positions
        return picture(
            now_ms=int(time.time() * 1000),
            me=replace(self.me, streams=self._work.hub.count),
            mine={**self.facts.wire(), "streams": self._work.hub.count, "draining": self._work.draining, "age_ms": 0},
            leadership=self.leadership,
            heard=heard,
            heads=[(place.epoch, place.offset) for place in positions],
            log_alive=self._work.pump.alive,
            kinds=self._kinds,
        )

    async def knows(self, worker: str) -> bool | None:
        """True when there is such a worker, False when there is not, None when nobody can say."""
        members, heard = self.leadership.members, await self._hear()
        if worker == self.me.worker or worker in (heard.board or ()):
            return True
        if any(member.worker == worker for member in members or ()):
            return True
        return None if heard.board is None else False

    async def leader(self) -> Leader | None:
        """Who leads; where only the leader itself knows that (one machine, no ensemble), as its report says."""
        return leader_of(self.leadership, (await self._hear()).report)

    async def _hear(self) -> Heard:
        if self._look is None or self._look.done():
            self._look = asyncio.ensure_future(self._ask())
        return await asyncio.shield(self._look)

    async def _ask(self) -> Heard:
        heard = Heard()
        try:
            async with asyncio.timeout(ANSWER_S):
                board, heard.report = await asyncio.gather(self.board.read(), self.board.read_leader())
                heard.board = {worker: facts for worker, facts in board.items() if not facts.get("left")}
        except ChatError as error:
            heard.error = error.detail
        except TimeoutError:
            heard.error = f"The board did not answer within {ANSWER_S:g} s."
        return heard
