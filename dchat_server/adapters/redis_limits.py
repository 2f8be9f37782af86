"""Token buckets in Redis: one key a subject and purpose, on the subject's shard; it expires when the bucket
is full.
"""

from __future__ import annotations

from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.ports_accounts import LEASE_S


class RedisLimits:
    """`ports.Limits` and `ports_accounts.Buckets` over `nodes`."""

    def __init__(self, nodes: RedisNodes) -> None:
        self._nodes = nodes

    async def take(
        self, subject: str, what: str, count: int, *, rate: float, burst: int, spare: int = 0
    ) -> tuple[int, float]:
        """See `ports_accounts.Buckets.take`. `rate` must be above 0."""
        keys = self._nodes.keys
        granted, wait = await self._nodes.look(
            keys.shard(subject),
            "take",
            [keys.limit(subject, what)],
            count,
            spare,
            repr(float(rate)),
            burst,
            int(LEASE_S * 1e6),
        )
        return int(granted), int(wait) / 1e6
