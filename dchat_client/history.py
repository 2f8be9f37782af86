"""Messages as pages: the newest, a stretch, or what a gap left out. Shared by all faces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from dchat_client.address import segment
from dchat_client.connection import Connection
from dchat_client.errors import ServerFault
from dchat_client.items import GapRange

PAGE = 200
"""Messages in the largest page the server gives."""

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Messages of a room, oldest first.

    `head` is the newest `seq` of the room, `has_more` looks the way asked for.
    """

    messages: list[Message]
    head: int
    has_more: bool


async def page(
    connection: Connection,
    room: str,
    *,
    before: int | None = None,
    after: int | None = None,
    limit: int = PAGE,
) -> Page:
    """Return one page:

    before or after a `seq` (both exclusive), or the newest. One request; raises ChatError.
    """
    bounds = {"before": before, "after": after, "limit": limit}
    params = {name: value for name, value in bounds.items() if value is not None}
    answer = await connection.request("GET", f"/v1/rooms/{segment(room)}/messages", params=params)
    messages, head = answer.get("messages"), answer.get("head")
    if not isinstance(messages, list) or not isinstance(head, int):
        raise ServerFault("the page has no messages or no head", code="not_dchat")
    kept = [message for message in messages if isinstance(message, dict) and isinstance(message.get("seq"), int)]
    return Page(kept, head, bool(answer.get("has_more")))


async def newest(connection: Connection, room: str, count: int, *, before: int | None = None) -> Page:
    """Return the newest `count` messages (below `before`), oldest first, in as many requests as it takes."""
    parts: list[list[Message]] = []
    head, has_more, left = 0, True, count
    while has_more and (left > 0 or not parts):
        found = await page(connection, room, before=before, limit=max(1, min(left, PAGE)))
        head = head or found.head
        has_more = found.has_more and bool(found.messages)
        parts.append(found.messages[-left:] if left > 0 else [])
        left -= len(found.messages)
        before = found.messages[0]["seq"] if found.messages else before
    return Page([message for part in reversed(parts) for message in part], head, has_more)


async def forward(
    connection: Connection, room: str, *, after: int = 0, last: int | None = None
) -> AsyncIterator[Message]:
    """Yield the messages after `after` up to `last` (inclusive; None: up to the head), oldest first."""
    while last is None or after < last:
        found = await page(connection, room, after=after)
        for message in found.messages:
            if last is not None and message["seq"] > last:
                return
            yield message
        # Without progress a server that repeats itself would be asked for ever.
        if not found.has_more or not found.messages or found.messages[-1]["seq"] <= after:
            return
        after = found.messages[-1]["seq"]


async def missing(connection: Connection, gap: GapRange, *, done: int = 0) -> AsyncIterator[Message]:
    """Yield the messages of `gap` that were not taken before, oldest first; `done` is the last one
    recovered so far.

    A gap may reach back over what was seen (the server does not know what that was). (epoch, seq) grows
    along the room, so one look at the newest message up to there tells whether anything of it is new.
    """
    after = max(gap.first - 1, done)
    if gap.seen is not None and after < gap.seen.seq:
        found = await page(connection, gap.room, before=min(gap.seen.seq, gap.last) + 1, limit=1)
        if not any(gap.is_new(message) for message in found.messages):
            after = gap.seen.seq
    async for message in forward(connection, gap.room, after=after, last=gap.last):
        if gap.is_new(message):
            yield message
