"""What dashboards see of the cluster once a second. One producer a worker, the same bytes for all that watch there;
when nobody does, nothing is asked.

`stats` is a snapshot made small; `worker_joined`, `worker_left` and `leader_changed` tell the difference to the second
before. There are no cursors: whoever comes back gets the present at once.

Bounds: `MOST` dashboards a worker; one that has `MAX_WAITING` seconds of bytes waiting does not keep up and is cut.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import structlog

from dchat_server.cluster import Cluster
from dchat_server.drain import SPREAD_MS, reconnect_frame
from dchat_server.errors import ChatError, is_error
from dchat_server.model import iso
from dchat_server.wire import Frame, control_frame, sse

log = structlog.get_logger("dchat.dashboards")

EVERY_S = 1.0
PING_S = 15.0
ASK_S = 4.0
"""How often tokens are looked at for revocations that were not heard of."""
MOST = 100
MAX_WAITING = 30

Dead = Callable[[Mapping[str, str]], Awaitable[frozenset[str]]]
"""Of these tokens (digest → user) the digests of those that are no good any more; see `Accounts.dead_among`."""


class Dashboard:
    """One that watches: bounded bytes between the producer and its connection. `cut` closes the connection at once."""

    def __init__(self, user: str, digest: str, expires_at: int | None, cut: Callable[[], None]) -> None:
        self.user, self.digest, self.expires_at = user, digest, expires_at
        self._cut = cut
        self._waiting: list[bytes] = []
        self._ready = asyncio.Event()
        self.closed = False

    def write(self, data: bytes) -> None:
        if self.closed:
            return
        self._waiting.append(data)
        if len(self._waiting) > MAX_WAITING:
            self._waiting.clear()
            self.close()
            self._cut()
        self._ready.set()

    def close(self) -> None:
        """Close once what was written has gone out."""
        self.closed = True
        self._ready.set()

    async def take(self) -> bytes:
        """What was written since; b"" once it is closed."""
        await self._ready.wait()
        if not self.closed:
            self._ready.clear()
        parts, self._waiting = self._waiting, []
        return b"".join(parts)


class Dashboards:
    """All dashboards of a worker. `run` for as long as the worker runs."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        is_revoked: Callable[[str], bool] = lambda digest: False,
        dead_among: Dead | None = None,
        ping_s: float = PING_S,
        every_s: float = EVERY_S,
    ) -> None:
        self._cluster, self._is_revoked, self._dead_among = cluster, is_revoked, dead_among
        self._ping_s, self._every_s = ping_s, every_s
        self._watching: set[Dashboard] = set()
        self._anybody = asyncio.Event()
        self._before: dict[str, Any] | None = None
        self._asking: asyncio.Future[None] | None = None
        self.cut = 0

    @property
    def count(self) -> int:
        return len(self._watching)

    async def open(self, dashboard: Dashboard) -> None:
        """Write `hello` and the present, then whatever comes. Raises ChatError overloaded, draining."""
        if self._cluster.refuses_streams:
            raise ChatError("draining")
        if len(self._watching) >= MOST:
            raise ChatError("overloaded", f"This worker serves {MOST} dashboards already; another one may have room.")
        hello = control_frame("hello", worker=self._cluster.me.worker, protocol=1, time=_now())
        dashboard.write(sse([hello], None))
        self._watching.add(dashboard)  # before anything is awaited: it counts
        try:
            snapshot = await self._cluster.snapshot()
        except BaseException:
            self.drop(dashboard)
            raise
        dashboard.write(sse([control_frame("stats", **stats_of(snapshot))], None))
        self._anybody.set()

    def drop(self, dashboard: Dashboard) -> None:
        """Forget one. May be called again."""
        self._watching.discard(dashboard)
        dashboard.close()

    def send_away(self) -> None:
        """Have all of them come back elsewhere; each with a delay of its own."""
        for dashboard in list(self._watching):
            dashboard.write(sse([reconnect_frame(random.randrange(100, SPREAD_MS))], None))
            self.drop(dashboard)

    async def run(self) -> None:
        """Tell all that watch, once a second, for good."""
        loop = asyncio.get_running_loop()
        pinged = asked = loop.time()
        while True:
            if not self._watching:
                self._before = None
                self._anybody.clear()
                await self._anybody.wait()
            due = loop.time() + self._every_s
            try:
                await self._tell()
            except Exception:
                log.exception("stats_failed")
            now = loop.time()
            if now - pinged >= self._ping_s:
                pinged = now
                self._write([control_frame("ping", time=_now())])
            if now - asked >= ASK_S and self._dead_among is not None and not self._asking:
                asked = now
                # Beside the rest: where tokens are looked up may be away, and dashboards are to be told that.
                self._asking = asyncio.ensure_future(self._close_dead(self._dead_among))
                self._asking.add_done_callback(self._asked)
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _tell(self) -> None:
        if self._cluster.refuses_streams:
            self.send_away()
            return
        wall_ms = time.time() * 1000
        for dashboard in list(self._watching):
            if dashboard.expires_at is not None and dashboard.expires_at <= wall_ms:
                self._end(dashboard, "expired")
            elif self._is_revoked(dashboard.digest):
                self._end(dashboard, "revoked")
        snapshot = await self._cluster.snapshot()
        frames = [*changes(self._before, snapshot), control_frame("stats", **stats_of(snapshot))]
        self._before = snapshot
        self._write(frames)

    def _write(self, frames: Iterable[Frame]) -> None:
        data = sse(list(frames), None)
        for dashboard in list(self._watching):
            dashboard.write(data)
            if dashboard.closed:
                self.cut += 1
                self.drop(dashboard)

    async def _close_dead(self, dead_among: Dead) -> None:
        try:
            dead = await dead_among({dashboard.digest: dashboard.user for dashboard in self._watching})
        except ChatError:
            return  # asked again in a moment
        for dashboard in list(self._watching):
            if dashboard.digest in dead:
                self._end(dashboard, "revoked")

    def _asked(self, asking: asyncio.Future[None]) -> None:
        self._asking = None
        if not asking.cancelled() and (error := asking.exception()) is not None:
            log.error("tokens_not_asked", exc_info=error)

    def _end(self, dashboard: Dashboard, reason: str) -> None:
        dashboard.write(sse([control_frame("auth_expired", reason=reason)], None))
        self.drop(dashboard)


