"""The small pure modules: backoff, errors, positions, addresses."""

from __future__ import annotations

import socket

import pytest

from dchat_client.address import parse_urls, segment
from dchat_client.backoff import Backoff
from dchat_client.errors import Busy, NotFound, Refused, ServerFault, SignInNeeded, from_problem, os_words
from dchat_client.items import GapRange
from dchat_client.position import Bookmark, Position, place_of


def test_waits_double_up_to_a_cap_are_drawn_from_the_whole_width_and_start_anew() -> None:
    highest = Backoff(base_s=1, cap_s=10, dice=lambda: 1.0)
    assert [highest.next() for _ in range(6)] == [1, 2, 4, 8, 10, 10]
    lowest = Backoff(dice=lambda: 0.0)
    assert [lowest.next() for _ in range(3)] == [0, 0, 0]
    highest.reset()
    assert highest.next() == 1


def test_a_floor_comes_below_the_jitter_and_is_bounded() -> None:
    backoff = Backoff(base_s=1, max_floor_s=60, dice=lambda: 0.5)
    assert [backoff.next(5), backoff.next(1e9), backoff.next(-5)] == [5.5, 61, 2]


def test_a_very_long_outage_does_not_overflow() -> None:
    backoff = Backoff(dice=lambda: 1.0)
    backoff.tries = 10**6
    assert backoff.next() == 30


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, Refused, "http_400"),
        (401, SignInNeeded, "unauthorized"),
        (404, NotFound, "not_found"),
        (429, Busy, "rate_limited"),
        (500, ServerFault, "http_500"),
        (501, ServerFault, "http_501"),
        (503, Busy, "backend_unavailable"),
        (302, ServerFault, "http_302"),
    ],
)
def test_an_answer_without_a_problem_document_has_a_code_by_its_status(status: int, kind: type, code: str) -> None:
    error = from_problem(status, None)
    assert (type(error), error.code, error.status) == (kind, code, status)


def test_a_problem_speaks_in_its_own_words_and_has_a_next_step() -> None:
    error = from_problem(403, {"code": "not_a_member", "title": "T", "detail": "D"}, retry_after_s=3)
    assert (str(error), error.code, error.retry_after_s) == ("D", "not_a_member", 3)
    assert error.next_step is not None
    assert str(from_problem(403, {"title": "T"})) == "T"


def test_the_systems_errors_are_a_few_words() -> None:
    assert os_words(OSError(111, "Connect call failed ('127.0.0.1', 1)")) == "connection refused"
    assert os_words(socket.gaierror(-2, "Name or service not known")) == "name or service not known"
    assert os_words(OSError("odd")) == "odd"
    assert os_words(ConnectionResetError()) == "ConnectionResetError"


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"room": "r"},
        {"room": 1, "seq": 1},
        {"room": "r", "seq": "1"},
        {"room": "r", "seq": True},
        {"room": "r", "seq": 0},
        {"room": "r", "seq": 1, "epoch": None},
        {"room": "r", "seq": 1, "epoch": 1.0},
    ],
)
def test_what_has_no_place_has_none(event: dict[str, object]) -> None:
    assert place_of(event) is None


def test_positions_grow_by_epoch_then_number_and_bookmarks_do_not_go_back() -> None:
    assert place_of({"room": "r", "seq": 3, "epoch": 2}) == ("r", Position(2, 3))
    assert Position(1, 9) < Position(2, 3) < Position(2, 4)
    bookmark = Bookmark("c")
    for position in (Position(1, 9), Position(2, 3), Position(1, 99)):
        bookmark.advance("r", position)
    assert bookmark.positions == {"r": Position(2, 3)}
    copy = bookmark.copy()
    copy.advance("r", Position(3, 1))
    assert bookmark.positions == {"r": Position(2, 3)}


def test_a_message_is_new_in_a_gap_when_it_lies_in_it_and_above_what_was_seen() -> None:
    gap = GapRange("r", 4, 9, Position(1, 6))
    new = [seq for seq in range(12) if gap.is_new({"room": "r", "seq": seq, "epoch": 1})]
    assert new == [7, 8, 9]
    assert gap.is_new({"room": "r", "seq": 4, "epoch": 2})
    assert not gap.is_new({"room": "s", "seq": 8, "epoch": 1})
    assert GapRange("r", 4, 9).is_new({"room": "r", "seq": 4, "epoch": 1})


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("http://a", ("http://a",)),
        ("a:5000", ("http://a:5000",)),
        ("https://a/base/ , http://[::1]:5,https://a/base", ("https://a/base", "http://[::1]:5")),
    ],
)
def test_addresses_are_read(text: str, urls: tuple[str, ...]) -> None:
    assert parse_urls(text) == urls


@pytest.mark.parametrize(
    "text", ["", ",", "ftp://a", "http://", "http://a:x", "http://u:p@a", "http://a?x=1", "http://a#x"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_urls(text)


def test_a_name_is_one_segment_of_a_path_whatever_it_holds() -> None:
    assert segment("a/b?c#d%e ü") == "a%2Fb%3Fc%23d%25e%20%C3%BC"
    assert segment("\ud800") == "%3F"
    for name in ("", ".", ".."):
        with pytest.raises(NotFound):
            segment(name)
