"""The checker is checked: a run in which all is well passes, and each thing planted in it is found."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.harness.checker import Attempt, Missed, Opened, Placed, Record, Saw, canonical, violations

EPOCH = 100


def message(seq: int, *, epoch: int = EPOCH) -> dict[str, Any]:
    text = f"text {seq}"
    return {
        "room": "lobby",
        "seq": seq,
        "epoch": epoch,
        "ts": "2026-01-01T00:00:00.000Z",
        "sender": "ada",
        "text": text,
    }


def event(seq: int, *, epoch: int = EPOCH, **changed: Any) -> Saw:
    return Saw("lobby", epoch, seq, canonical({"type": "message", **message(seq, epoch=epoch), **changed}))


class Run:
    """A room with ten messages by one writer, three readers; one of them reconnected after 6, with a cursor at 5."""

    def __init__(self) -> None:
        self.history: dict[str, list[dict[str, Any]]] = {"lobby": [message(seq) for seq in range(1, 11)]}
        self.attempts = [
            Attempt("ada", "lobby", f"text {seq}", "ok", seq, EPOCH, began=seq, ended=seq + 0.5) for seq in range(1, 11)
        ]
        steady = Record("steady", {"lobby": 0}, frozenset({"lobby"}))
        steady.entries = [Opened("w0", None)]
        for seq in range(1, 11):
            steady.entries += [event(seq), Placed()]
        moved = Record("moved", {"lobby": 2})
        moved.entries = [Opened("w0", "c"), event(3), event(4), event(5), Placed(), event(6), Opened("w1", "c")]
        moved.entries += [*(event(seq) for seq in range(6, 11)), Placed()]
        late = Record("late")
        late.entries = [Opened("w1", None), *(event(seq) for seq in range(8, 11))]
        self.steady, self.moved, self.late = self.records = [steady, moved, late]

    def violations(self, **more: Any) -> list[str]:
        return violations(self.history, self.attempts, self.records, heads={"lobby": 10}, **more)


@pytest.fixture
def run() -> Run:
    return Run()


def at(record: Record, seq: int) -> int:
    return next(i for i, entry in enumerate(record.entries) if isinstance(entry, Saw) and entry.seq == seq)


def test_a_run_in_which_all_is_well_has_no_violations(run: Run) -> None:
    assert run.violations() == []


def test_a_lost_acknowledged_message_is_found(run: Run) -> None:
    del run.history["lobby"][4]
    assert any("acknowledged as 5 and is not there" in words for words in run.violations())


def test_a_message_stored_twice_is_found(run: Run) -> None:
    run.history["lobby"].append({**message(4), "seq": 11})
    assert any("there 2 times" in words for words in run.violations())


def test_a_refused_message_that_is_there_is_found(run: Run) -> None:
    run.attempts[3].outcome = "failed"
    assert any("was refused and is there" in words for words in run.violations())


def test_an_unknown_outcome_may_be_there_or_not_but_not_twice(run: Run) -> None:
    run.attempts[9].outcome = "unknown"
    run.attempts.append(Attempt("ada", "lobby", "never stored"))
    assert run.violations() == []
    run.history["lobby"].append({**message(10), "seq": 11})
    assert any("there 2 times" in words for words in run.violations())


def test_a_message_that_nobody_sent_is_found(run: Run) -> None:
    run.history["lobby"].append({**message(11), "text": "who said that?"})
    assert any("nobody sent" in words for words in run.violations())


def test_a_message_acknowledged_at_another_place_is_found(run: Run) -> None:
    run.attempts[2].seq = 4
    assert any("is at 100-3" in words for words in run.violations())


def test_a_history_out_of_order_is_found(run: Run) -> None:
    run.history["lobby"][3:5] = reversed(run.history["lobby"][3:5])
    assert any("history has seq 4 after 5" in words for words in run.violations())


def test_a_senders_own_messages_out_of_order_are_found(run: Run) -> None:
    run.attempts[6].began, run.attempts[6].ended = 20, 21
    assert any("ada sent 7 after 10 was acknowledged" in words for words in run.violations())


def test_sends_that_overlapped_may_come_in_any_order(run: Run) -> None:
    for attempt in run.attempts:
        attempt.began, attempt.ended = 1, 2
    assert run.violations() == []


@pytest.mark.parametrize("seq", [2, 6, 9])
def test_a_hole_in_a_readers_run_is_found(run: Run, seq: int) -> None:
    del run.steady.entries[at(run.steady, seq)]
    assert any("a hole without a word" in words for words in run.violations())


def test_a_hole_at_the_start_is_found(run: Run) -> None:
    del run.moved.entries[at(run.moved, 3)]
    assert any("came where 3 was next" in words for words in run.violations())


def test_a_cursor_may_begin_a_little_before_the_head_that_was_known_but_then_without_a_hole(run: Run) -> None:
    run.moved.entries.insert(1, event(2))
    assert run.violations() == []
    run.moved.entries.insert(1, event(1))
    del run.moved.entries[2]
    assert any("moved: lobby:3 came where 2 was next" in words for words in run.violations())


def test_a_missing_end_is_found(run: Run) -> None:
    del run.steady.entries[at(run.steady, 10)]
    assert any("ended at 9 of 10" in words for words in run.violations())


def test_a_hole_over_a_reconnect_is_found(run: Run) -> None:
    opened = next(i for i, entry in enumerate(run.moved.entries) if i and isinstance(entry, Opened))
    del run.moved.entries[opened + 1 : opened + 3]
    assert any("lobby:8 came where 6 was next" in words for words in run.violations())


def test_a_repeat_on_one_connection_is_found(run: Run) -> None:
    place = at(run.steady, 5)
    run.steady.entries.insert(place + 1, copy.copy(run.steady.entries[place]))
    assert any("lobby:5 came again, or late: 6 was next" in words for words in run.violations())


def test_a_repeat_that_the_cursor_had_covered_is_found(run: Run) -> None:
    opened = next(i for i, entry in enumerate(run.moved.entries) if i and isinstance(entry, Opened))
    run.moved.entries.insert(opened + 1, event(5))
    assert any("lobby:5 came again, or late: 6 was next" in words for words in run.violations())


def test_two_events_that_changed_places_are_found(run: Run) -> None:
    one, two = at(run.steady, 4), at(run.steady, 5)
    entries = run.steady.entries
    entries[one], entries[two] = entries[two], entries[one]
    assert any("came where 4 was next" in words for words in run.violations())


def test_changed_bytes_are_found(run: Run) -> None:
    run.late.entries[at(run.late, 9)] = event(9, text="something else")
    assert any("lobby:9 is" in words for words in run.violations())


def test_a_history_that_differs_from_what_everybody_saw_is_found(run: Run) -> None:
    run.history["lobby"][8]["ts"] = "2026-01-01T00:00:00.001Z"
    assert any("lobby:9 is" in words and "in the history" in words for words in run.violations())


def test_an_event_that_reached_a_reader_and_is_not_in_the_history_is_found(run: Run) -> None:
    run.late.entries.append(event(11))
    assert any("lobby:11 reached late and is not in the history" in words for words in run.violations())


def test_an_event_of_a_room_that_one_may_not_see_is_found(run: Run) -> None:
    run.steady.allowed = frozenset({"other"})
    assert any("none of the reader's business" in words for words in run.violations())


def test_an_announced_gap_is_no_hole_and_ends_where_it_says(run: Run) -> None:
    place = at(run.steady, 5)
    run.steady.entries[place : at(run.steady, 8)] = [Missed([("lobby", 5, 7)])]
    assert run.violations() == []
    del run.steady.entries[at(run.steady, 8)]
    assert any("came after a gap of (5, 7)" in words for words in run.violations())


def test_a_gap_over_the_end_counts_as_told(run: Run) -> None:
    del run.steady.entries[at(run.steady, 9) :]
    assert any("ended at 8 of 10" in words for words in run.violations())
    run.steady.entries.append(Missed([("lobby", 9, 10)]))
    assert run.violations() == []


def test_a_lost_tail_must_be_announced_and_its_places_may_be_used_again(run: Run) -> None:
    run.history["lobby"][8:] = [{**message(9, epoch=101), "text": "after"}]
    run.attempts.append(Attempt("ada", "lobby", "after", "ok", 9, 101, began=30, ended=31))
    for attempt in run.attempts:
        attempt.began, attempt.ended = 1, 2
    told = [Missed([("lobby", 9, 10)]), event(9, epoch=101, text="after")]
    for record in run.records:
        record.entries += told
    assert violations(run.history, run.attempts, run.records, heads={"lobby": 9}, lossy=True) == []
    assert any("acknowledged as 10" in words for words in violations(run.history, run.attempts, run.records))
    run.late.entries.remove(told[0])
    found = violations(run.history, run.attempts, run.records, heads={"lobby": 9}, lossy=True)
    assert any("late: lobby:9 came again, or late: 11 was next" in words for words in found)


def test_an_epoch_that_goes_back_is_found(run: Run) -> None:
    run.late.entries += [event(11, epoch=99)]
    assert any("has epoch 99 after 100" in words for words in run.violations())