def changes(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> list[Frame]:
    """Who came, who went and who leads now, as events. Nothing is told of what was not known or is not known now."""
    if before is None:
        return []
    frames = []
    if not any(error["part"] == "board" for error in (*before["errors"], *now["errors"])):
        old = {row["worker"]: row for row in before["workers"] if row["alive"]}
        new = {row["worker"]: row for row in now["workers"] if row["alive"]}
        for worker in sorted(new.keys() - old.keys()):
            row = new[worker]
            frames.append(control_frame("worker_joined", worker=worker, address=row["address"], version=row["version"]))
        for worker in sorted(old.keys() - new.keys()):
            frames.append(control_frame("worker_left", worker=worker, address=old[worker]["address"]))
    if before["leader"] != now["leader"]:
        frames.append(control_frame("leader_changed", leader=now["leader"], before=before["leader"]))
    return frames


def stats_of(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """A snapshot as a wall wants it: sums, a short row a worker, and the state of each part in a word."""
    rows = [row for row in snapshot["workers"] if row["alive"] is not False]
    archive = snapshot["archive"]
    return {
        "time": snapshot["at"],
        "messages_per_s": _sum(rows, "messages_per_s"),
        "deliveries_per_s": _sum(rows, "deliveries_per_s"),
        "errors_per_s": _sum(rows, "errors_per_s"),
        "refused_per_s": round(sum((rate for code, rate in snapshot["refused"].items() if not is_error(code)), 0.0), 1),
        "refused": snapshot["refused"],
        "latency": snapshot["latency"],
        "streams": _sum(rows, "streams"),
        "workers": [{name: row[name] for name in IN_SHORT} for row in snapshot["workers"]],
        "leader": snapshot["leader"],
        "election": snapshot["election"]["state"],
        "log": snapshot["log"]["state"],
        "archive": archive["state"],
        "lag": {"messages": archive["lag_messages"], "seconds": archive["lag_s"]},
        "parts": snapshot["parts"],
        "errors": snapshot["errors"],
    }


IN_SHORT = (
    *("worker", "address", "version", "uptime_s", "alive", "draining", "streams", "messages_per_s", "deliveries_per_s"),
    *("errors_per_s", "send_p99_ms", "loop_lag_ms", "memory_bytes", "leading", "heard_ms"),
)


def _sum(rows: Iterable[Mapping[str, Any]], name: str) -> float:
    return round(sum((row[name] or 0.0 for row in rows), 0.0), 1)


def _now() -> str:
    return iso(int(time.time() * 1000))
