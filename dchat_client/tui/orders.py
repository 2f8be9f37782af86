"""What is done with a line of input: it is said, or its command is carried out."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from dchat_client.commands import LEVELS, Mistake, Run, Say, action_text, parse
from dchat_client.config import ConfigError
from dchat_client.texts import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from dchat_client.tui.app import ChatApp


class Orders:
    """Carries out commands for the app."""

    def __init__(self, app: ChatApp) -> None:
        self._app = app

    def take(self, text: str) -> bool:
        """Do what `text` means. False when it stays in the input, and why was said."""
        app = self._app
        if app.deeds.is_editing:
            return app.deeds.finish_edit(text)
        meaning = parse(text)
        match meaning:
            case Mistake():
                app.say(meaning.words, bad=True)
                return False
            case Say():
                return self.say(meaning.text)
            case Run():
                return self._run(meaning)

    def say(self, text: str) -> bool:
        """Send a message to the open room. False when it was not taken."""
        app, text = self._app, text.lstrip("\n").rstrip()
        if app.room is None or app.room not in app.chat.rooms:
            app.say("You are in no room here. Ctrl-K finds one, /create makes one.", bad=True)
            return False
        if (size := len(text.encode("utf-8", "surrogatepass"))) > MAX_TEXT_BYTES:
            app.say(f"The text has {size} bytes; a message may have {MAX_TEXT_BYTES}.", bad=True)
            return False
        if app.engine.send(app.room, text, reply_to=app.deeds.replies_to) is None:
            return False
        app.chat.transcript(app.room).unread_after = None
        app.deeds.forget_purpose()
        app.view.go_to_end()
        return True

    async def join(self, room: str) -> None:
        """Go into a room and open it."""
        if room in self._app.chat.rooms or await self._app.engine.join(room):
            self._app.open_room(room)
        elif self._app.room is None:
            self._app.open_first_room()

    async def write_to(self, user: str, text: str = "") -> None:
        """Open the conversation with one person, and say something in it."""
        app = self._app
        room = await app.engine.dm([user])
        if room is not None:
            if text:
                app.engine.send(room, text)
            app.open_room(room)

    def next_level(self) -> None:
        """Have the open room notify of the next in the row: all, mentions, none."""
        if self._app.room is not None:
            level = self._app.level(self._app.room)
            self._set_level(LEVELS[(LEVELS.index(level) + 1) % len(LEVELS)])

    def _set_level(self, level: str) -> None:
        app = self._app
        if app.room is None:
            return
        try:
            app.kept.set_level(app.room, level)
        except ConfigError as error:
            app.say(str(error), bad=True)
        words = {"all": "every message", "mentions": "mentions and direct messages", "none": "nothing"}
        app.say(f"{self._title()} notifies of {words[level]}.")
        app.draw_rooms()

    def _title(self) -> str:
        room = self._app.chat.rooms.get(self._app.room or "")
        return room.title if room is not None else "This room"

    def _run(self, order: Run) -> bool:
        app, engine = self._app, self._app.engine
        needs_room = order.name in ("topic", "members", "invite", "search", "me", "notify")
        if app.room is None and (needs_room or (order.name == "leave" and not order.word)):
            app.say(f"/{order.name} is for a room, and none is open.", bad=True)
            return False
        room = app.room or ""
        match order.name:
            case "join":
                app.ask(self.join(order.word))
            case "leave":
                app.ask(engine.leave(order.word or room))
            case "msg":
                app.ask(self.write_to(order.word, order.rest))
            case "create":
                app.ask(self._create(order.word))
            case "topic":
                self._topic(room, order.rest)
            case "members":
                app.finder.members()
            case "invite":
                app.ask(engine.invite(room, order.word))
            case "search":
                app.finder.search(order.rest)
            case "me":
                return self.say(action_text(order.rest))
            case "notify" if order.word:
                self._set_level(order.word)
            case "notify":
                app.say(f"{self._title()} notifies of {app.level(room)}.")
            case "reconnect":
                app.talk.reconnect()
            case "help":
                app.everywhere.action_help()
            case "quit":
                app.everywhere.action_quit()
        return True

    async def _create(self, room: str) -> None:
        if await self._app.engine.create(room):
            self._app.open_room(room)

    def _topic(self, room: str, text: str) -> None:
        if text:
            self._app.ask(self._app.engine.topic(room, text))
            return
        known = self._app.chat.rooms.get(room)
        with suppress(AttributeError):
            self._app.say(
                f"Topic: {known.topic}" if known and known.topic else "There is no topic; /topic TEXT sets one."
            )
