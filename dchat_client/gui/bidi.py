"""Right-to-left writing for a Tk that knows only left to right. Pure.

Tk 8.6 on X11 puts one code point to the right of the other, each in the form it has alone. So a line with Hebrew or
Arabic in it is put here into the order in which it is seen, its Arabic letters into the forms they have beside each
other. What Unicode's algorithm (UAX #9) does for text without marks and embeddings is done: people's marks were made
visible before (`terminal.clean`), so there are none. A paragraph runs in the direction of its first strong letter.

A line must be broken before it is turned: reading goes on below, not to the left. Who draws it says how wide it may be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]")
_STRONG_RIGHT = ("R", "AL")
_NEUTRAL = ("WS", "ON", "B", "S", "CS", "ES", "ET", "BN", "NSM")
_LONGEST_LINE = 500
"""Characters of a line that are looked at; there is no screen that wide."""
_FORMS = ("isolated", "final", "initial", "medial")
_TATWEEL = "\u0640"


def needs_turning(text: str) -> bool:
    """Tell whether there is anything written from right to left in it."""
    return _RIGHT_TO_LEFT.search(text) is not None


def is_right_to_left(text: str) -> bool:
    """Tell the direction of a paragraph: that of its first strong letter."""
    kinds = (unicodedata.bidirectional(char) for char in text)
    return next((kind in _STRONG_RIGHT for kind in kinds if kind == "L" or kind in _STRONG_RIGHT), False)


def turned(text: str, fits: Callable[[str], bool]) -> list[list[tuple[int, str]]]:
    """Return a paragraph as lines that fit, each as it is seen: places in the text, and what to draw there."""
    right_to_left = is_right_to_left(text)
    drawn = shaped(text)
    lines = []
    for start, end in broken(drawn, fits):
        line = drawn[start:end]
        levels = _levels(line, right_to_left)
        order = seen(line, right_to_left=right_to_left)
        lines.append([(start + place, mirrored(line[place]) if levels[place] % 2 else line[place]) for place in order])
    return lines


def turned_line(text: str) -> str:
    """Return a short text as it is seen, on one line: a name, a topic."""
    if not needs_turning(text):
        return text
    return "".join(char for line in turned(text, lambda _: True) for _, char in line)


def seen(text: str, *, right_to_left: bool) -> list[int]:
    """Return the places of the characters of one line in the order in which they are seen, left to right.

    A combining mark stays behind its letter, where Tk draws it upon that.
    """
    levels = _levels(text, right_to_left)
    order = list(range(len(text)))
    for level in range(max(levels, default=0), 0, -1):
        start = 0
        while start < len(order):
            end = start
            while end < len(order) and levels[order[end]] >= level:
                end += 1
            order[start:end] = order[start:end][::-1]
            start = max(end, start + 1)
    return _marks_behind(text, order)


def mirrored(char: str) -> str:
    """Return a bracket as it looks in a run from right to left."""
    return _MIRRORS.get(char, char) if unicodedata.mirrored(char) else char


def broken(text: str, fits: Callable[[str], bool]) -> list[tuple[int, int]]:
    """Return the lines a paragraph is broken into, as places in it, so that each one `fits`.

    At spaces where there are some, which stay at the end of their line; inside a word only when that alone is too long.
    """
    lines: list[tuple[int, int]] = []
    start = 0
    while start < len(text):
        end = _most(text, start, fits)
        if end < len(text):
            space = text.rfind(" ", start, end + 1)
            end = space + 1 if space > start else end
        lines.append((start, end))
        start = end
    return lines or [(0, 0)]


def shaped(text: str) -> str:
    """Return Arabic letters in the forms they have beside each other; as many characters as there were."""
    if not any("\u0600" <= char <= "\u06ff" for char in text):
        return text
    letters = [place for place, char in enumerate(text) if unicodedata.category(char) not in ("Mn", "Me", "Cf")]
    drawn = list(text)
    for at, place in enumerate(letters):
        before = text[letters[at - 1]] if at else ""
        after = text[letters[at + 1]] if at + 1 < len(letters) else ""
        joined_before = _joins_after(before) and _joins_before(text[place])
        joined_after = _joins_after(text[place]) and _joins_before(after)
        form = _FORMS[joined_before + 2 * joined_after]
        drawn[place] = _forms(text[place]).get(form, text[place])
    return "".join(drawn)


def _levels(text: str, right_to_left: bool) -> list[int]:
    """Return each character's level: even runs left to right, odd ones right to left."""
    kinds = [unicodedata.bidirectional(char) or "L" for char in text]
    outer = "R" if right_to_left else "L"
    strong, after_arabic = outer, False
    for place, kind in enumerate(kinds):
        if kind == "NSM":
            kinds[place] = kinds[place - 1] if place else outer
        elif kind in ("L", "R", "AL"):
            strong, after_arabic = ("L" if kind == "L" else "R"), kind == "AL"
            kinds[place] = strong
        elif kind == "EN":
            # A number keeps its own direction, but after left-to-right text it is simply a part of that.
            kinds[place] = "AN" if after_arabic else "L" if strong == "L" else "EN"
    for place in range(1, len(kinds) - 1):
        if kinds[place] in ("CS", "ES") and kinds[place - 1] == kinds[place + 1] in ("EN", "AN"):
            kinds[place] = kinds[place - 1]  # 12:30 and 1,000 are one number
    _settle_neutrals(kinds, outer)
    base = 1 if right_to_left else 0
    levels = []
    for kind in kinds:
        if kind == "R":
            levels.append(1)
        elif kind == "L":
            levels.append(base + base % 2)
        else:
            levels.append(2)
    last = len(text.rstrip())  # spaces at the end of a line stand at the end of the paragraph's direction
    return levels[:last] + [base] * (len(text) - last)


