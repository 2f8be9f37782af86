"""Accounts, tokens, tickets and invites in Redis.

A user's account, list of tokens and token records lie on the user's shard, so each script changes them
together. Whatever ends a token (revocation, a new password, one session too many) appends a `revoke` entry
to that shard's feed in the same script: no worker can see the token gone without being told. Scripts that
announce are fenced like those of rooms; the others are plain, and each may be repeated (see its head).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.ports_accounts import Account, First, Owner, Token

_FIRST_SHARD = 0


class RedisAccountStore:
    """`ports_accounts.AccountStore` over `nodes`."""

    def __init__(self, nodes: RedisNodes) -> None:
        self._nodes, self._keys = nodes, nodes.keys

    async def create(self, account: Account, request: str) -> bool:
        shard = self._keys.shard(account.username)
        fields = {
            "display_name": account.display_name,
            "admin": "1" if account.admin else "0",
            "status": account.status,
            "created": account.created_at,
            "password": account.password,
        }
        keys = [self._keys.user(account.username), self._keys.users(shard)]
        args = (account.username, request, *(value for pair in fields.items() for value in pair))
        return bool(await self._nodes.look(shard, "create_account", keys, *args))

    async def account(self, username: str) -> Account | None:
        reply = await self._nodes.run(self._keys.shard(username), "HGETALL", self._keys.user(username))
        return _account(username, reply)

    async def display_names(self, usernames: Sequence[str]) -> dict[str, str]:
        replies = await self._nodes.ask(
            [
                (self._keys.shard(username), ("HGET", self._keys.user(username), "display_name"))
                for username in usernames
            ]
        )
        pairs = zip(usernames, replies, strict=True)
        return {username: bytes(reply).decode() for username, reply in pairs if reply is not None}

    async def usernames(self, after: str, limit: int, prefix: str = "") -> list[str]:
        low = f"({after}" if after and after >= prefix else f"[{prefix}" if prefix else "-"
        high = f"({prefix}\x7f" if prefix else "+"  # names are ASCII: nothing of theirs sorts behind \x7f
        replies = await self._nodes.ask(
            [
                (shard, ("ZRANGEBYLEX", self._keys.users(shard), low, high, "LIMIT", 0, limit))
                for shard in range(self._keys.shards)
            ]
        )
        return sorted(bytes(name).decode() for names in replies for name in names)[:limit]

    async def update(self, username: str, changes: Mapping[str, str]) -> Account | None:
        pairs = (value for pair in changes.items() for value in pair)
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
        reply = await self._nodes.look(shard, "token_owner", [self._keys.token(shard, digest)])
        if reply is None:
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
        shards = {digest: self._keys.shard(username) for digest, username in tokens.items()}
        replies = await self._nodes.ask(
            [(shard, ("EXISTS", self._keys.token(shard, digest))) for digest, shard in shards.items()]
        )
        return frozenset(digest for digest, there in zip(shards, replies, strict=True) if there)

    async def tokens(self, username: str) -> list[Token]:
        tokens, records = self._token_keys(username)
        replies = await self._nodes.look(self._keys.shard(username), "list_tokens", [tokens], records)
        return sorted(map(_token, replies), key=lambda token: (token.created_at, token.id))

    async def revoke(self, username: str, token_ids: Sequence[str]) -> int:
        shard = self._keys.shard(username)
        keys = self._token_keys(username)
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
            made_by = await self._nodes.run(self._keys.shard(held_by), "HGET", self._keys.user(held_by), "request")
            if made_by is not None and bytes(made_by).decode() == dead:  # it was used, only not ended
                await self.settle_invite(shard, digest, dead, used=True)
                return False

    async def settle_invite(self, shard: int, digest: str, request: str, *, used: bool) -> None:
        key = self._keys.invite(shard, digest)
        await self._nodes.look(shard, "invite", [key], "use" if used else "free", request)

    async def first(self) -> First | None:
        reply = await self._nodes.run(_FIRST_SHARD, "GET", self._keys.first_user())
        return None if reply is None else _first(reply)

    async def reserve_first(self, username: str, request: str, lease_s: int) -> bool:
        return bool(await self._first("reserve", username, request, lease_s * 1000))

    async def claim_first(self, username: str, instead_of: str = "") -> First:
        return _first(await self._first("claim", username, instead_of))

    async def settle_first(self, username: str) -> None:
        await self._first("settle", username)

    async def _first(self, action: str, *args: str | int) -> Any:
        return await self._nodes.look(_FIRST_SHARD, "first_account", [self._keys.first_user()], action, *args)

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
