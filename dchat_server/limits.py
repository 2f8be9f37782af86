"""How often somebody may do something, counted over all workers, mostly without asking.

Theory of operation ------------------- The count is a token bucket in Redis, see `ports_accounts.Buckets`.
A worker that has to ask takes a few tokens more than it needs, as a lease of `LEASE_S`, and spends those
without a round trip. Only tokens that came out of the bucket are ever spent, and the bucket leaves room for
those on lease, so all workers together let through what one bucket would, or a little less: what is left of
a lease when it ends is lost. That is why a lease is at most half of what comes back in its time: somebody
who keeps to the rate is never refused because of it.

Spends of one subject that wait at the same time share one round trip and are served in order. After a
refusal the worker knows when the next token can be there at the earliest and answers itself until then.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from dchat_server.errors import ChatError
from dchat_server.ports_accounts import LEASE_S, Buckets

SPARE = 4


class _Lease:
    """Tokens in hand until `ends`, and the time before which there can be no more."""

    __slots__ = ("closed_until", "ends", "tokens")

    def __init__(self) -> None:
        self.tokens = 0
        self.ends = 0.0
        self.closed_until = 0.0


class RateLimiter:
    """At most `rate` times a second, and `burst` at once, for each subject; `rate` 0 is no limit.

    `what` tells this limit from others of the same subject. `spare` is the size of a lease beside what is
    needed (None: by the rate; 0: none).
    """

    def __init__(
        self,
        buckets: Buckets,
        what: str,
        *,
        rate: float,
        burst: int,
        spare: int | None = None,
        most: int = 20_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._buckets, self._what, self._rate, self._burst = buckets, what, rate, burst
        self._spare = max(0, min(SPARE, int(rate * LEASE_S / 2), burst // 4)) if spare is None else spare
        self._most, self._clock = most, clock
        self._leases: dict[str, _Lease] = {}
        self._waiting: dict[str, deque[tuple[int, asyncio.Future[tuple[int, float]]]]] = {}
        self._pumps: dict[str, asyncio.Task[None]] = {}

    def try_spend(self, subject: str) -> bool:
        """Spend one token without a round trip; False when that cannot be told here: call `spend` then."""
        if self._rate <= 0:
            return True
        lease = self._leases.get(subject)
        if lease is None or not lease.tokens or lease.ends <= self._clock() or subject in self._waiting:
            return False
        lease.tokens -= 1
        return True

    async def spend(self, subject: str, count: int = 1) -> tuple[int, float]:
        """Spend up to `count` tokens: (how many there were, seconds until there is another one).

        One round trip at most, shared with others that wait for the same subject. Raises BackendUnavailable.
        """
        if self._rate <= 0:
            return count, 0.0
        now = self._clock()
        lease = self._leases.get(subject)
        if lease is not None and subject not in self._waiting:
            if lease.ends > now and lease.tokens >= count:
                lease.tokens -= count
                return count, 0.0
            if lease.closed_until > now and not (lease.ends > now and lease.tokens):
                return 0, lease.closed_until - now
        future: asyncio.Future[tuple[int, float]] = asyncio.get_running_loop().create_future()
        queue = self._waiting.get(subject)
        if queue is not None:
            queue.append((count, future))
        else:
            self._waiting[subject] = deque([(count, future)])
            self._pumps[subject] = asyncio.create_task(self._pump(subject))
        return await future

    async def _pump(self, subject: str) -> None:
        """Serve those who wait for `subject`, all at once, until nobody does."""
        queue = self._waiting[subject]
        try:
            while queue:
                batch = list(queue)
                queue.clear()
                try:
                    await self._serve(subject, batch)
                except Exception as error:
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
        finally:
            del self._waiting[subject], self._pumps[subject]
            for _, future in queue:  # only when this was cancelled
                future.cancel()

    async def _serve(self, subject: str, batch: list[tuple[int, asyncio.Future[tuple[int, float]]]]) -> None:
        asked = self._clock()  # before the round trip: a lease ends here no later than there
        lease = self._lease(subject)
        held = lease.tokens if lease.ends > asked else 0
        needed = sum(count for count, future in batch if not future.done()) - held
        wait_s = 0.0
        if needed > 0:
            granted, wait_s = await self._buckets.take(
                subject, self._what, needed, rate=self._rate, burst=self._burst, spare=self._spare
            )
            held += granted
            lease.ends = asked + LEASE_S
            lease.closed_until = asked + wait_s if granted < needed else 0.0
        for count, future in batch:
            if not future.done():
                given = min(count, held)
                held -= given
                future.set_result((given, wait_s if given < count else 0.0))
        lease.tokens = held

    def _lease(self, subject: str) -> _Lease:
        lease = self._leases.pop(subject, None) or _Lease()
        self._leases[subject] = lease  # the last to be let go
        if len(self._leases) > self._most:
            del self._leases[next(iter(self._leases))]
        return lease


class UserLimits:
    """What a user may do how often: `messages` is for everything that adds to a room's log."""

    def __init__(self, buckets: Buckets, *, messages_per_s: float, messages_burst: int, rooms_per_day: int) -> None:
        self.messages = RateLimiter(buckets, "messages", rate=messages_per_s, burst=messages_burst)
        self._rooms = RateLimiter(buckets, "rooms", rate=rooms_per_day / 86400, burst=max(1, rooms_per_day), spare=0)

    async def count_room(self, user: str) -> None:
        """Count a new room of the user's. One round trip at most. Raises ChatError too_many_rooms."""
        granted, wait_s = await self._rooms.spend(user)
        if not granted:
            raise ChatError("too_many_rooms", retry_after_s=wait_s)
