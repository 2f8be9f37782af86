"""A stage for the terminal client: an engine that only notes what it is asked, and a screen to read."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from dchat_client.errors import Refused
from dchat_client.items import Phase, Status
from dchat_client.kept import Kept
from dchat_client.outbox import Entry, Outcome
from dchat_client.tui.app import ChatApp
from dchat_client.tui.prefs import Settings
from dchat_client.unsent import UnsentFiles
from dchat_client.updates import (
    Asked,
    Dropped,
    Failed,
    Happened,
    Marked,
    MembersAre,
    PageCame,
    Queued,
    RoomIs,
    Settled,
    StatusIs,
    Synced,
    Update,
)
from tests.harness.processes import eventually


class FakeEngine:
    """Tells what a test has it tell. `asked` is what it was asked for, in order."""

    def __init__(self, emit: Callable[[Update], None], *, drained: Any, waiting: Any, failed: Any) -> None:
        self.tell = emit
        self.asked: list[tuple[Any, ...]] = []
        self.waiting: list[Entry] = list(waiting)
        self.failed: list[Entry] = list(failed)
        self.pages: dict[str, list[dict[str, Any]]] = {}
        """Room → all its messages, of which pages are made."""
        self.opened: set[str] = set()
        self.stuck = asyncio.Event()
        self.stuck.set()
        self.seq = 10_000

    async def run(self) -> None:
        await asyncio.Event().wait()

    @property
    def unsent(self) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
        return tuple(self.waiting), tuple(self.failed)

    def reconnect(self) -> None:
        self.asked.append(("reconnect",))

    def send(self, room: str, text: str, *, reply_to: int | None = None) -> str:
        self.asked.append(("send", room, text, reply_to))
        entry = Entry(room, text, f"key-{len(self.asked)}", reply_to, time.time())
        self.waiting.append(entry)
        self.tell(Queued(entry))
        return entry.client_id

    def store(self, entry: Entry) -> None:
        """The server has taken it."""
        self.waiting.remove(entry)
        self.seq += 1
        stored = message(self.seq, entry.text, sender="ada", room=entry.room, client_id=entry.client_id)
        self.tell(Settled(Outcome(entry, stored)))

    def refuse(self, entry: Entry, words: str) -> None:
        """The server does not take it."""
        self.waiting.remove(entry)
        self.failed.append(entry)
        self.tell(Settled(Outcome(entry, error=Refused(words, code="refused"))))

    def retry(self, client_id: str) -> None:
        self.asked.append(("retry", client_id))

    def cancel(self, client_id: str) -> None:
        self.asked.append(("cancel", client_id))
        gone = [entry for entry in (*self.waiting, *self.failed) if entry.client_id == client_id]
        self.waiting = [entry for entry in self.waiting if entry not in gone]
        self.failed = [entry for entry in self.failed if entry not in gone]
        for entry in gone:
            self.tell(Dropped(entry.room, client_id))

    async def open_room(self, room: str) -> None:
        self.asked.append(("open_room", room))
        await self.stuck.wait()
        if room in self.pages and room not in self.opened:
            self.opened.add(room)
            self._page(room, self.pages[room][-100:], None)

    async def older(self, room: str, before: int) -> None:
        self.asked.append(("older", room, before))
        await self.stuck.wait()
        below = [row for row in self.pages.get(room, []) if row["seq"] < before]
        self._page(room, below[-100:], before)

    def _page(self, room: str, rows: list[dict[str, Any]], before: int | None) -> None:
        everything = self.pages[room]
        self.tell(Asked(room))
        has_more = bool(rows) and rows[0]["seq"] > everything[0]["seq"]
        self.tell(PageCame(room, rows, everything[-1]["seq"], has_more, before))

    async def message(self, room: str, seq: int) -> dict[str, Any] | None:
        self.asked.append(("message", room, seq))
        await self.stuck.wait()
        return next((row for row in self.pages[room] if row["seq"] == seq), None)

    def mark_read(self, room: str, seq: int) -> None:
        self.asked.append(("mark_read", room, seq))
        self.tell(Marked(room, seq))

    def mark_unread(self, room: str, seq: int) -> None:
        self.asked.append(("mark_unread", room, seq))

    async def members(self, room: str) -> list[dict[str, Any]]:
        rows = [{"user": user, "role": "member"} for user in ("ada", "bob", "eve")]
        self.tell(MembersAre(room, rows))
        return rows

    async def find_rooms(self, prefix: str = "") -> list[dict[str, Any]]:
        return [{"room": "garden", "joined": False, "topic": "plants"}] if "garden".startswith(prefix) else []

    async def find_users(self, prefix: str = "") -> list[dict[str, Any]]:
        return [{"username": "zoe", "display_name": "Zoe"}] if "zoe".startswith(prefix) else []

    async def join(self, room: str) -> bool:
        self.asked.append(("join", room))
        if room == "nowhere":
            self.tell(Failed(f"Room {room} was not joined", Refused("there is no such room", code="room_not_found")))
            return False
        self.tell(RoomIs({"room": room, "kind": "public", "joined": True, "members": 1}))
        return True

    async def dm(self, users: list[str]) -> str:
        self.asked.append(("dm", users))
        self.tell(RoomIs({"room": "dm-1", "kind": "dm", "joined": True, "users": ["ada", *users]}))
        return "dm-1"

    def __getattr__(self, name: str) -> Any:
        async def ask(*args: Any, **options: Any) -> bool:
            self.asked.append((name, *args, *options.items()))
            return True

        if name.startswith("_"):
            raise AttributeError(name)
        return ask


def message(seq: int, text: str = "", *, sender: str = "bob", room: str = "lobby", **more: Any) -> dict[str, Any]:
    ts = more.pop("ts", f"2026-11-27T{8 + seq // 3600 % 12:02d}:{seq // 60 % 60:02d}:{seq % 60:02d}.000Z")
    text = text or f"message {seq}"
    return {"type": "message", "room": room, "seq": seq, "epoch": 1, "ts": ts, "sender": sender, "text": text, **more}


def room_row(name: str, **more: Any) -> dict[str, Any]:
    return {
        "room": name,
        "kind": "public",
        "topic": "",
        "members": 3,
        "joined": True,
        "role": "member",
        "head": 0,
        "read": 0,
        "unread": 0,
        "mentions": 0,
        **more,
    }


class Stage:
    """The app on a screen of a test's size."""

    def __init__(self, app: ChatApp, pilot: Pilot[int]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def engine(self) -> FakeEngine:
        return self.app.engine  # type: ignore[return-value]

    @property
    def screen(self) -> str:
        """What is on the screen, a line a row."""
        width, _ = self.app.size
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.ljust(width).rstrip() for strip in strips)

    async def shows(self, *parts: str) -> str:
        """Wait until the screen has all the parts, and return it."""

        async def look() -> str:
            await self.pilot.pause()
            screen = self.screen
            return screen if all(part in screen for part in parts) else ""

        try:
            return str(await eventually(look, f"the screen shows {parts}", timeout_s=20))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen}") from None

    async def shows_not(self, part: str) -> str:
        """Wait until the screen has not that part any more, and return it."""

        async def look() -> str:
            await self.pilot.pause()
            return self.screen if part not in self.screen else ""

        return str(await eventually(look, f"{part!r} is gone from the screen", timeout_s=20))

    async def was_asked(self, *what: Any) -> None:
        """Wait until the engine was asked for that."""
        await eventually(
            lambda: what in self.engine.asked, f"{what} is asked, not only {self.engine.asked}", timeout_s=20
        )

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def write(self, text: str) -> None:
        """Type a text, key by key."""
        await self.pilot.press(*text)

    def happened(self, event: dict[str, Any]) -> None:
        self.engine.tell(Happened(event))

    def live(self) -> None:
        self.engine.tell(StatusIs(Status(Phase.LIVE)))


@asynccontextmanager
async def stage(
    folder: Path,
    *,
    rooms: list[dict[str, Any]] | None = None,
    pages: dict[str, list[dict[str, Any]]] | None = None,
    size: tuple[int, int] = (80, 24),
    settings: Settings | None = None,
    **options: Any,
) -> AsyncIterator[Stage]:
    """A running app as ada, in `rooms`, live, with the first room's page there."""
    with UnsentFiles(folder) as unsent:
        app = ChatApp(
            FakeEngine,  # type: ignore[arg-type]
            contextlib.nullcontext(),  # type: ignore[arg-type]
            Kept(folder),
            settings or Settings(),
            unsent,
            **options,
        )
        async with app.run_test(size=size, notifications=True) as pilot:
            there = Stage(app, pilot)
            there.engine.pages = pages or {}
            if rooms is not None:
                there.engine.tell(Synced({"username": "ada"}, rooms))
                there.live()
                await there.shows("live")
            yield there
