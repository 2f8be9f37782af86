"""Making accounts: who may, and who becomes the first administrator.

*First.* Accounts are made as ordinary ones; then one of those that exist is chosen, then it is promoted.
Whoever registers or signs in sees how far that has come and finishes what a worker that died had begun. So
there is exactly one, whatever happens at once.

*Invites.* The invite, the account and the place of the first account lie on different shards. An invite is
therefore held for `LEASE_S` while the account is made, and ended afterwards. When the worker dies in
between, the next one who tries the invite finds out whether the account exists.

*Lost answers* are repeated below this layer under the registration's own request text, so nobody finds
their own new name taken.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Literal

from dchat_server import tokens
from dchat_server.errors import ChatError
from dchat_server.lines import check_line
from dchat_server.model import is_name, shard_of
from dchat_server.passwords import Passwords, check_password
from dchat_server.ports_accounts import Account, AccountStore, First

INVITE_S = 7 * 86400
LEASE_S = 30
"""How long a registration may hold an invite, or the first place, before another may have it."""

RESERVED = frozenset({"me"})
MAX_DISPLAY_NAME = 64

Mode = Literal["open", "invite", "closed"]


class Registration:
    """Makes accounts, as `mode` allows: for everybody, for those with an invite, or not at all.

    With `invite` the very first account needs none: somebody has to be there to invite.
    """

    def __init__(
        self,
        store: AccountStore,
        passwords: Passwords,
        *,
        shards: int,
        mode: Mode = "open",
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._passwords, self._shards = store, passwords, shards
        self._mode, self._wall = mode, wall

    async def register(
        self, username: str, password: str, display_name: str | None = None, invite: str | None = None
    ) -> Account:
        """The new account. Some 25 ms of another thread, three or more round trips.

        Raises ChatError invalid_request, registration_closed, username_taken, overloaded.
        """
        if not is_name(username) or username in RESERVED:
            raise ChatError(
                "invalid_request",
                "A user name has 1 to 32 characters out of a-z, 0-9, '.', '_' and '-', begins with a letter or "
                "a digit, and is not 'me'.",
            )
        password = check_password(password)
        shown = check_line("display_name", display_name or "", MAX_DISPLAY_NAME) or username
        if self._mode == "closed":
            raise ChatError("registration_closed")
        if self._mode == "invite" and invite is None and not self._nobody_yet(await self._store.first()):
            raise ChatError("registration_closed", "Registration needs an invite.")
        if await self._store.account(username) is not None:  # before the hash, which is dear
            raise ChatError("username_taken")
        hashed = await self._passwords.hash(password)
        account = Account(username, shown, False, "", int(self._wall() * 1000), hashed)
        request = secrets.token_hex(16)
        if self._mode == "invite":
            created = await self._create_invited(account, invite, request)
        else:
            created = await self._store.create(account, request)
        if not created:
            raise ChatError("username_taken")
        return await self.appoint(account)

    async def appoint(self, account: Account) -> Account:
        """Make `account`, which exists, the first administrator if nobody is, and finish what was begun;
        the account as it is then. One round trip, but for the first.
        """
        first = await self._store.first()
        if first is not None and first.state == "settled":
            return account
        gone = ""
        for _ in range(3):
            if first is None or first.state == "reserved" or gone:
                first = await self._store.claim_first(account.username, gone)
            promoted = await self._store.update(first.username, {"admin": "1"})
            if promoted is not None:
                await self._store.settle_first(first.username)
                return promoted if promoted.username == account.username else account
            gone = first.username  # the chosen one was lost with a server's tail
        return account

    async def create_invite(self, maker: str) -> tuple[str, int]:
        """An invite for one registration, and when it expires (ms since 1970). One round trip."""
        shard = shard_of(maker, self._shards)
        invite = tokens.make(tokens.INVITE, shard)
        expires_at = int((self._wall() + INVITE_S) * 1000)
        await self._store.put_invite(shard, tokens.digest(invite), maker, expires_at)
        return invite, expires_at

    @staticmethod
    def _nobody_yet(first: First | None) -> bool:
        return first is None or first.state == "reserved"

    async def _create_invited(self, account: Account, invite: str | None, request: str) -> bool:
        username = account.username
        if invite is None:
            if not await self._store.reserve_first(username, request, LEASE_S):
                raise ChatError("registration_closed", "Registration needs an invite.")
            return await self._store.create(account, request)
        secret = tokens.parse(tokens.INVITE, invite, self._shards)
        if secret is None or not await self._store.reserve_invite(*secret, username, request, LEASE_S):
            raise ChatError("registration_closed", "The invite is unknown, used or expired.")
        created = await self._store.create(account, request)
        await self._store.settle_invite(*secret, request, used=created)
        return created
