"""Traces: what one send does, from its request over Redis to the streams of every worker, as spans of one trace.

Theory of operation
-------------------
*Off*, which is how it is shipped, nothing of this is there: no hook is installed, no header is looked at, no byte is
added to the log. *On*, few requests are recorded; those carry a `Span` in `CURRENT`.

*Over Redis.* A recorded send is announced in its shard's feed, by an entry of its own in front of its event: whose
context it is (a W3C `traceparent`), which room and seq. Workers that do not trace pass over it, as they do over all
entries that they do not know. So an event has no more bytes because of it, and its readers look at no more.

*Delivery.* A worker that reads such an entry and has streams in the room begins a span, and ends it when the event has
been given to them (`Deliveries`, a `Trail` that ends these, too). A worker without streams there delivers nothing.

Spans hold no text, no name of a person or room, and no token: ids, counts, codes and routes only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Protocol

from dchat_server.latency import MOST_AWAITED, Trail
from dchat_server.model import is_name
from dchat_server.stream import Channel

MOST_A_SECOND = 100
"""Requests a worker records a second, whatever was asked: a client may ask for each of its own."""
KIND = "trace"
"""Of the entry of the feed that announces a recorded send."""


class Span(Protocol):
    """Something that is being done, and is recorded. End it once."""

    context: str
    """Its W3C traceparent, by which others are recorded as its consequences."""

    @property
    def ids(self) -> Mapping[str, str]:
        """`trace_id` and `span_id`, for the log."""
        ...

    def end(self, *, error: str = "", **facts: str | int) -> None:
        """It is done; `error` says, in a word, why it failed."""
        ...


class Tracing(Protocol):
    """Where spans go. Nothing here waits, and nothing raises."""

    def request(self, method: str, traceparent: str = "", tracestate: str = "") -> Span | None:
        """A request has come, under the context its headers name; None when it is not recorded. Its span is ended with
        the facts `route`, `status` and `request_id`."""
        ...

    def append(self, under: Span, beside: Sequence[Span], messages: int) -> Span:
        """The request `under` is about to be appended to the log, in one call with those `beside` it."""
        ...

    def delivery(self, context: str) -> Span | None:
        """An event, recorded in `context`, was read from the feed. Its span is ended with the fact `streams`."""
        ...

    def facts(self) -> Mapping[str, int]:
        """How many spans were `sent`, `failed` to be and were `dropped`."""
        ...

    async def stop(self) -> None:
        """Send what waits, for a moment, and end."""
        ...


CURRENT: ContextVar[Span | None] = ContextVar("span", default=None)
"""The span of the request that this task serves, when it is recorded."""


class Deliveries(Trail):
    """The trail of a hub whose deliveries are traced. `audience` says how many streams a room has here."""

    def __init__(
        self, tracing: Tracing, audience: Callable[[str], int], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(clock)
        self._tracing, self._audience = tracing, audience
        self._expected: dict[str, list[tuple[int, Span]]] = {}
        self._spans = 0

    def expect(self, body: bytes) -> None:
        """The feed announces a recorded send (`context seq room`): its event comes next."""
        context, _, place = body.decode("ascii", "replace").partition(" ")
        seq, _, room = place.partition(" ")
        if not (seq.isdigit() and is_name(room) and self._audience(room)):
            return
        if self._spans >= MOST_AWAITED:  # of rooms whose last stream went before the event came
            self._lose()
        if (span := self._tracing.delivery(context)) is not None:
            self._expected.setdefault(room, []).append((int(seq), span))
            self._spans += 1

    def passed(self, channels: Iterable[Channel]) -> None:
        super().passed(channels)
        if self._expected:
            for channel in channels:
                self._end_spans(channel)

    def forget(self) -> None:
        super().forget()
        self._lose()

    def _end_spans(self, channel: Channel) -> None:
        waiting = self._expected.pop(channel.name, [])
        if later := [each for each in waiting if each[0] > channel.last]:
            self._expected[channel.name] = later
        self._spans -= len(waiting) - len(later)
        for seq, span in waiting:
            if seq <= channel.last:
                span.end(streams=len(channel.streams) - channel.dead)

    def _lose(self) -> None:
        for expected in self._expected.values():
            for _, span in expected:
                span.end(error="lost", streams=0)
        self._expected.clear()
        self._spans = 0
