"""Asking the archive for what Redis should have and has not: rooms that went with a server's data.

A shard that lost data is `behind` (lua/open_shard.lua) until everything was brought back. Only then is a room that is
not there looked for in the archive, and a room that is there made sure of before it is written to. Whether the shard is
whole is asked after each miss, never remembered: an answer from before a loss would hide rooms from those who are in
them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_wire import Value
from dchat_server.errors import BackendUnavailable

Restore = Callable[[Sequence[str]], Awaitable[set[str]]]


class Missing:
    """What the adapters of rooms do about a miss. `restore` is `Restorer.restore_rooms`; without it none comes back."""

    def __init__(self, nodes: RedisNodes, restore: Restore | None = None) -> None:
        self._nodes = nodes
        self.restore = restore

    async def behind(self, shard: int) -> bool:
        """True while the shard may lack what the archive holds. One round trip as a rule."""
        epoch, behind = await self._nodes.run(shard, "HMGET", self._nodes.keys.state(shard), "epoch", "behind")
        # A state that is gone has not been missed by anybody yet.
        return behind == b"1" if epoch is not None else (await self._nodes.open_shard(shard)).behind

    async def rooms(self, names: Sequence[str]) -> set[str]:
        """Bring back those of these rooms that the archive has; which. Raises ArchiveUnavailable."""
        if self.restore is None:
            return set()
        behind = {shard for shard in {self._nodes.keys.shard(name) for name in names} if await self.behind(shard)}
        wanted = [name for name in names if self._nodes.keys.shard(name) in behind]
        return await self.restore(wanted) if wanted else set()

    async def settle(self, room: str) -> bool:
        """Make sure that a room in a shard that is behind is whole; True when there is such a room."""
        if self.restore is None:
            raise BackendUnavailable("The message log lost data, and there is no archive to bring it back.")
        return bool(await self.restore((room,)))

    async def script(self, room: str, name: str, *args: Value, durable: bool = True) -> Any:
        """Run a fenced script of a room; when it answers `behind`, settle the room and run it again. Raises
        BackendUnavailable when the room is gone once more by then.
        """
        shard = self._nodes.keys.shard(room)
        reply = await self._nodes.script(shard, name, *args, durable=durable)
        if reply[0] == b"behind":
            if not await self.settle(room):
                return [b"room_not_found", b""]
            reply = await self._nodes.script(shard, name, *args, durable=durable)
            if reply[0] == b"behind":
                raise lost_again()
        return reply


def lost_again() -> BackendUnavailable:
    """What to raise when a room that was brought back is gone before anything was done in it."""
    return BackendUnavailable("The message log loses its data again and again.")
