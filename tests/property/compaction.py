"""A room as a plain list would have it, leaders that archive it, and what can befall them: for the property of
compaction. The model is written from the words of the contract, not from the fold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from dchat_server import chunk, compactor_reach, compactor_room, compactor_run
from dchat_server import fold as fold_module
from dchat_server import retention as retention_module
from dchat_server.archived import chunks_from, roster_at
from dchat_server.chunk import Row
from dchat_server.compactor import Compactor
from dchat_server.errors import ArchiveUnavailable, BackendUnavailable
from dchat_server.fold import fold, present
from dchat_server.model import Event, mentions_in
from dchat_server.ports_archive import Fenced, RoomRecord
from dchat_server.retention import Retention
from dchat_server.verify import verify
from dchat_server.wire import body_fields, message_object
from tests.archives import MemoryArchive
from tests.cluster_fakes import FakeTerm
from tests.hot_logs import MemoryHotLog

ROOM = "lobby"
KEEP = 6
USERS = ("ada", "bob", "eve")
TEXTS = ("secret @bob", "secret @ada @eve", "secret")
FAIL_POINTS = ("known", "read", "reached", "packed", "roster", "committed", "scrubbed", "trimmed")
FAULTS = (
    *(("archive", f"{when} {call}") for when in ("before", "after") for call in ("rooms", "chunk", "chunks", "commit")),
    *(("log", step) for step in ("before read", "before room", "before archived", "after archived")),
)


class Died(BaseException):
    """The process of this leader ends here."""


@contextmanager
def small() -> Iterator[None]:
    """Chunks, steps and lists of a size that a few dozen events go over."""
    with ExitStack() as stack:
        for module, names in (
            (chunk, {"MAX_EVENTS": 5}),
            (compactor_run, {"MAX_EVENTS": 5, "MAX_RUN_EVENTS": 12, "ROSTER_EVENTS": 30, "SMALL_ROSTER_BYTES": 0}),
            (compactor_room, {"MAX_RUN_EVENTS": 12, "_FIRST_READ": 4, "_MOST_READ": 5, "_THREAD_EVENTS": 40}),
            (compactor_reach, {"MAX_CHUNKS": 3}),
            (fold_module, {"MAX_RANGES": 3}),
            (retention_module, {"MAX_DROPS": 3}),
        ):
            for name, value in names.items():
                stack.enter_context(patch.object(module, name, value))
        yield


@dataclass
class Said:
    """A message as the model has it."""

    event: Event
    sender: str
    text: str
    called: set[str]
    edited: int | None = None
    deleted: bool = False
    edits: list[int] = field(default_factory=list)
    reactions: dict[tuple[str, str], int] = field(default_factory=dict)


class World:
    """The room, its model, the archive, and the leaders there have been."""

    def __init__(self) -> None:
        self.archive, self.hot = MemoryArchive(), MemoryHotLog(shards=2)
        self.events: list[Event] = []
        self.said: dict[int, Said] = {}
        self.members: dict[str, str] = {}
        self.gone: dict[int, int] = {}
        """Seq of an event that was deleted (a message, or an edit of one) → seq of the deletion."""
        self.fence = 0
        self.record = RoomRecord(ROOM)
        self.leaders: list[tuple[FakeTerm, Compactor]] = []

    async def begin(self) -> None:
        await self.elect()
        self.hot.create(ROOM)
        self.members = {"ada": "owner"}
        self.events = list(self.hot.rooms[ROOM].events)

    # --- what people do -------------------------------------------------------------------------------------------

    async def say(self, who: int, text: str, times: int = 1) -> None:
        for _ in range(times):
            user = sorted(self.members)[who % len(self.members)]
            event = self._note(self.hot.say(ROOM, user, text))
            self.said[event.seq] = Said(event, user, text, set(mentions_in(text)) & self.members.keys())

    async def edit(self, which: int, text: str, times: int = 1) -> None:
        for _ in range(times):
            if (said := self._pick(which)) is not None:
                event = self._note(self.hot.edit(ROOM, said.sender, said.event.seq, text))
                said.text, said.edited = text, event.ts
                said.called = set(mentions_in(text)) & self.members.keys()
                said.edits.append(event.seq)

    async def saga(self, which: int, times: int) -> None:
        """A message is edited while much else is said, and all of that is archived."""
        for at in range(times):
            await self.say(at, TEXTS[at % len(TEXTS)], 4)
            await self.edit(which, TEXTS[at % len(TEXTS)])
        await self.archive_all()

    async def delete(self, which: int) -> None:
        if (said := self._pick(which)) is not None:
            event = self._note(self.hot.delete(ROOM, said.sender, said.event.seq))
            said.deleted, said.called = True, set()
            self.gone |= dict.fromkeys([said.event.seq, *said.edits], event.seq)

    async def react(self, which: int, who: int, emoji: str) -> None:
        if (said := self._pick(which)) is not None:
            mark = (emoji, sorted(self.members)[who % len(self.members)])
            action = "remove" if mark in said.reactions else "add"
            event = self._note(self.hot.react(ROOM, mark[1], said.event.seq, emoji, action))
            if action == "add":
                said.reactions[mark] = event.seq
            else:
                del said.reactions[mark]

    async def member(self, who: int) -> None:
        user = USERS[1 + who % (len(USERS) - 1)]
        if user in self.members:
            del self.members[user]
            self._note(self.hot.member(ROOM, user, "leave"))
        else:
            self.members[user] = "member"
            self._note(self.hot.member(ROOM, user, "join", "member"))

    async def topic(self, text: str) -> None:
        self._note(self.hot.append(ROOM, "room", sender="ada", action="update", topic=text))

    async def restart(self) -> None:
        self.hot.new_epoch()

    def _note(self, event: Event) -> Event:
        self.events.append(event)
        return event

    def _pick(self, which: int) -> Said | None:
        alive = [said for seq, said in self.said.items() if not said.deleted and seq >= self.record.floor]
        return alive[which % len(alive)] if alive else None

    # --- what leaders do ------------------------------------------------------------------------------------------

    async def elect(self) -> None:
        """A new leader. The old one does not notice."""
        self.fence += 1
        await self.archive.raise_fence(self.fence)
        await self.hot.raise_fence(self.fence)
        self.leaders.append((FakeTerm(self.fence), self._compactor()))

    async def archive_all(self) -> None:
        term, compactor = self.leaders[-1]
        for _ in range(60):
            for trouble in compactor._troubles.values():
                trouble.until = 0.0
            if not await compactor.round(term) and ROOM not in self.hot.dirty:
                return
        raise AssertionError(f"it never ends: {compactor.facts()}")

    async def round(self) -> None:
        term, compactor = self.leaders[-1]
        await compactor.round(term)

    async def die(self, point: str, after: int) -> None:
        """The leader dies when it reaches a point for the n-th time; another one takes over."""
        left = after

        def fail(name: str) -> None:
            nonlocal left
            left -= name == point
            if name == point and left < 0:
                raise Died

        term, _ = self.leaders[-1]
        self.leaders[-1] = (term, self._compactor(fail))
        with suppress(Died):
            await self.archive_all()
        await self.elect()

    async def fault(self, side: str, step: str, times: int) -> None:
        """Answers are lost, of calls that were carried out or not."""
        left = times

        async def lose(name: str) -> None:
            nonlocal left
            if name == step and left > 0:
                left -= 1
                raise ArchiveUnavailable if side == "archive" else BackendUnavailable

        await self._gated(side, lose, self.archive_all)

    async def usurp(self, side: str, step: str) -> None:
        """At some point of a leader's work another one takes over and does all of it; then the old one goes on."""
        old, others = self.leaders[-1], False

        async def take_over(name: str) -> None:
            nonlocal others
            if name == step and not others:
                others = True
                await self.elect()
                await self.archive_all()

        with suppress(Fenced):
            await self._gated(side, take_over, lambda: old[1].round(old[0]))

    async def old_leader(self, which: int) -> None:
        """One that led once wakes and goes on."""
        term, compactor = self.leaders[which % len(self.leaders)]
        with suppress(Fenced, Died):
            await compactor.round(term)

    async def expire(self, keep_events: int) -> None:
        """Retention takes what is older than the last so many events."""
        term, _ = self.leaders[-1]
        kept = self.events[-keep_events:] if keep_events else []
        oldest = kept[0].ts if kept else self.hot.clock_ms
        self.hot.clock_ms += 1
        days = (self.hot.clock_ms - oldest) / 86_400_000
        retention = Retention(
            self.archive, self.hot, days=days, keep=KEEP, wall=lambda: self.hot.clock_ms / 1000, monotonic=lambda: 0.0
        )
        found = await self.archive.rooms([ROOM])
        if ROOM in found:
            await retention.visit(term, ROOM, found[ROOM])

    def _compactor(self, fail_point: Callable[[str], None] = lambda name: None) -> Compactor:
        return Compactor(self.archive, self.hot, interval_s=0.01, keep=KEEP, side_by_side=2, fail_point=fail_point)

    async def _gated(
        self, side: str, gate: Callable[[str], Awaitable[None]], work: Callable[[], Awaitable[Any]]
    ) -> None:
        where = self.archive if side == "archive" else self.hot
        where.gate = gate
        try:
            await work()
        finally:
            where.gate = None

    # --- what must hold -------------------------------------------------------------------------------------------

    async def check(self) -> None:
        before = self.record
        record = (await self.archive.rooms([ROOM])).get(ROOM, RoomRecord(ROOM))
        assert record.watermark >= before.watermark
        assert record.floor >= before.floor
        assert record.version >= before.version
        self.record = record
        rows = [
            row
            async for _, some in chunks_from(self.archive, ROOM, record.floor, record.watermark)
            for row in some
            if row.event.seq >= record.floor
        ]
        self._check_bodies(rows, record)
        log = self.hot.rooms[ROOM].events
        assert log == self.events[len(self.events) - len(log) :]
        assert self.hot.rooms[ROOM].first <= record.watermark + 1
        assert self.hot.rooms[ROOM].first <= max(1, record.watermark - KEEP + 1, record.floor)
        self._check_pages(rows, [event for event in log if event.seq > record.watermark])
        await self._check_people(record)

    def _check_bodies(self, rows: list[Row], record: RoomRecord) -> None:
        """Every event is there once, in its own bytes; only what was deleted has lost its text, and all of it has."""
        assert [row.event.seq for row in rows] == list(range(record.floor, record.watermark + 1))
        for row in rows:
            event = self.events[row.event.seq - 1]
            if event.type == "edit" and body_fields(event)["target"] < record.floor:
                pass  # retention took the message, perhaps before its deletion was archived: the edit expires in turn
            elif self.gone.get(event.seq, record.watermark + 1) <= record.watermark:
                assert b"secret" not in row.event.body
                assert "secret" not in repr(row.state)
                assert body_fields(row.event)["deleted"]
            elif row.event != event:  # scrubbed before its deletion is archived: that takes several commits
                assert event.type == "edit"
                assert event.seq in self.gone
                assert b"secret" not in row.event.body
            assert row.event._replace(body=b"") == event._replace(body=b"")

    def _check_pages(self, rows: list[Row], later: list[Event]) -> None:
        changed, new = fold({row.event.seq: row for row in rows}, later)
        everything = [changed.get(row.event.seq, row) for row in rows] + new
        shown = [message_object(present(row)) for row in everything if row.event.type == "message"]
        assert shown == [self._page(said) for seq, said in self.said.items() if seq >= self.record.floor]

    def _page(self, said: Said) -> dict[str, Any]:
        value = message_object(present(Row(said.event)))
        if said.deleted:
            return {name: value[name] for name in ("id", "room", "seq", "epoch", "ts", "sender")} | {"deleted": True}
        value["text"] = said.text
        if said.edited is not None:
            value["edited_at"] = message_object(present(Row(said.event._replace(ts=said.edited))))["ts"]
        emojis: dict[str, list[str]] = {}
        for (emoji, user), _ in sorted(said.reactions.items(), key=lambda item: item[1]):
            emojis.setdefault(emoji, []).append(user)
        if emojis:
            value["reactions"] = [
                {"emoji": emoji, "count": len(users), "users": users} for emoji, users in emojis.items()
            ]
        return value

    async def _check_people(self, record: RoomRecord) -> None:
        roster = await roster_at(self.archive, record)
        events = self.events[: record.watermark]
        members: dict[str, str] = {}
        posted: dict[str, tuple[int, int]] = {}
        for event in events:
            body = body_fields(event)
            if event.type == "member":
                members.pop(body["user"], None)
                if body["role"]:
                    members[body["user"]] = body["role"]
            elif event.type == "message":
                posted[body["sender"]] = (event.seq, event.messages)
        assert (roster.members, roster.posted) == (members, posted)
        assert roster.deleted == sorted({body_fields(event)["target"] for event in events if event.type == "delete"})
        if record.watermark == len(self.events):
            called = {user for said in self.said.values() for user in said.called}
            assert roster.mentions == {
                user: [seq for seq, said in self.said.items() if user in said.called] for user in called
            }

    async def finish(self) -> None:
        """In the end everything is archived, whatever happened, and the room is whole."""
        await self.archive_all()
        await self.check()
        assert self.record.watermark == len(self.events)

        async def ignore(facts: object) -> None:
            await asyncio.sleep(0)

        found = await verify(self.archive, self.hot, ROOM, ignore)
        assert found["problems"] == []
