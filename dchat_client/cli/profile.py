"""dchat profile: the servers and users that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from dchat_client.cli import completing
from dchat_client.cli.face import Face
from dchat_client.cli.rooms import write_table
from dchat_client.config import check_name, load_profile, read_file, remove_profile, use_profile
from dchat_client.errors import ChatError
from dchat_client.terminal import clean
from dchat_client.tokens import drop_token, is_kept, kept_token

if TYPE_CHECKING:
    from dchat_client.tokens import Token

_PATIENCE_S = 5.0


@click.group("profile", invoke_without_command=True)
@click.pass_context
def profile_command(ctx: click.Context) -> None:
    """Look after profiles: names for "this server, this user".

    \b
    dchat --profile work --url https://chat.example.org login ada    makes one
    dchat profile                                                    list them
    dchat profile use work                                           no need to name it any more
    dchat profile remove work                                        sign out and forget it
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_command, as_json=False)


@profile_command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
@click.pass_obj
def list_command(face: Face, as_json: bool) -> None:
    """List the profiles: name, user, address, whether somebody is signed in. A * stands at the one in force."""
    profiles = read_file(face.folders).get("profiles", {})
    rows = []
    for name, values in sorted(profiles.items()):
        signed_in = is_kept(face.folders, name)
        if as_json:
            row = {"profile": name, **values, "signed_in": signed_in, "in_force": name == face.profile.name}
            face.json(row)
            continue
        state = "signed in" if signed_in else "signed out"
        mark = "*" if name == face.profile.name else ""
        rows.append([mark, name, values.get("username", ""), values.get("url", ""), state])
    if not as_json:
        write_table(face, ["", "PROFILE", "USER", "ADDRESS", "STATE"], rows)
    if not profiles:
        face.say("There are none yet; dchat login makes one.")


@profile_command.command("use")
@click.argument("name", shell_complete=completing.profiles)
@click.pass_obj
def use_command(face: Face, name: str) -> None:
    """Use profile NAME from now on wherever neither --profile nor DCHAT_PROFILE names another."""
    use_profile(face.folders, check_name(name))
    profile = load_profile(face.folders, name=name, environ={})
    who = clean(profile.username or "nobody")
    face.say(f"Profile {name} is in force: {who} at {profile.url}.")


@profile_command.command("remove")
@click.argument("name", shell_complete=completing.profiles)
@click.pass_obj
def remove_command(face: Face, name: str) -> None:
    """Sign profile NAME out and forget it. What is on the server stays."""
    folders = face.folders
    check_name(name)
    known = name in read_file(folders).get("profiles", {})
    token = kept_token(folders, name) if known else None
    remove_profile(folders, name)
    drop_token(folders, name)
    if token is not None and not _revoked(token):
        face.say("The server could not be told; it takes the token until it expires.")
    face.say(f"Profile {name} is removed.")


def _revoked(token: Token) -> bool:
    """Tell whether the server took the token back, or did not know it any more."""
    import asyncio

    from dchat_client.connection import Connection
    from dchat_client.errors import SignInNeeded

    async def work() -> bool:
        async with Connection(token.urls, token.secret, patience_s=_PATIENCE_S, timeout_s=_PATIENCE_S) as connection:
            try:
                await connection.request("POST", "/v1/logout", repeatable=True)
            except SignInNeeded:
                return True
            except ChatError:
                return False
        return True

    return asyncio.run(work())
