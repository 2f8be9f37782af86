"""What a person does with rooms: go into them, out of them, make them, ask who is there; and the typed commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from dchat_client.commands import NAME, Mistake, Run, Say, action_text, parse
from dchat_client.config import ConfigError
from dchat_client.engine import Engine
from dchat_client.gui.blocks import local
from dchat_client.gui.chat_page import ChatPage
from dchat_client.gui.chooser import Chooser
from dchat_client.gui.help import COMMAND_ROWS, key_rows
from dchat_client.gui.message_acts import MessageActs
from dchat_client.gui.sheet import ask, confirm, read
from dchat_client.gui.switcher import Place, Switcher
from dchat_client.terminal import clean, fit
from dchat_client.updates import Row


class RoomActs:
    """Acts on the page. `page` is set once the page is there; `quit_` ends the program."""

    page: ChatPage

    def __init__(self, messages: MessageActs, quit_: Callable[[], None]) -> None:
        self._messages, self._quit = messages, quit_
        self._switcher: Switcher | None = None

    def typed(self, text: str) -> bool:
        """Do what stands in the input: say it, or the command it is. True when it was taken."""
        self.page.say("")
        taken = self._do(text)
        if taken:
            self.page.entry.written.add(text)
            with suppress(ConfigError):
                self.page.kept.add_sent(text)
        return taken

    def _do(self, text: str) -> bool:
        if self._messages.about is not None and self._messages.about.deed == "edit":
            return self._messages.say(text)
        meant = parse(text.rstrip())
        match meant:
            case Say():
                return self._messages.say(meant.text)
            case Mistake():
                self.page.say(meant.words)
                return False
            case Run():
                return self._run(meant)

    def _run(self, run: Run) -> bool:
        page, network = self.page, self.page.network
        name = page.opened
        acts: dict[str, Callable[[], object]] = {
            "join": lambda: self.join(run.word),
            "leave": lambda: self.leave(run.word or name or ""),
            "msg": lambda: self.message_to(run.word, run.rest),
            "create": lambda: self._make(run.word),
            "topic": lambda: self._topic(run.rest) if run.rest else self.topic(),
            "members": self.members,
            "invite": lambda: network.tell(lambda engine: engine.invite(name or "", run.word)),
            "search": lambda: self._search(run.rest),
            "me": lambda: self._messages.say(action_text(run.rest)),
            "notify": lambda: self.notify(run.word),
            "reconnect": self.reconnect,
            "help": self.help,
            "quit": self._quit,
        }
        acts[run.name]()
        return True

    # Rooms

    def join(self, room: str) -> None:
        """Go into a room and show it."""
        self.page.network.ask(lambda engine: engine.join(room), lambda done: self._there(room, done))

    def _there(self, room: str, done: bool) -> None:
        if done:
            self.page.open_when_there(room)

    def leave(self, room: str) -> None:
        """Go out of a room, after a question."""
        if room not in self.page.chat.rooms:
            self.page.say(f"You are not in a room {room}." if room else "There is no room to leave.")
            return
        title = clean(self.page.chat.rooms[room].title)
        confirm(
            self.page,
            self.page.theme,
            f"Leave {title}?",
            "Its messages stay where they are; you will not be told of new ones.",
            "Leave",
            lambda: self.page.network.tell(lambda engine: engine.leave(room)),
        )

    def message_to(self, user: str, text: str = "") -> None:
        """Open the conversation with one person, and say something there."""

        def there(room: str | None) -> None:
            if room is not None:
                self.page.open_when_there(room)
                if text:
                    self.page.network.tell(lambda engine: engine.send(room, text))

        self.page.network.ask(lambda engine: engine.dm([user]), there)

    def make(self) -> None:
        """Ask for the name of a room to make."""

        def done(text: str) -> str | None:
            name = text.lstrip("#").lower().replace(" ", "-")
            if not NAME.fullmatch(name):
                return "A name has letters a–z, digits, dots, dashes and underscores; at most 32."
            self._make(name)
            return None

        ask(self.page, self.page.theme, "Make a room", done=done, hint="Its name, for example: lobby", button="Make")

    def _make(self, room: str) -> None:
        self.page.network.ask(
            lambda engine: engine.create(room),
            lambda done: self._there(room, done),
        )

    def topic(self) -> None:
        """Ask for the room's topic."""
        room = self.page.room
        if room is None or room.kind == "dm":
            return

        def done(text: str) -> str | None:
            self._topic(text)
            return None

        ask(self.page, self.page.theme, "What is this room about?", done=done, begun=clean(room.topic), button="Keep")

    def _topic(self, text: str) -> None:
        name = self.page.opened
        if name is not None:
            self.page.network.tell(lambda engine: engine.topic(name, text))

    def members(self) -> None:
        """Show who is in the room."""
        name = self.page.opened
        if name is not None:
            self.page.network.ask(lambda engine: engine.members(name), lambda rows: self._show_members(name, rows))

    def _show_members(self, name: str, rows: Sequence[Row]) -> None:
        if not rows or name not in self.page.chat.rooms:
            return
        shown = []
        for row in rows:
            user, display = clean(str(row.get("user"))), clean(str(row.get("display_name") or ""))
            role, presence = clean(str(row.get("role") or "")), clean(str(row.get("presence") or ""))
            about = (display if display != user else "", role if role != "member" else "", presence)
            shown.append((user, " · ".join(filter(None, about))))
        title = clean(self.page.chat.rooms[name].title)
        read(self.page, self.page.theme, f"{len(rows)} in {title}", shown)

    def notify(self, level: str) -> None:
        """Set, or say, what the desktop is told of the open room."""
        name = self.page.opened
        if name is None:
            return
        if level:
            with suppress(ConfigError):  # a full disk keeps nothing
                self.page.kept.set_level(name, level)
        words = {"all": "every message", "mentions": "mentions and direct messages", "none": "nothing"}
        told = words[self.page.kept.level(name) or "mentions"]
        self.page.say(f"The desktop is told of {told} here.")

    # Elsewhere

    def switch(self) -> None:
        """Open the switcher."""
        if self._switcher is not None and self._switcher.sheet.is_open:
            self._switcher.sheet.close()
            return
        rooms = sorted(self.page.chat.ordered(), key=lambda room: (not room.mentions, not room.unread))
        places = []
        for room in rooms:
            sign = "@" if room.kind == "dm" else "#"
            note = f"({room.unread})" if room.unread else ""
            places.append(Place("open", room.name, sign + fit(clean(room.title), 40), note))
        self._switcher = Switcher(self.page, self.page.theme, places, on_go=self._go, on_find=self._find)

    def _find(self, letters: str) -> None:
        async def both(engine: Engine) -> list[Place]:
            rooms = await engine.find_rooms(letters)
            users = await engine.find_users(letters) if letters else []
            found = [_to_join(row) for row in rooms if not row.get("joined") and row.get("kind") == "public"]
            return found + [_person(row) for row in users if row.get("username") != self.page.chat.me]

        def found(places: list[Place]) -> None:
            if self._switcher is not None:
                self._switcher.more(letters, places)

        self.page.network.ask(both, found)

    def _go(self, place: Place) -> None:
        {"open": self.page.open, "join": self.join, "person": self.message_to}[place.kind](place.name)

    def search(self) -> None:
        """Ask for words to find in the room."""

        def done(text: str) -> str | None:
            if text:
                self._search(text)
            return None

        if self.page.opened is not None:
            ask(self.page, self.page.theme, "Find in this room", done=done, hint="All of these words.", button="Find")

    def _search(self, words: str) -> None:
        name = self.page.opened
        if name is not None:
            self.page.say(f"Looking for {words!r} …")
            self.page.network.ask(
                lambda engine: engine.search(name, words), lambda found: self._found(name, words, *found)
            )

    def _found(self, name: str, words: str, rows: Sequence[Row], is_all: bool) -> None:
        page = self.page
        if page.opened != name:
            return
        if not rows:
            page.say(
                f"Nothing with {words!r} here." if is_all else f"Nothing with {words!r} in what could be looked at."
            )
            return
        page.say("")
        hits = [page.drawn(_hit(row, page.chat.names)) for row in rows]
        title = f"{len(hits)}{'' if is_all else ' or more'} with {fit(clean(words), 30)}"
        Chooser(page, page.theme, title, hits, on_choose=lambda at: self._go_to(int(rows[at].get("seq") or 0)))

    def _go_to(self, seq: int) -> None:
        if self.page.view.go_to(seq):
            self.page.view.text.focus_set()
        else:
            self.page.say("That message is further back than what is loaded; scroll up to get there.")

    def reconnect(self) -> None:
        """Connect anew, now."""
        self.page.network.tell(lambda engine: engine.reconnect())

    def help(self) -> None:
        """Show keys and commands."""
        rows = [*key_rows(str(self.page.tk.call("tk", "windowingsystem"))), ("", ""), *COMMAND_ROWS]
        read(self.page, self.page.theme, "Keys and commands", rows)


def _hit(row: Row, names: Mapping[str, str]) -> str:
    sender, moment = str(row.get("sender")), local(str(row.get("ts")))
    when = f"{moment:%d.%m. %H:%M}" if moment is not None else ""
    text = fit(" ".join(clean(str(row.get("text", "")).replace("\n", " ")).split()), 80)
    return f"{when}  {clean(names.get(sender) or sender)}: {text}"


def _to_join(row: Row) -> Place:
    name = str(row.get("room"))
    return Place("join", name, f"#{clean(name)}", "join")


def _person(row: Row) -> Place:
    name, display = str(row.get("username")), clean(str(row.get("display_name") or ""))
    return Place("person", name, f"@{clean(name)}", display if display != name else "")
