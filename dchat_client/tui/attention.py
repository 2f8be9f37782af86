"""What one looks at: what of it counts as read, where "new" begins, and what calls for a bell."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from dchat_client.chat import Change
from dchat_client.transcript import Line
from dchat_client.tui.notify import Command, concerns, message_of

if TYPE_CHECKING:
    from dchat_client.tui.app import ChatApp

AWAY_S = 60.0
"""Without a key for so long nobody is taken to look at the screen: many terminals do not tell when they lose focus."""


class Attention:
    """Watches over the open room and the alerts of all rooms."""

    def __init__(self, app: ChatApp) -> None:
        self._app = app
        self._input_at = time.monotonic()
        self._command = Command(app.settings.command, app.say) if app.settings.command else None

    def came(self) -> None:
        """Somebody pressed a key or moved the mouse."""
        was_away = not self._is_here
        self._input_at = time.monotonic()
        if was_away:
            self.mark_read()

    def go_away(self) -> None:
        """As if nobody had done anything for long."""
        self._input_at = time.monotonic() - AWAY_S

    @property
    def _is_here(self) -> bool:
        return time.monotonic() - self._input_at < AWAY_S

    @property
    def is_on_room(self) -> bool:
        """Somebody sees the open room, as far as one can know."""
        return self._app.app_focus and len(self._app.screen_stack) == 1 and self._is_here

    @property
    def is_on_end(self) -> bool:
        """Somebody sees what comes in the open room."""
        return self.is_on_room and self._app.view.is_at_end

    def note_unread(self, lines: Iterable[Line | None]) -> None:
        """Begin the line "new" above what comes while nobody looks."""
        transcript = self._app.chat.transcript(self._app.room or "")
        first = next((line for line in lines if line is not None and line.kind == "message"), None)
        if first is None or not first.seq or transcript.unread_after is not None or self.is_on_end:
            return
        if first.sender != self._app.chat.me and transcript.find(first.seq) is first:
            transcript.unread_after = first.seq - 1

    def mark_read(self) -> None:
        """Tell the server what has been in sight."""
        app = self._app
        room = app.chat.rooms.get(app.room or "")
        if room is None or app.deeds.holds_unread or not self.is_on_room:
            return
        transcript = app.chat.transcript(room.name)
        if transcript.is_loaded and not transcript.is_stale and room.read < app.view.seen_to:
            app.engine.mark_read(room.name, app.view.seen_to)

    def alert(self, changes: Iterable[Change]) -> None:
        """Ring once for what came together, and run the command for each."""
        calling = [change for change in changes if self._calls(change)]
        if calling and self._app.settings.bell:
            self._app.bell()
        if self._command is not None:
            for change in calling:
                if change.line is not None:
                    self._command.run(message_of(change.line, change.room or ""), change.why or "message")

    async def close(self) -> None:
        """End the commands that run."""
        if self._command is not None:
            await self._command.close()

    def _calls(self, change: Change) -> bool:
        room = change.room or ""
        if change.kind != "alert" or not concerns(self._app.level(room), change.why or "message"):
            return False
        return not (room == self._app.room and self.is_on_end)
