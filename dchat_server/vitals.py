"""What a worker says of itself once a second, read off its own counters: nothing on the hot path counts for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from dchat_server.hub import Hub
from dchat_server.ports_cluster import Member
from dchat_server.publish import Publisher
from dchat_server.pump import Pump


class Work(Protocol):
    """What this process serves; `http.worker.Worker` is one."""

    draining: bool

    @property
    def hub(self) -> Hub: ...

    @property
    def pump(self) -> Pump: ...

    @property
    def publisher(self) -> Publisher: ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What a worker says of itself once a second. Rates are of the last second or so; None: not known here."""

    address: str
    version: str
    started_at: int
    uptime_s: float
    streams: int
    draining: bool
    log_reader_alive: bool
    messages: int
    deliveries: int
    messages_per_s: float
    deliveries_per_s: float
    loop_lag_ms: float
    memory_bytes: int | None
    leading: str
    """How far it has come as the leader, see `leader.Leader.state`."""

    def wire(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class Gauge:
    """A worker's facts, read off its own counters; rates come from what they were at the look before."""

    def __init__(
        self,
        me: Member,
        work: Work,
        clock: Callable[[], float] = time.monotonic,
        leading: Callable[[], str] = lambda: "following",
    ) -> None:
        self._me, self._work, self._clock, self._leading = me, work, clock, leading
        self._began = self._before_at = clock()
        self._before = (0, 0)
        self.loop_lag_ms = 0.0
        self.last = self._read((0.0, 0.0))

    def look(self) -> Facts:
        """The facts now, for the board. Call it once a second; `last` keeps them."""
        now, counters = self._clock(), self._counters()
        past_s = max(now - self._before_at, 1e-3)
        rates = tuple(max(0, new - old) / past_s for new, old in zip(counters, self._before, strict=True))
        self._before, self._before_at = counters, now
        self.last = self._read((rates[0], rates[1]))
        self.loop_lag_ms = 0.0
        return self.last

    def _counters(self) -> tuple[int, int]:
        return self._work.publisher.sent, self._work.hub.delivered

    def _read(self, rates: tuple[float, float]) -> Facts:
        messages, deliveries = self._counters()
        return Facts(
            address=self._me.address,
            version=self._me.version,
            started_at=self._me.started_at,
            uptime_s=round(self._clock() - self._began, 1),
            streams=self._work.hub.count,
            draining=self._work.draining,
            log_reader_alive=self._work.pump.alive,
            messages=messages,
            deliveries=deliveries,
            messages_per_s=round(rates[0], 1),
            deliveries_per_s=round(rates[1], 1),
            loop_lag_ms=round(self.loop_lag_ms, 1),
            memory_bytes=memory_bytes(),
            leading=self._leading(),
        )


def memory_bytes() -> int | None:
    """How much memory this process has resident; None where that takes more than a look."""
    try:
        import resource  # not on every system

        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (ImportError, OSError, ValueError, IndexError):
        return None
