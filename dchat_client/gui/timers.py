"""Timers of Tk that outlive their widgets."""

from __future__ import annotations

import tkinter


def cancel_orphans(widget: tkinter.Misc) -> None:
    """Cancel what was to be called later on widgets that have been destroyed; Tk would complain of each."""
    tk = widget.tk
    for timer in tk.splitlist(tk.call("after", "info")):
        script = str(tk.splitlist(tk.call("after", "info", timer))[0])
        if not tk.call("info", "commands", script.partition(" ")[0]):
            tk.call("after", "cancel", timer)
