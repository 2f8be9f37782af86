"""`dchat gui`: the chat in a window of this desktop, with Tk. Where to find what:

window.py        the window: pages, mailbox, keys, closing      menu.py         the menu bar and its keys
chat_page.py     the parts put together, and what each change does to them
rooms_list.py  header.py  transcript_view.py  entry.py  state_line.py     the parts
blocks.py        a transcript as blocks of tagged text: pure     layout.py       what to change among them: pure
stretch.py       which lines are drawn: pure                     held_view.py    a view that does not jump
bidi.py          Hebrew and Arabic turned for X11: pure
text_tags.py     how tags look              glyphs.py            what Tk can draw, and how it is told: pure
suggestions.py   completion                 switcher.py          Ctrl-K               sheet.py  chooser.py
message_acts.py  message_menu.py  room_acts.py  help.py  keyboard.py     what a person does
network.py       the thread that talks to the server             mailbox.py      the bounded way from there to here
sign_in.py       the page that asks who one is                   account.py      profiles and sign-in
theme.py  palette.py   colours, fonts, sizes                     preferences.py  what is remembered
notify.py        telling the desktop        state_words.py       the connection in words      written.py   history
garbage.py       collected in Tk's thread only  timers.py        those of widgets that are gone

Tk belongs to the thread that made the window; nothing else touches it. All input and output is the network's thread's.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dchat_client.cli.face import Face


def run(face: Face, *, host: str | None = None, port: int | None = None, user: str | None = None) -> int:
    """Open the window and return when it was closed: 0, or 1 when there is no screen. Raises ConfigError."""
    import signal
    import tkinter
    from contextlib import suppress

    from dchat_client.gui.account import profile_for
    from dchat_client.gui.window import Window

    profile = profile_for(face, host, port, user)
    try:
        window = Window(face.folders, profile)
    except tkinter.TclError as error:
        words = "There is no screen to open a window on"
        next_step = "In a terminal without one: dchat tui" if sys.platform != "win32" else None
        face.error(f"{words} ({error}).", next_step)
        return 1
    with suppress(ValueError):  # not the main thread: then signals are somebody else's
        signal.signal(signal.SIGINT, lambda *_: window.quit())
    window.show()
    return 0
