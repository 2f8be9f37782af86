"""What a worker says of itself once a second, read off its own counters and histograms."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dchat_server.errors import FAILURES, is_error
from dchat_server.hub import Hub
from dchat_server.latency import Histogram, Recent, Sparse, percentile_ms
from dchat_server.ports_cluster import Member
from dchat_server.publish import Publisher
from dchat_server.pump import Pump


class Work(Protocol):
    """What this process serves; `http.worker.Worker` is one."""

    draining: bool
    refuses_streams: bool
    refused: Counter[str]
    sends: Histogram

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
    errors_per_s: float
    refused: Mapping[str, float]
    """Problems answered a second, by code, the errors among them; only those that there were."""
    send: Sparse
    delivery: Sparse
    """What took how long in the last `latency.WINDOW_S`."""
    send_p99_ms: float | None
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
        self._before: Counter[str] = Counter()
        self._send = Recent(work.sends, self._began)
        self._delivery = Recent(work.hub.trail.times, self._began)
        self.loop_lag_ms = 0.0
        self.last = self._read({}, (), ())

    def look(self) -> Facts:
        """The facts now, for the board. Call it once a second; `last` keeps them."""
        now, counters = self._clock(), self._counters()
        past_s = max(now - self._before_at, 1e-3)
        rates = {name: count / past_s for name, count in (counters - self._before).items()}
        self._before, self._before_at = counters, now
        self.last = self._read(rates, self._send.look(now), self._delivery.look(now))
        self.loop_lag_ms = 0.0
        return self.last

    def _counters(self) -> Counter[str]:
        """`messages`, `deliveries`, and what was refused, by code."""
        work = self._work
        return Counter({**work.refused, "messages": work.publisher.sent, "deliveries": work.hub.delivered})

    def _read(self, rates: Mapping[str, float], send: Sparse, delivery: Sparse) -> Facts:
        return Facts(
            address=self._me.address,
            version=self._me.version,
            started_at=self._me.started_at,
            uptime_s=round(self._clock() - self._began, 1),
            streams=self._work.hub.count,
            draining=self._work.draining,
            log_reader_alive=self._work.pump.alive,
            messages=self._work.publisher.sent,
            deliveries=self._work.hub.delivered,
            messages_per_s=round(rates.get("messages", 0.0), 1),
            deliveries_per_s=round(rates.get("deliveries", 0.0), 1),
            errors_per_s=round(sum((rate for code, rate in rates.items() if is_error(code)), 0.0), 1),
            refused={code: round(rate, 2) for code, rate in sorted(rates.items()) if code in FAILURES},
            send=send,
            delivery=delivery,
            send_p99_ms=percentile_ms(send, 0.99),
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
