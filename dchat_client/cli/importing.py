"""dchat import: slack, irc, ndjson."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dchat_client.cli import completing
from dchat_client.cli.face import Face
from dchat_client.texts import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from dchat_client.cli.carrying import Cargo, Run
    from dchat_client.imports.slack import SlackExport

_FILE = click.Path(path_type=Path, exists=True)

_Command = Callable[..., Any]


def _common(command: _Command) -> _Command:
    """The options all three have."""
    for option in (
        click.option("--forget", is_flag=True, help="Forget what earlier imports brought into the room."),
        click.option(
            "--max-bytes",
            metavar="N",
            type=click.IntRange(min=256),
            default=MAX_TEXT_BYTES,
            help="What the server takes as one message [16384]; longer ones are split.",
        ),
        click.option("--mentions", is_flag=True, help="Leave @ as it is; people named get a mention."),
        click.option("--dry-run", is_flag=True, help="Only tell what would be sent. Needs no sign-in."),
    ):
        command = option(command)
    return command


@click.group("import")
def import_command() -> None:
    """Bring into rooms what was said elsewhere.

    \b
    dchat import slack export.zip --dry-run      what is in it
    dchat import slack export.zip                all its channels
    dchat import irc logs/*.log --room lobby     IRC logs
    dchat import ndjson lobby.ndjson             what dchat export wrote

    You send all of it, so each message says in its text who wrote it and when; behind it stands what became of it:

    \b
    [2024-05-01 09:12:33Z] ada: See the report
    (edited) (file: report.pdf, 12 KB) (🎉 bob, eve)

    Replies answer the message they answered. An @ is written ＠, so that nobody is called by what was said years ago.

    When it was interrupted, the same command goes on, and what is in the room already is not sent again: the server
    knows it for 24 hours, and this machine notes it. So a newer export of the same can be imported, too.
    """


@import_command.command("slack", short_help="Bring in Slack's export.")
@click.argument("export", type=_FILE)
@click.option(
    "--room",
    "wanted",
    metavar="CHANNEL[=ROOM]",
    multiple=True,
    help="Only this channel, into ROOM; may be given several times.",
)
@_common
@click.pass_obj
def slack_command(
    face: Face,
    export: Path,
    wanted: tuple[str, ...],
    dry_run: bool,
    mentions: bool,
    max_bytes: int,
    forget: bool,
) -> None:
    """Bring a Slack EXPORT (its ZIP file, or the folder) into rooms, a room for each channel.

    A room that is not there is made, private where the channel was; what a room's name may not hold becomes a dash.
    Direct conversations are brought only when named: --room D024BE91L=old-talks. Times are UTC. Joins are left out,
    files are named, not fetched.
    """
    from dchat_client.imports.said import UnfitSource
    from dchat_client.imports.slack import SlackExport

    run = _run(face, dry_run, mentions, max_bytes, forget)
    try:
        with SlackExport(export) as opened:
            run.carry(_channels(face, opened, wanted))
    except UnfitSource as error:
        raise click.ClickException(str(error)) from None


@import_command.command("irc", short_help="Bring in IRC logs.")
@click.argument("files", type=_FILE, nargs=-1, required=True, metavar="FILE…")
@click.option(
    "--room",
    required=True,
    shell_complete=completing.rooms,
    help="The room they go into; it is made when it is not there.",
)
@click.option(
    "--date",
    "day",
    metavar="YYYY-MM-DD",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day a log begins with, where neither it nor its name tells.",
)
@_common
@click.pass_obj
def irc_command(
    face: Face,
    files: tuple[Path, ...],
    room: str,
    day: datetime | None,
    dry_run: bool,
    mentions: bool,
    max_bytes: int,
    forget: bool,
) -> None:
    """Bring IRC logs of one channel into ROOM, in the order given.

    The forms of irssi, WeeChat, ZNC, mIRC, HexChat and what resembles them are understood, line by line: the time, then
    <nick> text or * nick action. The day is taken from the line itself, from lines that begin a day, or from the file's
    name (2024-05-01.log). Times are shown as they stand there. Joins, modes and notices are left out.
    """
    from dchat_client.cli.carrying import Cargo
    from dchat_client.imports.irc_files import IrcFiles
    from dchat_client.imports.said import UnfitSource

    try:
        source = IrcFiles(files, day.date() if day else None)
    except UnfitSource as error:
        raise click.ClickException(str(error)) from None
    name = files[0].name if len(files) == 1 else f"{len(files)} files"
    _run(face, dry_run, mentions, max_bytes, forget).carry([Cargo(name, source, room, is_chosen=True)])


@import_command.command("ndjson", short_help="Bring in what dchat export wrote.")
@click.argument("files", type=_FILE, nargs=-1, required=True, metavar="FILE…")
@click.option(
    "--room",
    shell_complete=completing.rooms,
    help="The room they go into [the one they were]; it is made when it is not there.",
)
@click.option("--as-is", is_flag=True, help="Send each text exactly as it was, without who and when.")
@_common
@click.pass_obj
def ndjson_command(
    face: Face,
    files: tuple[Path, ...],
    room: str | None,
    as_is: bool,
    dry_run: bool,
    mentions: bool,
    max_bytes: int,
    forget: bool,
) -> None:
    """Bring what dchat export wrote into rooms. Deleted messages are left out."""
    from dchat_client.cli.carrying import Cargo
    from dchat_client.imports.ndjson import NdjsonRoom
    from dchat_client.imports.said import UnfitSource

    cargoes = []
    try:
        for path in files:
            source = NdjsonRoom(path)
            name = room or source.facts.get("room")
            if not name:
                raise click.UsageError(f"{path} does not say which room it was; give --room.")
            kind, topic = source.facts.get("kind", "public"), source.facts.get("topic", "")
            kind = "private" if kind == "dm" and room else kind
            cargoes.append(Cargo(source.facts.get("room") or path.name, source, name, kind, topic, room is not None))
    except UnfitSource as error:
        raise click.ClickException(str(error)) from None
    _run(face, dry_run, mentions, max_bytes, forget, as_is=as_is).carry(cargoes)


def _run(face: Face, dry_run: bool, mentions: bool, max_bytes: int, forget: bool, *, as_is: bool = False) -> Run:
    from dchat_client.cli.carrying import Run
    from dchat_client.imports.said import Said, rendered, sendable

    def text(said: Said) -> str:
        return sendable(said.text) if as_is else rendered(said, mentions=mentions)

    return Run(face, text=text, max_bytes=max_bytes, dry_run=dry_run, forget=forget)


def _channels(face: Face, export: SlackExport, wanted: Sequence[str]) -> Iterator[Cargo]:
    """Yield the conversations that are to be brought. Raises UsageError for one that is not there."""
    from dchat_client.cli.carrying import Cargo
    from dchat_client.imports.slack import SlackChannel, room_name

    into = {channel.removeprefix("#"): room for channel, _, room in (word.partition("=") for word in wanted)}
    names = {name for each in export.conversations for name in (each.name, each.id)}
    for channel in into:
        if channel not in names:
            raise click.UsageError(f"There is no conversation {channel!r} in it.")
    taken: set[str] = set()
    direct = 0
    for each in export.conversations:
        chosen = into.get(each.name, into.get(each.id))
        if chosen is None and (into or not each.days):
            continue
        if chosen is None and each.kind == "dm":
            direct += 1
            continue
        kind = "private" if each.kind == "dm" else each.kind
        room = chosen or _free_name(room_name(each.name), taken)
        taken.add(room)
        yield Cargo(each.name, SlackChannel(export, each), room, kind, each.topic, bool(chosen))
    if direct:
        count = "1 direct conversation was" if direct == 1 else f"{direct} direct conversations were"
        face.say(f"{count} left out; --room names those to bring.")


def _free_name(name: str, taken: set[str]) -> str:
    """Return `name`, or with a number behind it: two channels may differ in what a room's name cannot hold."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name[: 31 - len(str(number))]}-{number}"
    return found
