"""Lanes whose recorded sends are traced: a span for each attempt to append one, and its context in the feed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from dchat_server.adapters.redis_lanes import FIRST, Answer, Call, Lanes
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.adapters.redis_wire import Value
from dchat_server.tracing import CURRENT, Span, Tracing

_Future = asyncio.Future[list[Answer]]


class TracedLanes(Lanes):
    """`Lanes` that look whether who submits is recorded. Of a call of many messages the first one is announced."""

    def __init__(self, nodes: RedisNodes, tracing: Tracing) -> None:
        super().__init__(nodes)
        self._tracing = tracing
        self._requests: dict[_Future, Span] = {}
        """Of recorded requests whose messages wait for their answer."""
        self._appends: dict[_Future, Span] = {}
        """Of the attempts that are under way to append those."""

    def submit(self, shard: int, args: Sequence[Value]) -> _Future:
        future = super().submit(shard, args)
        if (span := CURRENT.get()) is not None:
            self._requests[future] = span
            future.add_done_callback(self._forget)
        return future

    async def _attempt(self, shards: dict[int, list[Call]], batches: dict[int, str]) -> None:
        calls = [call for group in shards.values() for call in group]
        recorded = {call.future: self._requests[call.future] for call in calls if call.future in self._requests}
        if not recorded:
            await super()._attempt(shards, batches)
            return
        messages = sum(map(len, calls))
        appends = {
            future: self._tracing.append(span, [each for each in recorded.values() if each is not span], messages)
            for future, span in recorded.items()
        }
        self._appends |= appends
        error = ""
        try:
            await super()._attempt(shards, batches)
        except BaseException as problem:
            error = type(problem).__name__
            raise
        finally:
            for future, append in appends.items():
                del self._appends[future]
                append.end(error=error)

    def _contexts(self, calls: Sequence[Call]) -> str:
        words, at = [], FIRST
        for call in calls:
            if (append := self._appends.get(call.future)) is not None:
                words.append(f"{at} {append.context}")
            at += len(call.args)
        return " ".join(words)

    def _forget(self, future: _Future) -> None:
        del self._requests[future]
