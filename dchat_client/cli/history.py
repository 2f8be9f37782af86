"""dchat history, read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dchat_client.address import segment
from dchat_client.cli import completing
from dchat_client.cli.face import Face
from dchat_client.cli.lines import Lines
from dchat_client.terminal import clean

if TYPE_CHECKING:
    from dchat_client.connection import Connection

_SEQ = click.IntRange(min=0)


@click.command("history")
@click.argument("room", shell_complete=completing.rooms)
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most N messages [50].")
@click.option("--all", "everything", is_flag=True, help="All there are, from the first.")
@click.option("--before", metavar="SEQ", type=_SEQ, help="Only messages before this one.")
@click.option("--after", metavar="SEQ", type=_SEQ, help="Only messages after this one; then the oldest come first.")
@click.option("--ids", is_flag=True, help="Show each message's number.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print each message as a line of JSON, exactly as it was written."
)
@click.pass_obj
def history_command(
    face: Face,
    room: str,
    limit: int | None,
    everything: bool,
    before: int | None,
    after: int | None,
    ids: bool,
    as_json: bool,
) -> None:
    """Print past messages of ROOM, oldest first, as they are now: edited, deleted, with their reactions."""
    if everything and limit is not None:
        raise click.UsageError("--all and --limit exclude each other.")
    lines = Lines(face.style, show_seq=ids)

    def show(message: dict[str, Any]) -> None:
        if as_json:
            face.json(message)
        else:
            for line in lines.of(message):
                face.data(line)

    async def work(connection: Connection) -> None:
        from dchat_client.history import forward, newest

        if not everything and after is None:
            for message in (await newest(connection, room, limit or 50, before=before)).messages:
                show(message)
            return
        left = None if everything else limit or 50
        last = None if before is None else before - 1
        async for message in forward(connection, room, after=after or 0, last=last):
            if left == 0:
                return
            left = None if left is None else left - 1
            show(message)

    face.run(work)


@click.command("read")
@click.argument("room", shell_complete=completing.rooms)
@click.argument("seq", type=_SEQ, required=False)
@click.option("--unread", is_flag=True, help="Move the mark back to SEQ: what comes after it is unread again.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_obj
def read_command(face: Face, room: str, seq: int | None, unread: bool, as_json: bool) -> None:
    """Mark ROOM as read up to message SEQ, or all of it; print how many messages are unread then."""
    if unread and seq is None:
        raise click.UsageError("--unread needs SEQ.")

    async def work(connection: Connection) -> dict[str, Any]:
        path = f"/v1/rooms/{segment(room)}"
        upto = seq
        if upto is None:
            details = (await connection.request("GET", path)).get("room") or {}
            upto = details.get("head", 0)
        body = {"seq": upto} | ({"unread": True} if unread else {})
        return await connection.request("PUT", f"{path}/read", body=body)

    answer = face.run(work)
    if as_json:
        face.json(answer)
        return
    face.data(str(answer.get("unread", 0)))
    face.say(f"{clean(room)} is read up to {answer.get('read')}.")
