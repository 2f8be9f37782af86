"""Who is behind a request: by token, or by a ticket for one stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

from dchat_server import tokens
from dchat_server.errors import ChatError
from dchat_server.model import shard_of
from dchat_server.ports_accounts import AccountStore, Owner
from dchat_server.principals import Principal, Principals

TICKET_S = 30


class Signatures:
    """Tells who signed a request, from memory where that is fresh; see principals.py."""

    def __init__(
        self,
        store: AccountStore,
        principals: Principals,
        *,
        shards: int,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._principals, self._shards, self._wall = store, principals, shards, wall
        self._looking: dict[str, asyncio.Task[Principal | None]] = {}

    async def authenticate(self, token: str) -> Principal:
        """Who is behind `token`. No round trip when it is fresh in memory, else one, shared by all who ask
        at once.

        Raises ChatError unauthorized.
        """
        secret = tokens.parse(tokens.TOKEN, token, self._shards)
        if secret is None:
            raise unauthorized()
        return await self._behind(secret.shard, secret.digest)

    async def issue_ticket(self, principal: Principal) -> str:
        """A ticket that opens one stream as `principal` within `TICKET_S`. One round trip."""
        shard = shard_of(principal.user, self._shards)
        ticket = tokens.make(tokens.TICKET, shard)
        await self._store.put_ticket(shard, tokens.digest(ticket), principal.digest, TICKET_S)
        return ticket

    async def redeem_ticket(self, ticket: str) -> Principal:
        """Who was given `ticket`, once. One or two round trips. When the answer of the first is lost, the
        ticket may be spent: backend_unavailable, and the client asks for another one. Raises ChatError
        unauthorized.
        """
        secret = tokens.parse(tokens.TICKET, ticket, self._shards)
        digest = await self._store.take_ticket(*secret) if secret else None
        if secret is None or digest is None:
            raise ChatError("unauthorized", "The ticket is unknown, used or older than 30 s.")
        return await self._behind(secret.shard, digest)

    async def dead_among(self, tokens: Mapping[str, str]) -> frozenset[str]:
        """Of these tokens (digest → user name) the digests of those that were revoked or have expired; ask
        for all open streams when announcements may have been missed. One round trip a server.
        """
        dead = frozenset(tokens) - await self._store.living(tokens)
        self._principals.revoke(dead)
        return dead

    async def _behind(self, shard: int, digest: str) -> Principal:
        known = self._principals.at(digest)
        if known is not None:
            return known
        if self._principals.is_unknown(digest):
            raise unauthorized()
        task = self._looking.get(digest)
        if task is None:
            task = self._looking[digest] = asyncio.create_task(self._look_up(shard, digest))
            task.add_done_callback(lambda done: self._looked_up(digest, done))
        principal = await asyncio.shield(task)
        if principal is None:
            raise unauthorized()
        return principal

    async def _look_up(self, shard: int, digest: str) -> Principal | None:
        owner = await self._store.owner(shard, digest)
        if owner is None or (owner.expires_at is not None and owner.expires_at <= self._wall() * 1000):
            self._principals.learn_unknown(digest)
            return None
        principal = _principal(owner, digest)
        return principal if self._principals.learn(principal) else None

    def _looked_up(self, digest: str, task: asyncio.Task[Principal | None]) -> None:
        del self._looking[digest]
        if not task.cancelled():
            task.exception()  # whoever waited has seen it; perhaps nobody waits any more


def unauthorized() -> ChatError:
    return ChatError("unauthorized", "The token is unknown, expired or revoked.")


def _principal(owner: Owner, digest: str) -> Principal:
    scopes = frozenset(owner.scopes) if owner.admin else frozenset(owner.scopes) - {"admin"}
    return Principal(
        owner.username,
        owner.admin,
        scopes,
        digest,
        owner.token_id,
        owner.expires_at,
        owner.display_name,
        owner.kind == "session",
    )
