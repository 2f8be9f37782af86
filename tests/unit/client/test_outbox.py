"""The outbox: order, keys, bounds, and what an answer settles."""

from __future__ import annotations

import pytest

from dchat_client.backoff import Backoff
from dchat_client.errors import Busy, ChatError, Refused, SignInNeeded, Unreachable
from dchat_client.outbox import Answer, Entry, Outbox, OutboxFull

STORED = Answer(201, message={"seq": 1})
REPEAT = Answer(200, message={"seq": 1})
LIMITED = Answer(429, error=Busy("slow down", code="rate_limited", status=429, retry_after_s=2.0))
TOO_LONG = Answer(413, error=Refused("too long", code="message_too_long", status=413))
SIGNED_OUT = Answer(401, error=SignInNeeded("sign in", code="unauthorized", status=401))


def filled(*texts: str, **options: int) -> Outbox:
    outbox = Outbox(backoff=Backoff(base_s=1.0, dice=lambda: 0.5), **options)  # type: ignore[arg-type]
    for text in texts:
        outbox.add("r", text)
    return outbox


def texts(entries: tuple[Entry, ...]) -> list[str]:
    return [entry.text for entry in entries]


def test_entries_go_out_in_order_and_leave_when_stored() -> None:
    outbox = filled("a", "b", "c")
    assert texts(outbox.take(0.0)) == ["a", "b", "c"]
    outcomes = outbox.answered([STORED, REPEAT, STORED], 0.0)
    assert [(outcome.entry.text, outcome.repeat) for outcome in outcomes] == [("a", False), ("b", True), ("c", False)]
    assert len(outbox) == 0
    assert outbox.take(0.0) == ()


def test_one_request_is_in_flight_at_a_time() -> None:
    outbox = filled("a")
    outbox.take(0.0)
    outbox.add("r", "b")
    assert outbox.take(0.0) == ()
    outbox.answered([STORED], 0.0)
    assert texts(outbox.take(0.0)) == ["b"]


def test_an_unknown_outcome_is_sent_again_with_the_same_keys_after_a_wait() -> None:
    outbox = filled("a", "b")
    first = outbox.take(0.0)
    outbox.unclear(Unreachable("gone", code="unreachable"), 10.0)
    assert outbox.take(10.0) == ()
    assert outbox.ready_at == 10.5
    assert outbox.take(10.5) == first
    assert len({entry.client_id for entry in first}) == 2


def test_sending_stops_at_the_first_retryable_refusal_so_that_nothing_overtakes() -> None:
    outbox = filled("a", "b", "c")
    outbox.take(0.0)
    # A server that took the third all the same is answered from its key when it comes again.
    settled = outbox.answered([STORED, LIMITED, STORED], 0.0)
    assert [outcome.entry.text for outcome in settled] == ["a"]
    assert outbox.ready_at == 2.5
    assert texts(outbox.take(2.5)) == ["b", "c"]


def test_an_answer_that_was_cut_off_leaves_the_rest_to_be_sent_again() -> None:
    outbox = filled("a", "b", "c")
    outbox.take(0.0)
    assert len(outbox.answered([STORED], 0.0)) == 1
    assert texts(outbox.take(99.0)) == ["b", "c"]


def test_a_definite_refusal_is_reported_and_the_next_goes_on() -> None:
    outbox = filled("a", "b", "c")
    outbox.take(0.0)
    outcomes = outbox.answered([STORED, TOO_LONG, STORED], 0.0)
    assert [outcome.error and outcome.error.code for outcome in outcomes] == [None, "message_too_long", None]
    assert len(outbox) == 0


def test_a_request_refused_as_a_whole_reports_each_of_its_entries() -> None:
    outbox = filled("a", "b")
    outbox.take(0.0)
    error = Refused("no such room", code="room_not_found", status=404)
    assert [outcome.error for outcome in outbox.failed(error)] == [error, error]
    assert len(outbox) == 0


@pytest.mark.parametrize("whole", [True, False])
def test_when_signed_out_nothing_is_dropped_and_signing_in_goes_on(whole: bool) -> None:
    outbox = filled("a", "b")
    outbox.take(0.0)
    assert SIGNED_OUT.error is not None
    assert (outbox.failed(SIGNED_OUT.error) if whole else outbox.answered([SIGNED_OUT, SIGNED_OUT], 0.0)) == []
    assert isinstance(outbox.blocked, ChatError)
    assert outbox.take(0.0) == ()
    outbox.unblock()
    assert texts(outbox.take(0.0)) == ["a", "b"]


def test_a_request_carries_one_room_only_and_the_order_over_rooms_is_kept() -> None:
    outbox = filled("a")
    outbox.add("other", "b")
    outbox.add("r", "c")
    taken = []
    while batch := outbox.take(0.0):
        taken.append((batch[0].room, texts(batch)))
        outbox.answered([STORED] * len(batch), 0.0)
    assert taken == [("r", ["a"]), ("other", ["b"]), ("r", ["c"])]


def test_a_request_is_bounded_in_entries_and_bytes_but_never_empty() -> None:
    outbox = filled(*"abcde", batch_entries=2)
    assert len(outbox.take(0.0)) == 2
    assert len(filled("x" * 1000, "y", batch_bytes=500).take(0.0)) == 1


def test_after_a_refusal_requests_are_smaller_and_grow_again() -> None:
    outbox = filled(*["x"] * 900)
    sizes = []
    for answer in (50, 25, 25, 50):
        batch = outbox.take(1e6)
        sizes.append(len(batch))
        outbox.answered([STORED] * answer + [LIMITED] * (len(batch) - answer), 0.0)
    assert sizes == [500, 50, 25, 50]


def test_the_outbox_is_bounded_and_says_so() -> None:
    outbox = filled("a", "b", max_entries=2)
    assert not outbox.has_room
    with pytest.raises(OutboxFull):
        outbox.add("r", "c")
    assert len(outbox) == 2
    with pytest.raises(OutboxFull):
        filled("a" * 600, max_bytes=1000).add("r", "b" * 600)


def test_one_message_is_taken_whatever_its_size() -> None:
    assert len(filled("a" * 5000, max_bytes=1000)) == 1


def test_given_keys_are_used_and_replies_are_named() -> None:
    outbox = Outbox()
    entry = outbox.add("r", "a", client_id="mine", reply_to=3, tag="line 1")
    assert entry.body() == {"text": "a", "client_id": "mine", "reply_to": 3}
    assert entry.tag == "line 1"
