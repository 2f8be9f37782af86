"""Breaking cleaned text into rows of a given width, never inside a sign. Pure.

Widths are rich's, which Textual measures with, so that what is laid out here is what is drawn there. Terminals do not
agree with it, nor with each other, about emoji that are made of several: a family, a skin tone, a sign with the emoji
selector. They are shown in the form about which all agree (`steady`), or a row would be longer than it was measured and
push its neighbours out of place. Copying a message gives what was written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from rich.cells import cell_len, get_character_cell_size, split_graphemes

_MOST_CODE_POINTS = 12
"""Of one sign on the screen; flags and families have up to 11. More is a heap of marks that would cover other rows."""
# A joined ♂ or ♀, the joiner before another emoji, skin tones, the emoji selector.
_JOINED = re.compile(
    "\u200d[\u2640\u2642]|\u200d(?=[\u2190-\u2bff\U0001f000-\U0001faff])|[\U0001f3fb-\U0001f3ff\ufe0f]"
)
_UNSTEADY = re.compile("[\u200d\ufe0f\U0001f3fb-\U0001f3ff]")
_JOINING = frozenset(("Mn", "Me", "Mc", "Cf", "Sk"))


def wrap(text: str, width: int) -> list[str]:
    """Return the rows of one line of text, each at most `width` (2 or more) columns wide, at least one.

    Breaks at spaces, which the break swallows, and beside wide signs, as Chinese and Japanese are written; a word
    that is longer than a row is cut. Spaces at the beginning stay: they are somebody's indentation.
    """
    if text.isascii():
        return [text] if len(text) <= width else list(_wrap_ascii(text, width))
    text = steady(text)
    return [text] if cell_len(text) <= width else list(_wrap_signs(text, width))


def cut(text: str, width: int) -> str:
    """Return `text` cut to `width` columns, with … where something was cut."""
    text = steady(text)
    if cell_len(text) <= width:
        return text
    used = 0
    for start, _, size in _signs(text):
        if used + size > width - 1:
            return text[:start] + "…"
        used += size
    return text


def padded(text: str, width: int) -> str:
    """Return `text` cut or filled with spaces to exactly `width` columns."""
    text = cut(text, width)
    return text + " " * (width - cell_len(text))


def steady(text: str) -> str:
    """Return `text` with emoji in forms that are equally wide everywhere, and without heaps of marks on one sign."""
    if text.isascii():
        return text
    return _without_heaps(_JOINED.sub("", text) if _UNSTEADY.search(text) else text)


def _without_heaps(text: str) -> str:
    if len(text) <= _MOST_CODE_POINTS or not _has_marks(text):
        return text
    spans, _ = split_graphemes(text)
    if all(end - start <= _MOST_CODE_POINTS for start, end, _ in spans):
        return text
    return "".join(text[start : min(end, start + _MOST_CODE_POINTS)] for start, end, _ in spans)


def _wrap_ascii(text: str, width: int) -> Iterator[str]:
    start = 0
    while len(text) - start > width:
        space = text.rfind(" ", start, start + width + 1)
        if space <= start or text[start:space].isspace():
            yield text[start : start + width]
            start += width
            continue
        yield text[start:space].rstrip(" ")
        start = space + 1
        while start < len(text) and text[start] == " ":
            start += 1
    if start < len(text):
        yield text[start:]


def _wrap_signs(text: str, width: int) -> Iterator[str]:
    start, used = 0, 0
    breaks: tuple[int, int] | None = None  # where the row may end and where the next begins
    wide_before = False
    for at, end, size in _signs(text):
        is_space = text[at:end] == " "
        if (wide_before or size > 1) and at > start and not is_space:
            breaks = (at, at)
        if used + size > width and not is_space:
            row_end, following = breaks if breaks is not None and breaks[0] > start else (at, at)
            yield text[start:row_end].rstrip(" ")
            start, breaks = following, None
            used = cell_len(text[start:at])
        if is_space and text[start:at].strip(" "):
            breaks = (at, end)
        elif is_space and used + size > width:
            yield text[start:at]
            start, used, breaks = end, 0, None
            continue
        used += size
        wide_before = size > 1
    if start < len(text):
        yield text[start:].rstrip(" ") or " "


def _signs(text: str) -> Iterator[tuple[int, int, int]]:
    """Yield start, end and width of each sign; two regional indicators are one, a flag."""
    if not _has_marks(text):
        for index, char in enumerate(text):
            yield index, index + 1, get_character_cell_size(char)
        return
    spans, _ = split_graphemes(text)
    index = 0
    while index < len(spans):
        start, end, size = spans[index]
        if _is_regional(text[start]) and index + 1 < len(spans) and _is_regional(text[spans[index + 1][0]]):
            index += 1
            _, end, more = spans[index]
            size += more
        yield start, end, size
        index += 1


def _has_marks(text: str) -> bool:
    """Tell whether some sign may be more than one character; most texts have none, and that is quickly seen."""
    return any(unicodedata.category(char) in _JOINING or _is_regional(char) for char in set(text))


def _is_regional(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
