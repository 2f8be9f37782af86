"""First use: a dialogue that ends with somebody signed in. `dchat` without a command begins with it.

It finds the server or asks for one, makes an account or signs in, and keeps that for the profile. Whoever is signed in
already is asked nothing. Every question is asked a bounded number of times; Ctrl-C and Ctrl-D leave at any of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dchat_client.cli.account import keep_sign_in
from dchat_client.cli.face import Face
from dchat_client.config import DEFAULT_URL
from dchat_client.errors import ChatError, Refused, SignInNeeded
from dchat_client.terminal import clean

if TYPE_CHECKING:
    from dchat_client.connection import Connection
    from dchat_client.entrance import SignedIn

_TRIES = 10
_LOOK_S = 5.0


def welcome(face: Face) -> Face:
    """Return a face that is signed in, `face` itself when it is. Raises click.Abort, ChatError and ConfigError."""
    known = face.profile.username
    if face.token is not None:
        if face.profile.token or not _is_signed_out(face):
            return face
        face.say(f"Your sign-in at {face.profile.url} is not valid any more.")
    else:
        face.say(f"Welcome to D-Chat. Nobody is signed in yet{'' if known is None else f' as {clean(known)}'}.")
        face = choose_server(face)
    signed_in = enter(face, known)
    keep_sign_in(face, signed_in)
    face = face.at(face.profile.url)
    if signed_in.user.get("admin"):
        face.say("You are an administrator of this server.")
        _first_room(face)
    return face


def choose_server(face: Face) -> Face:
    """Return a face at a D-Chat server that answers: the profile's, one on this machine, or one that is asked for."""
    import asyncio

    from dchat_client.entrance import check_server, find_server, is_private

    default: str | None = face.profile.url
    try:
        asyncio.run(check_server(face.profile.urls))
        where = "on this machine" if default == DEFAULT_URL else "there"
        face.say(f"A server answers {where}: {default}")
        if default != DEFAULT_URL:
            return face  # it was named, by an option, the environment or the profile
    except ChatError as error:
        if default == DEFAULT_URL:
            face.say(f"No server answers on this machine ({DEFAULT_URL}); dchat-server would start one.")
            default = None
        else:
            face.say(f"{clean(error.detail)}.")
    for _ in range(_TRIES):
        text = str(click.prompt("Server address", default=default, err=True))
        try:
            urls = asyncio.run(find_server(text))
        except ValueError as error:
            face.say(f"{clean(str(error))}.")
            continue
        except ChatError as error:
            face.say(f"{clean(error.detail)}.")
            continue
        if is_private(urls) or click.confirm(
            f"The way to {clean(','.join(urls))} is not encrypted: others on it could read along, your password, too."
            " Go on all the same?",
            err=True,
        ):
            return face.at(",".join(urls))
    raise click.Abort


def enter(face: Face, username: str | None = None) -> SignedIn:
    """Return a sign-in at the face's server: to an account that is there, or to a new one. It asks which.

    `username` is offered as the name. Raises ChatError when the server cannot be asked.
    """
    there = username is not None
    for _ in range(_TRIES):
        there = click.confirm("Do you have an account there already?", default=there, err=True)
        try:
            return _sign_in(face, username) if there else _register(face)
        except SignInNeeded:
            face.say("That is not the name and the password of an account there.")
        except Refused as error:
            face.say(f"{clean(error.detail)}")
            there = there or error.code == "username_taken"
        except ChatError as error:
            if error.status != 429:
                raise
            face.say(f"{clean(error.detail)} {error.next_step or ''}".rstrip())
    raise click.Abort


def _sign_in(face: Face, username: str | None) -> SignedIn:
    face.say(f"Signing in at {face.profile.url}.")
    name = str(click.prompt("User name", default=username, err=True)).strip()
    password = str(click.prompt("Password", hide_input=True, err=True))

    async def work(connection: Connection) -> SignedIn:
        from dchat_client.entrance import login

        return await login(connection, name, password)

    return face.run(work, signed_in=False)


def _register(face: Face) -> SignedIn:
    face.say(f"Making a new account at {face.profile.url}.")
    name = str(click.prompt("User name (a-z, 0-9, dot, dash, underscore)", err=True)).strip()
    password = str(click.prompt("New password", hide_input=True, confirmation_prompt=True, err=True))
    invite = ""

    async def work(connection: Connection) -> SignedIn:
        from dchat_client.entrance import register

        return await register(connection, name, password, invite=invite)

    try:
        return face.run(work, signed_in=False)
    except Refused as error:
        if error.code != "registration_closed":
            raise
        face.say(f"{clean(error.detail)}")
        invite = str(click.prompt("Invite (Enter: you have none)", default="", show_default=False, err=True)).strip()
        if not invite:
            raise
    return face.run(work, signed_in=False)


def _is_signed_out(face: Face) -> bool:
    """Tell whether the server does not take the kept token any more. One that cannot be asked has not said so."""
    import asyncio

    from dchat_client.connection import Connection

    async def work() -> None:
        async with Connection(face.profile.urls, face.token, timeout_s=_LOOK_S, patience_s=_LOOK_S) as connection:
            await connection.request("GET", "/v1/me")

    try:
        asyncio.run(work())
    except SignInNeeded:
        return True
    except ChatError:
        return False
    return False


def _first_room(face: Face) -> None:
    """Offer to make the first room of a new server."""

    async def rooms(connection: Connection) -> dict[str, Any]:
        return await connection.request("GET", "/v1/rooms", params={"limit": 1})

    if face.run(rooms).get("rooms"):
        return
    for _ in range(_TRIES):
        room = str(click.prompt("There are no rooms yet. Name of the first one", default="lobby", err=True)).strip()

        async def make(connection: Connection, room: str = room) -> None:
            await connection.request("POST", "/v1/rooms", body={"room": room, "kind": "public"})

        try:
            face.run(make)
        except Refused as error:
            face.say(f"{clean(error.detail)}")
            continue
        face.say(f"Made public room {clean(room)}.")
        return
