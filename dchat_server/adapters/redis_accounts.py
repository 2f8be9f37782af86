"""Accounts, tokens, tickets and invites in Redis.

A user's account, list of tokens and token records lie on the user's shard, so each script changes them
together. Whatever ends a token (revocation, a new password, one session too many) appends a `revoke` entry
to that shard's feed in the same script: no worker can see the token gone without being told. Scripts that
announce or decide who has a name are fenced like those of rooms; the others are plain, and each may be
repeated (see its head).

A shard that lost data may lack people, tokens, and what they last did. While it is marked so, a miss is no answer
before the archive was asked (`LostPeople`), and nobody is changed before they were made as new as the archive has them.
The mark is read together with the miss or after it, never remembered: an answer from before a loss would close streams
and give names away. Tickets and invites are not archived: they are gone with a server's data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import orjson

from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_wire import Value
from dchat_server.errors import BackendUnavailable
from dchat_server.ports_accounts import Account, First, Owner, Token

_FIRST_SHARD = 0
_TIMES = 4


class LostPeople(Protocol):
    """Brings people back from the archive: restore.Recall. All of it raises ArchiveUnavailable."""

    async def restore_users(self, users: Sequence[str]) -> set[str]:
        """Make these people at least as new as the archive has them; those it knows."""
        ...

    async def settle(self, user: str) -> None:
        """See to it that the archive has nothing newer of this person."""
        ...

    async def token(self, shard: int, digest: str) -> bool:
        """Bring back the owner of a token; False when the archive knows none."""
        ...

    async def names(self, shard: int, after: str, limit: int) -> list[str]:
        """Names of people of a shard that the archive knows, behind `after`, sorted."""
        ...

    async def first(self) -> None:
        """Bring back the choice of the first administrator."""
        ...


class RedisAccountStore:
    """`ports_accounts.AccountStore` over `nodes`. Without `lost` nobody comes back after a loss of data.

    In shards that are behind, round trips and reads of the archive are added to what the port says, and
    ArchiveUnavailable may be raised.
    """

    def __init__(self, nodes: RedisNodes, lost: LostPeople | None = None) -> None:
        self._nodes, self._keys, self._lost = nodes, nodes.keys, lost

    async def create(self, account: Account, request: str) -> bool:
        shard = self._keys.shard(account.username)
        fields = {
            "display_name": account.display_name,
            "admin": "1" if account.admin else "0",
            "status": account.status,
            "created": account.created_at,
            "password": account.password,
        }
        args = [value for pair in fields.items() for value in pair]
        keys = (self._keys.user(account.username), self._keys.users(shard))
        asked = ""
        for _ in range(_TIMES):
            state, *epoch = await self._nodes.script(
                shard, "create_account", *keys, account.username, request, asked, *args
            )
            if state >= 0:
                return bool(state)
            (asked,) = epoch
            if self._lost is not None:
                await self._lost.restore_users([account.username])
        raise BackendUnavailable

    async def account(self, username: str) -> Account | None:
        question = ("HGETALL", self._keys.user(username))
        reply = await self._nodes.run(self._keys.shard(username), *question)
        if not reply and await self._bring([username]):
            reply = await self._nodes.run(self._keys.shard(username), *question)
        return _account(username, reply)

    async def display_names(self, usernames: Sequence[str]) -> dict[str, str]:
        names = await self._display_names(usernames)
        missed = [username for username in usernames if username not in names]
        if missed and (back := await self._bring(missed)):
            names |= await self._display_names(sorted(back))
        return names

    async def usernames(self, after: str, limit: int, prefix: str = "") -> list[str]:
        low = f"({after}" if after and after >= prefix else f"[{prefix}" if prefix else "-"
        high = f"({prefix}\x7f" if prefix else "+"  # names are ASCII: nothing of theirs sorts behind \x7f
        shards = range(self._keys.shards)
        replies = await self._nodes.ask(
            [(shard, ("ZRANGEBYLEX", self._keys.users(shard), low, high, "LIMIT", 0, limit)) for shard in shards]
        )
        found = {bytes(name).decode() for names in replies for name in names}
        if self._lost is not None:
            # In the archive's order, the last name that is before all that begin with the prefix.
            before = max(after, f"{prefix[:-1]}{chr(ord(prefix[-1]) - 1)}\x7f" if prefix else "")
            for shard in await self._behind(shards):
                names = await self._lost.names(shard, before, limit)
                found.update(name for name in names if name.startswith(prefix))
        return sorted(found)[:limit]

    async def update(self, username: str, changes: Mapping[str, str]) -> Account | None:
        pairs = (value for pair in changes.items() for value in pair)
        await self._settle(username)
        reply = await self._nodes.script(
            self._keys.shard(username),
            "update_account",
            self._keys.user(username),
            self._keys.tokens(username),
            username,
            *pairs,
        )
        return _account(username, reply or [])

    async def change_password(self, username: str, old: str, new: str, *, keep: str | None) -> bool:
        await self._settle(username)
        reply = await self._nodes.script(
            self._keys.shard(username),
            "change_password",
            self._keys.user(username),
            *self._token_keys(username),
            username,
            old,
            new,
            "0" if keep is None else "1",
            keep or "",
        )
        return bool(reply)

    async def add_token(
        self, username: str, token: Token, *, most: int, password: str | None = None, maker: str | None = None
    ) -> str:
        await self._settle(username)
        reply = await self._nodes.script(
            self._keys.shard(username),
            "add_token",
            self._keys.user(username),
            *self._token_keys(username),
            username,
            token.id,
            token.digest,
            orjson.dumps(token),
            token.kind,
            ",".join(token.scopes),
            "" if token.expires_at is None else token.expires_at,
            most,
            password or "",
            maker or "",
        )
        return bytes(reply).decode()

    async def owner(self, shard: int, digest: str) -> Owner | None:
        reply = await self._owner(shard, digest)
        if reply == b"behind" and self._lost is not None and await self._lost.token(shard, digest):
            reply = await self._owner(shard, digest)
        if reply is None or reply == b"behind":
            return None
        username, token_id, kind, scopes, expires, display_name, admin = (bytes(part).decode() for part in reply)
        return Owner(
            username,
            display_name,
            admin == "1",
            token_id,
            kind,
            tuple(scopes.split(",")),
            int(expires) if expires else None,
        )

    async def living(self, tokens: Mapping[str, str]) -> frozenset[str]:
        living = await self._living(tokens)
        missed = {digest: username for digest, username in tokens.items() if digest not in living}
        if missed and (back := await self._bring(sorted(set(missed.values())))):
            living |= await self._living({digest: username for digest, username in missed.items() if username in back})
        return living

    async def tokens(self, username: str) -> list[Token]:
        tokens, records = self._token_keys(username)
        replies = await self._nodes.look(self._keys.shard(username), "list_tokens", [tokens], records)
        if not replies and await self._bring([username]):
            replies = await self._nodes.look(self._keys.shard(username), "list_tokens", [tokens], records)
        return sorted(map(_token, replies), key=lambda token: (token.created_at, token.id))

    async def revoke(self, username: str, token_ids: Sequence[str]) -> int:
        shard = self._keys.shard(username)
        keys = (self._keys.user(username), *self._token_keys(username))
        await self._settle(username)
        return int(await self._nodes.script(shard, "revoke_tokens", *keys, username, *token_ids))

    async def put_ticket(self, shard: int, digest: str, token_digest: str, ttl_s: int) -> None:
        await self._nodes.run(shard, "SET", self._keys.ticket(shard, digest), token_digest, "EX", ttl_s)

    async def take_ticket(self, shard: int, digest: str) -> str | None:
        reply = await self._nodes.run(shard, "GETDEL", self._keys.ticket(shard, digest), repeat=False)
        return None if reply is None else bytes(reply).decode()

    async def put_invite(self, shard: int, digest: str, maker: str, expires_at: int) -> None:
        await self._nodes.look(shard, "invite", [self._keys.invite(shard, digest)], "make", maker, expires_at)

    async def reserve_invite(self, shard: int, digest: str, username: str, request: str, lease_s: int) -> bool:
        key = self._keys.invite(shard, digest)
        dead = ""
        while True:
            reply = await self._nodes.look(shard, "invite", [key], "reserve", username, request, lease_s * 1000, dead)
            state, *holder = (bytes(part).decode() for part in reply)
            if state != "stale":
                return state == "ok"
            held_by, dead = holder
            question = ("HGET", self._keys.user(held_by), "request")
            made_by = await self._nodes.run(self._keys.shard(held_by), *question)
            if made_by is None and await self._bring([held_by]):
                made_by = await self._nodes.run(self._keys.shard(held_by), *question)
            if made_by is not None and bytes(made_by).decode() == dead:  # it was used, only not ended
                await self.settle_invite(shard, digest, dead, used=True)
                return False

    async def settle_invite(self, shard: int, digest: str, request: str, *, used: bool) -> None:
        key = self._keys.invite(shard, digest)
        await self._nodes.look(shard, "invite", [key], "use" if used else "free", request)

    async def first(self) -> First | None:
        question = ("GET", self._keys.first_user())
        reply = await self._nodes.run(_FIRST_SHARD, *question)
        # `settled -`: written by lua/open_shard.lua, which cannot ask.
        if self._lost is not None and (reply == b"settled -" or (reply is None and await self._behind([0]))):
            await self._lost.first()
            reply = await self._nodes.run(_FIRST_SHARD, *question)
            reply = None if reply == b"settled -" else reply  # the archive knows nobody at all
        return None if reply is None else _first(reply)

    async def reserve_first(self, username: str, request: str, lease_s: int) -> bool:
        return bool(await self._first("reserve", username, request, lease_s * 1000))

    async def claim_first(self, username: str, instead_of: str = "") -> First:
        return _first(await self._first("claim", username, instead_of))

    async def settle_first(self, username: str) -> None:
        await self._first("settle", username)

    async def _first(self, action: str, *args: str | int) -> Any:
        asked: Value = ""
        for _ in range(_TIMES):
            reply = await self._nodes.script(
                _FIRST_SHARD, "first_account", self._keys.first_user(), asked, action, *args
            )
            if not isinstance(reply, list):
                return reply
            asked = reply[1]
            if self._lost is not None:
                await self._lost.first()
        raise BackendUnavailable

    async def _display_names(self, usernames: Sequence[str]) -> dict[str, str]:
        replies = await self._nodes.ask(
            [
                (self._keys.shard(username), ("HGET", self._keys.user(username), "display_name"))
                for username in usernames
            ]
        )
        pairs = zip(usernames, replies, strict=True)
        return {username: bytes(reply).decode() for username, reply in pairs if reply is not None}

    async def _owner(self, shard: int, digest: str) -> Any:
        return await self._nodes.look(shard, "token_owner", [self._keys.token(shard, digest), self._keys.state(shard)])

    async def _living(self, tokens: Mapping[str, str]) -> frozenset[str]:
        shards = {digest: self._keys.shard(username) for digest, username in tokens.items()}
        replies = await self._nodes.ask(
            [(shard, ("EXISTS", self._keys.token(shard, digest))) for digest, shard in shards.items()]
        )
        return frozenset(digest for digest, there in zip(shards, replies, strict=True) if there)

    # People who went with a server's data

    async def _behind(self, shards: Iterable[int]) -> set[int]:
        """Those of the shards that may lack what the archive has. One round trip a server."""
        wanted = sorted(set(shards))
        states = await self._nodes.ask(
            [(shard, ("HMGET", self._keys.state(shard), "epoch", "behind")) for shard in wanted]
        )
        # A state that is gone has not been missed by anybody yet.
        return {shard for shard, (epoch, mark) in zip(wanted, states, strict=True) if epoch is None or mark == b"1"}

    async def _bring(self, usernames: Sequence[str]) -> set[str]:
        """Those of these people, who were not found, that are there now: brought back from the archive."""
        if self._lost is None:
            return set()
        behind = await self._behind(map(self._keys.shard, usernames))
        wanted = [username for username in usernames if self._keys.shard(username) in behind]
        return await self._lost.restore_users(wanted) if wanted else set()

    async def _settle(self, username: str) -> None:
        """Before a change: see to it that the archive has nothing newer of this person. One round trip."""
        if self._lost is not None:
            await self._lost.settle(username)

    def _token_keys(self, username: str) -> tuple[str, str]:
        """Of the user's list of tokens, and the prefix of the token records beside it."""
        return self._keys.tokens(username), self._keys.token(self._keys.shard(username), "")


def _account(username: str, reply: Sequence[bytes]) -> Account | None:
    if not reply:
        return None
    fields = {bytes(name): bytes(value).decode() for name, value in zip(reply[::2], reply[1::2], strict=True)}
    return Account(
        username,
        fields[b"display_name"],
        fields[b"admin"] == "1",
        fields[b"status"],
        int(fields[b"created"]),
        fields[b"password"],
    )


def _token(facts: bytes) -> Token:
    fields = orjson.loads(facts)
    return Token(**{**fields, "scopes": tuple(fields["scopes"])})


def _first(reply: bytes) -> First:
    state, username, *_ = bytes(reply).decode().split(" ")
    return First(state, username)
