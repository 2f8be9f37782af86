"""dchat rooms, create, topic, join, leave, members, invite, kick, users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dchat_client.address import segment
from dchat_client.cli import completing
from dchat_client.cli.face import Face
from dchat_client.terminal import clean, columns, pad

if TYPE_CHECKING:
    from dchat_client.connection import Connection

_JSON = click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")


@click.command("rooms")
@click.option("--joined", is_flag=True, help="Only the rooms you are in.")
@click.option("--query", metavar="TEXT", help="Only rooms whose name or topic has this in it.")
@_JSON
@click.pass_obj
def rooms_command(face: Face, joined: bool, query: str | None, as_json: bool) -> None:
    """List the rooms you can see: name, kind, members, unread, mentions, topic. A * stands at those you are in."""
    params = {"joined": 1 if joined else None, "query": query}
    rooms = face.run(lambda connection: all_rows(connection, "/v1/rooms", "rooms", params))
    if as_json:
        for room in rooms:
            face.json(room)
        return
    rows = []
    for room in rooms:
        kind = str(room.get("kind") or "") + (", archived" if room.get("archived") else "")
        topic = str(room.get("topic") or "")
        if room.get("kind") == "dm" and isinstance(room.get("users"), list):
            others = [str(user) for user in room["users"] if user != face.profile.username]
            topic = "with " + ", ".join(others)
        numbers = [str(room.get(name) or 0) for name in ("members", "unread", "mentions")]
        rows.append(["*" if room.get("joined") else "", str(room.get("room")), kind, *numbers, topic])
    write_table(face, ["", "ROOM", "KIND", "MEMBERS", "UNREAD", "MENTIONS", "TOPIC"], rows)


@click.command("create")
@click.argument("room")
@click.option("--private", is_flag=True, help="Only for people who are invited; nobody else sees it.")
@click.option("--topic", default="", help="What the room is about.")
@click.option("--name", "display_name", default="", help="A free name to show beside the short one.")
@click.pass_obj
def create_command(face: Face, room: str, private: bool, topic: str, display_name: str) -> None:
    """Make a room, with yourself as its owner.

    Names are lower-case: letters, digits, dot, dash, underscore.
    """
    body: dict[str, Any] = {"room": room, "kind": "private" if private else "public"}
    body |= {key: value for key, value in (("topic", topic), ("display_name", display_name)) if value}

    async def work(connection: Connection) -> None:
        await connection.request("POST", "/v1/rooms", body=body)

    face.run(work)
    face.say(f"Made {body['kind']} room {clean(room)}.")


@click.command("topic")
@click.argument("room", shell_complete=completing.rooms)
@click.argument("text", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the room as JSON.")
@click.pass_obj
def topic_command(face: Face, room: str, text: str | None, as_json: bool) -> None:
    """Print what ROOM is about, or with TEXT set it; an empty TEXT takes the topic away."""
    path = f"/v1/rooms/{segment(room)}"

    async def work(connection: Connection) -> dict[str, Any]:
        if text is None:
            return await connection.request("GET", path)
        return await connection.request("PATCH", path, body={"topic": text})

    details = face.run(work).get("room")
    details = details if isinstance(details, dict) else {}
    if as_json:
        face.json(details)
    elif text is None:
        face.data(clean(str(details.get("topic") or "")))
    else:
        face.say(f"The topic of {clean(room)} is set." if text else f"{clean(room)} has no topic now.")


@click.command("join")
@click.argument("room", shell_complete=completing.rooms_to_join)
@click.pass_obj
def join_command(face: Face, room: str) -> None:
    """Join a public room; doing it twice is fine."""
    _member(face, "PUT", room, "me")
    face.say(f"You are in {clean(room)}.")


@click.command("leave")
@click.argument("room", shell_complete=completing.rooms)
@click.pass_obj
def leave_command(face: Face, room: str) -> None:
    """Leave a room."""
    _member(face, "DELETE", room, "me")
    face.say(f"You left {clean(room)}.")


@click.command("invite")
@click.argument("room", shell_complete=completing.rooms)
@click.argument("user", shell_complete=completing.users)
@click.option(
    "--role",
    type=click.Choice(["owner", "moderator", "member", "reader"]),
    help="What they may do there [member].",
)
@click.pass_obj
def invite_command(face: Face, room: str, user: str, role: str | None) -> None:
    """Bring USER into ROOM; also changes the role of somebody who is there already."""
    _member(face, "PUT", room, user, {"role": role} if role else None)
    face.say(f"{clean(user)} is in {clean(room)}.")


@click.command("kick")
@click.argument("room", shell_complete=completing.rooms)
@click.argument("user", shell_complete=completing.users)
@click.pass_obj
def kick_command(face: Face, room: str, user: str) -> None:
    """Put USER out of ROOM, as one of its moderators. A public room can be joined again."""
    _member(face, "DELETE", room, user)
    face.say(f"{clean(user)} is not in {clean(room)} any more.")


@click.command("members")
@click.argument("room", shell_complete=completing.rooms)
@click.option("--online", is_flag=True, help="Only those who are there now.")
@_JSON
@click.pass_obj
def members_command(face: Face, room: str, online: bool, as_json: bool) -> None:
    """List the members of a room: user name, role, display name, whether they are there now."""
    path = f"/v1/rooms/{segment(room)}/members"
    members = face.run(lambda connection: all_rows(connection, path, "members", {}))
    _people(face, members, ["user", "role", "display_name", "presence"], ["USER", "ROLE", "NAME", ""], online, as_json)


@click.command("users")
@click.argument("prefix", required=False)
@click.option("--online", is_flag=True, help="Only those who are there now.")
@_JSON
@click.pass_obj
def users_command(face: Face, prefix: str | None, online: bool, as_json: bool) -> None:
    """List the people whose user name begins with PREFIX: user name, display name, whether they are there now."""
    users = face.run(lambda connection: all_rows(connection, "/v1/users", "users", {"query": prefix}))
    _people(face, users, ["username", "display_name", "presence"], ["USER", "NAME", ""], online, as_json)


def _people(
    face: Face, people: list[dict[str, Any]], fields: list[str], head: list[str], online: bool, as_json: bool
) -> None:
    if online:
        people = [person for person in people if person.get("presence") == "online"]
    if as_json:
        for person in people:
            face.json(person)
        return
    write_table(face, head, [[str(person.get(field) or "") for field in fields] for person in people])


def _member(face: Face, method: str, room: str, user: str, body: object = None) -> None:
    async def work(connection: Connection) -> None:
        path = f"/v1/rooms/{segment(room)}/members/{segment(user)}"
        await connection.request(method, path, body=body)

    face.run(work)


async def all_rows(connection: Connection, path: str, name: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all pages of a list. Raises ChatError."""
    rows: list[dict[str, Any]] = []
    params = {key: value for key, value in params.items() if value is not None} | {"limit": 200}
    while True:
        answer = await connection.request("GET", path, params=params)
        rows += [row for row in answer.get(name) or [] if isinstance(row, dict)]
        following = answer.get("next")
        if not isinstance(following, str) or not following or following == params.get("cursor"):
            return rows
        params["cursor"] = following


def write_table(face: Face, head: list[str], rows: list[list[str]]) -> None:
    """Write aligned columns for a person, or tab-separated ones without a heading for a program."""
    rows = [[clean(cell) for cell in row] for row in rows]
    if not face.is_terminal:
        for row in rows:
            face.data("\t".join(row))
        return
    widths = [max(columns(row[at]) for row in [head, *rows]) for at in range(len(head))]
    face.data(face.style.strong("  ".join(map(pad, head, widths)).rstrip()))
    for row in rows:
        face.data("  ".join(map(pad, row, widths)).rstrip())
