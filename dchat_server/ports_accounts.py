"""What accounts and limits ask of the world outside, as protocols; see ports.py for what holds for all of
them.

Every call may be repeated when its answer was lost; each says what the repeat answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can sign in. `created_at` in ms since 1970; `password` is an argon2 hash."""

    username: str
    display_name: str
    admin: bool
    status: str
    created_at: int
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Token:
    """The facts of a token. `kind` is `session` (from a sign-in) or `api`; times in ms since 1970."""

    id: str
    digest: str
    kind: str
    name: str
    scopes: tuple[str, ...]
    created_at: int
    expires_at: int | None


class Owner(NamedTuple):
    """Who is behind a token, as its record and the account say now."""

    username: str
    display_name: str
    admin: bool
    token_id: str
    kind: str
    scopes: tuple[str, ...]
    expires_at: int | None


class First(NamedTuple):
    """How far the choice of the first administrator has come: `reserved` (somebody is about to register),
    `claimed` (`username` exists and is chosen) or `settled` (and has been made administrator).
    """

    state: str
    username: str


class AccountStore(Protocol):
    """Accounts, their tokens, tickets and invites. A user and the user's tokens change together,
    atomically.
    """

    async def create(self, account: Account, request: str) -> bool:
        """Make the account; False when the name is taken. One round trip.

        `request` is a random text of this registration: a repeat with the same one answers True again.
        """
        ...

    async def account(self, username: str) -> Account | None:
        """The account, or None. One round trip."""
        ...

    async def display_names(self, usernames: Sequence[str]) -> dict[str, str]:
        """username → display name, of those that exist. One round trip a server."""
        ...

    async def usernames(self, after: str, limit: int, prefix: str = "") -> list[str]:
        """Names after `after` that begin with `prefix`, sorted. One round trip a server."""
        ...

    async def update(self, username: str, changes: Mapping[str, str]) -> Account | None:
        """Set display_name, status or admin ("1" or "0") and tell all workers; the account as it is now,
        None when there is none. One round trip. A repeat sets the same again.
        """
        ...

    async def change_password(self, username: str, old: str, new: str, *, keep: str | None) -> bool:
        """Replace the password hash `old` by `new`; False when it is no longer `old`. One round trip.

        Revokes all the user's tokens but the one with digest `keep`, and tells all workers; `keep` None
        revokes nothing (the password is the same, only its hash is renewed). A repeat answers True and
        changes nothing.
        """
        ...

    async def add_token(
        self, username: str, token: Token, *, most: int, password: str | None = None, maker: str | None = None
    ) -> str:
        """Store a token for the user: `ok`, `too_many` or `stale`. One round trip. A repeat stores the same
        again.

        `stale`: the password hash is not `password` any more, or no token has the digest `maker` any more,
        or the account is gone; so nothing is made with a right that was withdrawn meanwhile. Of `most`
        tokens of one kind the oldest session gives way to a new one, which is a revocation; API tokens are
        refused as `too_many`.
        """
        ...

    async def owner(self, shard: int, digest: str) -> Owner | None:
        """Who is behind the token with this digest; None when it is unknown, expired or revoked. One round
        trip.
        """
        ...

    async def living(self, tokens: Mapping[str, str]) -> frozenset[str]:
        """Of these tokens (digest → user name) the digests of those that still are. One round trip a server."""
        ...

    async def tokens(self, username: str) -> list[Token]:
        """The user's tokens that are alive, oldest first. One round trip."""
        ...

    async def revoke(self, username: str, token_ids: Sequence[str]) -> int:
        """Revoke tokens and tell all workers; how many there still were (a repeat answers 0). One round
        trip.
        """
        ...

    async def put_ticket(self, shard: int, digest: str, token_digest: str, ttl_s: int) -> None:
        """Store a ticket for the stream of a token. One round trip. A repeat stores the same again."""
        ...

    async def take_ticket(self, shard: int, digest: str) -> str | None:
        """The token digest of a ticket, which is gone then; None when there is none. One round trip.

        Not repeated: when the answer is lost, BackendUnavailable is raised and the ticket may be spent.
        """
        ...

    async def put_invite(self, shard: int, digest: str, maker: str, expires_at: int) -> None:
        """Store an invite. One round trip. A repeat stores the same again."""
        ...

    async def reserve_invite(self, shard: int, digest: str, username: str, request: str, lease_s: int) -> bool:
        """Hold an invite for one registration for `lease_s`; False when it is used, expired, unknown or
        held by another. One to four round trips. A repeat with the same `request` answers True.

        When whoever held it died, the next one finds out whether their account was made before it takes over.
        """
        ...

    async def settle_invite(self, shard: int, digest: str, request: str, *, used: bool) -> None:
        """End the hold of `request`: the invite is gone when `used`, else free again. One round trip.
        Repeatable.
        """
        ...

    async def first(self) -> First | None:
        """How far the choice of the first administrator has come; None: not begun. One round trip."""
        ...

    async def reserve_first(self, username: str, request: str, lease_s: int) -> bool:
        """Hold the place of the first account for `lease_s`; False when it is taken or held. One round trip.
        A repeat with the same `request` answers True."""
        ...

    async def claim_first(self, username: str, instead_of: str = "") -> First:
        """Choose `username`, an account that exists, unless another was chosen; who is chosen now. One
        round trip. `instead_of`: somebody who was chosen and turned out not to exist. A repeat answers the
        same.
        """
        ...

    async def settle_first(self, username: str) -> None:
        """Note that the chosen one has been made administrator. One round trip. Repeatable."""
        ...


class Buckets(Protocol):
    """Token buckets that hold over all workers: `ports.Limits`, with tokens to spare for a lease."""

    async def take(
        self, subject: str, what: str, count: int, *, rate: float, burst: int, spare: int = 0
    ) -> tuple[int, float]:
        """Take `count` tokens, or fewer, and when all were there up to `spare` more: (how many were granted
        in all, seconds until there is one more; 0 when there is one now). One round trip.

        `rate` tokens come back a second, up to `burst`. The spare ones must be spent within `LEASE_S` or
        not at all; the bucket leaves room for them that long, so a lease never lets more through than the
        bucket alone would. A repeat takes again: the caller gets less than its due, never more.
        """
        ...


LEASE_S = 1.0


class SlotStore(Protocol):
    """How many streams each user has open on each worker. What a worker said holds for `HOLD_S`."""

    async def hold(self, user: str, worker: str, count: int, limit: int) -> bool:
        """Say that `worker` has `count` streams of the user, unless that makes more than `limit` over all
        workers.

        Absolute, so a repeat changes nothing. One round trip.
        """
        ...

    async def set_counts(self, worker: str, counts: Mapping[str, int]) -> None:
        """Say how many streams each user has on `worker` now, limit or not; 0 frees. A round trip a shard
        and 200 users.
        """
        ...

    async def present(self, users: Sequence[str]) -> set[str]:
        """Those of these users who have a stream open on any worker; on one that was killed, for `HOLD_S` still. One
        round trip a server."""
        ...


HOLD_S = 60.0
