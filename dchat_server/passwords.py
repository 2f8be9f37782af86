"""Passwords: argon2id in a few threads of their own.

One hash takes some 20 ms and 19 MiB on purpose (OWASP's smallest recommended cost), so it runs off the
event loop, at most `THREADS` at a time, and no more than `WAITING` wait: beyond that the caller is told
`overloaded` at once.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dchat_server.errors import ChatError

MIN_CHARS = 8
MAX_CHARS = 1024
THREADS = 2
WAITING = 64

_T = TypeVar("_T")


def check_password(password: object) -> str:
    """The password in the form that is hashed (Unicode NFC, so that every keyboard's é is the same one).

    Raises ChatError invalid_request, never with the password in it.
    """
    if not isinstance(password, str):
        raise ChatError("invalid_request", "`password` must be a string.")
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise ChatError("invalid_request", f"A password has {MIN_CHARS} to {MAX_CHARS} characters.")
    try:
        password.encode()
    except UnicodeEncodeError:
        raise ChatError("invalid_request", "The password holds half a character.") from None
    return unicodedata.normalize("NFC", password)


class Passwords:
    """Hashes and verifies. All parameters are argon2id's: `memory_kib`, `rounds`, one lane."""

    def __init__(
        self, *, memory_kib: int = 19456, rounds: int = 2, threads: int = THREADS, waiting: int = WAITING
    ) -> None:
        self._hasher = PasswordHasher(time_cost=rounds, memory_cost=memory_kib, parallelism=1)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._most = threads + waiting
        self._under_way = 0
        # Nobody's password: verified for names that do not exist, so that they take as long as others.
        salt, tag = (base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in (16, 32))
        self._nobody = f"$argon2id$v=19$m={memory_kib},t={rounds},p=1${salt}${tag}"

    async def hash(self, password: str) -> str:
        """The hash to store for a password that `check_password` returned. Raises ChatError overloaded."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """True when `password` is the one `stored` was made of. `stored` None (no such account) takes as
        long and is False. Raises ChatError overloaded.
        """

        def compare() -> bool:
            try:
                return self._hasher.verify(stored or self._nobody, password)
            except (VerificationError, InvalidHashError):
                return False

        return await self._run(compare) and stored is not None

    def outdated(self, stored: str) -> bool:
        """True when `stored` was made with other parameters than today's."""
        try:
            return self._hasher.check_needs_rehash(stored)
        except InvalidHashError:
            return True

    def stop(self) -> None:
        """Let the threads go; what waits is dropped."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], _T]) -> _T:
        if self._under_way >= self._most:
            raise ChatError("overloaded", "Too many people sign in at this moment; try again shortly.")
        self._under_way += 1
        future = asyncio.get_running_loop().run_in_executor(self._executor, work)
        future.add_done_callback(self._done)  # not in `finally`: a cancelled caller leaves the thread at work
        return await asyncio.shield(future)

    def _done(self, future: asyncio.Future[_T]) -> None:
        self._under_way -= 1
        if not future.cancelled():
            future.exception()
