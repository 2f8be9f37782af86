from __future__ import annotations

import pytest

from dchat_server import window
from dchat_server.model import Event, Position
from dchat_server.window import Window


def event(offset: int, size: int = 20) -> Event:
    return Event("kitchen", 7, offset, "message", 0, b'"sender":"ada"}' + b" " * (size - 15), offset, offset)


def offsets(window: Window, after: int) -> list[int] | None:
    kept = window.since(after)
    return None if kept is None else [each.event.offset for each in kept]


def test_a_new_window_knows_nothing_before_its_place_and_nothing_new() -> None:
    fresh = Window(Position(7, 100))
    assert (fresh.first, fresh.last) == (101, 100)
    assert offsets(fresh, 100) == []
    assert offsets(fresh, 99) is None


def test_since_gives_exactly_what_lies_behind_an_offset() -> None:
    some = Window(Position(7, 100))
    for offset in range(101, 111):
        some.add(event(offset))
    for after in range(100, 115):
        assert offsets(some, after) == list(range(after + 1, 111))
    assert offsets(some, 99) is None


def test_entries_that_are_shown_to_nobody_take_their_place_all_the_same() -> None:
    some = Window(Position(7, 0))
    some.add(event(1))
    some.skip(2)
    some.add(event(3))
    some.skip(4)
    assert (some.first, some.last) == (1, 4)
    assert offsets(some, 0) == [1, 3]
    assert offsets(some, 1) == [3]
    assert offsets(some, 3) == []


def test_a_jump_empties_the_window_rather_than_pretend_to_know_what_lies_between() -> None:
    some = Window(Position(7, 0))
    some.add(event(1))
    some.add(event(5))
    assert offsets(some, 4) == [5]
    assert offsets(some, 3) is None
    assert offsets(some, 0) is None


def test_the_window_is_bounded_in_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "MAX_ENTRIES", 10)
    some = Window(Position(7, 0))
    for offset in range(1, 26):
        some.skip(offset) if offset % 3 == 0 else some.add(event(offset))
    assert (some.first, some.last) == (16, 25)
    assert offsets(some, 14) is None
    assert offsets(some, 15) == [offset for offset in range(16, 26) if offset % 3]


def test_the_window_is_bounded_in_bytes_and_counts_them_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "MAX_BYTES", 1000)
    some = Window(Position(7, 0))
    for offset in range(1, 200):
        some.add(event(offset, 15 + offset % 90))
        held = some.since(some.first - 1) or []
        assert sum(len(each.event.body) for each in held) <= 1000
    assert 8 <= some.last - some.first + 1 <= 60


def test_an_entry_larger_than_the_window_leaves_it_empty_and_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "MAX_BYTES", 100)
    some = Window(Position(7, 0))
    some.add(event(1))
    some.add(event(2, 500))
    assert offsets(some, 1) is None
    assert offsets(some, 2) == []
    some.add(event(3))
    assert offsets(some, 2) == [3]


def test_an_event_is_rendered_once() -> None:
    kept = Window(Position(7, 0)).add(event(1))
    assert kept.frame() is kept.frame()
