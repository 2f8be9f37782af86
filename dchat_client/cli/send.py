"""dchat send, dm."""

from __future__ import annotations

import asyncio
import secrets
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from dchat_client.cli import completing
from dchat_client.cli.face import Face
from dchat_client.cli.given import text_given
from dchat_client.errors import ChatError, Refused
from dchat_client.terminal import clean
from dchat_client.texts import MAX_TEXT_BYTES, UnfitText, decoded, lines_of, pieces

if TYPE_CHECKING:
    from dchat_client.connection import Connection
    from dchat_client.outbox import Outcome

# How long to go on without progress: little before anything was stored, long in the middle of the work.
_FIRST_PATIENCE_S, _PATIENCE_S = 20.0, 300.0


def _key(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not (1 <= len(value) <= 48 and value.isascii() and value.isprintable()):
        raise click.BadParameter("1 to 48 printable ASCII characters.")
    return value


@click.command("send")
@click.argument("room", shell_complete=completing.rooms)
@click.argument("text", required=False)
@click.option("--stream", is_flag=True, help="Read standard input and send each line as a message.")
@click.option("--key", metavar="KEY", callback=_key, help="Send nothing twice when the command is repeated with it.")
@click.option("--reply-to", metavar="SEQ", type=click.IntRange(min=1), help="The message this answers.")
@click.option("--split", is_flag=True, help="Send a text that is too long as several messages.")
@click.option(
    "--max-bytes",
    metavar="N",
    type=click.IntRange(min=16),
    default=MAX_TEXT_BYTES,
    help="What the server takes as one message [16384].",
)
@click.option("--json", "as_json", is_flag=True, help="Print each stored message as a line of JSON.")
@click.pass_obj
def send_command(
    face: Face,
    room: str,
    text: str | None,
    stream: bool,
    key: str | None,
    reply_to: int | None,
    split: bool,
    max_bytes: int,
    as_json: bool,
) -> None:
    """Send TEXT to ROOM and print the message's id. Without TEXT, or with -, the text comes from standard
    input.

    With --stream each line of standard input becomes a message, in order, as soon as it is read; blank
    lines are left out. It slows down as the server asks. When it stops in the middle it says how to go on:
    the same input again with the same --key stores only what is not there yet (within 24 hours).

    A line that is too long for a message stops it before the line, with its number; --split sends it as
    several.
    """
    if stream:
        if text not in (None, "-") or reply_to is not None:
            raise click.UsageError("--stream takes its messages from standard input, and answers none.")
        asyncio.run(_Stream(face, room, key, split, max_bytes, as_json).run())
        return
    parts = _parts(text_given(text), split, max_bytes)
    face.run(lambda connection: _send(face, connection, room, parts, key, reply_to, as_json))


@click.command("dm")
@click.argument("users", metavar="USER[,USER…]", shell_complete=completing.users)
@click.argument("text", required=False)
@click.option("--key", metavar="KEY", callback=_key, help="Send nothing twice when the command is repeated with it.")
@click.option("--reply-to", metavar="SEQ", type=click.IntRange(min=1), help="The message this answers.")
@click.option("--split", is_flag=True, help="Send a text that is too long as several messages.")
@click.option("--json", "as_json", is_flag=True, help="Print what the server stored as JSON.")
@click.pass_obj
def dm_command(
    face: Face, users: str, text: str | None, key: str | None, reply_to: int | None, split: bool, as_json: bool
) -> None:
    """Write TEXT (- reads standard input) to USER alone, or to several at once. Without TEXT, print the name of your
    common room, which the other commands take: dchat tail "$(dchat dm bob)".
    """
    parts = [] if text is None else _parts(text_given(text), split, MAX_TEXT_BYTES)
    names = [name for name in (part.strip().removeprefix("@") for part in users.split(",")) if name]

    async def work(connection: Connection) -> None:
        answer = await connection.request("POST", "/v1/dms", body={"users": names}, repeatable=True)
        room: dict[str, Any] = answer.get("room") or {}
        if parts:
            await _send(face, connection, str(room.get("room")), parts, key, reply_to, as_json)
        elif as_json:
            face.json(room)
        else:
            face.data(clean(str(room.get("room"))))

    face.run(work)


def _parts(text: str, split: bool, max_bytes: int) -> list[str]:
    try:
        return pieces(text, split=split, max_bytes=max_bytes)
    except UnfitText as error:
        raise click.ClickException(f"{error}. --split sends it as several messages.") from None


async def _send(
    face: Face,
    connection: Connection,
    room: str,
    parts: list[str],
    key: str | None,
    reply_to: int | None,
    as_json: bool,
) -> None:
    key = key or secrets.token_hex(12)
    for number, part in enumerate(parts, 1):
        client_id = key if len(parts) == 1 else f"{key}.{number}"
        message, repeat = await connection.post_message(room, part, client_id=client_id, reply_to=reply_to)
        if repeat:
            face.say("It was there already; nothing was sent twice.")
        if as_json:
            face.json(message)
        else:
            face.data(clean(str(message.get("id"))))


class _Stream:
    """One run of `send --stream`."""

    def __init__(self, face: Face, room: str, key: str | None, split: bool, max_bytes: int, as_json: bool) -> None:
        self._face = face
        self._room = room
        self._key = key or secrets.token_hex(8)
        self._split = split
        self._max_bytes = max_bytes
        self._as_json = as_json
        self._stored = self._repeats = self._blank = 0
        self._refused: Outcome | None = None
        self._trouble = ""

    async def run(self) -> None:
        """Send all of standard input. Raises ChatError or ClickException after telling how to go on."""
        try:
            async with self._face.connection() as connection:
                await self._all(connection)
        except (ChatError, UnfitText, asyncio.CancelledError) as error:
            self._summary("Stopped: ")
            self._face.say(f"To go on without sending anything twice, run it again with: --key {self._key}")
            if isinstance(error, UnfitText):
                advice = " --split sends it as several messages." if "bytes" in str(error) else ""
                raise click.ClickException(f"{error}; it and what follows was not sent.{advice}") from None
            raise
        self._summary("")

    async def _all(self, connection: Connection) -> None:
        from dchat_client.deliver import deliver
        from dchat_client.outbox import Outbox

        outbox = Outbox(max_entries=1000)
        unfit: Exception | None = None
        number = 0
        async for lines in _read_ahead(sys.stdin.fileno()):
            for line in lines:
                if isinstance(line, Exception):
                    unfit = line
                    break
                number += 1
                try:
                    parts = self._line(line, number)
                except UnfitText as error:
                    unfit = error
                    break
                for at, part in enumerate(parts, 1):
                    if not outbox.has_room:
                        await deliver(connection, outbox, self._settled, **self._waiting)
                        self._check()
                    client_id = f"{self._key}-{number}" + (f".{at}" if len(parts) > 1 else "")
                    outbox.add(self._room, part, client_id=client_id, tag=number)
            await deliver(connection, outbox, self._settled, **self._waiting)
            self._check()
            if unfit is not None:
                raise unfit

    def _line(self, raw: bytes, number: int) -> list[str]:
        if not raw:
            self._blank += 1
            return []
        return pieces(decoded(raw, number), split=self._split, max_bytes=self._max_bytes, line=number)

    @property
    def _waiting(self) -> dict[str, Any]:
        return {"patience_s": _PATIENCE_S if self._stored else _FIRST_PATIENCE_S, "waiting": self._wait}

    def _wait(self, seconds: float, error: ChatError | None) -> None:
        if error is not None and error.status != 429 and error.detail != self._trouble:
            self._trouble = error.detail
            self._face.say(f"{clean(error.detail)}; trying again.")

    def _settled(self, outcome: Outcome) -> None:
        self._trouble = ""
        if outcome.error is not None:
            self._refused = self._refused or outcome
            return
        self._stored += 1
        self._repeats += outcome.repeat
        if self._as_json:
            self._face.json(outcome.message)
        self._face.progress(f"{self._stored} messages sent to {clean(self._room)}")

    def _check(self) -> None:
        if self._as_json:
            self._face.flush()
        if self._refused is None or self._refused.error is None:
            return
        error = self._refused.error
        text = f"line {self._refused.entry.tag} was refused: {error.detail}"
        kind = type(error) if isinstance(error, Refused) else Refused
        raise kind(text, code=error.code, status=error.status, next_step=error.next_step)

    def _summary(self, start: str) -> None:
        also = f", {self._repeats} of them before" if self._repeats else ""
        lines = "1 blank line was" if self._blank == 1 else f"{self._blank} blank lines were"
        blank = f"; {lines} left out" if self._blank else ""
        messages = "1 message is" if self._stored == 1 else f"{self._stored} messages are"
        self._face.say(f"{start}{messages} in {clean(self._room)}{also}{blank}.")


async def _read_ahead(descriptor: int) -> AsyncIterator[list[bytes | Exception]]:
    """Yield the lines of `descriptor` in groups:

    all that are there, at least one; an error comes as the last.
    """
    loop = asyncio.get_running_loop()
    ready: list[bytes | Exception] = []
    changed = threading.Condition()
    wake = asyncio.Event()
    ended = False

    def put(lines: Sequence[bytes | Exception]) -> None:
        with changed:
            changed.wait_for(lambda: len(ready) < 2000)
            ready.extend(lines)
        tell()

    def tell() -> None:
        with suppress(RuntimeError):  # the loop is gone: the program is about to end
            loop.call_soon_threadsafe(wake.set)

    def read() -> None:
        nonlocal ended
        try:
            for lines in lines_of(descriptor):
                put(lines)
        except (UnfitText, OSError) as error:
            put([error])
        ended = True
        tell()

    # A thread, because a file cannot be waited for and a pipe may be shared with others as blocking.
    threading.Thread(target=read, daemon=True).start()
    while True:
        await wake.wait()
        wake.clear()
        last = ended
        with changed:
            lines = ready[:]
            ready.clear()
            changed.notify()
        if lines:
            yield lines
        if last:
            return
