"""What an acknowledgement means: `DCHAT_ACK`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.exceptions import ResponseError

from dchat_server.errors import BackendUnavailable, ClusterMismatch

Run = Callable[..., Awaitable[Any]]
"""Runs one command on one server and gives its raw reply. Raises BackendUnavailable, or what the server means as an
error."""


class Durability:
    """What an acknowledgement means, `DCHAT_ACK`.

    memory: Redis accepted it. replicated: at least one replica has it (`WAIT`). fsync: it is on the primary's disk
    (`WAITAOF`, or nothing to wait for where the server runs with `appendfsync always`).
    """

    def __init__(self, ack: str, *, always_synced: bool = False) -> None:
        self.commands: list[tuple[str | int, ...]] = []
        self._needed = 0
        if ack == "replicated":
            self.commands, self._needed = [("WAIT", 1, 1000)], 1
        elif ack == "fsync" and not always_synced:
            self.commands, self._needed = [("WAITAOF", 1, 0, 1500)], 1
        self._asks_disk = ack == "fsync" and not always_synced

    async def fit(self, servers: Sequence[Run]) -> None:
        """Find out how these servers keep the promise: where one does not know `WAITAOF` (Redis before 7.2), all have
        to sync each write by themselves. Some round trips. Raises ClusterMismatch when they cannot keep it."""
        if not self._asks_disk or all([await _knows_waitaof(run) for run in servers]):
            return
        if not all([await _always_syncs(run) for run in servers]):
            raise ClusterMismatch(
                "DCHAT_ACK is 'fsync', but this Redis knows no WAITAOF (Redis 7.2, Valkey) and does not say that it "
                "runs with appendfsync always; use memory or replicated, or another Redis."
            )
        self.commands, self._needed = [], 0

    def check(self, replies: Sequence[Any]) -> None:
        """Raises BackendUnavailable when the promise is not met: with no replica, WAIT answers 0 at once."""
        for reply in replies:
            have = int(reply[0]) if isinstance(reply, list) else int(reply)
            if have < self._needed:
                raise BackendUnavailable("Accepted, but not yet safe; repeat it with the same client_id.")


async def _knows_waitaof(run: Run) -> bool:
    try:
        await run("WAITAOF", 0, 0, 0)
    except ResponseError as error:
        if "unknown command" in str(error):
            return False
        raise
    return True


async def _always_syncs(run: Run) -> bool:
    try:
        answer = await run("CONFIG", "GET", "appendfsync")
    except (ResponseError, BackendUnavailable):  # hosted ones do not tell, nor do they tell everybody
        return False
    return b"always" in (answer.values() if isinstance(answer, dict) else answer)
