"""From the input to the room: sending, drafts, and that others hear that one is writing."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from dchat_client.config import ConfigError

if TYPE_CHECKING:
    from dchat_client.tui.app import ChatApp

TYPING_EVERY_S = 3.0
"""How often the others are told, at most."""


class Writing:
    """What is in the app's input belongs to the open room, unless an old message is being edited."""

    def __init__(self, app: ChatApp) -> None:
        self._app = app
        self._told_at = 0.0

    def send(self, text: str) -> bool:
        """Do what the text means. False when it is to stay in the input."""
        app = self._app
        was_editing = app.deeds.is_editing
        if not app.orders.take(text):
            return False
        with suppress(ConfigError):
            app.kept.add_sent(text)
            if app.room is not None and not was_editing:
                app.kept.keep_draft(app.room, "")
        return True

    def keep_draft(self) -> None:
        """Keep what is being written, unless it is another text of an old message."""
        app = self._app
        if app.room is not None and not app.deeds.is_editing:
            try:
                app.kept.keep_draft(app.room, app.composer.text)
            except ConfigError as error:
                app.say(f"The draft cannot be kept: {error}", bad=True)

    def goes_on(self) -> None:
        """The text has changed: tell the others, now and then, if that is a message for them."""
        app = self._app
        now, text = time.monotonic(), app.composer.text
        if app.room not in app.chat.rooms or app.deeds.is_editing or now < self._told_at + TYPING_EVERY_S:
            return
        if text.strip() and not text.startswith("/") and text != app.kept.draft(app.room):
            self._told_at = now
            app.ask(app.engine.typing(app.room))
