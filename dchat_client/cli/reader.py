"""The work of `dchat tail`: a session followed, printed, and its place kept.

Order of things for each lot of items that arrived together: write, flush, commit, store the bookmark.
Whatever kills the process between two of these, the stored place is never ahead of what was written.
"""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import click

from dchat_client.backoff import Backoff
from dchat_client.bookmark import BookmarkFile
from dchat_client.cli.face import Face, OutputClosed
from dchat_client.cli.lines import Lines
from dchat_client.connection import Connection
from dchat_client.errors import ChatError
from dchat_client.follow import follow
from dchat_client.history import missing, newest, page
from dchat_client.items import Delivery, Gap, GapRange, Item, Phase, Resumed, StatusChanged
from dchat_client.position import UNKNOWN_EPOCH, Position, place_of
from dchat_client.session import Session
from dchat_client.terminal import clean, json_line

_MAX_HELD_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Start:
    """What to show before the stream: the last `count` messages of each room, or `everything`."""

    count: int = 0
    everything: bool = False


class Output:
    """Where events go: lines of text, JSON (`lines` None), or a command for each message."""

    def __init__(self, face: Face, lines: Lines | None, command: str | None = None) -> None:
        self.command = command
        self._face = face
        self._lines = lines
        self._held: list[str] = []
        self._size = 0

    @property
    def is_full(self) -> bool:
        """So much is held that it is time to flush."""
        return self._size >= _MAX_HELD_BYTES

    def put(self, event: dict[str, Any]) -> None:
        """Hold one event until `flush`."""
        for line in [json_line(event)] if self._lines is None else self._lines.of(event):
            self._held.append(line + "\n")
            self._size += len(line)

    def flush(self) -> None:
        """Write what is held, in one go. Raises OutputClosed when nobody reads it any more."""
        if self._held:
            self._face.write("".join(self._held))
            self._face.flush()
            self._held.clear()
            self._size = 0

    async def run_command(self, event: dict[str, Any]) -> None:
        """Run the command for a message; other events are left out. Raises ClickException when it fails."""
        if event.get("type", "message") != "message" or self.command is None:
            return
        names = {"DCHAT_ROOM": "room", "DCHAT_SENDER": "sender", "DCHAT_SEQ": "seq"}
        values = {key: str(event.get(name, "")).replace("\0", "") for key, name in names.items()}
        process = await asyncio.create_subprocess_shell(
            self.command, stdin=asyncio.subprocess.PIPE, env={**os.environ, **values}
        )
        try:
            await process.communicate((json_line(event) + "\n").encode("utf-8", "surrogatepass"))
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            raise
        if process.returncode:
            place = f"{clean(str(event.get('room')))}:{event.get('seq')}"
            ended = f"ended with {process.returncode}"
            if process.returncode < 0:
                ended = f"was ended by {signal.Signals(-process.returncode).name}"
            raise click.ClickException(f"the command {ended} at {place}; the next start runs it for that again.")


