"""What one can look for: rooms and people to go to, members, reactions, messages; and what completion has to offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from dchat_client.completion import Sources
from dchat_client.fuzzy import ranked
from dchat_client.pictures import MOST_USED, is_reaction, name_of, named
from dchat_client.room import Room
from dchat_client.terminal import clean
from dchat_client.transcript import Line
from dchat_client.tui import palette
from dchat_client.tui.chooser import Choice, Chooser
from dchat_client.tui.roomlist import badge
from dchat_client.tui.rows import moment

if TYPE_CHECKING:
    from dchat_client.tui.app import ChatApp

MOST_PAGES = 50
"""Pages fetched to find a message further back, before one is asked again."""
_PAGES_A_SEARCH = 10


class Finder:
    """Opens choosers for the app and does what was chosen."""

    def __init__(self, app: ChatApp) -> None:
        self._app = app

    def sources(self) -> Sources:
        """Return what can be completed: who spoke here last first, then members, then everybody known."""
        chat, room = self._app.chat, self._app.room or ""
        recent = [line.sender for line in reversed(chat.transcript(room).lines[-50:])]
        members = [str(row.get("user")) for row in chat.members.get(room, ())]
        people = [name for name in dict.fromkeys([*recent, *members, *chat.names]) if name and name != chat.me]
        return Sources(tuple(clean(name) for name in people), tuple(room.name for room in chat.ordered()))

    # Rooms and people

    def switch_room(self) -> None:
        """Choose where to go: one's rooms, then rooms one may join, then people."""
        app = self._app

        def here(query: str) -> list[Choice]:
            rooms = sorted(app.chat.ordered(), key=_urgency)
            found = ranked(query.lstrip("#@"), rooms, lambda room: f"{room.title} {room.name}")
            return [Choice(("room", room.name), self._room_label(room)) for room in found if room.name != app.room]

        async def elsewhere(query: str) -> list[Choice]:
            prefix = query.lstrip("#@").strip().lower()
            found = [
                Choice(
                    ("join", str(row.get("room"))),
                    self._label(f"+ {row.get('room')}", f"join  {row.get('topic') or ''}"),
                )
                for row in await app.engine.find_rooms(prefix)
                if not row.get("joined") and row.get("room") not in app.chat.rooms
            ]
            people = await app.engine.find_users(prefix) if prefix else []
            return found + [self._person(str(row.get("username")), row) for row in people]

        app.push_screen(Chooser("Go to", here, elsewhere, hint="Enter goes there, Esc closes"), self._go)

    def members(self) -> None:
        """Show the members of the open room; the chosen one is written to."""
        app, room = self._app, self._app.room
        if room is None:
            return

        def here(query: str) -> list[Choice]:
            rows = ranked(
                query.lstrip("@"),
                app.chat.members.get(room, []),
                lambda row: f"{row.get('user')} {row.get('display_name')}",
            )
            return [self._person(str(row.get("user")), row) for row in rows]

        async def elsewhere(query: str) -> Sequence[Choice]:
            if not query:
                await app.engine.members(room)
            return here(query)

        app.push_screen(Chooser("Members", here, elsewhere, hint="Enter writes to them, Esc closes"), self._go)

    def _go(self, chosen: tuple[str, str] | None) -> None:
        match chosen:
            case ("room", name):
                self._app.open_room(name)
            case ("join", name):
                self._app.ask(self._app.orders.join(name))
            case ("dm", user):
                self._app.ask(self._app.orders.write_to(user))

    def _room_label(self, room: Room) -> Text:
        label = Text(("@ " if room.kind == "dm" else "# ") + clean(room.title), "bold" if room.unread else "")
        words, style = badge(room, self._app.level(room.name))
        if words:
            label.append("  ").append(words, palette.style(self._app.palette_name, style))
        if room.topic:
            label.append(f"  {clean(room.topic)}", palette.style(self._app.palette_name, "quote"))
        return _one_row(label)

    def _person(self, user: str, row: object) -> Choice:
        about = ""
        if isinstance(row, dict):
            name = str(row.get("display_name") or "")
            parts = [name if name != user else "", str(row.get("role") or ""), str(row.get("presence") or "")]
            about = "  ".join(part for part in parts if part and part != "member")
        return Choice(("dm", user), self._label(f"@ {user}", about))

    def _label(self, words: str, about: str) -> Text:
        label = Text(clean(words))
        if about:
            label.append(f"  {clean(about)}", palette.style(self._app.palette_name, "quote"))
        return _one_row(label)

    # Reactions

    def reaction(self, line: Line) -> None:
        """Choose an emoji to react with; one that one has given already is taken back."""
        app = self._app

        def here(query: str) -> list[Choice]:
            query = query.strip().strip(":")
            if not query:
                emojis = [*line.reactions, *(emoji for emoji in MOST_USED if emoji not in line.reactions)]
                rows = [(name_of(emoji), emoji) for emoji in emojis]
            elif is_reaction(query):
                rows = [("", query)]
            else:
                rows = named(query, 50)
            return [Choice(emoji, self._emoji_label(emoji, name, line)) for name, emoji in rows]

        def chosen(emoji: str | None) -> None:
            if emoji is not None and app.room is not None:
                add = app.chat.me not in line.reactions.get(emoji, ())
                app.ask(app.engine.react(app.room, line.seq, emoji, add=add))
            app.view.deselect()
            app.to_input()

        app.push_screen(Chooser("React", here, hint="a name, as in thumbs; Enter reacts, or takes it back"), chosen)

    def _emoji_label(self, emoji: str, name: str, line: Line) -> Text:
        users = line.reactions.get(emoji, [])
        about = name
        if users:
            about = ("take back  " if self._app.chat.me in users else "") + ", ".join(users[:8])
        return self._label(emoji, about)

    # Messages

    def search(self, query: str) -> None:
        """Find messages of the open room by words; the chosen one is gone to. Further back on demand."""
        app, room = self._app, self._app.room
        if room is None:
            return
        transcript = app.chat.transcript(room)
        asked = [query]

        def here(query: str) -> list[Choice]:
            asked[0] = query
            words = query.casefold().split()
            lines = [line for line in reversed(transcript.lines) if _has(line, words)] if words else []
            found = [Choice(line.seq, self._message_label(line)) for line in lines[:MOST_FOUND]]
            if words and transcript.has_older:
                oldest = transcript.lines[0].ts if transcript.lines else ""
                day = moment(oldest).day
                found.append(Choice(0, self._label("… search further back", f"before {day}" if day else "")))
            return found

        def chosen(seq: int | None) -> None:
            if seq == 0:
                app.ask(self._search_further(room, asked[0]))
            elif seq is not None:
                app.screen.set_focus(app.view)
                app.view.go_to(seq)

        app.push_screen(Chooser("Search", here, hint="words, in any order; Enter goes there", query=query), chosen)

    async def _search_further(self, room: str, query: str) -> None:
        transcript = self._app.chat.transcript(room)
        for _ in range(_PAGES_A_SEARCH):
            if not await self._page_back(room):
                break
        if self._app.room == room:
            self._app.say(f"{len(transcript.lines)} messages are loaded now.")
            self.search(query)

    async def go_to(self, seq: int) -> None:
        """Fetch older messages until that one is there, and go to it."""
        app, room = self._app, self._app.room
        if room is None:
            return
        transcript = app.chat.transcript(room)
        for _ in range(MOST_PAGES):
            if (transcript.oldest or 0) <= seq or not await self._page_back(room):
                break
        if app.room == room:
            app.view.redraw([None])
            if not app.view.go_to(seq):
                app.say(f"Message {seq} is not to be had.", bad=True)

    async def _page_back(self, room: str) -> bool:
        """Fetch a page more. False when there is none, or it could not be had."""
        transcript = self._app.chat.transcript(room)
        oldest = transcript.oldest
        if oldest is None or not transcript.has_older:
            return False
        await self._app.engine.older(room, oldest)
        return transcript.oldest != oldest

    def _message_label(self, line: Line) -> Text:
        when = moment(line.ts)
        name = self._app.palette_name
        label = Text(f"{when.day or ''} {when.minute} ", palette.style(name, "time"))
        label.append(clean(line.sender), palette.style(name, f"name {line.sender}"))
        label.append(f" {clean(' '.join(line.text.split()))[:300]}")
        return _one_row(label)


MOST_FOUND = 150


def _has(line: Line, words: Sequence[str]) -> bool:
    text = f"{line.sender} {line.text}".casefold()
    return line.kind == "message" and not line.deleted and all(word in text for word in words)


def _urgency(room: Room) -> int:
    return 0 if room.mentions or (room.kind == "dm" and room.unread) else 1 if room.unread else 2


def _one_row(label: Text) -> Text:
    label.no_wrap, label.overflow = True, "ellipsis"
    return label
