from __future__ import annotations

import tkinter

from dchat_client.gui.timers import cancel_orphans


def test_only_the_timers_of_what_is_gone_are_cancelled(root: tkinter.Tk) -> None:
    called: list[str] = []
    gone = tkinter.Frame(root)
    gone.after(60_000, lambda: called.append("gone"))
    stays = root.after(60_000, lambda: called.append("stays"))
    gone.destroy()
    assert len(root.tk.splitlist(root.tk.call("after", "info"))) >= 2
    cancel_orphans(root)
    assert root.tk.splitlist(root.tk.call("after", "info")) == (stays,)
    root.after_cancel(stays)
