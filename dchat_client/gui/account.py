"""Who signs in where: the profile a window is for, and the requests that sign in."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
from typing import Any

from dchat_client.address import parse_urls
from dchat_client.cli.face import Face
from dchat_client.config import ConfigError, Folders, Profile, check_name, load_profile
from dchat_client.connection import Connection
from dchat_client.entrance import find_server, is_private, keep, login, register
from dchat_client.errors import Refused
from dchat_client.tokens import drop_token, token_for


@dataclass(frozen=True, slots=True)
class Account:
    """Who is signed in, where, and with what."""

    profile: Profile
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wish:
    """A filled-in form. `server` is what was typed as the address, `new` asks for an account to be made.

    `openly`: the person has been told that the way to the server is not encrypted, and wants it all the same.
    """

    server: str
    username: str
    password: str = field(repr=False)
    new: bool = False
    openly: bool = False


def profile_for(face: Face, host: str | None, port: int | None, user: str | None) -> Profile:
    """Return the profile a window is for. Raises ConfigError.

    Without host, port and user: the one in force. With them: the one in force if it is for just that server and user,
    else one with a name of its own, so that a second window as somebody else takes nobody's sign-in away.
    """
    profile = face.profile
    urls = profile.urls
    if host is not None or port is not None:
        name = host or "127.0.0.1"
        try:
            urls = parse_urls(f"[{name}]:{port or 5000}" if ":" in name else f"{name}:{port or 5000}")
        except ValueError as error:
            raise ConfigError(f"The server address is not usable: {error}.") from None
    user = user or (profile.username if urls == profile.urls else None)
    is_same = urls == profile.urls and user == profile.username
    if is_same or (urls == profile.urls and profile.username is None) or not _is_kept(face.folders, profile):
        return replace(profile, urls=urls, username=user)
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{user or 'window'}-{urls[0].partition('://')[2]}").strip("-.")
    own = load_profile(face.folders, name=check_name(words[:64]), url=",".join(urls))
    return replace(own, username=user or own.username)


def token_of(folders: Folders, profile: Profile) -> str | None:
    """Return the kept token of a profile; None when its user has to sign in."""
    try:
        return token_for(folders, profile)
    except ConfigError:
        return None  # it belongs to another server, or cannot be read: signing in puts that right


async def sign_in(folders: Folders, profile: Profile, wish: Wish) -> Account:
    """Sign in, or make the account, and keep the sign-in. Raises ChatError; `not_private` when a password would go
    openly over a network and nobody has said that it may.
    """
    urls = profile.urls if wish.server == profile.url else await find_server(wish.server)
    if not (wish.openly or is_private(urls)):
        words = (
            f"{urls[0]} is not encrypted: others on the way could read the password. Once more to go on all the same."
        )
        raise Refused(words, code="not_private")
    profile = replace(profile, urls=urls, username=wish.username, token=None)
    async with Connection(urls, timeout_s=10.0, patience_s=10.0, tries=2) as connection:
        signed_in = await (register if wish.new else login)(connection, wish.username, wish.password)
    try:
        await asyncio.to_thread(keep, folders, profile, signed_in)
    except ConfigError as error:
        raise Refused(f"signed in, but the sign-in cannot be kept: {error}", code="not_kept") from None
    return Account(replace(profile, username=signed_in.username), signed_in.secret)


async def sign_out(folders: Folders, account: Account) -> dict[str, Any]:
    """Forget the token here and have the server revoke it. Raises ChatError when the server could not be told."""
    await asyncio.to_thread(drop_token, folders, account.profile.name)
    async with Connection(account.profile.urls, account.token, timeout_s=5.0, patience_s=5.0, tries=1) as connection:
        return await connection.request("POST", "/v1/logout", repeatable=True)


def _is_kept(folders: Folders, profile: Profile) -> bool:
    """Tell whether somebody signed in with this profile, who is not to be put out of it."""
    return profile.token is not None or folders.token_file(profile.name).exists()
