"""Spreading long-lived streams after a scale-out. A balancer gives a new worker new streams only; those that are open
stay where they are, perhaps for days.

Theory of operation
-------------------
The leader looks at what each worker says of itself. A worker is *over* when it has more than 20 % and more than 50
streams above the mean, and not before it has been over for `patience_s` (30): a burst of reconnects evens out by
itself. Then it is told to shed, within the next round (a third of that), what is above the mean, at most a fifth of its
streams: 2 % a second. The worker picks streams at random and spreads their `reconnect` over the time (cluster.py).

*Hysteresis.* What begins at 20 % ends at 5 %: a worker that is being evened is told again until it is within 5 % of the
mean, or has not come closer in three rounds. Then the balancer sends them back to where they were, which asking
again would not change: it is left alone for `PAUSE` times the patience.

*Never* while a worker drains (its streams are on their way, and nothing is where it will be), while a worker on the
board is silent or the members are not all heard, with fewer than two workers, or below the mean. An order that is
lost is given again in the next round; one that is given twice finds fewer streams above the mean.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from dchat_server.errors import ChatError
from dchat_server.ports_cluster import Board, Leadership, Term

log = structlog.get_logger("dchat.rebalance")

PATIENCE_S = 30.0
ROUND = 1 / 3
"""Of the patience: the time between two looks."""
PAUSE = 20
OVER, EVEN = 1.20, 1.05
LEAST = 50
"""Streams above the mean that are worth moving."""
SHARE = 0.2
"""Of its streams, what a worker sheds in a round at most."""
ROUNDS_IN_VAIN = 3


@dataclass
class _Uneven:
    """A worker that was seen over: since when, and what came of asking it."""

    since: float
    streams: int
    asked: bool = False
    in_vain: int = 0
    leave_until: float = 0.0


@dataclass
class Balance:
    """Decides who sheds how much. Pure but for its memory of the rounds before."""

    clock: Callable[[], float] = time.monotonic
    patience_s: float = PATIENCE_S
    _uneven: dict[str, _Uneven] = field(default_factory=dict)

    @property
    def round_s(self) -> float:
        """Seconds between two rounds."""
        return self.patience_s * ROUND

    def round(self, streams: Mapping[str, int]) -> dict[str, int]:
        """worker → how many streams it is to shed now, from how many each has. Call it every `round_s`."""
        now, orders = self.clock(), {}
        mean = sum(streams.values()) / len(streams) if streams else 0.0
        for worker in self._uneven.keys() - streams.keys():
            del self._uneven[worker]
        for worker, count in streams.items():
            seen = self._uneven.get(worker)
            started = seen is not None and seen.asked
            if count <= mean * (EVEN if started else OVER) or count - mean <= (0 if started else LEAST):
                if seen is not None and seen.leave_until <= now:
                    del self._uneven[worker]
                continue
            if seen is None:
                self._uneven[worker] = _Uneven(now, count)
                continue
            if now < seen.leave_until or now - seen.since < self.patience_s:
                continue
            if seen.asked:
                seen.in_vain = seen.in_vain + 1 if count >= seen.streams else 0
                if seen.in_vain >= ROUNDS_IN_VAIN:
                    log.warning("rebalance_in_vain", target=worker, streams=count, mean=round(mean))
                    self._uneven[worker] = _Uneven(now, count, leave_until=now + PAUSE * self.patience_s)
                    continue
            seen.asked, seen.streams = True, count
            wanted = min(int(count - mean), int(count * SHARE))
            if wanted > 0:
                orders[worker] = wanted
        return orders

    def forget(self) -> None:
        """Begin anew: what was seen says nothing any more."""
        self._uneven.clear()


class Rebalance:
    """A duty of the leader. Raises Fenced."""

    name = "rebalance"

    def __init__(self, leadership: Leadership, board: Board, balance: Balance | None = None) -> None:
        self._leadership, self._board = leadership, board
        self._balance = balance or Balance()
        self.ordered = 0
        """Streams that workers were asked to send elsewhere."""

    async def run(self, term: Term) -> None:
        """Look at the board every round until cancelled."""
        self._balance.forget()
        while True:
            await asyncio.sleep(self._balance.round_s)
            try:
                await self.look(term)
            except ChatError as error:
                log.warning("board_unavailable", error=str(error))
                self._balance.forget()

    async def look(self, term: Term) -> None:
        """One round: one round trip, and one for each order."""
        streams = self._countable(await self._board.read())
        if streams is None:
            self._balance.forget()
            return
        for worker, count in self._balance.round(streams).items():
            term.check()
            log.info("rebalance_asked", target=worker, streams=count, of=streams[worker])
            facts = {"worker": worker, "streams": count, "seconds": self._balance.round_s}
            await self._board.tell("shed", facts, term.fence)
            self.ordered += count

    def _countable(self, board: Mapping[str, Mapping[str, Any]]) -> dict[str, int] | None:
        """worker → streams, or None when this is no time to move any."""
        there = {worker: facts for worker, facts in board.items() if not facts.get("left")}
        members = self._leadership.members
        if len(there) < 2 or any(facts.get("draining") for facts in there.values()):
            return None
        if any(member.worker not in there for member in members or ()):
            return None
        return {worker: int(facts.get("streams") or 0) for worker, facts in there.items()}
