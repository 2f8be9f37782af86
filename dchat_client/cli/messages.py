"""dchat react, edit, delete: what is done to a message that is there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from dchat_client.address import segment
from dchat_client.cli import completing
from dchat_client.cli.face import Face
from dchat_client.cli.given import text_given
from dchat_client.cli.lines import Lines
from dchat_client.emoji import emoji_of
from dchat_client.terminal import clean

if TYPE_CHECKING:
    from dchat_client.connection import Connection

_SEQ = click.IntRange(min=1)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the message as JSON, as it is then.")


@click.command("react")
@click.argument("room", shell_complete=completing.rooms)
@click.argument("seq", type=_SEQ)
@click.argument("emoji", shell_complete=completing.emoji)
@click.option("--remove", is_flag=True, help="Take the reaction back.")
@_JSON
@click.pass_obj
def react_command(face: Face, room: str, seq: int, emoji: str, remove: bool, as_json: bool) -> None:
    """React to message SEQ of ROOM with EMOJI: the emoji itself, or a short name such as :tada: or :+1:.

    Doing it twice is fine.
    """
    path = f"{_path(room, seq)}/reactions/{segment(emoji_of(emoji))}"

    async def work(connection: Connection) -> dict[str, Any]:
        return await connection.request("DELETE" if remove else "PUT", path)

    _show(face, face.run(work), as_json)


@click.command("edit")
@click.argument("room", shell_complete=completing.rooms)
@click.argument("seq", type=_SEQ)
@click.argument("text", required=False)
@_JSON
@click.pass_obj
def edit_command(face: Face, room: str, seq: int, text: str | None, as_json: bool) -> None:
    """Change the text of your message SEQ in ROOM to TEXT; - reads it from standard input.

    Without TEXT, on a terminal, your editor ($VISUAL or $EDITOR) opens with the text as it is; leaving it without a
    change changes nothing.
    """
    by_hand = text is None and sys.stdin.isatty()
    new = None if by_hand else text_given(text)

    async def read(connection: Connection) -> dict[str, Any]:
        return await connection.request("GET", _path(room, seq))

    async def work(connection: Connection) -> dict[str, Any]:
        return await connection.request("PATCH", _path(room, seq), body={"text": new})

    if by_hand:
        before = str(_message(face.run(read)).get("text") or "")
        new = (click.edit(before + "\n", require_save=True) or before).removesuffix("\n")
        if new == before or not new.strip():
            face.say("Nothing was changed.")
            return
    _show(face, face.run(work), as_json)


@click.command("delete")
@click.argument("room", shell_complete=completing.rooms)
@click.argument("seq", type=_SEQ)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete_command(face: Face, room: str, seq: int, yes: bool) -> None:
    """Delete message SEQ of ROOM: your own, or anybody's where you are a moderator. It cannot be brought back.

    On a terminal the message is shown first, and you are asked; elsewhere --yes is needed.
    """
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask on; use --yes.")

    async def read(connection: Connection) -> dict[str, Any]:
        return await connection.request("GET", _path(room, seq))

    async def work(connection: Connection) -> None:
        await connection.request("DELETE", _path(room, seq))

    if not yes:
        for line in Lines(face.style, show_room=True, show_seq=True).of(_message(face.run(read))):
            click.echo(line, err=True)
        click.confirm("Delete this message?", abort=True, err=True)
    face.run(work)
    face.say(f"Message {seq} of {clean(room)} is deleted.")


def _path(room: str, seq: int) -> str:
    return f"/v1/rooms/{segment(room)}/messages/{seq}"


def _message(answer: dict[str, Any]) -> dict[str, Any]:
    message = answer.get("message")
    return message if isinstance(message, dict) else {}


def _show(face: Face, answer: dict[str, Any], as_json: bool) -> None:
    message = _message(answer)
    if as_json:
        face.json(message)
        return
    for line in Lines(face.style, show_seq=True).of(message):
        face.data(line)
