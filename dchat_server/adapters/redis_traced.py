"""Lanes whose recorded sends are traced: a span for each attempt to append one, and its context in the feed."""

from __future__ import annotations

from collections.abc import Sequence

from dchat_server.adapters.redis_lanes import FIRST, Answer, Call, Lanes, Told
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_wire import Value
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

    def put(self, shard: int, args: Sequence[Value], told: Told) -> Call:
        if (span := CURRENT.get()) is None:
            return super().put(shard, args, told)

        def ended(outcome: list[Answer] | BaseException) -> None:
            del self._requests[call]
            told(outcome)

        call = super().put(shard, args, ended)
        self._requests[call] = span
        return call

    async def _attempt(self, shards: dict[int, list[Call]], batches: dict[int, str]) -> None:
        calls = [call for group in shards.values() for call in group]
        recorded = {call: self._requests[call] for call in calls if call in self._requests}
        if not recorded:
            await super()._attempt(shards, batches)
            return
        messages = sum(call.messages for call in calls)
        appends = {
            call: self._tracing.append(span, [each for each in recorded.values() if each is not span], messages)
            for call, span in recorded.items()
        }
        self._appends |= appends
        error = ""
        try:
            await super()._attempt(shards, batches)
        except BaseException as problem:
            error = type(problem).__name__
            raise
        finally:
            for call, append in appends.items():
                del self._appends[call]
                append.end(error=error)

    def _contexts(self, calls: Sequence[Call]) -> str:
        words, at = [], FIRST
        for call in calls:
            if (append := self._appends.get(call)) is not None:
                words.append(f"{at} {append.context}")
            at += len(call.args)
        return " ".join(words)
