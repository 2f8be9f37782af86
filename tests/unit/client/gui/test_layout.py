from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from dchat_client.gui.layout import Change, changes


@dataclass(frozen=True)
class Drawn:
    key: str
    look: int = 0


def applied(shown: list[Drawn], found: list[Change[Drawn]]) -> list[Drawn]:
    for change in found:
        shown = [*shown[: change.start], *change.blocks, *shown[change.end :]]
    return shown


def row(letters: str) -> list[Drawn]:
    return [Drawn(letter) for letter in letters]


blocks = st.lists(st.builds(Drawn, st.sampled_from("abcdefghij"), st.integers(0, 2)), unique_by=lambda block: block.key)


@given(blocks, blocks)
def test_the_changes_turn_what_is_shown_into_what_is_wanted(shown: list[Drawn], wanted: list[Drawn]) -> None:
    assert applied(shown, changes(shown, wanted)) == wanted


def test_nothing_is_done_when_nothing_has_changed() -> None:
    assert changes(row("abc"), row("abc")) == []


def test_a_message_more_is_put_below_and_nothing_else_is_touched() -> None:
    assert changes(row("abc"), row("abcd")) == [Change(3, 3, (Drawn("d"),))]


def test_older_ones_are_put_above_and_nothing_else_is_touched() -> None:
    assert changes(row("xcd"), row("xabcd")) == [Change(1, 1, (Drawn("a"), Drawn("b")))]


def test_a_stretch_that_moves_on_loses_its_first_and_gains_a_last() -> None:
    assert changes(row("abcd"), row("bcde")) == [Change(0, 1, ()), Change(3, 3, (Drawn("e"),))]


def test_one_that_looks_different_is_replaced_alone() -> None:
    wanted = [Drawn("a"), Drawn("b", 1), Drawn("c")]
    assert changes(row("abc"), wanted) == [Change(1, 2, (Drawn("b", 1),))]
