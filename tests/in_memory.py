"""The ports of accounts and limits in memory, for tests of what stands on them. The contract suites hold them to what
the Redis adapters do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dchat_server.ports_accounts import HOLD_S, LEASE_S, Account, First, Owner, Token


class MemoryAccountStore:
    """`AccountStore` in memory. `announced` holds what workers would have been told: (type, user, digests)."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._accounts: dict[str, tuple[Account, str]] = {}
        self._tokens: dict[str, dict[str, Token]] = {}
        self._tickets: dict[str, tuple[str, float]] = {}
        self._invites: dict[str, dict[str, Any]] = {}
        self._first: tuple[First, str, float] | None = None
        self.announced: list[tuple[str, str, list[str]]] = []

    async def create(self, account: Account, request: str) -> bool:
        return self._accounts.setdefault(account.username, (account, request))[1] == request

    async def account(self, username: str) -> Account | None:
        return self._accounts[username][0] if username in self._accounts else None

    async def display_names(self, usernames: Sequence[str]) -> dict[str, str]:
        return {name: self._accounts[name][0].display_name for name in usernames if name in self._accounts}

    async def usernames(self, after: str, limit: int, prefix: str = "") -> list[str]:
        return sorted(name for name in self._accounts if name > after and name.startswith(prefix))[:limit]

    async def update(self, username: str, changes: Mapping[str, str]) -> Account | None:
        if username not in self._accounts:
            return None
        account, request = self._accounts[username]
        fields: dict[str, Any] = dict(changes)
        if "admin" in fields:
            fields["admin"] = fields["admin"] == "1"
        account = replace(account, **fields)
        self._accounts[username] = (account, request)
        self.announced.append(("account", username, [token.digest for token in self._alive(username)]))
        return account

    async def change_password(self, username: str, old: str, new: str, *, keep: str | None) -> bool:
        account, request = self._accounts[username]
        if account.password != new:
            if account.password != old:
                return False
            self._accounts[username] = (replace(account, password=new), request)
            if keep is not None:
                self._end(username, [token for token in self._alive(username) if token.digest != keep])
        return True

    async def add_token(
        self, username: str, token: Token, *, most: int, password: str | None = None, maker: str | None = None
    ) -> str:
        account = await self.account(username)
        if account is None or password not in (None, account.password):
            return "stale"
        alive = self._alive(username)
        if maker is not None and all(each.digest != maker for each in alive):
            return "stale"
        same = [each for each in alive if each.kind == token.kind and each.id != token.id]
        if len(same) >= most:
            if token.kind != "session":
                return "too_many"
            self._end(username, same[: len(same) - most + 1])
        self._tokens.setdefault(username, {})[token.id] = token
        return "ok"

    async def owner(self, shard: int, digest: str) -> Owner | None:
        for username, (account, _) in self._accounts.items():
            for token in self._alive(username):
                if token.digest == digest:
                    facts = (token.id, token.kind, token.scopes, token.expires_at)
                    return Owner(username, account.display_name, account.admin, *facts)
        return None

    async def living(self, tokens: Mapping[str, str]) -> frozenset[str]:
        return frozenset(token.digest for user in tokens.values() for token in self._alive(user)) & tokens.keys()

    async def tokens(self, username: str) -> list[Token]:
        return self._alive(username)

    async def revoke(self, username: str, token_ids: Sequence[str]) -> int:
        ended = [token for token in self._alive(username) if token.id in token_ids]
        self._end(username, ended)
        return len(ended)

    async def put_ticket(self, shard: int, digest: str, token_digest: str, ttl_s: int) -> None:
        self._tickets[digest] = (token_digest, self._clock() + ttl_s)

    async def take_ticket(self, shard: int, digest: str) -> str | None:
        token_digest, ends = self._tickets.pop(digest, ("", 0.0))
        return token_digest if ends > self._clock() else None

    async def put_invite(self, shard: int, digest: str, maker: str, expires_at: int) -> None:
        self._invites[digest] = {"expires": expires_at / 1000}

    async def reserve_invite(self, shard: int, digest: str, username: str, request: str, lease_s: int) -> bool:
        invite = self._invites.get(digest)
        if invite is None or invite["expires"] <= self._clock():
            return False
        if "request" in invite and invite["request"] != request:
            if invite["until"] > self._clock():
                return False
            if self._accounts.get(invite["user"], (None, ""))[1] == invite["request"]:
                del self._invites[digest]
                return False
        invite |= {"user": username, "request": request, "until": self._clock() + lease_s}
        return True

    async def settle_invite(self, shard: int, digest: str, request: str, *, used: bool) -> None:
        if self._invites.get(digest, {}).get("request") == request:
            invite = self._invites.pop(digest)
            if not used:
                self._invites[digest] = {"expires": invite["expires"]}

    async def first(self) -> First | None:
        if self._first is None or self._first[2] <= self._clock():
            return None
        return self._first[0]

    async def reserve_first(self, username: str, request: str, lease_s: int) -> bool:
        if await self.first() is not None and self._first is not None and self._first[1] != request:
            return False
        self._first = (First("reserved", username), request, self._clock() + lease_s)
        return True

    async def claim_first(self, username: str, instead_of: str = "") -> First:
        first = await self.first()
        if first is None or first.state == "reserved" or first == First("claimed", instead_of):
            first = First("claimed", username)
            self._first = (first, "", float("inf"))
        return first

    async def settle_first(self, username: str) -> None:
        if await self.first() == First("claimed", username):
            self._first = (First("settled", username), "", float("inf"))

    def _alive(self, username: str) -> list[Token]:
        now = self._clock() * 1000
        alive = (token for token in self._tokens.get(username, {}).values() if (token.expires_at or now + 1) > now)
        return sorted(alive, key=lambda token: (token.created_at, token.id))

    def _end(self, username: str, tokens: Sequence[Token]) -> None:
        for token in tokens:
            del self._tokens[username][token.id]
        if tokens:
            self.announced.append(("revoke", username, [token.digest for token in tokens]))


