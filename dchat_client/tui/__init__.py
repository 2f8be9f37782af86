"""`dchat tui`, the full-screen client in a terminal. Where to find what:

app.py            puts it together: what the engine tells is drawn, what the person does is asked for
view.py           the messages: what is done with them; reading.py scrolling and drawing, sheet.py their layout,
                  rows.py how one looks
talk.py           the engine at work                  writing.py     from the input to the room
everywhere.py     what keys do wherever one is       attention.py   what is read, what is new, what rings
wrap.py           breaking text into rows, with the widths of all scripts
composer.py       the input
roomlist.py       the list of rooms                  bars.py       the rows around: room, options, state
chooser.py        a dialog to find something by      finder.py     the things to find: rooms, people, messages
dialogs.py        a question, the help               palette.py    colours
orders.py         what is done with a line of input  message_deeds.py   and with a selected message
keymap.py         which key does what                prefs.py      tui.toml
notify.py         bell and command                  manual.py      the tables of docs/tui.md
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dchat_client.cli.face import Face


def run(face: Face, room: str | None = None) -> int:
    """Run the client until the person quits, and return the exit code. Raises ConfigError and SignInNeeded."""
    from functools import partial

    from dchat_client.engine import Engine
    from dchat_client.kept import Kept
    from dchat_client.tui.app import ChatApp
    from dchat_client.tui.keymap import teach_legacy_keys
    from dchat_client.tui.prefs import read_settings
    from dchat_client.unsent import UnsentFiles

    if not _is_seen():
        face.error("dchat tui needs a terminal that can be drawn on.", "dchat tail shows messages line by line.")
        return 2
    if not os.environ.get("NO_COLOR"):
        os.environ.pop("NO_COLOR", None)  # empty means nothing (https://no-color.org), which Textual does not know
    settings_file = face.folders.config / "tui.toml"
    settings = read_settings(settings_file)
    connection = face.connection()
    kept = Kept.of(face.folders, face.profile)
    teach_legacy_keys()
    make_engine: Any = partial(Engine, connection)
    with UnsentFiles(kept.folder) as unsent:
        app = ChatApp(
            make_engine,
            connection,
            kept,
            settings,
            unsent,
            room=room,
            colours="NO_COLOR" not in os.environ,
            keys_file=str(settings_file),
        )
        code = app.run()
        waiting, failed = app.engine.unsent
    if waiting:
        many = "One message is" if len(waiting) == 1 else f"{len(waiting)} messages are"
        face.say(f"{many} not sent yet; kept, and sent when you start dchat tui again.")
    if failed:
        face.say(f"{len(failed)} that failed {'is' if len(failed) == 1 else 'are'} kept, too.")
    return app.return_code if code is None and app.return_code is not None else code or 0


def _is_seen() -> bool:
    """A person looks on, at a terminal that can be drawn on. Textual draws on standard error."""
    return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
