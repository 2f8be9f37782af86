"""What the cluster's own business asks of the world outside, as protocols: who is there, and who leads.

Leadership is a lease, not a fact. A `Term` says for how long this worker may act as the leader, by its own monotonic
clock; what it writes carries the term's fence, and whoever stores it refuses a lower fence than the highest it saw.
So a leader that was frozen, cut off or merely slow can do no harm, however late it wakes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class TermOver(Exception):
    """This worker is not the leader any more, or cannot be sure that it is."""


class Term(Protocol):
    """One time as the leader, from being elected to being unsure of it. Over once is over for good."""

    @property
    def fence(self) -> int:
        """Rises with every term of the whole cluster; over 0 and under 2^63."""
        ...

    @property
    def valid(self) -> bool:
        """True while nobody else can be leading: no loss was noticed, and the deadline lies ahead. Costs nothing."""
        ...

    def check(self) -> None:
        """Raise TermOver unless `valid`. Call it before every step that writes."""
        ...

    async def over(self) -> None:
        """Return when the term is over, at its deadline at the latest."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """A worker that is there. `address` is host:port, `started_at` in ms since 1970, `streams` some seconds old."""

    worker: str
    address: str
    version: str
    started_at: int
    streams: int


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads, as this worker sees it. `fence` identifies the term."""

    worker: str
    fence: int


class Leadership(Protocol):
    """Membership and election, as one worker takes part in them."""

    async def start(self, me: Member) -> None:
        """Join and stand for election. Returns soon, also when nobody answers: it goes on trying by itself."""
        ...

    async def stop(self) -> None:
        """Give up a term, leave, and let the others know at once. May be called again."""
        ...

    def terms(self) -> AsyncIterator[Term]:
        """Each term of this worker as it begins, for good. One reader. The next one comes only after the reader has
        asked for it, so work on a term that is over ends before."""
        ...

    async def step_down(self) -> None:
        """End a present term; another worker leads next if there is one. Nothing happens when there is no term."""
        ...

    def withdraw(self) -> None:
        """End a present term and leave the election, until `stand`. At once and without waiting; what others see of it
        follows within milliseconds, where anybody can be reached. Where nobody else stands, nobody leads."""
        ...

    def stand(self) -> None:
        """Stand for election again after `withdraw`."""
        ...

    def set_streams(self, count: int) -> None:
        """Say how many streams this worker has; told to the others within some seconds."""
        ...

    @property
    def leader(self) -> Leader | None:
        """Who leads; None when nobody does or nobody can say (no quorum)."""
        ...

    @property
    def members(self) -> Sequence[Member] | None:
        """Who is there, by name; None when that cannot be known here (no quorum, or no ensemble is used)."""
        ...

    @property
    def state(self) -> str:
        """`connected`, `suspended` (no quorum, or cut off) or `lost`; `local` without an ensemble."""
        ...


class Board(Protocol):
    """Where workers write what they are doing, for dashboards and for the leader; kept in the message log's servers.
    Nothing that must not be lost stands here."""

    async def post(self, worker: str, facts: Mapping[str, Any]) -> None:
        """Replace what this worker said. One round trip. It holds for `BEAT_S`."""
        ...

    async def read(self) -> dict[str, Mapping[str, Any]]:
        """worker → what it said last, of those that said something within `BEAT_S`. One round trip."""
        ...

    async def silent(self) -> list[str]:
        """Workers of which something is kept that they said longer than `BEAT_S` ago. One round trip."""
        ...

    async def remove(self, workers: Sequence[str], fence: int) -> None:
        """Take down what dead workers said. Raises Fenced when a later term has begun."""
        ...

    async def post_leader(self, fence: int, facts: Mapping[str, Any]) -> None:
        """Replace the leader's report. Raises Fenced when a later term has begun."""
        ...

    async def read_leader(self) -> Mapping[str, Any] | None:
        """The leader's last report, with `at` (ms since 1970) in it, however old; None when there never was one."""
        ...

    async def tell(self, kind: str, facts: Mapping[str, Any], fence: int = 0) -> None:
        """Tell all workers something (`drain`, `step_down`, `shed`) through the feed. With a fence, raises Fenced when
        a later term has begun. A repeat tells it again."""
        ...


BEAT_S = 10.0
