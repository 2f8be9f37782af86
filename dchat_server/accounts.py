"""People: signing in, their tokens, and who is behind a request.

What is promised, and how:

* A token that was revoked is dead everywhere within 5 s: see principals.py.
* Whether a name exists cannot be told from the time or the answer of a login: an unknown name's password is
  verified against nobody's.
* A new password ends all other tokens in the same step, and nothing is made with the old one afterwards:
  whatever stores a token names the password hash or the token it was asked for with, which must still hold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from dchat_server import tokens
from dchat_server.errors import ChatError
from dchat_server.lines import check_line
from dchat_server.model import Control, is_name, iso, shard_of
from dchat_server.passwords import Passwords, check_password
from dchat_server.ports_accounts import Account, AccountStore, Buckets, Token
from dchat_server.principals import Principal, Principals
from dchat_server.profiles import Profiles
from dchat_server.registration import MAX_DISPLAY_NAME, Mode, Registration
from dchat_server.signatures import TICKET_S as TICKET_S  # part of what this module offers
from dchat_server.signatures import Signatures, unauthorized

SESSION_S = 30 * 86400

SCOPES = ("read", "write", "admin")
MAX_SESSIONS = 50
MAX_API_TOKENS = 100
MAX_STATUS = 140
_YEAR_10000 = 253_402_300_800_000


@dataclass(frozen=True, slots=True)
class SignIn:
    """A new session: the user object and the token, in the only moment its text is known."""

    user: dict[str, Any]
    token: str
    token_id: str
    expires_at: int


class Accounts:
    """Everything about people but their rooms. Times are milliseconds since 1970; a `user object` is what
    the API shows of an account to itself.
    """

    def __init__(
        self,
        store: AccountStore,
        limits: Buckets,
        passwords: Passwords,
        *,
        shards: int,
        registration: Mode = "open",
        logins_per_minute: int = 5,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._limits, self._passwords = store, limits, passwords
        self._shards, self._logins, self._wall = shards, logins_per_minute, wall
        self._registration = Registration(store, passwords, shards=shards, mode=registration, wall=wall)
        self._principals = Principals(wall=wall)
        self._profiles = Profiles(store)
        signatures = Signatures(store, self._principals, shards=shards, wall=wall)
        # Who is behind a request, see signatures.py.
        self.authenticate = signatures.authenticate
        self.issue_ticket = signatures.issue_ticket
        self.redeem_ticket = signatures.redeem_ticket
        self.dead_among = signatures.dead_among
        self.peek = self._principals.peek
        """`peek(token)`: the Principal behind a token if it is fresh in memory, else None. No I/O."""
        self.at = self._principals.at
        """The same for a token's digest."""
        self.is_revoked = self._principals.is_revoked
        """`is_revoked(digest)`: ask after opening a stream, for a revocation that arrived meanwhile."""
        self.trust = self._principals.trust
        """`trust(False)` while the feed cannot be read: what is remembered is then believed for 3 s only."""

    # Signing in and out

    async def register(
        self, username: str, password: str, display_name: str | None = None, invite: str | None = None
    ) -> SignIn:
        """Make an account and sign it in. Some 25 ms of another thread, four or more round trips.

        Raises ChatError invalid_request, registration_closed, username_taken, overloaded.
        """
        account = await self._registration.register(username, password, display_name, invite)
        signed_in = await self._sign_in(account)
        if signed_in is None:  # the account is gone again, with a server's tail
            raise ChatError("bad_credentials")
        return signed_in

    async def create_invite(self, principal: Principal) -> tuple[str, int]:
        """An invite for one registration, and when it expires. One round trip."""
        return await self._registration.create_invite(principal.user)

    async def login(self, username: str, password: str, address: str) -> SignIn:
        """Sign in from a client `address`. Some 25 ms of another thread, four round trips.

        Raises ChatError bad_credentials, too_many_logins, overloaded.
        """
        exists = is_name(username)
        await self._count_login(username if exists else "-", address)
        for _ in range(3):  # again when the password's hash was replaced while we compared
            account = await self._check(await self._store.account(username) if exists else None, password)
            if account is None:
                break
            signed_in = await self._sign_in(await self._registration.appoint(account))
            if signed_in is not None:
                return signed_in
        raise ChatError("bad_credentials")

    async def logout(self, principal: Principal) -> None:
        """End the token that `principal` came with, everywhere. One round trip, repeatable."""
        await self._store.revoke(principal.user, [principal.token_id])
        self._principals.revoke([principal.digest])

    # What the feed brings

    def on_control(self, control: Control) -> frozenset[str]:
        """Act on an entry of the feed; the digests of tokens whose streams must be closed now."""
        if control.type not in ("revoke", "account"):
            return frozenset()
        digests = frozenset(orjson.loads(control.body)["digests"])
        if control.type == "revoke":
            self._principals.revoke(digests)
            return digests
        self._profiles.drop(control.user)
        self._principals.drop(digests)
        return frozenset()

    def forget(self) -> None:
        """Look everybody up again: the feed lost its tail or ran away, so revocations may have been
        missed.
        """
        self._principals.clear()
        self._profiles.clear()

    def sweep(self) -> None:
        """Let go of what is too old to be used; call it every minute or so."""
        self._principals.sweep()
        self._profiles.sweep()

    def stop(self) -> None:
        """End the threads. Call it last."""
        self._passwords.stop()

    # One's own account

    async def me(self, principal: Principal) -> dict[str, Any]:
        """The user object as it is now. One round trip. Raises ChatError unauthorized when it is gone."""
        return _user_object(await self._account(principal))

    async def update_me(
        self,
        principal: Principal,
        *,
        display_name: str | None = None,
        status: str | None = None,
        password: str | None = None,
        old_password: str | None = None,
        address: str = "",
    ) -> dict[str, Any]:
        """Change what is not None, the password first; the user object as it is then. A new password ends
        all other tokens. Raises ChatError invalid_request, bad_credentials, too_many_logins, overloaded.
        """
        changes = {}
        if display_name is not None:
            changes["display_name"] = check_line("display_name", display_name, MAX_DISPLAY_NAME) or principal.user
        if status is not None:
            changes["status"] = check_line("status", status, MAX_STATUS)
        if password is not None:
            await self._change_password(principal, check_password(password), old_password, address)
        if not changes:
            return await self.me(principal)
        account = await self._store.update(principal.user, changes)
        self._profiles.drop(principal.user)
        self._principals.drop([principal.digest])
        if account is None:
            raise unauthorized()
        return _user_object(account)

    # API tokens

    async def list_tokens(self, principal: Principal) -> list[Token]:
        """All one's living tokens, sessions too, oldest first. One round trip."""
        return await self._store.tokens(principal.user)

    async def create_token(
        self, principal: Principal, name: str, scopes: Sequence[str], expires_at: int | None
    ) -> tuple[str, Token]:
        """A new API token and its facts. Its scopes are among the maker's own; one made by an API token
        also ends no later than that. One round trip. Raises ChatError invalid_request, insufficient_scope,
        forbidden.
        """
        name = check_line("name", name, MAX_DISPLAY_NAME)
        if not name:
            raise ChatError("invalid_request", "`name` is empty.")
        wanted = set(scopes)
        if not wanted or not wanted <= set(SCOPES):
            raise ChatError("invalid_request", "`scopes` is a list of some of read, write and admin.")
        if not wanted <= principal.scopes:
            raise ChatError("insufficient_scope", "A token cannot be given scopes that its maker lacks.")
        if expires_at is not None and not self._now() < expires_at < _YEAR_10000:
            raise ChatError("invalid_request", "`expires_at` is not in the future, or too far in it.")
        if not principal.session and principal.expires_at is not None:
            expires_at = min(expires_at or principal.expires_at, principal.expires_at)
        scopes = tuple(scope for scope in SCOPES if scope in wanted)
        text, token = self._new_token(principal.user, "api", name, scopes, expires_at)
        state = await self._store.add_token(principal.user, token, most=MAX_API_TOKENS, maker=principal.digest)
        if state == "too_many":
            raise ChatError("too_many_tokens", f"You have {MAX_API_TOKENS} API tokens; revoke one first.")
        if state == "stale":
            raise unauthorized()
        return text, token

    async def revoke_token(self, principal: Principal, token_id: str) -> None:
        """End one of one's tokens, everywhere. Two round trips. Raises ChatError token_not_found."""
        ended = [token for token in await self._store.tokens(principal.user) if token.id == token_id]
        if not ended:
            raise ChatError("token_not_found")
        await self._store.revoke(principal.user, [token_id])
        self._principals.revoke(token.digest for token in ended)

    # Others

    async def users(self, query: str, limit: int, after: str = "") -> tuple[dict[str, str], str | None]:
        """See `Profiles.find`."""
        return await self._profiles.find(query, limit, after)

    async def profiles(self, usernames: Iterable[str]) -> dict[str, str]:
        """See `Profiles.of`."""
        return await self._profiles.of(usernames)

    # Parts of the above

    def _now(self) -> int:
        return int(self._wall() * 1000)

    async def _count_login(self, username: str, address: str) -> None:
        if self._logins <= 0:
            return
        granted, wait_s = await self._limits.take(
            username, f"login:{address}", 1, rate=self._logins / 60, burst=self._logins
        )
        if granted < 1:
            raise ChatError("too_many_logins", retry_after_s=wait_s)

    async def _account(self, principal: Principal) -> Account:
        account = await self._store.account(principal.user)
        if account is None:
            raise unauthorized()
        return account

    async def _check(self, account: Account | None, password: str) -> Account | None:
        """`account` when the password is its own, with the hash renewed when its parameters are old; else
        None.
        """
        try:
            password = check_password(password)
        except ChatError:
            account, password = None, ""
        right = await self._passwords.verify(account.password if account else None, password)
        if account is None or not right:
            return None
        if self._passwords.outdated(account.password):
            renewed = await self._passwords.hash(password)
            if await self._store.change_password(account.username, account.password, renewed, keep=None):
                return replace(account, password=renewed)
        return account

    async def _change_password(
        self, principal: Principal, password: str, old_password: str | None, address: str
    ) -> None:
        if old_password is None:
            raise ChatError("invalid_request", "`old_password` is missing.")
        await self._count_login(principal.user, address)
        account = await self._check(await self._account(principal), old_password)
        if account is None:
            raise ChatError("bad_credentials", "The old password is wrong.")
        hashed = await self._passwords.hash(password)
        if not await self._store.change_password(principal.user, account.password, hashed, keep=principal.digest):
            raise ChatError("bad_credentials", "The password was changed by somebody else at this moment.")

    def _new_token(
        self, username: str, kind: str, name: str, scopes: tuple[str, ...], expires_at: int | None
    ) -> tuple[str, Token]:
        text = tokens.make(tokens.TOKEN, shard_of(username, self._shards))
        return text, Token(tokens.new_id(), tokens.digest(text), kind, name, scopes, self._now(), expires_at)

    async def _sign_in(self, account: Account) -> SignIn | None:
        """A new session; None when the account's password is another one by now."""
        expires_at = self._now() + SESSION_S * 1000
        text, token = self._new_token(account.username, "session", "session", SCOPES, expires_at)
        state = await self._store.add_token(account.username, token, most=MAX_SESSIONS, password=account.password)
        return SignIn(_user_object(account), text, token.id, expires_at) if state == "ok" else None


def _user_object(account: Account) -> dict[str, Any]:
    return {
        "username": account.username,
        "display_name": account.display_name,
        "admin": account.admin,
        "status": account.status,
        "created_at": iso(account.created_at),
    }
