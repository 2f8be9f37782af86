"""What a person does with messages: write, answer, change, delete, react, copy."""

from __future__ import annotations

import webbrowser
from collections.abc import Callable
from dataclasses import dataclass

from dchat_client.emoji import emoji_of
from dchat_client.gui.chat_page import ChatPage
from dchat_client.gui.message_menu import deeds, pop_up
from dchat_client.gui.sheet import ask, confirm
from dchat_client.pictures import is_reaction
from dchat_client.transcript import Line, Sending

MAX_TEXT_BYTES = 16 << 10
"""What a server takes as one message unless its operator chose otherwise."""


@dataclass(frozen=True, slots=True)
class About:
    """What the input is for when it is not a new message: an answer to `line`, or its new text."""

    deed: str
    room: str
    line: Line
    draft: str = ""
    """What stood in the input before the edit."""


class MessageActs:
    """Acts on the page's open room. `page` is set once the page is there."""

    page: ChatPage

    def __init__(self) -> None:
        self.about: About | None = None

    # Writing

    def say(self, text: str) -> bool:
        """Send a text to the open room: as a message, an answer, or the new text of a message. True when taken."""
        page, name = self.page, self.page.opened
        if name is None:
            page.say("There is no room to write to. Ctrl-K goes to one, Ctrl-N makes one.")
            return False
        size = len(text.encode("utf-8", "replace"))
        if size > MAX_TEXT_BYTES:
            page.say(f"The text has {size} bytes; a message may have {MAX_TEXT_BYTES}.")
            return False
        about = self.about if self.about is not None and self.about.room == name else None
        self.forget()
        if about is not None and about.deed == "edit":
            seq = about.line.seq
            if text != about.line.text:
                page.network.tell(lambda engine: engine.edit(name, seq, text))
            return True
        reply_to = about.line.seq if about is not None else None
        page.network.tell(lambda engine: engine.send(name, text, reply_to=reply_to))
        if page.transcript is not None:
            page.transcript.unread_after = None
        page.view.to_bottom()
        return True

    def forget(self) -> bool:
        """Neither answer nor edit any more. True when that changed something."""
        about, self.about = self.about, None
        if about is None:
            return False
        self.page.entry.about("")
        if about.deed == "edit":
            self.page.entry.set(about.draft)
        return True

    def reply(self, line: Line) -> None:
        """Answer a message with what is written next."""
        self._set(About("reply", self.page.opened or "", line))
        self.page.entry.about(f"Answer to {self._quote(line)}   (Esc: no answer)")

    def edit(self, line: Line) -> None:
        """Write a message anew."""
        self._set(About("edit", self.page.opened or "", line, self.page.entry.value))
        self.page.entry.about("Change your message   (Enter: done, Esc: leave it as it is)")
        self.page.entry.set(line.text)

    def edit_last(self) -> None:
        """Write one's own last message anew."""
        line = self.page.transcript.last_own(self.page.chat.me) if self.page.transcript is not None else None
        if line is not None:
            self.edit(line)

    def _set(self, about: About) -> None:
        self.forget()
        self.about = about
        self.page.view.unchoose()
        self.page.entry.text.focus_set()

    def _quote(self, line: Line) -> str:
        return self.page.view.quote(line)

    # A message that is there

    def press(self, what: str, line: Line) -> None:
        """Something in a message was pressed, or chosen for it."""
        name, page = self.page.opened, self.page
        if name is None:
            return
        sign, _, rest = what.partition(":")
        acts: dict[str, Callable[[], object]] = {
            "menu": lambda: self.menu(line, (page.winfo_pointerx(), page.winfo_pointery())),
            "reply": lambda: self.reply(line),
            "edit": lambda: self.edit(line),
            "delete": lambda: self._delete(name, line),
            "copy": lambda: self._copy(line),
            "unread": lambda: page.network.tell(lambda engine: engine.mark_unread(name, line.seq - 1)),
            "retry": lambda: page.network.tell(lambda engine: engine.retry(line.client_id or "")),
            "cancel": lambda: page.network.tell(lambda engine: engine.cancel(line.client_id or "")),
            "react": lambda: self._react_freely(name, line) if not rest else self._react(name, line, rest),
            "unfold": lambda: page.view.unfold(line),
            "quote": lambda: page.view.go_to(line.reply_to or 0),
            "link": lambda: webbrowser.open(rest),
        }
        acts.get(sign, lambda: None)()

    def key(self, deed: str, line: Line) -> None:
        """Do by key what the menu would offer for the line."""
        if deed in self._deeds(line):
            self.press(deed, line)

    def menu(self, line: Line, place: tuple[int, int]) -> None:
        """Offer what can be done with a line."""
        pop_up(self.page, self.page.theme, line, self._deeds(line), self.press, place, self.page.drawn)

    def _deeds(self, line: Line) -> list[str]:
        room, chat = self.page.room, self.page.chat
        may_delete = bool(chat.user.get("admin")) or (room is not None and room.role in ("owner", "moderator"))
        found = deeds(line, is_own=line.sender == chat.me, may_delete=may_delete)
        return ["unfold", *found] if self.page.view.is_folded(line) else found

    def _delete(self, name: str, line: Line) -> None:
        confirm(
            self.page,
            self.page.theme,
            "Delete this message?",
            self._quote(line),
            "Delete",
            lambda: self.page.network.tell(lambda engine: engine.delete(name, line.seq)),
        )

    def _copy(self, line: Line) -> None:
        self.page.clipboard_clear()
        self.page.clipboard_append(line.text)

    def _react(self, name: str, line: Line, emoji: str) -> None:
        if line.sending is Sending.PENDING or line.deleted:
            return
        add = self.page.chat.me not in line.reactions.get(emoji, [])
        self.page.network.tell(lambda engine: engine.react(name, line.seq, emoji, add=add))

    def _react_freely(self, name: str, line: Line) -> None:
        def done(text: str) -> str | None:
            emoji = emoji_of(text if text.startswith(":") else f":{text}:")
            emoji = text if emoji.startswith(":") else emoji
            if not is_reaction(emoji):
                return "That is no emoji. Type one, or its name: tada, thumbsup, eyes …"
            self._react(name, line, emoji)
            return None

        ask(self.page, self.page.theme, "React with", done=done, hint="An emoji, or its name.", button="React")
