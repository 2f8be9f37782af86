"""The leader's first duty: what is new in the message log goes into the archive.

Rounds, one after the other. A round looks which rooms have something that is not archived, and takes them forward,
those that wait longest first, several side by side, one step each (compactor_room.py); a room with more to do lines up
again behind the others. So a room with a million events delays another one by the steps that are under way, no more. A
round that leaves nothing behind is followed by a pause of `interval_s`.

What goes wrong with one room is that room's: it waits, longer each time, while the others go on. When the archive or
the log do not answer, all wait. Nothing is given up on; what cannot go on says so in `facts`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from dchat_server.chunk import BadChunk
from dchat_server.compactor_room import Progress, RoomSteps
from dchat_server.compactor_run import Stuck
from dchat_server.errors import ArchiveUnavailable, BackendUnavailable
from dchat_server.ports_archive import Archive, Conflict, Fenced
from dchat_server.ports_cluster import Term, TermOver
from dchat_server.ports_hot import Dirty, HotLog

MAX_ROOMS = 2000
"""Rooms that a round takes on, over all shards."""
MAX_TROUBLED = 1000
"""Rooms in trouble that are remembered; one more, and the one that had it first is tried again."""
LONGEST_PAUSE_S = 60.0
BUCKETS = (512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536)
"""Upper bounds of chunk sizes in `facts`, in bytes."""
_SLOWEST = 20
_LOOKS = 8

log = structlog.get_logger("dchat.compactor")


@dataclass(slots=True)
class Trouble:
    """A room that cannot go on. It is tried again at `until` (monotonic). `passing`: it can most likely, then."""

    reason: str
    detail: str
    since: int
    passing: bool
    tries: int = 0
    until: float = 0.0


class Compactor:
    """A duty of the leader. `side_by_side` rooms are worked at once: each holds a few MB while it is."""

    name = "compactor"

    def __init__(
        self,
        archive: Archive,
        hot: HotLog,
        *,
        interval_s: float,
        keep: int,
        side_by_side: int = 8,
        fail_point: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._archive, self._hot, self._interval_s, self._side_by_side = archive, hot, interval_s, side_by_side
        self._steps = RoomSteps(archive, hot, keep=keep, fail_point=fail_point)
        self._state, self._state_since = "waiting", _now_ms()
        self._totals: Counter[str] = Counter()
        self._sizes = Counter[int]()
        self._progress: dict[str, Progress] = {}
        self._since: dict[str, int] = {}
        self._troubles: OrderedDict[str, Trouble] = OrderedDict()
        self._rooms_dirty = 0
        self._write_units = 0.0
        self._last_error: str | None = None
        self._last_error_at = 0
        self._round_at = 0
        self._outage = ""
        self._outage_tries = 0

    async def run(self, term: Term) -> None:
        """Archive what is new, again and again, until cancelled. Raises Fenced, TermOver."""
        self._steps.forget()
        self._troubles.clear()
        self._outage_tries = 0
        self._turn("starting")
        try:
            while True:
                more = await self.round(term)
                await asyncio.sleep(self._pause_s(more))
        finally:
            self._turn("waiting")

    async def round(self, term: Term) -> bool:
        """Take every room forward that waits, as far as one round goes; True when there is more to do at once. Raises
        Fenced, TermOver."""
        self._outage = ""
        try:
            queue, full = await self._look()
            ends_at = time.monotonic() + max(self._interval_s, 1.0)
            await self._work(term, queue, ends_at)
            self._rooms_dirty = await self._hot.dirty_count()
            self._write_units = await self._archive.write_units()
            left = bool(queue) or full
        except (ArchiveUnavailable, BackendUnavailable) as error:
            self._note_outage(error)
            left = True
        self._outage_tries = self._outage_tries + 1 if self._outage else 0
        self._round_at = _now_ms()
        self._turn(self._outage or ("stuck_rooms" if self._stuck() else "ok"))
        return left

    # --- a round --------------------------------------------------------------------------------------------------

    async def _look(self) -> tuple[deque[str], bool]:
        """The rooms that wait, those that wait longest first, and whether there are more of them."""
        shards = self._hot.shards
        # Rooms in trouble wait longest of all: they must not be all there is to see.
        troubled = Counter(self._hot.shard_of(room) for room in self._troubles)
        limits = [max(4, MAX_ROOMS // shards) + troubled[shard] for shard in range(shards)]
        gate = asyncio.Semaphore(_LOOKS)

        async def look(shard: int) -> list[Dirty]:
            async with gate:
                return await self._hot.dirty_rooms(shard, limits[shard])

        found = await asyncio.gather(*(look(shard) for shard in range(shards)))
        self._since = {room: since for rooms in found for room, since in rooms}
        self._progress = {room: self._progress[room] for room in self._since if room in self._progress}
        for room in [room for room in self._troubles if room not in self._since]:
            del self._troubles[room]  # it is not dirty any more, whoever saw to that
        now = time.monotonic()
        ready = [room for room in self._since if room not in self._troubles or self._troubles[room].until <= now]
        ready.sort(key=self._since.__getitem__)
        # A full list may hold nothing but rooms in trouble: only what can be worked now is a reason to look again soon.
        workable = set(ready)
        full = any(
            len(rooms) == limit and any(room in workable for room, _ in rooms)
            for rooms, limit in zip(found, limits, strict=True)
        )
        return deque(ready), full

    async def _work(self, term: Term, queue: deque[str], ends_at: float) -> None:
        """Work the queue, several rooms at once; rooms that have more to do come again until `ends_at`. What is left in
        the queue then was not finished."""
        later: list[str] = []

        async def worker() -> None:
            while queue and not self._outage:
                room = queue.popleft()
                if await self._step(term, room):
                    (queue.append if time.monotonic() < ends_at else later.append)(room)

        await _all(worker() for _ in range(self._side_by_side))
        queue.extend(later)

    async def _step(self, term: Term, room: str) -> bool:
        """One step of a room; whether it should have another one soon."""
        try:
            progress = await self._steps.advance(term, room)
        except (Fenced, TermOver):
            raise
        except Conflict:
            # Somebody else moved the room on (retention, or this very step, whose answer was lost): look anew.
            self._totals["conflicts"] += 1
            self._struck(room, "conflict", "the room changed under the hands", passing=True)
            return self._troubles[room].tries == 1
        except (ArchiveUnavailable, BackendUnavailable) as error:
            self._note_outage(error)
            self._struck(room, self._outage, str(error), passing=True)
            return False
        except Stuck as error:
            self._struck(room, error.reason, str(error))
            return False
        except BadChunk as error:
            self._struck(room, "damaged", str(error))
            return False
        except Exception as error:
            log.exception("room_failed", room=room)
            self._struck(room, "failed", repr(error))
            return False
        self._count(progress)
        if progress.behind:
            self._struck(room, "behind", "the log lacks what the archive holds; it is to be restored")
            return False
        self._troubles.pop(room, None)
        if progress.more:
            self._progress[room] = progress
            self._since[room] = progress.since or self._since.get(room, 0)
        else:
            self._progress.pop(room, None)
            self._since.pop(room, None)
        return progress.more

    def _count(self, progress: Progress) -> None:
        self._progress[progress.room] = progress
        self._totals["events"] += progress.events
        self._totals["messages"] += progress.messages
        self._totals["chunks"] += len(progress.chunk_bytes)
        self._totals["chunk_bytes"] += sum(progress.chunk_bytes)
        self._totals["commits"] += bool(progress.chunk_bytes)
        for size in progress.chunk_bytes:
            self._sizes[next((bound for bound in BUCKETS if size <= bound), 0)] += 1

    # --- what goes wrong ------------------------------------------------------------------------------------------

    def _struck(self, room: str, reason: str, detail: str, *, passing: bool = False) -> None:
        """Let the room wait: twice as long each time."""
        trouble = self._troubles.get(room)
        if trouble is None or trouble.reason != reason:
            trouble = Trouble(reason, detail, _now_ms(), passing)
            self._troubles[room] = trouble
            if reason != self._outage:  # of that, one line is enough
                (log.warning if passing else log.error)("room_stuck", room=room, reason=reason, detail=detail)
        trouble.tries += 1
        wait_s = min(0.2 * 2.0 ** min(trouble.tries, 20), LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)
        trouble.until = time.monotonic() + (0.0 if passing and trouble.tries == 1 else wait_s)
        self._last_error, self._last_error_at = detail, _now_ms()
        while len(self._troubles) > MAX_TROUBLED:
            self._troubles.popitem(last=False)

    def _note_outage(self, error: ArchiveUnavailable | BackendUnavailable) -> None:
        outage = "archive_unavailable" if isinstance(error, ArchiveUnavailable) else "log_unavailable"
        if not self._outage and self._state != outage:
            log.error(outage, error=str(error))
        self._outage = outage
        self._totals["unclear"] += 1
        self._last_error, self._last_error_at = str(error), _now_ms()

    def _pause_s(self, more: bool) -> float:
        if self._outage:
            return min(0.2 * 2.0 ** min(self._outage_tries, 10), 10.0) * random.uniform(0.5, 1.0)
        if more:
            return 0.0
        now = time.monotonic()
        soonest = min((trouble.until - now for trouble in self._troubles.values()), default=self._interval_s)
        return min(self._interval_s, max(0.1, soonest))

    def _stuck(self) -> list[tuple[str, Trouble]]:
        """The rooms that are in trouble not just for a moment."""
        return [(room, each) for room, each in self._troubles.items() if not each.passing or each.tries >= 3]

    def _turn(self, state: str) -> None:
        if state != self._state:
            self._state, self._state_since = state, _now_ms()

    # --- what is told ---------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """Where compaction stands, as plain facts: for `/v1/cluster` and metrics. Times are ms since 1970.

        `state` is `ok`; `waiting` (this worker does not lead), `starting`; `archive_unavailable`, `log_unavailable`
        (all rooms wait) or `stuck_rooms` (those in `stuck` do). Everything but `ok` is worth an alarm when it lasts,
        and so is a `lag_s` that grows, or a `round_at` long ago.
        """
        now, stuck = _now_ms(), self._stuck()
        rows: list[dict[str, Any]] = [self._row(room, now) for room in self._since]
        rows.sort(key=lambda row: (-row["lag_s"], -row["lag"]))
        return {
            "state": self._state,
            "state_since": self._state_since,
            "round_at": self._round_at,
            "rooms_dirty": self._rooms_dirty,
            "lag_messages": sum(row["lag"] for row in rows),
            "lag_s": max((row["lag_s"] for row in rows), default=0.0),
            "slowest": rows[:_SLOWEST],
            "stuck": [
                {"room": room, "reason": trouble.reason, "detail": trouble.detail, "since": trouble.since}
                for room, trouble in stuck[:_SLOWEST]
            ],
            "rooms_stuck": len(stuck),
            "archived": {
                name: self._totals[name] for name in ("events", "messages", "chunks", "chunk_bytes", "commits")
            },
            "conflicts": self._totals["conflicts"],
            "unclear": self._totals["unclear"],
            "chunk_sizes": [{"up_to": bound, "chunks": self._sizes[bound]} for bound in BUCKETS]
            + [{"up_to": None, "chunks": self._sizes[0]}],
            "write_units": self._write_units,
            "last_error": self._last_error,
            "last_error_at": self._last_error_at,
        }

    def _row(self, room: str, now: int) -> dict[str, Any]:
        progress = self._progress.get(room)
        watermark, head = (progress.watermark, progress.head) if progress is not None else (None, None)
        lag_s = max(0, now - self._since[room]) / 1000
        return {
            "room": room,
            "shard": self._hot.shard_of(room),
            "watermark": watermark,
            "head": head,
            "lag": max(0, (head or 0) - (watermark or 0)),
            "lag_s": lag_s,
        }


async def _all(workers: Iterable[Any]) -> None:
    """Run all to their end; the first that fails ends the others, and its exception is raised."""
    tasks: Sequence[asyncio.Task[None]] = [asyncio.create_task(worker) for worker in workers]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _now_ms() -> int:
    return int(time.time() * 1000)
