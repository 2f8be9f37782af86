"""What is shown of one room, fed by events, pages and answers."""

from __future__ import annotations

from typing import Any

import pytest

from dchat_client import transcript as module
from dchat_client.errors import Refused
from dchat_client.outbox import Entry
from dchat_client.transcript import Sending, Transcript


def said(seq: int, text: str = "", **fields: Any) -> dict[str, Any]:
    text = text or f"text {seq}"
    return {
        "type": "message",
        "room": "hall",
        "seq": seq,
        "epoch": 1,
        "ts": "t",
        "sender": "bob",
        "text": text,
    } | fields


def change(kind: str, seq: int, target: int, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "room": "hall", "seq": seq, "epoch": 1, "ts": "t", "sender": "bob", "target": target} | fields


def loaded(*seqs: int, has_more: bool = False) -> Transcript:
    shown = Transcript("hall")
    shown.asked()
    assert shown.page([said(seq) for seq in seqs], max(seqs, default=0), has_more, before=None)
    return shown


def texts(shown: Transcript) -> list[str]:
    return [line.text for line in shown]


def test_nothing_is_shown_before_a_page_came() -> None:
    shown = Transcript("hall")
    assert shown.happened(said(1)) is None
    assert (list(shown), shown.is_loaded, shown.has_older) == ([], False, True)


def test_messages_and_notices_stand_by_their_seq() -> None:
    shown = loaded(1, 2)
    shown.happened({"type": "member", "room": "hall", "seq": 3, "sender": "eve", "user": "eve", "action": "join"})
    shown.happened(said(4))
    assert [(line.seq, line.kind) for line in shown] == [
        (1, "message"),
        (2, "message"),
        (3, "member"),
        (4, "message"),
    ]
    assert shown.lines[2].event["action"] == "join"


def test_changes_change_their_message_and_nothing_else() -> None:
    shown = loaded(1, 2)
    line = shown.happened(change("edit", 3, 1, text="new"))
    assert line is shown.find(1)
    assert line is not None
    assert (line.text, line.edited, line.version) == ("new", True, 1)
    shown.happened(change("reaction", 4, 1, emoji="👍", action="add"))
    shown.happened(change("reaction", 5, 1, emoji="👍", action="add", sender="eve"))
    assert line.reactions == {"👍": ["bob", "eve"]}
    shown.happened(change("reaction", 6, 1, emoji="👍", action="remove"))
    assert line.reactions == {"👍": ["eve"]}
    shown.happened(change("delete", 7, 1))
    assert (line.text, line.deleted, line.reactions) == ("", True, {})
    assert shown.happened(change("edit", 8, 1, text="late")) is None
    assert texts(shown) == ["", "text 2"]


def test_the_same_change_twice_is_one() -> None:
    shown = loaded(1)
    event = change("reaction", 2, 1, emoji="👍", action="add")
    assert shown.happened(event) is not None
    assert shown.happened(event) is None


def test_a_change_of_what_is_not_shown_is_passed_by() -> None:
    assert loaded(5).happened(change("edit", 6, 2, text="x")) is None


def test_what_happened_while_a_page_was_under_way_is_not_undone_by_it() -> None:
    shown = loaded(1, 2)
    shown.asked()
    shown.happened(change("edit", 3, 2, text="new"))
    shown.happened(said(4))
    shown.page([said(1), said(2)], 2, False, before=None)
    assert texts(shown) == ["text 1", "new", "text 4"]


def test_an_older_page_gets_what_happened_meanwhile_too_but_no_message_of_the_window() -> None:
    shown = loaded(10, 11, has_more=True)
    shown.asked()
    shown.happened(change("delete", 12, 9))
    shown.happened(said(13))
    assert shown.page([said(8), said(9)], 11, True, before=10)
    assert [(line.seq, line.deleted) for line in shown.lines] == [
        (8, False),
        (9, True),
        (10, False),
        (11, False),
        (13, False),
    ]
    assert shown.has_older


