"""A run of `dchat import`: one source after the other into its room, with what a person wants to know of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dchat_client.address import segment
from dchat_client.cli.bar import Progress
from dchat_client.cli.face import Face
from dchat_client.cli.rooms import write_table
from dchat_client.errors import ChatError, NotFound, Refused
from dchat_client.imports.said import Said, Source, UnfitSource
from dchat_client.terminal import clean

if TYPE_CHECKING:
    from dchat_client.connection import Connection
    from dchat_client.imports.carry import Carried


@dataclass(frozen=True, slots=True)
class Cargo:
    """A source and where it goes. `name` is what it is called there, `kind` (public, private, dm) who could see it.

    `is_chosen`: somebody named the room, and not the source.
    """

    name: str
    source: Source
    room: str
    kind: str = "public"
    topic: str = ""
    is_chosen: bool = False


class Run:
    """One run. `text` gives a message's text, "" to leave it out."""

    def __init__(self, face: Face, *, text: Callable[[Said], str], max_bytes: int, dry_run: bool, forget: bool) -> None:
        self._face = face
        self._text = text
        self._max_bytes = max_bytes
        self._dry_run = dry_run
        self._forget = forget
        self._said_slow = False
        self._trouble = ""

    def carry(self, cargoes: Iterable[Cargo]) -> None:
        """Bring each into its room, or only tell what would be. Raises ChatError, ClickException, ConfigError."""
        try:
            if self._dry_run:
                self._tell([self._count(cargo) for cargo in cargoes])
            else:
                self._face.run(lambda connection: self._all(connection, cargoes))
        except UnfitSource as error:
            raise click.ClickException(str(error)) from None

    # Without sending

    def _count(self, cargo: Cargo) -> list[str]:
        messages = replies = files = 0
        first = last = ""
        progress = Progress(self._face)
        for said in cargo.source:
            if not self._text(said):
                continue
            messages += 1
            replies += said.answers is not None
            files += len(said.files)
            first, last = first or said.when, said.when or last
            progress.show(cargo.source.done, cargo.source.total, f"{messages} messages of {clean(cargo.name)}")
        self._remark(cargo)
        return [
            cargo.name,
            cargo.room,
            *map(str, (messages, replies, files, cargo.source.left_out)),
            first[:10],
            last[:10],
        ]

    def _tell(self, rows: list[list[str]]) -> None:
        write_table(self._face, ["FROM", "ROOM", "MESSAGES", "REPLIES", "FILES", "LEFT OUT", "FIRST", "LAST"], rows)
        self._face.say("Nothing was sent.")

    # With

    async def _all(self, connection: Connection, cargoes: Iterable[Cargo]) -> None:
        for cargo in cargoes:
            await self._one(connection, cargo)

    async def _one(self, connection: Connection, cargo: Cargo) -> None:
        from dchat_client.imports.carry import Carrier
        from dchat_client.imports.journal import Journal

        room = await self._destination(connection, cargo)
        path = self._journal_file(room)
        if self._forget:
            for end in ("", "-wal", "-shm"):
                path.with_name(path.name + end).unlink(missing_ok=True)
        progress = Progress(self._face)

        def told(carried: Carried) -> None:
            words = f"{carried.sent + carried.before} messages to {clean(cargo.room)}"
            progress.show(carried.done, cargo.source.total, words)

        with Journal(path) as journal:
            carrier = Carrier(
                connection,
                cargo.room,
                journal,
                text=self._text,
                max_bytes=self._max_bytes,
                told=told,
                waiting=self._waits,
            )
            try:
                await carrier.carry(cargo.source)
            except BaseException as error:
                self._face.say(f"Stopped: {_summary(carrier.carried, cargo)} The same command goes on from there.")
                if isinstance(error, Refused):
                    error.detail = f"a message was refused: {error.detail}"
                raise
        self._face.say(_summary(carrier.carried, cargo))
        self._remark(cargo)

    async def _destination(self, connection: Connection, cargo: Cargo) -> dict[str, Any]:
        """Return the room, made and joined if need be."""
        path = f"/v1/rooms/{segment(cargo.room)}"
        try:
            room = (await connection.request("GET", path)).get("room") or {}
        except NotFound:
            if cargo.kind == "dm":
                raise
            body = {"room": cargo.room, "kind": cargo.kind} | ({"topic": cargo.topic} if cargo.topic else {})
            room = (await connection.request("POST", "/v1/rooms", body=body)).get("room") or {}
            self._face.say(f"Made {cargo.kind} room {clean(cargo.room)}.")
            return dict(room)
        if cargo.kind != "public" and room.get("kind") == "public" and not cargo.is_chosen:
            raise click.ClickException(
                f"{clean(cargo.name)} was private, and room {clean(cargo.room)} is public. If everybody may read it:"
                f" --room {clean(cargo.name)}={clean(cargo.room)}"
            )
        if not room.get("joined"):
            await connection.request("PUT", f"{path}/members/me")
        return dict(room)

    def _journal_file(self, room: dict[str, Any]) -> Path:
        """Return where it is kept what is in a room: when it was made tells it from one of another server."""
        owner = (self._face.profile.username or "", self._face.token or "" if self._face.profile.token else "")
        words = "\0".join([*owner, str(room.get("room")), str(room.get("created_at"))])
        name = hashlib.sha256(words.encode()).hexdigest()[:24]
        return self._face.folders.state / "import" / f"{name}.sqlite"

    def _waits(self, seconds: float, error: ChatError | None) -> None:
        if error is None:
            return
        if error.status == 429:
            if not self._said_slow:
                self._face.say(
                    "The server takes only so many messages a second from one person, so this may take long."
                    " Whoever runs it can set DCHAT_RATE_MESSAGES=0 meanwhile."
                )
            self._said_slow = True
        elif error.detail != self._trouble:
            self._trouble = error.detail
            self._face.say(f"{clean(error.detail)}; trying again.")

    def _remark(self, cargo: Cargo) -> None:
        for remark in cargo.source.remarks():
            self._face.say(clean(remark))


def _summary(carried: Carried, cargo: Cargo) -> str:
    total = carried.sent + carried.before
    before = f", {carried.before} of them before" if carried.before else ""
    left_out = f"; {cargo.source.left_out} left out" if cargo.source.left_out else ""
    messages = "1 message is" if total == 1 else f"{total} messages are"
    return f"{messages} in {clean(cargo.room)}{before}{left_out}."
