"""What is done with one message: answering, editing, deleting, reacting, copying."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dchat_client.terminal import clean
from dchat_client.transcript import Line, Sending
from dchat_client.tui.dialogs import Question
from dchat_client.tui.keymap import first_key
from dchat_client.tui.wrap import cut

if TYPE_CHECKING:
    from dchat_client.tui.app import ChatApp

_MODERATORS = ("owner", "moderator")
_DEEDS = ("reply", "react", "edit", "delete", "copy", "mark_unread")
_WORDS = {"reply": "answer", "react": "react", "edit": "edit", "delete": "delete", "copy": "copy"}
_WORDS |= {"mark_unread": "unread", "retry": "try again", "cancel": "take back"}


class MessageDeeds:
    """Does it for the app, and remembers what the input is for: a new message, an answer, another text."""

    def __init__(self, app: ChatApp) -> None:
        self._app = app
        self._answered: Line | None = None
        self._edit: Line | None = None
        self.holds_unread = False
        """Something was marked as unread in the open room: being in sight does not make it read."""

    @property
    def is_editing(self) -> bool:
        """What is in the input is another text for an old message."""
        return self._edit is not None

    @property
    def replies_to(self) -> int | None:
        """The message that the next one answers."""
        return self._answered.seq if self._answered is not None else None

    def do(self, deed: str, line: Line) -> None:
        """Do one of the deeds with a message, if it can be done; else say why not."""
        problem = self._problem(deed, line)
        if problem:
            self._app.say(problem, bad=True)
            return
        getattr(self, f"_do_{deed}")(line)

    def _problem(self, deed: str, line: Line) -> str:
        is_mine = line.sender == self._app.chat.me
        if deed in ("retry", "cancel"):
            if line.sending is None:
                return "It is sent already."
            waits = deed == "retry" and line.sending is Sending.PENDING
            return "It did not fail; it is waiting to be sent." if waits else ""
        if deed == "copy":
            return "It is deleted." if line.deleted else ""
        if line.sending is not None:
            return "It is not sent yet."
        if line.deleted:
            return "It is deleted." if deed != "mark_unread" else ""
        if deed == "edit" and not is_mine:
            return "Only the one who wrote it can edit it."
        room = self._app.chat.rooms.get(self._app.room or "")
        if deed == "delete" and not is_mine and (room is None or room.role not in _MODERATORS):
            return "Only the one who wrote it and moderators can delete it."
        return ""

    def _do_reply(self, line: Line) -> None:
        self._answered, self._edit = line, None
        self._app.ledge.show_purpose(f"Answering {clean(line.sender)}: {_snippet(line)}   (Esc: not)")
        self._to_input()

    def _do_edit(self, line: Line) -> None:
        if not self.is_editing:
            self._app.writing.keep_draft()
        self._answered, self._edit = None, line
        self._app.composer.put(line.text)
        self._app.ledge.show_purpose(f"Editing: {_snippet(line)}   (Esc: not)")
        self._to_input()

    def _do_delete(self, line: Line) -> None:
        def answered(yes: bool | None) -> None:
            if yes and self._app.room is not None:
                self._app.ask(self._app.engine.delete(self._app.room, line.seq))

        whose = "your" if line.sender == self._app.chat.me else f"{clean(line.sender)}'s"
        self._app.push_screen(Question(f"Delete {whose} message?", _snippet(line), yes="delete"), answered)

    def _do_react(self, line: Line) -> None:
        self._app.finder.reaction(line)

    def _do_copy(self, line: Line) -> None:
        self._app.copy_to_clipboard(line.text)
        self._app.say("Copied.")

    def _do_mark_unread(self, line: Line) -> None:
        app = self._app
        if app.room is not None:
            app.engine.mark_unread(app.room, line.seq - 1)
            app.chat.transcript(app.room).unread_after = line.seq - 1
            self.holds_unread = True
            app.view.redraw([None])

    def _do_retry(self, line: Line) -> None:
        self._app.engine.retry(line.client_id or "")
        self._to_input()

    def _do_cancel(self, line: Line) -> None:
        self._app.engine.cancel(line.client_id or "")
        self._to_input()

    def _to_input(self) -> None:
        self._app.view.deselect()
        self._app.to_input()

    def show_what_can_be_done(self, line: Line | None) -> None:
        """Show the keys for a selected message above the input."""
        words = ""
        if line is not None:
            deeds = ("retry", "cancel", "copy") if line.sending is not None else _DEEDS
            here = [deed for deed in deeds if not self._problem(deed, line)]
            keys = self._app.settings.keys
            shown = [(first_key(deed, keys), _WORDS[deed]) for deed in here]
            shown.insert(0, (first_key("deselect", keys), "back"))
            words = "  ".join(f"{key} {what}" for key, what in shown if key)
        self._app.ledge.show_keys(words)

    # What the input is for

    def leave_off(self) -> None:
        """Escape: the input is for a new message again."""
        was_editing = self.is_editing
        self.forget_purpose()
        if was_editing:
            self._app.composer.put(self._app.kept.draft(self._app.room or ""))

    def forget_purpose(self) -> None:
        """The input is for a new message."""
        self._answered = self._edit = None
        self.holds_unread = False
        self._app.ledge.show_purpose("")

    def finish_edit(self, text: str) -> bool:
        """Give the message its other text."""
        app, line = self._app, self._edit
        if line is None or app.room is None:
            return False
        if text != line.text:
            app.ask(app.engine.edit(app.room, line.seq, text))
        app.composer.put("")
        self.leave_off()
        return True


def _snippet(line: Line) -> str:
    return cut(clean(line.text.partition("\n")[0]), 200)
