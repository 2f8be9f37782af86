"""People in Redis, as the archive sees them: whose record changed, all of it at once, and back again.

The users' half of `ports_hot.HotLog`, and `restore.PeopleLog`. lua/user_saved.lua tells how changes are noted.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson

from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.ports_archive import Fenced, UserRecord
from dchat_server.ports_hot import ChangedUser
from dchat_server.restore import FIRST, choice


class RedisPeople:
    """Over `nodes`. Each call may be repeated."""

    def __init__(self, nodes: RedisNodes) -> None:
        self._nodes, self._keys = nodes, nodes.keys

    @property
    def shards(self) -> int:
        return self._keys.shards

    def shard_of(self, name: str) -> int:
        return self._keys.shard(name)

    # To the archive

    async def changed_users(self, shard: int, limit: int) -> list[ChangedUser]:
        """Up to `limit` people whose record is to be saved, drawn by lot; those whose account or tokens changed come
        before those who only read or moved. One round trip."""
        keys = [self._keys.changed(shard), self._keys.changed_first(shard)]
        flat = await self._nodes.look(shard, "changed_users", keys, limit)
        return [
            ChangedUser(bytes(user).decode(), int(version)) for user, version in zip(flat[::2], flat[1::2], strict=True)
        ]

    async def user(self, user: str) -> UserRecord | None:
        """The person's record as it is at one moment; None when there is none. One round trip."""
        if user == FIRST:
            return await self._first()
        keys = [self._keys.user(user), self._keys.tokens(user), self._keys.joined(user), self._keys.markers(user)]
        shard = self._keys.shard(user)
        reply = await self._nodes.look(shard, "user_record", keys, self._keys.token(shard, ""))
        if reply is None:
            return None
        account, tokens, rooms, markers = reply
        return UserRecord(
            user, _mapping(account), _mapping(tokens), sorted(bytes(room).decode() for room in rooms), _mapping(markers)
        )

    async def user_saved(self, fence: int, user: str, version: int) -> None:
        """Say that a record at least as new as `version` is saved. One round trip. Raises Fenced."""
        reply = await self._nodes.script(self._home(user), "user_saved", fence, user, version)
        if reply[0] != b"ok":
            raise Fenced(int(reply[1]))

    # And back

    async def epoch(self, shard: int) -> int:
        """The epoch the shard is at; it is opened when it is at none. One round trip as a rule."""
        reply = await self._nodes.run(shard, "HGET", self._keys.state(shard), "epoch")
        return int(reply) if reply is not None else (await self._nodes.open_shard(shard)).epoch

    async def unsure(self, user: str) -> bool:
        """True when the archive may know more of this person: their shard is behind, and they were not compared with
        the archive since. One round trip."""
        shard = self._keys.shard(user)
        account, state = (
            ("HGET", self._keys.user(user), "version"),
            ("HMGET", self._keys.state(shard), "epoch", "behind"),
        )
        version, (epoch, mark) = await self._nodes.pipe(shard, [account, state])
        # A state that is gone has not been missed by anybody yet. See lua/restore_user.lua for what the version says.
        return epoch is None or (mark == b"1" and int(version or 0) < int(epoch) * 1_000_000)

    async def restore(self, record: UserRecord, epoch: int) -> bool:
        """Make this person at least as new as the record; False when the shard is not at `epoch` any more. One round
        trip."""
        if record.user == FIRST:
            key, chosen = self._keys.first_user(), record.account
            reply = await self._nodes.script(
                0, "first_account", key, epoch, "restore", chosen["username"], chosen["state"]
            )
            return bool(reply)
        shard = self._keys.shard(record.user)
        now = time.time() * 1000
        tokens = {
            token_id: facts
            for token_id, facts in record.tokens.items()
            if (orjson.loads(facts)["expires_at"] or now + 1) > now
        }
        parts = {"account": record.account, "tokens": tokens, "rooms": record.rooms, "markers": record.markers}
        reply = await self._nodes.script(
            shard,
            "restore_user",
            epoch,
            self._keys.user(record.user),
            self._keys.users(shard),
            self._keys.token(shard, ""),
            record.user,
            orjson.dumps(parts),
        )
        return bool(reply)

    async def add_names(self, shard: int, users: Sequence[str], public_rooms: Sequence[str]) -> None:
        """Put names into the shard's lists of people and of public rooms. Two round trips."""
        for key, names in ((self._keys.users(shard), users), (self._keys.public_rooms(shard), public_rooms)):
            if names:
                await self._nodes.run(shard, "ZADD", key, *(value for name in names for value in (0, name)))

    def _home(self, user: str) -> int:
        return 0 if user == FIRST else self._keys.shard(user)

    async def _first(self) -> UserRecord | None:
        value = await self._nodes.run(0, "GET", self._keys.first_user())
        state, username, *_ = bytes(value or b"none -").decode().split(" ")
        return choice(state, username) if state in ("claimed", "settled") and username != "-" else None


def _mapping(flat: Sequence[Any]) -> dict[str, str]:
    return {bytes(field).decode(): bytes(value).decode() for field, value in zip(flat[::2], flat[1::2], strict=True)}
