"""A Text whose view does not jump while its contents change.

Whoever is at the bottom stays there. Anywhere else the first message in view is held where it is, to the pixel,
whatever is put in, changed or taken away above it. Messages are known by their tags, "b:m…" and "b:p…".
"""

from __future__ import annotations

import tkinter
from collections.abc import Iterator
from contextlib import contextmanager


def is_at_bottom(text: tkinter.Text) -> bool:
    """Tell whether the last line is in view; so it is while nothing is."""
    if not text.winfo_viewable() or text.winfo_height() < 10:
        return True
    return text.dlineinfo("end-1c") is not None


def to_bottom(text: tkinter.Text) -> None:
    """Bring the last line into view."""
    text.see("end")
    text.yview_moveto(1.0)


@contextmanager
def held(text: tkinter.Text) -> Iterator[None]:
    """Hold the view while the body of the `with` changes the text."""
    if is_at_bottom(text):
        yield
        to_bottom(text)
        return
    key = _first_in_view(text)
    before = text.dlineinfo(_body(text, key)) if key is not None else None
    yield
    if key is None or before is None or not text.tag_ranges(f"b:{key}"):
        return
    text.yview(_body(text, key))
    after = text.dlineinfo(_body(text, key))
    if after is not None:
        text.yview_scroll(round(after[1] - before[1]), "pixels")


def _first_in_view(text: tkinter.Text) -> str | None:
    """Return the key of the first message whose text begins in view.

    Its text, not its head: that goes when a message of the same person is put in above.
    """
    index = text.index("@0,0")
    while text.dlineinfo(index) is not None:
        key = next((tag[2:] for tag in text.tag_names(index) if tag[:3] in ("b:m", "b:p")), None)
        if key is not None and text.compare(_body(text, key), "==", index):
            return key
        below = text.index(f"{index} + 1 display lines linestart")
        if text.compare(below, "<=", index):
            return None
        index = below
    return None


def _body(text: tkinter.Text, key: str) -> str:
    """Return where the text of a message begins."""
    found = text.tag_nextrange("body", f"b:{key}.first", f"b:{key}.last")
    return str(found[0]) if found else f"b:{key}.first"