class MemoryBuckets:
    """`Buckets` in memory: lua/take.lua in Python, with a clock that tests can turn."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._full: dict[tuple[str, str], float] = {}
        self._lent: dict[tuple[str, str], list[tuple[float, int]]] = {}
        self.asked = 0

    async def take(
        self, subject: str, what: str, count: int, *, rate: float, burst: int, spare: int = 0
    ) -> tuple[int, float]:
        self.asked += 1
        now, key = self._clock(), (subject, what)
        lent = self._lent[key] = [(ends, some) for ends, some in self._lent.get(key, []) if ends > now]
        out = sum(some for _, some in lent)
        full = min(max(self._full.get(key, 0.0), now + out / rate), now + burst / rate)
        there = max(0, int((now + burst / rate - full) * rate + 1e-6))
        granted = min(count, there)
        if granted == count:
            extra = max(0, min(spare, there - granted, burst // 2 - out))
            granted += extra
            lent.append((now + LEASE_S, extra))
        full = self._full[key] = full + granted / rate
        return granted, max(0.0, full + 1 / rate - burst / rate - now)


class MemorySlotStore:
    """`SlotStore` in memory."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.held: dict[str, dict[str, tuple[int, float]]] = {}

    async def hold(self, user: str, worker: str, count: int, limit: int) -> bool:
        others = self.held.get(user, {}).items()
        elsewhere = sum(some for who, (some, ends) in others if who != worker and ends > self._clock())
        if limit and elsewhere + count > limit:
            return False
        self.held.setdefault(user, {})[worker] = (count, self._clock() + HOLD_S)
        return True

    async def set_counts(self, worker: str, counts: Mapping[str, int]) -> None:
        for user, count in counts.items():
            await self.hold(user, worker, count, 0)

    async def present(self, users: Sequence[str]) -> set[str]:
        now = self._clock()
        return {user for user in users if any(some and ends > now for some, ends in self.held.get(user, {}).values())}
