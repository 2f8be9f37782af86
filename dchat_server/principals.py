"""Who is behind a token, remembered for a moment, so that most requests ask nobody.

Theory of operation ------------------- An entry is believed for `AGE_S`. A revocation reaches every worker
through the feed and drops the entry at once; while the feed cannot be read (`trust(False)`) entries are
believed for `BLIND_S` only, which keeps the promise that a revoked token is dead within 5 s. A look-up that
was under way while a revocation arrived may have read the record just before it went: digests revoked of
late are therefore remembered and refused, whatever a look-up found.

All entries live equally long, so the order of insertion is the order of age: the oldest is the first of the
dict, and dropping the oldest is all that bounding it takes. Raw tokens are kept nowhere; the key is their
SHA-256.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

AGE_S = 60.0
BLIND_S = 3.0
UNKNOWN_S = 2.0


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who is signed in, by one token. `scopes` are what this token may do now; `digest` is the hex
    SHA-256 of the token; `expires_at` in ms since 1970, or None; `session` tells a sign-in from an API
    token.
    """

    user: str
    admin: bool
    scopes: frozenset[str]
    digest: str
    token_id: str
    expires_at: int | None
    display_name: str
    session: bool = True


class Principals:
    """A bounded memory of tokens that were looked up: who is behind them, or that nobody is."""

    def __init__(
        self,
        *,
        most: int = 20_000,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._wall, self._most = clock, wall, most
        self._age_s = AGE_S
        self._known: dict[str, tuple[Principal, float]] = {}
        self._unknown: dict[str, float] = {}
        self._revoked: dict[str, float] = {}

    def peek(self, token: str) -> Principal | None:
        """Who is behind `token`, if that is fresh in memory. No I/O: one hash and one look into a dict."""
        return self.at(sha256(token.encode("utf-8", "surrogatepass")).hexdigest())

    def at(self, digest: str) -> Principal | None:
        """The same for a token's digest."""
        entry = self._known.get(digest)
        if entry is None or self._clock() - entry[1] >= self._age_s:
            return None
        return entry[0]

    def learn(self, principal: Principal) -> bool:
        """Remember what a look-up found; False when the token was revoked meanwhile and must not be
        believed.
        """
        digest = principal.digest
        if digest in self._revoked:
            return False
        made = self._clock()
        if principal.expires_at is not None:
            # Made to look older by as much as it lives shorter, so that one comparison serves both.
            made = min(made, made + principal.expires_at / 1000 - self._wall() - AGE_S)
        self._known.pop(digest, None)
        self._known[digest] = (principal, made)
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]
        return True

    def learn_unknown(self, digest: str) -> None:
        """Remember for `UNKNOWN_S` that nobody is behind a digest."""
        _put(self._unknown, digest, self._clock(), self._most)

    def is_unknown(self, digest: str) -> bool:
        """True when the digest was just looked up in vain, or was revoked of late."""
        seen = self._unknown.get(digest)
        return digest in self._revoked or (seen is not None and self._clock() - seen < UNKNOWN_S)

    def revoke(self, digests: Iterable[str]) -> None:
        """Never believe these digests again."""
        for digest in digests:
            self._known.pop(digest, None)
            _put(self._revoked, digest, self._clock(), self._most)

    def is_revoked(self, digest: str) -> bool:
        """True when the token was revoked within the last minute. Ask after attaching something long-lived
        to a principal, for a revocation that arrived in between.
        """
        return digest in self._revoked

    def drop(self, digests: Iterable[str]) -> None:
        """Look these up again at next use: something about their user changed."""
        for digest in digests:
            self._known.pop(digest, None)

    def clear(self) -> None:
        """Look everybody up again: announcements may have been missed."""
        self._known.clear()

    def trust(self, feed_is_read: bool) -> None:
        """Say whether revocations reach this worker at the moment."""
        self._age_s = AGE_S if feed_is_read else BLIND_S

    def sweep(self) -> None:
        """Let go of what is too old to be believed. Call it every minute or so."""
        now = self._clock()
        self._known = {key: entry for key, entry in self._known.items() if now - entry[1] < AGE_S}
        self._unknown = {key: seen for key, seen in self._unknown.items() if now - seen < UNKNOWN_S}
        self._revoked = {key: seen for key, seen in self._revoked.items() if now - seen < AGE_S}


def _put(memory: dict[str, float], key: str, now: float, most: int) -> None:
    memory.pop(key, None)
    memory[key] = now
    if len(memory) > most:
        del memory[next(iter(memory))]
