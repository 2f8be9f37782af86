"""Lanes whose recorded sends are traced: a span for each attempt to append one, and its context in the feed."""

from __future__ import annotations

from collections.abc import Sequence

from dchat_server.adapters.redis_lanes import FIRST, Answer, Call, Lanes, Trip
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.tracing import CURRENT, Span, Tracing


class TracedLanes(Lanes):
    """`Lanes` that look whether who submits is recorded. Of a call of many messages the first one is announced."""

    def __init__(self, nodes: RedisNodes, tracing: Tracing) -> None:
        super().__init__(nodes)
        self._tracing = tracing
        self._requests: dict[Call, Span] = {}
        """Of recorded requests whose messages wait for their answer."""
        self._appends: dict[Call, Span] = {}
        """Of the attempts that are under way to append those."""

    def _put(self, call: Call) -> None:
        if (span := CURRENT.get()) is not None:
            told = call.told

            def ended(outcome: list[Answer] | BaseException) -> None:
                del self._requests[call]
                told(outcome)

            self._requests[call], call.told = span, ended
        super()._put(call)

    def _starts(self, trip: Trip) -> None:
        recorded = {call: self._requests[call] for call in trip.calls if call in self._requests}
        messages = sum(call.messages for call in trip.calls)
        for call, span in recorded.items():
            others = [each for each in recorded.values() if each is not span]
            self._appends[call] = self._tracing.append(span, others, messages)

    def _ends(self, trip: Trip, error: BaseException | None = None) -> None:
        for call in trip.calls:
            if (append := self._appends.pop(call, None)) is not None:
                append.end(error="" if error is None else type(error).__name__)

    def _contexts(self, calls: Sequence[Call]) -> str:
        words, at = [], FIRST
        for call in calls:
            if (append := self._appends.get(call)) is not None:
                words.append(f"{at} {append.context}")
            at += len(call.args)
        return " ".join(words)
