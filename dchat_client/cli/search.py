"""dchat search, thread: messages that belong together, by their words or by what they answer."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from dchat_client.cli import completing
from dchat_client.cli.bar import Progress
from dchat_client.cli.face import Face
from dchat_client.cli.lines import Lines
from dchat_client.cli.rooms import all_rows
from dchat_client.cli.when import When, iso, local
from dchat_client.terminal import clean

if TYPE_CHECKING:
    from dchat_client.connection import Connection
    from dchat_client.search import Looked, Query

_MAX_MESSAGES = click.option(
    "--max-messages",
    metavar="N",
    type=click.IntRange(min=1),
    default=20_000,
    help="Where the server does not look itself: read at most about N messages [20000].",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print each message as a line of JSON.")


@click.command("search")
@click.argument("text")
@click.option(
    "--room",
    "rooms",
    metavar="ROOM",
    multiple=True,
    shell_complete=completing.rooms,
    help="Only there; may be given several times.",
)
@click.option("--sender", metavar="USER", shell_complete=completing.users, help="Only what USER wrote.")
@click.option("--since", metavar="WHEN", type=When(), help="Only since then: 10m, 2h, 30d, 2026-11-23, or an ISO time.")
@click.option("--until", metavar="WHEN", type=When(), help="Only before then.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), default=20, help="At most N messages [20].")
@_MAX_MESSAGES
@_JSON
@click.pass_obj
def search_command(
    face: Face,
    text: str,
    rooms: tuple[str, ...],
    sender: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    max_messages: int,
    as_json: bool,
) -> None:
    """Print messages that have all words of TEXT in them, newest first, with room and number.

    Without --room it looks in all rooms you are in. A server that has no search is read back page by page instead,
    which is said, and takes longer.
    """
    from dchat_client.search import Query

    query = Query(text, sender, iso(since) if since else "", iso(until) if until else "")
    if not text.split() and sender is None:
        raise click.UsageError("TEXT has no words to look for.")
    lines = Lines(face.style, show_room=True, show_seq=True)

    def show(message: dict[str, Any]) -> None:
        if as_json:
            face.json(message)
        else:
            for line in lines.of(message):
                face.data(line)

    async def work(connection: Connection) -> int:
        from dchat_client.search import ask_server

        found = await ask_server(connection, query, rooms, limit)
        if found is None:
            return await _read_back(face, connection, query, rooms, limit, max_messages, show)
        for message in found:
            show(message)
        return len(found)

    if not face.run(work):
        face.say("Nothing was found.")


async def _read_back(
    face: Face,
    connection: Connection,
    query: Query,
    rooms: tuple[str, ...],
    limit: int,
    max_messages: int,
    show: Any,
) -> int:
    from dchat_client.search import Looked, read_back

    if not rooms:
        rows = await all_rows(connection, "/v1/rooms", "rooms", {"joined": 1})
        rooms = tuple(str(row.get("room")) for row in rows if row.get("head"))
    face.say(f"This server has no search; reading back {'the room' if len(rooms) == 1 else f'{len(rooms)} rooms'}.")
    looked = Looked()
    progress = Progress(face)

    def told(looked: Looked) -> None:
        words = f"{looked.messages} messages, back to {local(looked.back_to)}"
        progress.show(looked.messages, max_messages, words)

    count = 0
    async for message in read_back(connection, query, rooms, max_messages=max_messages, looked=looked, told=told):
        show(message)
        count += 1
        if count == limit:
            break
    if looked.cut_short:
        where = f"back to {local(looked.back_to)}" if looked.back_to < "9999" else "not in all rooms"
        face.say(f"Looked at {looked.messages} messages, {where}; --max-messages looks further.")
    return count


@click.command("thread")
@click.argument("room", shell_complete=completing.rooms)
@click.argument("seq", type=click.IntRange(min=1))
@_MAX_MESSAGES
@_JSON
@click.pass_obj
def thread_command(face: Face, room: str, seq: int, max_messages: int, as_json: bool) -> None:
    """Print message SEQ of ROOM and what answers it, oldest first.

    An answer to an answer is in the thread of the latter.

    A server that has no threads is read forward from there page by page instead.
    """
    lines = Lines(face.style, show_seq=True)
    progress = Progress(face)

    def told(messages: int, at: int, head: int) -> None:
        progress.show(at - seq, head - seq, f"{messages} messages of {clean(room)}")

    async def work(connection: Connection) -> None:
        from dchat_client.thread import thread, thread_from_pages

        found = await thread(connection, room, seq)
        if found is None:
            found = thread_from_pages(connection, room, seq, max_messages=max_messages, told=told)
        async for message in found:
            if as_json:
                face.json(message)
                continue
            for line in lines.of(message):
                face.data(line)

    face.run(work)
