"""dchat tail."""

from __future__ import annotations

import asyncio
import hashlib
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dchat_client.bookmark import BookmarkFile, BookmarkInUse
from dchat_client.cli import completing
from dchat_client.cli.face import Face
from dchat_client.cli.lines import Lines

if TYPE_CHECKING:
    from dchat_client.position import Bookmark

_FIRST_PATIENCE_S = 10.0


@click.command("tail")
@click.argument("rooms", nargs=-1, metavar="[ROOM]…", shell_complete=completing.rooms)
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON, exactly as it came.")
@click.option(
    "-n",
    "--lines",
    "count",
    metavar="N",
    type=click.IntRange(min=0),
    help="Begin with the last N messages [10].",
)
@click.option("--since", metavar="WHEN", help="Begin there: 10m, 2h, or an ISO time.")
@click.option("--from-start", is_flag=True, help="Begin with the first message of each room.")
@click.option("--exec", "command", metavar="CMD", help="Run CMD for each message instead of printing it.")
@click.option(
    "--cursor-file",
    metavar="PATH",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep the place in this file.",
)
@click.option("--no-resume", is_flag=True, help="Neither go on from a kept place nor keep one.")
@click.option("--ids", is_flag=True, help="Show each event's number.")
@click.pass_obj
def tail_command(
    face: Face,
    rooms: tuple[str, ...],
    as_json: bool,
    count: int | None,
    since: str | None,
    from_start: bool,
    command: str | None,
    cursor_file: Path | None,
    no_resume: bool,
    ids: bool,
) -> None:
    """Print what happens in the ROOMs as it happens; without ROOM, in all rooms you are in.

    The first time it begins with the last messages. It keeps its place after each output, so that when it
    is started again it goes on where it stopped, without hole or repeat, whatever ended it; -n, --since and
    --from-start begin anew from there. A tail of other rooms, with --json or with another CMD has a place
    of its own.

    --exec runs CMD in the shell for each message, one after the other, with the message as a line of JSON
    on its standard input and DCHAT_ROOM, DCHAT_SENDER and DCHAT_SEQ in its environment. The place moves on
    when CMD ends with 0; otherwise tail stops with 1, and the next start runs CMD for the same message
    again.
    """
    starts = [count is not None, since is not None, from_start]
    if sum(starts) > 1:
        raise click.UsageError("-n, --since and --from-start exclude each other.")
    if no_resume and cursor_file:
        raise click.UsageError("--no-resume and --cursor-file exclude each other.")
    if command is not None and as_json:
        raise click.UsageError("--exec gives JSON to the command already; leave --json out.")
    rooms = tuple(dict.fromkeys(rooms))
    with ExitStack() as stack:
        file = None if no_resume else _place(face, stack, rooms, as_json, command, cursor_file)
        stored = file.load() if file is not None and not any(starts) else None
        if count is None and since is None and not from_start:
            # A command is run for what is new; nobody wants it run for old messages unasked.
            count = 10 if rooms and command is None and stored is None else 0
        asyncio.run(_run(face, rooms, stored, file, as_json, command, ids, count, since, from_start))


async def _run(
    face: Face,
    rooms: tuple[str, ...],
    stored: Bookmark | None,
    file: BookmarkFile | None,
    as_json: bool,
    command: str | None,
    ids: bool,
    count: int | None,
    since: str | None,
    from_start: bool,
) -> None:
    from dchat_client.cli.reader import Output, Reader, Start
    from dchat_client.session import Session

    async with face.connection() as connection:
        me = None
        if not rooms:
            user = (await connection.request("GET", "/v1/me")).get("user")
            me = user.get("username") if isinstance(user, dict) else None
        lines = None if as_json else Lines(face.style, show_room=len(rooms) != 1, show_seq=ids)
        session = Session(rooms=rooms or None, me=me, bookmark=stored, since=since)
        if stored is not None:
            face.say("Going on where it stopped; -n 10 shows the last messages instead.")
        reader = Reader(face, connection, session, Output(face, lines, command), file)
        # A place without a cursor was kept in the middle of catching up.
        start = Start(count=count or 0, everything=from_start or (stored is not None and stored.cursor is None))
        await reader.run(rooms, start, first_patience_s=_FIRST_PATIENCE_S)


def _place(
    face: Face,
    stack: ExitStack,
    rooms: tuple[str, ...],
    as_json: bool,
    command: str | None,
    cursor_file: Path | None,
) -> BookmarkFile | None:
    """Return the file that keeps the place, locked; None when the usual one is in use by another tail."""
    about: dict[str, Any] = {"rooms": ",".join(sorted(rooms)) or "all of mine"}
    if cursor_file is not None:
        return stack.enter_context(BookmarkFile(cursor_file, about))
    profile = face.profile
    # Another server, user or use is another place: readers of one place would take events from each other.
    use = f"exec {command}" if command is not None else "json" if as_json else "text"
    owner = _digest(*sorted(profile.urls), profile.username or "", face.token or "" if profile.token else "")
    name = "+".join(sorted(rooms)) if rooms else "@all"
    if not re.fullmatch(r"[\w.@+-]{1,100}", name, re.ASCII):
        name = _digest(name)
    path = face.folders.bookmark_file(profile.name, f"{name}.{owner}.{_digest(use)}")
    try:
        return stack.enter_context(BookmarkFile(path, about))
    except BookmarkInUse:
        face.say("Another dchat tail of the same rooms is running; this one does not keep its place.")
        return None


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:8]
