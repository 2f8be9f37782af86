"""Coming in: finding a server, signing in or making an account, and keeping the sign-in. Shared by all faces.

Nothing here asks anybody anything; cli/welcome.py does that on a terminal.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from dchat_client.address import LOOPBACK, parse_urls
from dchat_client.config import Folders, Profile, save_profile
from dchat_client.connection import Connection
from dchat_client.errors import ServerFault, Unreachable
from dchat_client.tokens import Token, keep_token

PORT = 5000
_PROBE_S = 4.0


@dataclass(frozen=True, slots=True)
class SignedIn:
    """What the server answered to a sign-in: the account (`username`, `display_name`, `admin` …) and its token."""

    user: dict[str, Any]
    secret: str = field(repr=False)
    expires_at: str | None = None

    @property
    def username(self) -> str:
        """The account's own name."""
        return str(self.user["username"])

    @classmethod
    def of(cls, answer: dict[str, Any]) -> SignedIn:
        """Return what an answer to register or login says. Raises ServerFault when it says something else."""
        secret, expires_at = answer.get("token"), answer.get("expires_at")
        if not isinstance(secret, str):
            raise ServerFault("the answer has no token", code="not_dchat")
        return cls(user_of(answer), secret, expires_at if isinstance(expires_at, str) else None)


def user_of(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the account in an answer. Raises ServerFault when there is none."""
    user = answer.get("user")
    if not isinstance(user, dict) or not isinstance(user.get("username"), str):
        raise ServerFault("the answer has no user", code="not_dchat")
    return user


async def check_server(urls: Sequence[str], *, within_s: float = _PROBE_S) -> None:
    """Return when a D-Chat server answers at one of `urls`. Two small requests to each, at most `within_s`.

    Raises Unreachable when nobody answers, and ServerFault `not_dchat` when something else does.
    """
    outcomes = await asyncio.gather(*(_probe(url, within_s) for url in urls), return_exceptions=True)
    for outcome in outcomes:
        if outcome is None:
            return
    raise next(outcome for outcome in outcomes if outcome is not None)


async def find_server(text: str, *, within_s: float = _PROBE_S) -> tuple[str, ...]:
    """Return the addresses that somebody who typed `text` means: as they are when they say http:// or https://, else
    the first form at which a D-Chat server answers. Raises ChatError, and ValueError when it is no address.
    """
    forms = [parse_urls(form) for form in spelled_out(text)]
    outcomes = await asyncio.gather(*(check_server(form, within_s=within_s) for form in forms), return_exceptions=True)
    for form, outcome in zip(forms, outcomes, strict=True):
        if outcome is None:
            return form
    raise next(outcome for outcome in outcomes if outcome is not None)


def spelled_out(text: str) -> list[str]:
    """Return the full forms of an address as people type it, the best first: encrypted, plain, plain on our port."""
    text = text.strip()
    if "://" in text or "," in text:
        return [text]
    parts = urlsplit(f"//{text}")
    here = parts.hostname in LOOPBACK
    forms = [f"http://{text}"] if here else [f"https://{text}", f"http://{text}"]
    if parts.port is None and not parts.path:
        forms.insert(0, f"http://{text}:{PORT}") if here else forms.append(f"http://{text}:{PORT}")
    return forms


def is_private(urls: Sequence[str]) -> bool:
    """Tell whether what goes to `urls` can be read by nobody else: encrypted, or staying on this machine."""
    return all(urlsplit(url).scheme == "https" or urlsplit(url).hostname in LOOPBACK for url in urls)


async def login(connection: Connection, username: str, password: str) -> SignedIn:
    """Sign in. Raises SignInNeeded `bad_credentials`, Busy `too_many_logins`, other ChatErrors."""
    body = {"username": username, "password": password}
    return SignedIn.of(await connection.request("POST", "/v1/login", body=body, repeatable=True))


async def register(
    connection: Connection, username: str, password: str, *, display_name: str | None = None, invite: str | None = None
) -> SignedIn:
    """Make an account, signed in. Raises Refused `username_taken`, `registration_closed`, `invalid_request`, others."""
    body = {"username": username, "password": password}
    body |= {key: value for key, value in (("display_name", display_name), ("invite", invite)) if value}
    return SignedIn.of(await connection.request("POST", "/v1/register", body=body))


def keep(folders: Folders, profile: Profile, signed_in: SignedIn) -> Token:
    """Keep the sign-in for `profile`, with its addresses, and return it as kept. Raises ConfigError."""
    profile = replace(profile, username=signed_in.username)
    token = Token(signed_in.secret, profile.urls, profile.username, signed_in.expires_at)
    kept = keep_token(folders, profile.name, token)
    save_profile(folders, profile)
    return kept


async def _probe(url: str, within_s: float) -> None:
    """Ask what answers at `url`. Others have a /healthz, too: so it is also asked who we are, which it cannot know."""
    try:
        async with asyncio.timeout(within_s), Connection([url], timeout_s=within_s) as connection:
            status, _, body = await connection.probe("/healthz")
            if status != 200 or "status" not in _object(body):
                raise ServerFault(f"{url} is not a D-Chat server", code="not_dchat")
            _, _, body = await connection.probe("/v1/me")
            if "code" not in _object(body):
                raise ServerFault(f"{url} is not a D-Chat server", code="not_dchat")
    except TimeoutError:
        raise Unreachable(f"{url} did not answer within {within_s:g} s", code="unreachable") from None


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
