"""dchat export."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dchat_client.address import segment
from dchat_client.cli import completing
from dchat_client.cli.bar import Progress
from dchat_client.cli.face import Face
from dchat_client.cli.program import FAILED
from dchat_client.cli.rooms import all_rows
from dchat_client.errors import ChatError, NotFound, Refused, SignInNeeded
from dchat_client.terminal import clean

if TYPE_CHECKING:
    from dchat_client.connection import Connection
    from dchat_client.exported import ExportFile

# A room's name becomes a file's name, and names come from the server.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@click.command("export")
@click.argument("room", required=False, shell_complete=completing.rooms)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Write there; with --all, a folder."
)
@click.option("--all", "everything", is_flag=True, help="All rooms you can see, each into ROOM.ndjson in the folder.")
@click.option("--joined", is_flag=True, help="With --all: only the rooms you are in.")
@click.option("--anew", is_flag=True, help="Replace what is there, once the new export is whole.")
@click.pass_context
def export_command(
    ctx: click.Context, room: str | None, output: Path | None, everything: bool, joined: bool, anew: bool
) -> None:
    """Write all messages of ROOM as lines of JSON, oldest first, to standard output or to FILE.

    The first line describes the room ("type":"room"), the last says that nothing is missing ("type":"end"); those
    between are the messages as they are now: edited, deleted, with their reactions.

    When it was interrupted, the same command goes on after the last whole line of FILE. A FILE that is whole gets what
    was said since; messages it has already stay as they were, --anew takes them as they are now.

    \b
    dchat export lobby -o lobby.ndjson
    dchat export lobby | jq -r 'select(.text) | .sender + ": " + .text'
    dchat export --all -o backup/
    """
    face: Face = ctx.obj
    if everything == (room is not None):
        raise click.UsageError("Give either ROOM or --all.")
    to_file = output if output != Path("-") else None
    if everything and to_file is None:
        raise click.UsageError("--all needs a folder: -o FOLDER.")
    if joined and not everything:
        raise click.UsageError("--joined goes with --all.")
    if anew and to_file is None:
        raise click.UsageError("--anew goes with -o FILE.")
    if everything and to_file is not None:
        to_file.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def work(connection: Connection) -> bool:
        if room is None:
            return await _all(face, connection, to_file or Path(), joined, anew)
        await _one(face, connection, await _facts(connection, room), to_file, anew)
        return True

    try:
        whole = face.run(work)
    except (KeyboardInterrupt, ChatError):
        if to_file is not None and (everything or to_file.exists()):
            face.say("It is not whole yet; the same command goes on from there.")
        raise
    if not whole:
        ctx.exit(FAILED)


async def _all(face: Face, connection: Connection, folder: Path, joined: bool, anew: bool) -> bool:
    rooms = await all_rows(connection, "/v1/rooms", "rooms", {"joined": 1 if joined else None})
    whole = True
    for room in rooms:
        name = str(room.get("room"))
        try:
            if not _NAME.fullmatch(name):
                raise NotFound(f"{name!r} cannot name a file", code="not_dchat")
            facts = await _facts(connection, name)
            await _one(face, connection, facts, folder / f"{name}.ndjson", anew)
        except SignInNeeded:
            raise
        except Refused as error:  # it may have been closed to us in the meantime; the others are not
            face.error(f"{clean(name)}: {clean(error.detail)}")
            whole = False
    face.say(f"{len(rooms)} rooms are in {folder}.")
    return whole


async def _facts(connection: Connection, room: str) -> dict[str, Any]:
    details = (await connection.request("GET", f"/v1/rooms/{segment(room)}")).get("room")
    return {"room": room} | (details if isinstance(details, dict) else {})


async def _one(face: Face, connection: Connection, facts: dict[str, Any], path: Path | None, anew: bool) -> None:
    from dchat_client.exported import ExportFile, NotThisExport

    if path is None:
        await _print(face, connection, facts)
        return
    target = path.with_name(f"{path.name}.part") if anew else path
    if anew:
        target.unlink(missing_ok=True)
    try:
        with ExportFile(target, facts) as file:
            if file.messages:
                face.say(f"Going on with {path}, which has {file.messages} messages.")
            await _fill(face, connection, str(facts["room"]), file)
    except NotThisExport as error:
        raise click.ClickException(str(error)) from None
    if anew:
        os.replace(target, path)
    face.say(f"{file.messages} messages of {clean(str(facts['room']))} are in {path}.")


async def _fill(face: Face, connection: Connection, room: str, file: ExportFile) -> None:
    """Append what is not there yet, a page at a time: memory and loss are bounded by a page."""
    from dchat_client.history import page

    progress = Progress(face)
    while True:
        found = await page(connection, room, after=file.after)
        messages = [message for message in found.messages if message["seq"] > file.after]
        await asyncio.to_thread(file.write, messages)
        progress.show(file.after, found.head, f"{file.messages} messages of {clean(room)}")
        if not found.has_more or not messages:
            await asyncio.to_thread(file.finish, found.head)
            return


async def _print(face: Face, connection: Connection, facts: dict[str, Any]) -> None:
    from dchat_client.exported import first_line, last_line
    from dchat_client.history import page

    progress = Progress(face)
    face.json(first_line(facts))
    after = count = 0
    while True:
        found = await page(connection, str(facts["room"]), after=after)
        messages = [message for message in found.messages if message["seq"] > after]
        for message in messages:
            face.json(message)
            after = message["seq"]
        count += len(messages)
        if not face.is_terminal:
            progress.show(after, found.head, f"{count} messages of {clean(str(facts['room']))}")
        if not found.has_more or not messages:
            face.json(last_line(count, found.head))
            return
