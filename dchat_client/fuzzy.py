"""Finding a name by some of its letters, in their order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import TypeVar

_T = TypeVar("_T")
_BREAKS = frozenset(" -_.#@/")


def score(query: str, text: str) -> tuple[int, list[int]] | None:
    """Return how well `query` fits and at which places of `text` its letters stand; None when it does not.

    Higher is better: starts of words and letters side by side count more, and shorter texts win. Each letter is
    taken at the start of a word if it can, else as early as it can; nothing is tried twice, so that no name, however
    it is made, costs more than both lengths multiplied.
    """
    query, text = query.casefold(), text.casefold()
    at = text.find(query)
    if at >= 0:
        places = list(range(at, at + len(query)))
        points = 1500 if at == 0 else 1250 if text[at - 1] in _BREAKS else 60
        return points * len(query) - len(text), places
    places = []
    start = 0
    for index, letter in enumerate(query):
        found = text.find(letter, start)
        if found < 0:
            return None
        head = _at_word(text, letter, start)
        # The word's start only if the rest still fits behind it.
        if head > found and _fits(query[index + 1 :], text, head + 1):
            beside = bool(places) and found == places[-1] + 1
            found = found if beside else head
        places.append(found)
        start = found + 1
    points = sum(100 if _is_head(text, place) else 10 for place in places)
    points += sum(50 for before, place in pairwise(places) if place == before + 1)
    return points - len(text), places


def ranked(query: str, things: Iterable[_T], name: Callable[[_T], str]) -> list[_T]:
    """Return the things whose name fits, the best first; all, in their order, for an empty query."""
    things = list(things)
    if not query:
        return things
    fitting = [(found[0], -index, thing) for index, thing in enumerate(things) if (found := score(query, name(thing)))]
    return [thing for _, _, thing in sorted(fitting, key=lambda row: row[:2], reverse=True)]


def _is_head(text: str, place: int) -> bool:
    return place == 0 or text[place - 1] in _BREAKS


def _at_word(text: str, letter: str, start: int) -> int:
    place = text.find(letter, start)
    while place >= 0 and not _is_head(text, place):
        place = text.find(letter, place + 1)
    return place


def _fits(query: str, text: str, start: int) -> bool:
    for letter in query:
        start = text.find(letter, start) + 1
        if not start:
            return False
    return True
