"""The book-keeping behind commit."""

from __future__ import annotations

from dchat_client.ledger import Ledger
from dchat_client.position import UNKNOWN_EPOCH, Bookmark, Position


def test_silent_moves_wait_for_what_was_handed_out_before_them() -> None:
    ledger = Ledger(Bookmark("c0"))
    ledger.pass_by("c1")
    assert ledger.cursor == "c1"
    number = ledger.next_number()
    ledger.hand_out(number, "c2", [("r", Position(1, 1))])
    ledger.pass_by("c3")
    ledger.pass_by("c4")
    assert ledger.cursor == "c1"
    assert not ledger.is_settled
    ledger.commit(number)
    assert ledger.bookmark() == Bookmark("c4", {"r": Position(1, 1)})
    assert ledger.is_settled


def test_silent_moves_between_two_items_go_with_the_first() -> None:
    ledger = Ledger()
    first, second = ledger.next_number(), 0
    ledger.hand_out(first, "c1", [("r", Position(1, 1))])
    ledger.pass_by("c2")
    second = ledger.next_number()
    ledger.hand_out(second, "c3", [("r", Position(1, 2))])
    ledger.commit(first)
    assert ledger.bookmark() == Bookmark("c2", {"r": Position(1, 1)})


def test_covering_raises_the_number_whatever_the_epoch_and_never_lowers_it() -> None:
    ledger = Ledger(Bookmark("c0", {"r": Position(3, 7)}))
    for last in (9, 5):
        ledger.hand_out(ledger.next_number(), None, covers=[("r", last), ("new", last)])
    assert ledger.seen("r") == Position(3, 9)
    assert ledger.seen("new") == Position(UNKNOWN_EPOCH, 9)
    ledger.commit(2)
    assert ledger.bookmark().positions == {"r": Position(3, 9), "new": Position(UNKNOWN_EPOCH, 9)}


def test_a_committed_position_never_moves_back() -> None:
    ledger = Ledger()
    number = ledger.next_number()
    ledger.hand_out(number, None, [("r", Position(1, 2))])
    ledger.take("r", Position(1, 5))
    ledger.commit(number)
    assert ledger.bookmark().positions == {"r": Position(1, 5)}


def test_forgetting_a_room_takes_effect_at_once_in_seen_and_with_the_commit_in_the_bookmark() -> None:
    ledger = Ledger(Bookmark("c", {"r": Position(1, 1)}))
    number = ledger.next_number()
    ledger.hand_out(number, None, [("r", Position(1, 2))], forgets="r")
    assert ledger.seen("r") is None
    assert "r" in ledger.bookmark().positions
    ledger.commit(number)
    assert ledger.bookmark().positions == {}
