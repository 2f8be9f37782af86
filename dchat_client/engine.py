"""What goes on between a face and the server: the stream, the outbox, pages, and what a person asks for.

Theory of operation
===================

The engine runs in an asyncio loop, the face wherever it likes. The engine tells what it learns by `emit`, as values of
updates.py, in an order that chat.py can apply; it keeps of that only what it needs to ask again. `emit` must not wait
and must not raise; before it takes the next event of the stream the engine waits for `drained`, so a face that is slow
slows the stream down and not its own memory.

*Start.* `GET /v1/sync`, tried for as long as it takes, then the stream from its cursor. With each new connection it
syncs once more, because read markers that moved on other devices meanwhile are not replayed (standings.py); and after a
gap, when also what is shown of the rooms is read anew (pages.py). Where the face was, it stays.

*What a person asks for* never raises (errands.py): a `Failed` says in words what was not done. What is only late (a
page while the network is away) is done once the network is back, when it is still wanted.

*Own messages* go through the outbox: in order, never twice. What the server refuses for good is kept here until it is
tried again or taken back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing, suppress
from typing import Any

from dchat_client.backoff import Backoff
from dchat_client.connection import Connection
from dchat_client.deliver import deliver
from dchat_client.errands import Errands, rows_of
from dchat_client.errors import ChatError, Refused
from dchat_client.follow import follow
from dchat_client.items import Delivery, Gap, Item, Passing, Phase, Status, StatusChanged
from dchat_client.outbox import Entry, Outbox, OutboxFull, Outcome
from dchat_client.pages import Pages
from dchat_client.position import UNKNOWN_EPOCH, Bookmark, Position
from dchat_client.session import Session
from dchat_client.standings import Standings
from dchat_client.updates import (
    Dropped,
    Failed,
    Happened,
    Missed,
    Passed,
    Queued,
    Row,
    Settled,
    StatusIs,
    Synced,
    Update,
)

MOST_FAILED = 1000
"""Refused messages that are kept; beyond, the oldest is let go."""


async def _at_once() -> None:
    return None


class Engine(Errands):
    """One signed-in user's part in the chat. `run` it once; the other methods are for the same loop, while it runs."""

    def __init__(
        self,
        connection: Connection,
        emit: Callable[[Update], None],
        *,
        drained: Callable[[], Awaitable[None]] = _at_once,
        waiting: Iterable[Entry] = (),
        failed: Iterable[Entry] = (),
    ) -> None:
        """`waiting` are own messages of an earlier run that were not sent, `failed` those that were refused or have
        waited for so long that the server may have forgotten their keys.
        """
        super().__init__(connection, emit)
        self._drained = drained
        self._outbox = Outbox()
        self._failed = {entry.client_id: entry for entry in failed}
        self._kept = tuple(waiting)
        self._me = ""
        self._pages = Pages(connection, emit)
        self._standings = Standings(connection, emit)
        self._streaming: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._to_send = asyncio.Event()
        self._try_outbox = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Keep the face up to date until cancelled. Raises ChatError when going on is of no use: signed out."""
        try:
            cursor = await self._start()
            session = Session(me=self._me, bookmark=cursor)
            stream, outbox = asyncio.ensure_future(self._stay(session)), asyncio.ensure_future(self._deliver())
            self._tasks |= {stream, outbox}
            done, _ = await asyncio.wait({stream, outbox}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def unsent(self) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
        """What is to be kept when the face ends: entries that wait, and entries that were refused. The `tag` of an
        entry is when it was written, in seconds since 1970.
        """
        return (*self._kept, *self._outbox.entries), (*self._failed.values(),)

    def reconnect(self) -> None:
        """Connect anew, now: instead of waiting any longer, and also when all seems well."""
        self._hurry.set()
        if self._streaming is not None:
            self._streaming.cancel()

    # One's own messages

    def send(self, room: str, text: str, *, reply_to: int | None = None) -> str | None:
        """Queue a message and return its key; it is shown as waiting at once. None when too many wait."""
        try:
            entry = self._outbox.add(room, text, reply_to=reply_to, tag=time.time())
        except OutboxFull as error:
            self._emit(Failed("The message was not taken", Refused(str(error), code="outbox_full"), room))
            return None
        self._emit(Queued(entry))
        self._to_send.set()
        return entry.client_id

    def retry(self, client_id: str) -> None:
        """Try a refused message again, with its key. Nothing when it is not here any more."""
        entry = self._failed.pop(client_id, None)
        if entry is None:
            return
        try:
            entry = self._outbox.add(
                entry.room, entry.text, client_id=client_id, reply_to=entry.reply_to, tag=entry.tag
            )
        except OutboxFull as error:
            self._failed[client_id] = entry
            self._emit(Failed("The message was not taken", Refused(str(error), code="outbox_full"), entry.room))
            return
        self._emit(Queued(entry))
        self._to_send.set()

    def cancel(self, client_id: str) -> None:
        """Take a message back that waits or was refused. One on its way cannot be stopped."""
        entry = self._failed.pop(client_id, None) or self._outbox.cancel(client_id)
        if entry is not None:
            self._emit(Dropped(entry.room, client_id))
        elif any(waiting.client_id == client_id for waiting in self._outbox.entries):
            words = "it is on its way already; delete it once it is there"
            self._emit(Failed("The message was not taken back", Refused(words, code="in_flight")))

    # What is shown

    async def open_room(self, room: str) -> None:
        """Have the newest messages of a room, unless they are there."""
        if self._pages.open(room):
            await self._pages.load(room)

    async def older(self, room: str, before: int) -> None:
        """Have the messages just below `before`, the oldest that is shown."""
        await self._pages.older(room, before)

    def mark_read(self, room: str, seq: int) -> None:
        """Move the read marker up to `seq`."""
        self._mark(room, seq, back=False)

    def mark_unread(self, room: str, seq: int) -> None:
        """Move the read marker back, so that what is above `seq` is unread again."""
        self._mark(room, seq, back=True)

    def _mark(self, room: str, seq: int, *, back: bool) -> None:
        if self._standings.mark(room, seq, back=back):
            self._spawn(self._standings.tell(room))

    # The stream

    async def _start(self) -> Bookmark:
        """Sync for the first time, however long it takes, and return where the stream goes on."""
        backoff = Backoff()
        while True:
            self._emit(StatusIs(Status(Phase.CONNECTING)))
            try:
                answer = await self._connection.request("GET", "/v1/sync")
                break
            except ChatError as error:
                if not error.retryable:
                    self._emit(StatusIs(Status(Phase.OFFLINE, reason=error.detail)))
                    raise
                wait_s = backoff.next(error.retry_after_s)
                self._emit(StatusIs(Status(Phase.RECONNECTING, wait_s, error.detail)))
            await self._nap(wait_s)
        self._me = str((answer.get("user") or {}).get("username", ""))
        rooms = rows_of(answer, "rooms")
        self._emit(Synced(answer.get("user") or {}, rooms))
        for entry in self._failed.values():
            self._emit(Queued(entry))
            words = "it was refused, or waited for too long to be sent safely"
            self._emit(Settled(Outcome(entry, error=Refused(words, code="not_sent"))))
        for entry in self._kept:
            with suppress(OutboxFull):
                self._emit(Queued(self._outbox.add(**_fields(entry))))
        self._kept = ()
        self._to_send.set()
        cursor = answer.get("cursor")
        heads = {str(row.get("room")): Position(UNKNOWN_EPOCH, _whole(row, "head")) for row in rooms}
        return Bookmark(cursor if isinstance(cursor, str) and cursor else None, heads)

    async def _stay(self, session: Session) -> None:
        """Follow the stream; from the start again when somebody wants to connect anew."""
        while True:
            self._streaming = asyncio.ensure_future(self._follow(session))
            try:
                await asyncio.wait({self._streaming})
            finally:
                self._streaming.cancel()
                await asyncio.gather(self._streaming, return_exceptions=True)
            if not self._streaming.cancelled():
                self._streaming.result()
            session.rewind()

    async def _follow(self, session: Session) -> None:
        async with aclosing(follow(self._connection, session, sleep=self._nap)) as items:
            async for item in items:
                await self._drained()
                if isinstance(item, StatusChanged):
                    self._emit(StatusIs(item.status))
                    if item.hello is not None:
                        self._catch_up()
                else:
                    self._take(item)
                session.commit(item)

    def _take(self, item: Item) -> None:
        match item:
            case Delivery():
                self._emit(Happened(item.event))
                self._followed(item)
            case Passing() if item.event.get("type") == "read":
                if self._standings.moved_elsewhere(item.event):
                    self._spawn(self._standings.look_again(str(item.event.get("room"))))
            case Passing() if item.event.get("type") != "ping":
                self._emit(Passed(item.event))
            case Gap():
                rooms = tuple(dict.fromkeys(part.room for part in item.ranges))
                self._emit(Missed(rooms))
                self._spawn(self._standings.sync())
                for room in self._pages.missed(rooms):
                    self._spawn(self._pages.load(room))

    def _followed(self, item: Delivery) -> None:
        """Do what one's own coming and going asks for."""
        if item.event.get("type") == "member" and item.event.get("user") == self._me:
            if item.event.get("action") in ("join", "invite"):
                self._spawn(self._standings.look_again(item.room))
            elif item.event.get("action") in ("leave", "kick"):
                self._pages.close(item.room)

    def _catch_up(self) -> None:
        """There is a connection again: do now what waited for one."""
        self._spawn(self._standings.sync())
        for room in self._pages.wanted:
            self._spawn(self._pages.load(room))
        self._outbox.ready_at = 0.0
        self._try_outbox.set()

    async def _nap(self, seconds: float) -> None:
        await _sleep_unless(self._hurry, seconds)

    # Sending

    async def _deliver(self) -> None:
        while True:
            await self._to_send.wait()
            self._to_send.clear()
            await deliver(
                self._connection,
                self._outbox,
                self._settle,
                sleep=lambda seconds: _sleep_unless(self._try_outbox, seconds),
            )

    def _settle(self, outcome: Outcome) -> None:
        if outcome.error is not None:
            self._failed[outcome.entry.client_id] = outcome.entry
            while len(self._failed) > MOST_FAILED:
                oldest = next(iter(self._failed))
                self._emit(Dropped(self._failed.pop(oldest).room, oldest))
        self._emit(Settled(outcome))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _sleep_unless(event: asyncio.Event, seconds: float) -> None:
    """Sleep, or until the event is set from now on."""
    event.clear()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _fields(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in ("room", "text", "client_id", "reply_to", "tag")}


def _whole(row: Row, name: str) -> int:
    value = row.get(name)
    return value if type(value) is int and value >= 0 else 0
