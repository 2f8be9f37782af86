"""dchat login, register, logout, whoami."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from dchat_client.cli.face import Face
from dchat_client.errors import ChatError, SignInNeeded
from dchat_client.terminal import clean
from dchat_client.tokens import drop_token

if TYPE_CHECKING:
    from dchat_client.connection import Connection
    from dchat_client.entrance import SignedIn

_PASSWORD_STDIN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking."
)


@click.command("login")
@click.argument("username", required=False)
@_PASSWORD_STDIN
@click.option("--token-stdin", is_flag=True, help="Sign in with an API token read from standard input.")
@click.pass_obj
def login_command(face: Face, username: str | None, password_stdin: bool, token_stdin: bool) -> None:
    """Sign in and keep the token for this profile.

    The password is asked for without showing it, or read from standard input; it is never an argument,
    where other users of the machine could see it. The server's address is kept with the profile:

    \b
    dchat --url https://chat.example.org login ada
    """
    if token_stdin:
        if username or password_stdin:
            raise click.UsageError("--token-stdin needs neither a user name nor a password.")
        _login_with_token(face, _from_stdin("token"))
        return
    username = username or _ask("User name", default=face.profile.username)
    password = _password(password_stdin)

    async def work(connection: Connection) -> SignedIn:
        from dchat_client.entrance import login

        return await login(connection, username, password)

    keep_sign_in(face, face.run(work, signed_in=False))


@click.command("register")
@click.argument("username", required=False)
@click.option("--display-name", metavar="NAME", help="The name others see beside the user name.")
@click.option("--invite", metavar="CODE", help="An invite, where one is needed.")
@_PASSWORD_STDIN
@click.pass_obj
def register_command(
    face: Face, username: str | None, display_name: str | None, invite: str | None, password_stdin: bool
) -> None:
    """Make an account and sign in with it. The first account of a server becomes its administrator."""
    username = username or _ask("User name")
    password = _password(password_stdin, twice=True)

    async def work(connection: Connection) -> SignedIn:
        from dchat_client.entrance import register

        return await register(connection, username, password, display_name=display_name, invite=invite)

    keep_sign_in(face, face.run(work, signed_in=False))


@click.command("logout")
@click.pass_obj
def logout_command(face: Face) -> None:
    """Sign out: the server revokes the token, and it is removed here."""
    if face.token is None:
        face.say("Nobody was signed in.")
        return

    async def work(connection: Connection) -> None:
        await connection.request("POST", "/v1/logout", repeatable=True)

    try:
        face.run(work)
    except SignInNeeded:
        pass  # the server does not know the token any more: that is what was wanted
    except ChatError as error:
        _drop(face)
        error.next_step = "The token was removed here, but the server could not be told and takes it until it expires."
        raise
    _drop(face)
    face.say("Signed out.")


@click.command("whoami")
@click.option("--json", "as_json", is_flag=True, help="Print the account as JSON.")
@click.pass_obj
def whoami_command(face: Face, as_json: bool) -> None:
    """Print the user name that is signed in, as the server knows it."""

    async def work(connection: Connection) -> dict[str, Any]:
        from dchat_client.entrance import user_of

        return user_of(await connection.request("GET", "/v1/me"))

    user = face.run(work)
    if as_json:
        face.json(user)
        return
    face.data(clean(user["username"]))
    name = clean(str(user.get("display_name") or ""))
    admin = ", administrator" if user.get("admin") else ""
    face.say(f"{name}{admin} at {face.profile.url}, profile {face.profile.name}".lstrip())


def _login_with_token(face: Face, secret: str) -> None:
    async def work(connection: Connection) -> SignedIn:
        from dchat_client.entrance import SignedIn, user_of

        connection.sign_in(secret)
        return SignedIn(user_of(await connection.request("GET", "/v1/me")), secret)

    keep_sign_in(face, face.run(work, signed_in=False))


def keep_sign_in(face: Face, signed_in: SignedIn) -> None:
    """Keep a sign-in for the face's profile and say where."""
    from dchat_client.entrance import keep

    profile = face.profile
    kept = keep(face.folders, profile, signed_in)
    where = "in the keyring" if kept.in_keyring else f"in {face.folders.token_file(profile.name)}"
    face.say(f"Signed in as {clean(signed_in.username)} at {profile.url}; the token is kept {where}.")
    if profile.token:
        face.say("DCHAT_TOKEN is set and is used instead of it.")


def _drop(face: Face) -> None:
    if face.profile.token:
        face.say("DCHAT_TOKEN is still set in your environment.")
    else:
        drop_token(face.folders, face.profile.name)


def _ask(what: str, default: str | None = None) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(f"{what} is missing.")
    return str(click.prompt(what, default=default, err=True))


def _password(from_stdin: bool, *, twice: bool = False) -> str:
    if from_stdin:
        return _from_stdin("password")
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask for the password; use --password-stdin.")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=twice, err=True))


def _from_stdin(what: str) -> str:
    raw = sys.stdin.buffer.read(64 << 10)
    try:
        text = raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise click.UsageError(f"The {what} on standard input is not UTF-8.") from None
    if not text:
        raise click.UsageError(f"There is no {what} on standard input.")
    return text
