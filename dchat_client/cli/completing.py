"""What the shell completes beside commands and options: rooms, people, profiles, emoji.

The server is asked for rooms and people, with two seconds to answer; when it does not, or nobody is signed in,
nothing is offered. Completion never says anything and never fails: it runs while somebody types.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import click

from dchat_client.cli.face import Face

WITHIN_S = 2.0
_MOST = 100
# Names go into a shell's words. A server that gives others is none of ours.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


def rooms(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the rooms one is in that begin with what was typed."""
    return _names(ctx, "/v1/rooms", "rooms", "room", incomplete, joined=1)


def rooms_to_join(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the rooms one is not in that begin with what was typed."""
    return _names(ctx, "/v1/rooms", "rooms", "room", incomplete, wanted=lambda room: not room.get("joined"))


def users(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the people whose name begins with what was typed, also behind a comma."""
    before, comma, last = incomplete.rpartition(",")
    return [before + comma + name for name in _names(ctx, "/v1/users", "users", "username", last)]


def profiles(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the profiles that begin with what was typed."""
    from dchat_client.config import ConfigError, read_file

    try:
        found = read_file(_face(ctx).folders).get("profiles", {})
    except ConfigError:
        return []
    return sorted(name for name in found if name.startswith(incomplete))


def emoji(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return short names of emoji that begin with what was typed."""
    from dchat_client.emoji import names_like

    return names_like(incomplete) if incomplete.startswith(":") or incomplete.isalpha() else []


def _names(
    ctx: click.Context,
    path: str,
    list_name: str,
    name: str,
    incomplete: str,
    *,
    wanted: Callable[[dict[str, Any]], bool] = lambda row: True,
    **params: Any,
) -> list[str]:
    found: list[str] = []

    def ask() -> None:
        # Whatever goes wrong, somebody is in the middle of typing a command and did not ask for this one.
        try:
            rows = _face(ctx).run(lambda connection: connection.request("GET", path, params=asked)).get(list_name)
            names = [row.get(name) for row in rows or [] if isinstance(row, dict) and wanted(row)]
            found.extend(each for each in names if isinstance(each, str) and _NAME.fullmatch(each))
        except Exception:
            return

    asked = {**params, "query": incomplete, "limit": _MOST}
    # A thread, because a keyring may ask its user, and a name may take its time to be resolved.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(WITHIN_S)
    return sorted(each for each in tuple(found) if each.startswith(incomplete))


def _face(ctx: click.Context) -> Face:
    given = ctx.find_root().params
    return Face(url=given.get("url"), profile_name=given.get("profile"))
