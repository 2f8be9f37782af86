"""The terminal client: what the engine tells is drawn, what the person does is asked of the engine.

Theory of operation
===================

Everything runs in one asyncio loop, Textual's. The engine is a worker in it; what it tells changes the model at once
(talk.py), and what has changed is drawn some milliseconds later, all of it together (`_draw`): a thousand events that
come at once are drawn once. Whatever waits for the network is a worker too; no key waits for it.

Kept in the state folder: drafts half a second after the last key, own messages before they are sent, the rest as it
changes.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
import time
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from textual import events, on
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical

from dchat_client.chat import Change, Chat
from dchat_client.config import ConfigError
from dchat_client.engine import Engine
from dchat_client.items import Phase
from dchat_client.kept import Kept
from dchat_client.terminal import clean
from dchat_client.transcript import Line
from dchat_client.tui.attention import Attention
from dchat_client.tui.bars import Ledge, RoomBar, StatusBar
from dchat_client.tui.composer import Composer
from dchat_client.tui.everywhere import Everywhere
from dchat_client.tui.finder import Finder
from dchat_client.tui.keymap import Where, actions, first_key
from dchat_client.tui.message_deeds import MessageDeeds
from dchat_client.tui.orders import Orders
from dchat_client.tui.prefs import Settings
from dchat_client.tui.roomlist import RoomList
from dchat_client.tui.talk import MakeEngine, Talk, left_over_words
from dchat_client.tui.view import TranscriptView
from dchat_client.tui.writing import Writing
from dchat_client.unsent import UnsentFiles

DRAW_S = 0.02
TICK_S = 0.5
_THEMES = {"dark": "textual-dark", "light": "textual-light", "terminal": "ansi-dark"}


class ChatApp(App[int], inherit_bindings=False):
    """The full-screen client of one account."""

    TITLE = "dchat"
    ENABLE_COMMAND_PALETTE = False
    CSS_PATH = "app.tcss"

    def __init__(
        self,
        make_engine: MakeEngine,
        connection: AbstractAsyncContextManager[object],
        kept: Kept,
        settings: Settings,
        unsent: UnsentFiles,
        *,
        room: str | None = None,
        colours: bool = True,
        keys_file: str = "tui.toml",
    ) -> None:
        self.palette_name = settings.theme if colours else "terminal"
        super().__init__(ansi_color=self.palette_name == "terminal")
        self.theme = _THEMES[self.palette_name]
        self.chat = Chat()
        self.kept, self.settings = kept, settings
        self.room: str | None = None
        self._wanted_room = room
        places: tuple[Where, ...] = ("everywhere", "input", "messages")
        self._keys = {where: actions(where, settings.keys) for where in places}
        self._changes: list[Change] = []
        self._first_sync = True
        self._seeks_unread = False
        self.orders, self.finder, self.deeds = Orders(self), Finder(self), MessageDeeds(self)
        self.attention, self.everywhere = Attention(self), Everywhere(self, keys_file)
        self.writing = Writing(self)
        self.talk = Talk(self, make_engine, connection, unsent)

    def compose(self) -> ComposeResult:
        """Rooms at the left, the open one at the right, the state below."""
        with Horizontal(id="main"):
            yield RoomList(id="rooms")
            with Vertical(id="room"):
                yield RoomBar(id="bar")
                yield TranscriptView(id="view")
                yield Ledge(id="ledge")
                yield Composer(id="composer")
        yield StatusBar(id="status")

    def on_mount(self) -> None:
        """Begin to talk with the server."""
        self.rooms_list = self.query_one(RoomList)
        self.bar, self.ledge = self.query_one(RoomBar), self.query_one(Ledge)
        self.view, self.composer = self.query_one(TranscriptView), self.query_one(Composer)
        self.status = self.query_one(StatusBar)
        self.view.palette_name = self.rooms_list.palette_name = self.ledge.palette_name = self.palette_name
        self.composer.sources, self.composer.sent = self.finder.sources, lambda: self.kept.sent
        self.composer.on_send, self.view.on_deed, self.view.on_leave = self.writing.send, self.deeds.do, self.to_input
        self.view.on_select = self.deeds.show_what_can_be_done
        self.to_input()
        self._leave_on_signals()
        waiting, failed = self.talk.left_over
        if waiting or failed:
            self.say(left_over_words(len(waiting), len(failed)))
        self.talk.begin()
        self.set_interval(TICK_S, self._tick)

    def ask(self, work: Coroutine[Any, Any, Any]) -> None:
        """Have something done that waits for the network."""
        self.run_worker(work, group="asked")

    def say(self, words: str, *, bad: bool = False) -> None:
        """Show a note for some seconds. Whatever is in it is cleaned here."""
        self.notify(clean(words), severity="error" if bad else "information", markup=False)

    # What the engine tells

    @property
    def engine(self) -> Engine:
        """The engine that runs now."""
        return self.talk.engine

    def changed(self, changes: Sequence[Change]) -> None:
        """Draw these changes soon, together with others that come at once."""
        if not self._changes:
            self.set_timer(DRAW_S, self._draw)
        self._changes += changes

    def _draw(self) -> None:
        changes, self._changes = self._changes, []
        kinds = {change.kind for change in changes}
        if "rooms" in kinds:
            self._rooms_changed()
        here = [change for change in changes if change.room == self.room]
        lines: list[Line | None] = [change.line for change in here if change.kind == "lines"]
        paged = any(change.kind == "page" for change in here)
        if lines or paged:
            self.attention.note_unread(lines)
            self.view.redraw([*lines, None] if paged else lines)
            if paged and self._seeks_unread:
                self._seeks_unread = False
                self.view.go_to_unread()
        for change in changes:
            if change.problem is not None:
                self.say(f"{change.problem.what}: {change.problem.error.detail}", bad=True)
        self.attention.alert(changes)
        self.attention.mark_read()
        self.draw_rooms()
        self._draw_status()

    def _rooms_changed(self) -> None:
        """Open a room if none is, or the open one is none of ours any more."""
        if self._first_sync and self.chat.me:
            self._first_sync = False
            wanted, self._wanted_room = self._wanted_room, None
            if wanted is not None and wanted not in self.chat.rooms:
                self.ask(self.orders.join(wanted))
                return
            if wanted is not None:
                self.open_room(wanted)
            else:
                self.open_first_room()
        elif self.room is None or self.room not in self.chat.rooms:
            self.open_first_room()

    def open_first_room(self) -> None:
        """Open the room that was open last, else one with something unread, else any."""
        rooms = self.chat.ordered()
        if self.kept.room in self.chat.rooms:
            self.open_room(self.kept.room)
        else:
            self.open_room(next((room.name for room in rooms if room.unread), rooms[0].name if rooms else None))

    # The open room

    def open_room(self, name: str | None) -> None:
        """Show a room and what was being written in it."""
        if name == self.room:
            self.to_input()
            return
        self.writing.keep_draft()
        begun = self.composer.text if self.room is None else ""
        if self.room is not None:
            self.chat.transcript(self.room).unread_after = None
        self.room = name
        self.deeds.forget_purpose()
        transcript = self.chat.transcript(name or "")
        room = self.chat.rooms.get(name or "")
        if name is not None:
            with suppress(ConfigError):
                self.kept.set_room(name)
            transcript.unread_after = room.read if room is not None and room.unread else None
            self.ask(self.engine.open_room(name))
            if name not in self.chat.members:
                self.ask(self.engine.members(name))
        self.view.show(transcript, self.chat.me)
        self.view.go_to_unread()
        self._seeks_unread = not transcript.is_loaded
        self.composer.put(self.kept.draft(name or "") or begun)
        self.to_input()
        self.attention.mark_read()
        self.draw_rooms()

    def level(self, room: str) -> str:
        """Return what the room notifies of."""
        return self.kept.level(room) or self.settings.notify

    def draw_rooms(self) -> None:
        """Draw the list of rooms and the bar of the open one."""
        rooms = self.chat.ordered()
        levels = {room.name: self.level(room.name) for room in rooms}
        drafts = frozenset(self.kept.rooms_with_draft() - {self.room or ""})
        self.rooms_list.show(rooms, opened=self.room, drafts=drafts, levels=levels)
        room = self.chat.rooms.get(self.room or "")
        self.bar.show(room, levels.get(room.name, "") if room else "", self.palette_name)

    # Writing

    def to_input(self) -> None:
        """Write. At once, not when Textual finds time: the next key is for the input."""
        self.screen.set_focus(self.composer)

    @on(Composer.Changed)
    def _composer_changed(self) -> None:
        self.writing.goes_on()

    @on(Composer.Completing)
    def _completing(self, event: Composer.Completing) -> None:
        self.ledge.show_options(event.options, event.chosen)

    @on(Ledge.Picked)
    def _picked(self, event: Ledge.Picked) -> None:
        self.composer.choose(event.index)
        self.to_input()

    @on(Composer.Hint)
    def _hint(self, event: Composer.Hint) -> None:
        self.say(f"{first_key('quit', self.settings.keys)} quits." if event.words == "quit" else event.words)

    @on(Composer.LeftOff)
    def _left_off(self) -> None:
        self.deeds.leave_off()

    # The messages

    @on(TranscriptView.Older)
    def _older(self) -> None:
        self.ask(self._load_older())

    async def _load_older(self) -> None:
        transcript = self.chat.transcript(self.room or "")
        if transcript.oldest is not None and transcript.has_older:
            await self.engine.older(transcript.room, transcript.oldest)
        self.set_timer(DRAW_S * 2, self.view.older_came)  # after it was drawn, or it would be asked for at once again

    @on(TranscriptView.Quoted)
    def _quoted(self, event: TranscriptView.Quoted) -> None:
        self.ask(self._load_quote(event.room, event.seq))

    async def _load_quote(self, room: str, seq: int) -> None:
        row = await self.engine.message(room, seq)
        if row is not None:
            text = "(deleted)" if row.get("deleted") else str(row.get("text", "")).partition("\n")[0][:500]
            self.view.quote_came(room, seq, (str(row.get("sender", "")), text))

    @on(TranscriptView.Wanted)
    def _wanted(self, event: TranscriptView.Wanted) -> None:
        self.ask(self.finder.go_to(event.seq))

    @on(TranscriptView.Seen)
    def _seen(self) -> None:
        self.attention.mark_read()

    @on(RoomList.Opened)
    def _opened(self, event: RoomList.Opened) -> None:
        self.open_room(event.room)

    # Coming and going

    def leave(self) -> None:
        """Quit. What is being written and what is not sent is kept."""
        self.writing.keep_draft()
        self.talk.keep_unsent()
        self.exit(0)

    def _leave_on_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGHUP):
            # Not on every system, nor outside the main thread; then the screen is left as it is.
            with suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(name, self.leave)

    async def on_unmount(self) -> None:
        """End what runs beside."""
        await self.attention.close()

    # The clock

    def _tick(self) -> None:
        self.writing.keep_draft()
        if self.room is not None:
            self.ledge.show_typing(self.chat.typing(self.room, time.monotonic()))
        if self.chat.status.phase is Phase.RECONNECTING:
            self._draw_status()

    def _draw_status(self) -> None:
        gap = any(transcript.is_stale for transcript in self.chat.transcripts.values())
        keys = self.settings.keys
        hints = f"{first_key('switch_room', keys)} rooms  {first_key('help', keys)} help"
        waiting = sum(
            line.sending is not None for transcript in self.chat.transcripts.values() for line in transcript.pending
        )
        self.status.show(
            self.chat.status, left_s=self.talk.left_s, gap=gap, waiting=waiting, hints=hints, theme=self.palette_name
        )

    # What Textual tells

    async def on_event(self, event: events.Event) -> None:
        """Do what a key says, here and now, unless a dialog is open; see keymap.py."""
        if isinstance(event, events.InputEvent):
            self.attention.came()
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded and len(self.screen_stack) == 1:
            self.app_focus = True
            if isinstance(event, events.Paste):
                self.to_input()
                self.composer.write(event.text)
            else:
                await self._press(event)
            return
        await super().on_event(event)

    async def _press(self, event: events.Key) -> None:
        """Do what the key is for where one is, else what it is for everywhere, else write it."""
        on_messages = self.focused is self.view and self.view.selected is not None
        here, keys = (self.view, self._keys["messages"]) if on_messages else (self.composer, self._keys["input"])
        for owner, names in ((here, keys), (self.everywhere, self._keys["everywhere"])):
            for key in (event.key, *event.aliases):
                if key in names:
                    done = getattr(owner, f"action_{names[key]}")()
                    if inspect.isawaitable(done):
                        await done
                    return
        if not on_messages and event.is_printable and event.character is not None:
            self.to_input()
            self.composer.write(event.character)

    def on_app_focus(self) -> None:
        """Back at this terminal: what is in sight is read."""
        self.attention.mark_read()

    def on_resize(self, event: events.Resize) -> None:
        """In a narrow terminal the messages need the room of the list."""
        self.set_class(event.size.width < 72, "-narrow")
        self.set_class(event.size.width < 40, "-tiny")
        self.call_after_refresh(self._after_resize)

    def _after_resize(self) -> None:
        self.draw_rooms()
        self._draw_status()
