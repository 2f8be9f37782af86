"""However a stream is cut into pieces, the decoder gives the same; whatever comes, it does not break."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from dchat_client.protocol import Decoder, Event

_FIELDS = [b"data:", b"data: ", b"data", b"id: ", b"id:", b"event: ", b"retry: ", b": ", b":", b" "]
_ENDS = [b"\n", b"\r", b"\r\n", b"\n\n"]
_BYTES = [b"\xef\xbb\xbf", b"\0", b"7", b"x", "é".encode(), "👍".encode(), b"\xff", b"\xe2\x82"]
_BITS = st.sampled_from([*_FIELDS, *_ENDS, *_BYTES])
_STREAMS = st.lists(_BITS, max_size=60).map(b"".join)


def whole(stream: bytes) -> tuple[list[Event], str, int | None]:
    decoder = Decoder()
    return decoder.feed(stream), decoder.last_event_id, decoder.retry_ms


@settings(deadline=None)
@given(_STREAMS)
def test_one_byte_at_a_time_is_the_same_as_all_at_once(stream: bytes) -> None:
    decoder = Decoder()
    events = [event for byte in stream for event in decoder.feed(bytes([byte]))]
    assert (events, decoder.last_event_id, decoder.retry_ms) == whole(stream)


@settings(deadline=None)
@given(_STREAMS, st.lists(st.integers(0, 400), max_size=12))
def test_any_cut_is_the_same_as_none(stream: bytes, cuts: list[int]) -> None:
    decoder = Decoder()
    ends = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    events = [event for a, b in pairwise(ends) for event in decoder.feed(stream[a:b])]
    assert (events, decoder.last_event_id, decoder.retry_ms) == whole(stream)


def reference(stream: bytes) -> tuple[list[Event], str]:
    """The standard's words, written down as plainly as possible:

    decode all, split all, go through the lines.
    """
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]
    events, data, kind, last_id, buffer_id = [], "", "", "", ""
    for line in lines:
        if line == "":
            last_id = buffer_id
            if data:
                events.append(Event(kind or "message", data.removesuffix("\n"), last_id))
            data = kind = ""
            continue
        name, colon, value = line.partition(":")
        value = value.removeprefix(" ") if colon else ""
        if name == "data":
            data += value + "\n"
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            buffer_id = value
    return events, last_id


@settings(deadline=None)
@given(_STREAMS)
def test_the_decoder_does_what_the_standard_says(stream: bytes) -> None:
    events, last_id, _ = whole(stream)
    assert (events, last_id) == reference(stream)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_at_all_are_survived(stream: bytes) -> None:
    assert whole(stream)[:2] == reference(stream)
