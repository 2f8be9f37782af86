"""The checker of seams is checked: a run in which all is well passes, and each thing planted in it is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.harness.checker import Change, Record, Saw, Sight, Walk, Write, canonical, seams

EPOCH = 100


def message(seq: int, **changed: Any) -> dict[str, Any]:
    return {"room": "lobby", "seq": seq, "epoch": EPOCH, "sender": "ada", "text": f"text {seq}", **changed}


def told(kind: str, seq: int, **fields: Any) -> Saw:
    event = {"type": kind, "room": "lobby", "seq": seq, "epoch": EPOCH, "sender": "ada", **fields}
    return Saw("lobby", EPOCH, seq, canonical(event))


class Run:
    """Ten messages; then 3 is edited (11), 4 deleted (12), 5 has a reaction (13). One walks before, two after."""

    def __init__(self) -> None:
        now = [message(seq) for seq in range(1, 11)]
        then = [dict(each) for each in now]
        then[2] |= {"text": "better", "edited_at": "2026-01-01T00:00:01.000Z"}
        then[3] = {"room": "lobby", "seq": 4, "epoch": EPOCH, "sender": "ada", "deleted": True}
        then[4]["reactions"] = [{"emoji": "👍", "count": 1, "users": ["bob"]}]
        self.history = {"lobby": then}
        reader = Record("reader")
        reader.entries = [
            *(told("message", seq, text=f"text {seq}") for seq in range(1, 11)),
            told("edit", 11, target=3, text="better"),
            told("delete", 12, target=4),
            told("reaction", 13, target=5, emoji="👍", action="add"),
        ]
        self.records = [reader]
        self.walks = [
            Walk("one", "lobby", 10, 0.0, 1.0, now),
            Walk("two", "lobby", 13, 5.0, 6.0, [dict(each) for each in then]),
            Walk("three", "lobby", 13, 5.5, 7.0, [dict(each) for each in then]),
        ]
        self.changes = [
            Change("lobby", 3, "edit", "better", 2.0, 2.5),
            Change("lobby", 4, "delete", "", 2.6, 3.0),
            Change("lobby", 5, "add", "👍", 3.1, 3.2),
        ]
        self.sights = [Sight("lobby", first, known, 7, known, 1, 7) for first, known in ((1, 0), (3, 5), (9, 13))]
        self.writes = [Write(7, True, "s1"), Write(9, True, "s1"), Write(7, False, "s1"), Write(7, True, "s2")]

    def found(self) -> list[str]:
        return seams(self.history, self.records, self.walks, self.changes, self.sights, self.writes)


@pytest.fixture
def run() -> Run:
    return Run()


def test_a_run_in_which_all_is_well_has_no_violations(run: Run) -> None:
    assert run.found() == []


def test_a_walk_that_lacks_a_message_is_found(run: Run) -> None:
    del run.walks[1].messages[6]
    assert any("it lacks [7]" in words for words in run.found())


def test_a_walk_that_ends_before_the_head_it_knew_is_found(run: Run) -> None:
    run.walks[0].messages = run.walks[0].messages[:8]
    assert any("it lacks [9, 10]" in words for words in run.found())


@pytest.mark.parametrize("twice", [2, 9])
def test_pages_that_overlap_are_found(run: Run, twice: int) -> None:
    run.walks[2].messages.insert(twice, run.walks[2].messages[twice])
    assert any("overlap" in words for words in run.found())


def test_a_message_that_only_a_walk_has_is_found(run: Run) -> None:
    run.walks[2].messages.append(message(12))
    assert any("which the history has not" in words for words in run.found())


def test_one_that_retention_took_later_is_none(run: Run) -> None:
    run.history["lobby"] = run.history["lobby"][6:]
    assert run.found() == []


def test_words_that_nobody_was_told_are_found(run: Run) -> None:
    run.walks[0].messages[7]["text"] = "text 1"
    assert any("8 says 'text 1', which nobody was told" in words for words in run.found())


def test_another_epoch_than_in_the_end_is_found(run: Run) -> None:
    run.walks[0].messages[7]["epoch"] = EPOCH - 1
    assert any("8 has epoch 99 and later 100" in words for words in run.found())


@pytest.mark.parametrize("at", [2, 3, 4])
def test_a_change_that_was_acknowledged_before_and_is_not_shown_is_found(run: Run, at: int) -> None:
    run.walks[1].messages[at] = message(at + 1)
    assert any(f"{at + 1} does not show the" in words for words in run.found())


@pytest.mark.parametrize("at", [2, 3, 4])
def test_a_change_that_the_final_history_lacks_is_found(run: Run, at: int) -> None:
    run.history["lobby"][at] = message(at + 1)
    assert any(words.startswith(f"the history of lobby: {at + 1} does not") for words in run.found())


def test_a_change_that_was_under_way_may_be_seen_or_not(run: Run) -> None:
    run.changes[0].ended = 5.2
    run.walks[1].messages[2] = message(3)
    assert run.found() == []


def test_a_later_change_may_be_seen_instead(run: Run) -> None:
    run.changes.append(Change("lobby", 3, "edit", "text 3", 6.1, 6.2))
    run.history["lobby"][2] = message(3, edited_at="2026-01-01T00:00:02.000Z")
    run.walks[2].messages[2] = message(3, edited_at="2026-01-01T00:00:02.000Z")
    assert run.found() == []


def test_a_message_that_goes_back_in_time_between_two_walks_is_found(run: Run) -> None:
    run.changes.clear()
    run.walks.append(Walk("four", "lobby", 13, 8.0, 9.0, [message(seq) for seq in range(1, 11)]))
    found = run.found()
    assert any("four in lobby: 3 is older than" in words for words in found)
    assert any("four in lobby: 4 is older than" in words for words in found)


def test_a_log_that_let_go_of_what_is_not_archived_is_found(run: Run) -> None:
    run.sights[1] = replace(run.sights[1], first=7)
    assert run.found() == ["lobby: the log begins at 7, the archive ends at 5"]


def test_a_log_that_believes_in_more_than_is_archived_is_found(run: Run) -> None:
    run.sights[1] = replace(run.sights[1], known=6)
    assert run.found() == ["lobby: the log was told of 6, the archive ends at 5"]


@pytest.mark.parametrize("name", ["known", "watermark", "floor", "fence", "log_fence"])
def test_what_goes_back_is_found(run: Run, name: str) -> None:
    before = replace(run.sights[1], known=5, watermark=20, floor=2, fence=8, log_fence=8)
    run.sights = [before, replace(before, **{name: getattr(before, name) - 1})]
    assert any(words.startswith(f"lobby: {name} went from") for words in run.found())


def test_a_write_of_an_old_leader_that_was_accepted_is_found(run: Run) -> None:
    run.writes[2] = Write(7, True, "s1")
    assert run.found() == ["a write with fence 7 was accepted after one with 9"]
