"""What keys do wherever one is. Each `action_` method has the name that keymap.py gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dchat_client.tui.dialogs import Help, Question

if TYPE_CHECKING:
    from dchat_client.tui.app import ChatApp


class Everywhere:
    """Goes about in the app: rooms, messages, dialogs, out."""

    def __init__(self, app: ChatApp, keys_file: str) -> None:
        self._app = app
        self._keys_file = keys_file

    # Rooms

    def action_switch_room(self) -> None:
        """Find a room."""
        self._app.finder.switch_room()

    def action_next_unread(self) -> None:
        """Open the next room with something unread; those with mentions, and people, first."""
        app = self._app
        rooms = [room for room in app.chat.ordered() if room.unread and room.name != app.room]
        rooms.sort(key=lambda room: not (room.mentions or room.kind == "dm"))
        if rooms:
            app.open_room(rooms[0].name)
        else:
            app.say("Nothing is unread.")

    def action_next_room(self) -> None:
        """Open the room below."""
        self._go_by(1)

    def action_previous_room(self) -> None:
        """Open the room above."""
        self._go_by(-1)

    def _go_by(self, step: int) -> None:
        names = [room.name for room in self._app.chat.ordered()]
        if names:
            at = names.index(self._app.room) + step if self._app.room in names else 0
            self._app.open_room(names[at % len(names)])

    def action_toggle_rooms(self) -> None:
        """Show or hide the list of rooms."""
        self._app.rooms_list.display = not self._app.rooms_list.display

    # The open room

    def action_scroll_older(self) -> None:
        """Read back."""
        self._app.view.scroll_pages(-1)

    def action_scroll_newer(self) -> None:
        """Read on."""
        self._app.view.scroll_pages(1)

    def action_scroll_oldest(self) -> None:
        """Go to the oldest message loaded."""
        self._app.view.go_to_oldest()

    def action_scroll_newest(self) -> None:
        """Go to the end."""
        self._app.view.go_to_end()

    def action_select_message(self) -> None:
        """Select a message."""
        self._app.screen.set_focus(self._app.view)
        self._app.view.select_last()

    def action_search(self) -> None:
        """Search."""
        self._app.finder.search("")

    def action_members(self) -> None:
        """Show who is here."""
        self._app.finder.members()

    def action_notify_level(self) -> None:
        """Change what the room notifies of."""
        self._app.orders.next_level()

    # The program

    def action_reconnect(self) -> None:
        """Connect again now."""
        self._app.talk.reconnect()

    def action_help(self) -> None:
        """Show keys and commands."""
        self._app.push_screen(Help(self._app.settings.keys, self._keys_file))

    def action_suspend_process(self) -> None:
        """Go back to the shell."""
        self._app.action_suspend_process()

    def action_quit(self) -> None:
        """Quit; with messages that are not sent, after a question."""
        app = self._app
        waiting, _ = app.engine.unsent
        if not waiting:
            app.leave()
            return
        many = "One message is" if len(waiting) == 1 else f"{len(waiting)} messages are"
        detail = "What is not sent is kept, and sent when you start dchat tui again."
        app.push_screen(Question(f"{many} not sent yet. Quit?", detail, yes="quit"), self._leave_if)

    def _leave_if(self, yes: bool | None) -> None:
        if yes:
            self._app.leave()
