"""The SSE decoder, against the WHATWG rules and the golden bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dchat_client.protocol import Decoder, Event, StreamTooLarge

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "sse").glob("*.txt"))


def expected(path: Path) -> tuple[list[Event], str, int | None]:
    value = json.loads(path.with_suffix(".json").read_text("utf-8"))
    return [Event(**event) for event in value["events"]], value["last_event_id"], value["retry_ms"]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_bytes_give_the_events_beside_them(path: Path) -> None:
    decoder = Decoder()
    events = decoder.feed(path.read_bytes())
    assert (events, decoder.last_event_id, decoder.retry_ms) == expected(path)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_bytes_fed_one_at_a_time_give_the_same(path: Path) -> None:
    decoder = Decoder()
    events = [event for byte in path.read_bytes() for event in decoder.feed(bytes([byte]))]
    assert (events, decoder.last_event_id, decoder.retry_ms) == expected(path)


def test_an_event_comes_out_at_its_blank_line_not_later() -> None:
    decoder = Decoder()
    assert decoder.feed(b"data: x\r") == []
    assert decoder.feed(b"\n\r") == [Event("message", "x", "")]
    assert decoder.feed(b"\n") == []


def test_an_empty_piece_between_cr_and_lf_changes_nothing() -> None:
    decoder = Decoder()
    assert decoder.feed(b"data: x\r") + decoder.feed(b"") + decoder.feed(b"\n\n") == [Event("message", "x", "")]


def test_the_id_of_the_connection_before_stays_in_force() -> None:
    assert Decoder("7").feed(b"data: x\n\n") == [Event("message", "x", "7")]


def test_an_id_alone_moves_the_last_id_at_the_end_of_its_block() -> None:
    decoder = Decoder()
    assert decoder.feed(b"id: 5\n") == []
    assert decoder.last_event_id == ""
    assert decoder.feed(b"\n") == []
    assert decoder.last_event_id == "5"


def test_an_absurd_retry_is_a_number_and_no_error() -> None:
    decoder = Decoder()
    decoder.feed(b"retry: " + b"9" * 6000 + b"\n\n")
    assert decoder.retry_ms == 10**18


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_a_line_without_end_is_refused_before_it_fills_the_memory(step: int) -> None:
    decoder = Decoder(max_line_bytes=100)
    taken = 0
    with pytest.raises(StreamTooLarge, match="line"):  # noqa: PT012 - which of the pieces is refused is the point
        for _ in range(2000):
            decoder.feed(b"x" * step)
            taken += step
    assert taken <= 100
    with pytest.raises(StreamTooLarge):
        decoder.feed(b"\n\n")


def test_a_line_of_exactly_the_bound_is_taken() -> None:
    line = b"data:" + b"x" * 95
    assert Decoder(max_line_bytes=100).feed(line + b"\n\n") == [Event("message", "x" * 95, "")]
    with pytest.raises(StreamTooLarge):
        Decoder(max_line_bytes=99).feed(line + b"\n\n")


def test_an_event_of_endless_lines_is_refused() -> None:
    decoder = Decoder(max_line_bytes=100, max_event_bytes=1000)
    with pytest.raises(StreamTooLarge, match="event"):
        decoder.feed(b"data:\n" * 10_000)


def test_the_bound_of_an_event_starts_anew_with_each() -> None:
    decoder = Decoder(max_event_bytes=20)
    assert len(decoder.feed(b"data: 0123456789\n\n" * 50)) == 50
