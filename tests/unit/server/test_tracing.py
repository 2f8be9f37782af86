"""Deliveries end the spans of the sends that the feed announces."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from dchat_server.hub import Hub
from dchat_server.latency import MOST_AWAITED
from dchat_server.model import Control, Event, Position
from dchat_server.ports import Batch
from dchat_server.stream import Stream
from dchat_server.tracing import KIND, Deliveries

CONTEXT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass
class Noted:
    """A span that remembers how it ended."""

    context: str
    ends: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def end(self, *, error: str = "", **facts: object) -> None:
        self.ends.append((error, facts))


class Notes:
    """Stands in for `Tracing`: only deliveries are begun here."""

    def __init__(self) -> None:
        self.begun: list[Noted] = []

    def delivery(self, context: str) -> Noted:
        self.begun.append(Noted(context))
        return self.begun[-1]


class Outlet:
    def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...

    abort = close


class Place:
    """A hub with one shard, whose deliveries are traced."""

    def __init__(self) -> None:
        self.notes = Notes()
        self.hub = Hub([Position(7, 0)], lambda room: 0, on_control=self._take)
        self.trail = self.hub.trail = Deliveries(self.notes, self.hub.audience)  # type: ignore[arg-type]
        self._offset = 0

    def _take(self, control: Control) -> None:
        if control.type == KIND:
            self.trail.expect(control.body)

    def stream(self, room: str) -> Stream:
        stream = Stream("ada", "digest", Outlet())
        self.hub.watch(stream)
        self.hub.seat(stream, {room: False})
        self.hub.go_live(stream)
        return stream

    def read(self, *entries: str) -> None:
        """Entries of the feed come in one read: `trace hall 3` or `message hall 3`."""
        batch: list[Event | Control] = []
        for entry in entries:
            kind, room, seq = entry.split()
            self._offset += 1
            if kind == "trace":
                batch.append(Control(KIND, "", f"{CONTEXT} {seq} {room}".encode()))
            else:
                batch.append(Event(room, 7, int(seq), "message", 1000, b'"sender":"ada","text":"x"}', self._offset, 1))
        self.hub.publish(Batch(0, batch, Position(7, self._offset)))

    @property
    def ends(self) -> list[list[tuple[str, dict[str, object]]]]:
        return [span.ends for span in self.notes.begun]


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_delivery_ends_when_its_event_has_been_given_to_the_streams(place: Place) -> None:
    place.stream("hall")
    place.stream("hall")
    place.read("trace hall 1", "message hall 1")
    assert (place.ends, place.notes.begun[0].context) == ([[]], CONTEXT)
    place.hub.flush()
    assert place.ends == [[("", {"streams": 2})]]


def test_an_event_of_a_later_read_is_waited_for(place: Place) -> None:
    place.stream("hall")
    place.read("message hall 1", "trace hall 2")
    place.hub.flush()
    assert place.ends == [[]]
    place.read("message hall 2")
    place.hub.flush()
    assert place.ends == [[("", {"streams": 1})]]


def test_where_nobody_listens_nothing_is_delivered(place: Place) -> None:
    stream = place.stream("hall")
    place.read("trace den 1", "message den 1")
    place.hub.drop(stream)
    place.read("trace hall 1", "message hall 1")
    place.hub.flush()
    assert place.ends == []


def test_what_the_feed_lost_ends_as_lost(place: Place) -> None:
    place.stream("hall")
    place.read("trace hall 1")
    place.hub.overtaken(0, Position(7, 9))
    assert place.ends == [[("lost", {"streams": 0})]]


def test_those_whose_event_never_comes_are_given_up_before_they_are_many(place: Place) -> None:
    place.stream("hall")
    for seq in range(1, MOST_AWAITED + 2):
        place.read(f"trace hall {seq}")
    assert place.ends == [[("lost", {"streams": 0})]] * MOST_AWAITED + [[]]


@pytest.mark.parametrize("body", [b"", b"x", b"a b c", b"a 1 NO", b"\xff 1 hall", b"a \xc2\xb2 hall"])
def test_an_entry_that_says_nothing_sensible_is_passed_over(place: Place, body: bytes) -> None:
    place.stream("hall")
    place.trail.expect(body)
    place.read("message hall 1")
    place.hub.flush()
    assert len(place.notes.begun) == (body == b"\xff 1 hall")