def test_an_older_page_that_does_not_join_the_window_any_more_is_not_taken() -> None:
    shown = loaded(10, 11, has_more=True)
    shown.asked()
    assert not shown.page([said(7)], 11, False, before=9)
    assert (shown.oldest, shown.has_older) == (10, True)


def test_pages_that_do_not_come_leave_nothing_behind() -> None:
    shown = loaded(1)
    shown.asked()
    shown.happened(change("edit", 2, 1, text="new"))
    shown.unanswered()
    shown.asked()
    shown.page([said(1, "newer")], 3, False, before=None)
    assert texts(shown) == ["newer"]


def test_when_too_much_happened_the_window_begins_after_what_was_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_MEANWHILE", 3)
    shown = Transcript("hall")
    shown.asked()
    for seq in range(3, 9):
        shown.happened(said(seq))
    shown.page([said(1), said(2)], 2, False, before=None)
    assert ([line.seq for line in shown], shown.has_older) == ([6, 7, 8], True)


def test_an_event_of_a_later_epoch_takes_the_place_of_the_lost_one() -> None:
    shown = loaded(1, 2)
    assert shown.happened(said(2, "other", epoch=1)) is None
    assert shown.happened(said(2, "instead", epoch=2)) is not None
    assert texts(shown) == ["text 1", "instead"]


def test_the_oldest_are_let_go_and_can_be_had_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LINES", 10)
    shown = loaded(1)
    for seq in range(2, 30):
        shown.happened(said(seq))
    assert len(shown.lines) <= 11
    assert (shown.newest, shown.has_older) == (29, True)


# One's own messages


def queued(shown: Transcript, key: str, text: str = "mine") -> None:
    shown.queued(Entry("hall", text, key), "ada", "t")


@pytest.mark.parametrize("first", ["answer", "event"])
def test_an_own_message_is_there_once_whichever_tells_first(first: str) -> None:
    shown = loaded(1)
    queued(shown, "k")
    message = said(2, "mine", sender="ada", client_id="k")
    for told in ("answer", "event") if first == "answer" else ("event", "answer"):
        shown.stored(message) if told == "answer" else shown.happened(message)
        assert (texts(shown), shown.pending) == (["text 1", "mine"], [])


def test_a_reloaded_window_takes_up_the_own_message_that_was_stored() -> None:
    shown = loaded(1)
    queued(shown, "k")
    shown.asked()
    shown.page([said(1), said(2, "mine", sender="ada", client_id="k")], 2, False, before=None)
    assert (texts(shown), shown.pending) == (["text 1", "mine"], [])


def test_another_persons_key_settles_nothing_of_mine() -> None:
    shown = loaded(1)
    queued(shown, "k")
    shown.happened(said(2, "theirs", sender="bob", client_id="k"))
    assert texts(shown) == ["text 1", "theirs", "mine"]


def test_an_answer_that_comes_late_makes_no_hole_below_the_window() -> None:
    shown = loaded(10, has_more=True)
    assert shown.stored(said(3, "mine", sender="ada", client_id="k")) is None
    assert [line.seq for line in shown] == [10]


def test_a_refused_message_stays_until_it_is_tried_again_or_taken_away() -> None:
    shown = loaded(1)
    queued(shown, "k")
    line = shown.refused("k", Refused("no", code="forbidden"))
    assert line is not None
    assert (line.sending, str(line.error)) == (Sending.FAILED, "no")
    queued(shown, "k")
    assert (line.sending, line.error, len(shown.pending)) == (Sending.PENDING, None, 1)
    shown.dropped("k")
    assert shown.pending == []
    assert shown.refused("k", Refused("no", code="forbidden")) is None


def test_the_last_own_message_is_the_one_to_edit() -> None:
    shown = loaded(1)
    for seq, sender in ((2, "ada"), (3, "ada"), (4, "bob")):
        shown.happened(said(seq, sender=sender))
    shown.happened(change("delete", 5, 3))
    line = shown.last_own("ada")
    assert line is not None
    assert line.seq == 2