def _settle_neutrals(kinds: list[str], outer: str) -> None:
    """Give spaces and signs the direction of what is on both of their sides, else that of the paragraph."""
    place = 0
    while place < len(kinds):
        if kinds[place] not in _NEUTRAL:
            place += 1
            continue
        end = place
        while end < len(kinds) and kinds[end] in _NEUTRAL:
            end += 1
        before = _side(kinds[place - 1]) if place else outer
        after = _side(kinds[end]) if end < len(kinds) else outer
        kinds[place:end] = [before if before == after else outer] * (end - place)
        place = end


def _side(kind: str) -> str:
    return "L" if kind == "L" else "R"


def _marks_behind(text: str, order: Sequence[int]) -> list[int]:
    found: list[int] = []
    marks: list[int] = []
    for place in order:
        if unicodedata.category(text[place]) in ("Mn", "Me"):
            marks.append(place)
            continue
        found.append(place)
        # In a run from right to left the marks came first.
        own = [mark for mark in marks if mark > place]
        found += sorted(own)
        marks = [mark for mark in marks if mark not in own]
    return found + marks


def _most(text: str, start: int, fits: Callable[[str], bool]) -> int:
    """Return the end of the longest piece from `start` that fits; one character at least."""
    low, high = start + 1, min(len(text), start + _LONGEST_LINE)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(text[start:middle]):
            low = middle
        else:
            high = middle - 1
    return low


@lru_cache(1)
def _table() -> dict[str, dict[str, str]]:
    """Letter → form → the character of that form, as Unicode's compatibility decompositions tell."""
    found: dict[str, dict[str, str]] = {}
    for code in (*range(0xFB50, 0xFBB2), *range(0xFBD3, 0xFC00), *range(0xFE80, 0xFEF5)):
        kind, *letters = unicodedata.decomposition(chr(code)).split() or [""]
        if len(letters) == 1 and kind.strip("<>") in _FORMS:
            found.setdefault(chr(int(letters[0], 16)), {})[kind.strip("<>")] = chr(code)
    return found


def _forms(char: str) -> dict[str, str]:
    return _table().get(char, {})


def _joins_before(char: str) -> bool:
    """Tell whether a letter takes a connection from the one before it."""
    return char == _TATWEEL or "final" in _forms(char)


def _joins_after(char: str) -> bool:
    """Tell whether it gives one to the letter after it."""
    return char == _TATWEEL or "initial" in _forms(char)


_MIRRORS = dict(zip("()[]{}<>«»‹›⟨⟩", ")(][}{><»«›‹⟩⟨", strict=True))