class Reader:
    """Follows a session and keeps its place in `file` (None: nowhere)."""

    def __init__(
        self, face: Face, connection: Connection, session: Session, output: Output, file: BookmarkFile | None
    ) -> None:
        self._face = face
        self._connection = connection
        self._session = session
        self._output = output
        self._file = file
        self._was_live = False
        self._beginning = False
        self._phase = Phase.CONNECTING

    async def run(self, rooms: Iterable[str], start: Start, *, first_patience_s: float) -> None:
        """Read until cancelled. Raises ChatError, and OutputClosed when standard output is closed."""
        rooms = tuple(rooms)
        async with (
            _ends_with_stdout(),
            aclosing(follow(self._connection, self._session, first_patience_s=first_patience_s)) as items,
        ):
            async for item in items:
                if isinstance(item, StatusChanged):
                    if item.hello is not None and not self._was_live:
                        self._was_live = True
                        carried = item.hello.get("rooms")
                        named = [room for room in carried if isinstance(room, str)] if isinstance(carried, list) else []
                        await self._begin(rooms or tuple(named), start)
                    self._show_status(item)
                elif isinstance(item, Resumed) and item.replayed:
                    self._face.say(f"Caught up with what was missed: {item.replayed} events.")
                elif isinstance(item, Gap):
                    self._settle(None)
                    await self._recover(item)
                elif isinstance(item, Delivery):
                    await self._take(item.event)
                if self._output.is_full or self._output.command or not self._session.has_more:
                    self._settle(item)

    async def _take(self, event: dict[str, Any]) -> None:
        if self._output.command is not None:
            await self._output.run_command(event)
        else:
            self._output.put(event)

    def _settle(self, item: Item | None) -> None:
        """Flush, then commit `item` and store the place. The order is the point."""
        self._output.flush()
        if item is not None:
            self._session.commit(item)
        if self._file is not None:
            bookmark = self._session.bookmark
            if self._beginning:
                # Without a cursor the next start catches up from the positions first, as this one was doing.
                bookmark.cursor = None
            if self._beginning or bookmark.cursor is not None:
                self._file.store(bookmark)

    async def _begin(self, rooms: tuple[str, ...], start: Start) -> None:
        """Show what lies before the stream. It is open already, so nothing falls between the two."""
        if start.everything:
            self._beginning = True
            for room in rooms:
                await self._catch_up(room)
            self._beginning = False
            self._settle(None)
        elif start.count:
            await self._last_messages(rooms, start.count)

    async def _catch_up(self, room: str) -> None:
        """Show a room from where its position is (nowhere: from its first message) to its head."""
        at = self._session.bookmark.positions.get(room, Position(UNKNOWN_EPOCH, 0))
        head = (await page(self._connection, room, limit=1)).head
        gap = GapRange(room, at.seq + 1, head)
        await self._pages(room, partial(missing, self._connection, gap))
        at = self._session.bookmark.positions.get(room, at)
        self._session.begin(room, Position(at.epoch, head))

    async def _last_messages(self, rooms: tuple[str, ...], count: int) -> None:
        shown = []
        for room in rooms:
            found = await newest(self._connection, room, count)
            last = place_of(found.messages[-1]) if found.messages else None
            # The page shows the room as it is at `head`: whatever the stream brings up to there is in it.
            epoch = last[1].epoch if last else UNKNOWN_EPOCH
            shown.append((room, Position(epoch, found.head), found.messages))
        messages = [message for _, _, messages in shown for message in messages]
        for message in sorted(messages, key=lambda message: str(message.get("ts"))):
            await self._take({"type": "message", **message})
        self._output.flush()
        for room, position, _ in shown:
            self._session.begin(room, position)

    async def _recover(self, gap: Gap) -> None:
        for part in gap.ranges:
            count = await self._pages(part.room, partial(missing, self._connection, part))
            self._face.say(self._gap_words(part, count))
        if not gap.ranges:
            self._face.say("The server cannot tell what was missed; each room's next event will show it.")

    def _gap_words(self, part: GapRange, count: int | None) -> str:
        where = f"{clean(part.room)} {part.first}–{part.last}"
        if count is None:
            return f"Gap: {where} did not come and cannot be fetched."
        return f"Gap: {where} did not come over the stream; {count} messages of it were fetched, changes are in them."

    async def _pages(self, room: str, fetch: Callable[..., AsyncIterator[dict[str, Any]]]) -> int | None:
        """Take the messages of `fetch(done=last one done)`, waiting for the server as long as it takes.

        Return how many there were; None when the server refuses to show them.
        """
        count, done, backoff = 0, 0, Backoff()
        while True:
            try:
                async for message in fetch(done=done):
                    await self._take({"type": "message", **message})
                    self._output.flush()
                    self._session.recovered(message)
                    done, count = message["seq"], count + 1
                    if count % 200 == 0 or self._output.command:
                        self._settle(None)
                self._settle(None)
                return count
            except ChatError as error:
                if not error.retryable:
                    self._face.say(f"{clean(room)}: {clean(error.detail)}")
                    return None
                wait_s = backoff.next(error.retry_after_s)
                self._face.say(f"{clean(error.detail)}; trying again in {wait_s:.1f} s.")
                await asyncio.sleep(wait_s)

    def _show_status(self, item: StatusChanged) -> None:
        status, before = item.status, self._phase
        if status.phase is Phase.RECONNECTING:
            what = "Connection lost" if before in (Phase.LIVE, Phase.DEGRADED) else "No connection"
            self._face.say(f"{what} ({clean(status.reason)}); trying again in {status.retry_in_s or 0:.1f} s.")
        elif status.phase is Phase.DEGRADED:
            self._face.say(f"The server has trouble ({clean(status.reason)}); messages may come late.")
        elif status.phase is Phase.LIVE and before is not Phase.LIVE:
            again = " again" if before is Phase.RECONNECTING else ""
            self._face.say(f"Connected{again}." if item.hello else "All is well again.")
        if status.phase is not Phase.CONNECTING:
            self._phase = status.phase


@asynccontextmanager
async def _ends_with_stdout() -> AsyncIterator[None]:
    """End with OutputClosed as soon as the reader of our output is gone, not only at the next message.

    On Linux a pipe's writing end becomes "readable" exactly when its last reader left.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    gone = False

    def leave() -> None:
        nonlocal gone
        loop.remove_reader(descriptor)
        gone = True
        if task is not None:
            task.cancel()

    try:
        descriptor = sys.stdout.fileno()
        watched = sys.platform == "linux" and stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except (OSError, ValueError):
        watched = False
    if watched:
        loop.add_reader(descriptor, leave)
    try:
        yield
    except asyncio.CancelledError:
        if gone:
            raise OutputClosed from None
        raise
    finally:
        if watched:
            loop.remove_reader(descriptor)
