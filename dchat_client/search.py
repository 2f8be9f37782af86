"""Finding messages: the server's search where it has one, else reading back pages ourselves. Shared by all faces.

*Reading back* goes through several rooms at once as through one: always on in the room that has been read back least,
so that all have been read back to about the same day, and what is found comes newest first. What has been found is
handed out once no room can hold anything newer any more.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from dchat_client.connection import Connection
from dchat_client.errors import NotFound
from dchat_client.history import PAGE, Message, page

_MAX_ANSWERS = 50
_NOW = "9999"


@dataclass(frozen=True, slots=True)
class Query:
    """What to find: all words of `text`, whatever their case. `since` and `until` are times as the server has them."""

    text: str
    sender: str | None = None
    since: str = ""
    until: str = ""

    def fits(self, message: Message) -> bool:
        """Tell whether a message of a page is one that is looked for."""
        text = message.get("text")
        if not isinstance(text, str) or message.get("deleted") or not self.fits_time(message):
            return False
        if self.sender is not None and message.get("sender") != self.sender:
            return False
        folded = text.casefold()
        return all(word in folded for word in self.text.casefold().split())

    def fits_time(self, message: Message) -> bool:
        """Tell whether a message was written in the time that is looked at."""
        ts = _ts(message)
        return ts >= self.since and not (self.until and ts >= self.until)


@dataclass(slots=True)
class Looked:
    """How far reading back has come: messages read, and the time up to which all rooms were read back."""

    messages: int = 0
    back_to: str = ""
    cut_short: bool = False
    """There is more that was not looked at."""


async def ask_server(connection: Connection, query: Query, rooms: Iterable[str], limit: int) -> list[Message] | None:
    """Return what the server finds, newest first; in `rooms`, or with none in all one may read.

    None when it has no search. Each message as the server gives it, with a `snippet` where it gives one.
    """
    found: list[Message] = []
    try:
        for room in tuple(rooms) or (None,):
            found += await _ask(connection, query, room, limit)
    except NotFound as error:
        if error.code != "not_found":
            raise
        return None
    return sorted(found, key=_ts, reverse=True)[:limit]


async def read_back(
    connection: Connection,
    query: Query,
    rooms: Iterable[str],
    *,
    max_messages: int,
    looked: Looked,
    told: Callable[[Looked], None] = lambda looked: None,
) -> AsyncIterator[Message]:
    """Yield what is found in pages, newest first, reading at most about `max_messages`; `looked` tells how far it is.

    A request for each 200 messages, and at least one a room. Raises ChatError.
    """
    at = [_Place(room) for room in rooms]
    heapq.heapify(at)
    waiting: list[Message] = []
    while at:
        if looked.messages >= max_messages:
            looked.cut_short = True
            break
        place = at[0]
        found = await page(connection, place.room, before=place.before, limit=PAGE)
        looked.messages += len(found.messages)
        waiting += [message for message in found.messages if query.fits(message)]
        oldest = found.messages[0] if found.messages else None
        if oldest is None or not found.has_more or _ts(oldest) < query.since:
            heapq.heappop(at)
        else:
            heapq.heapreplace(at, _Place(place.room, oldest["seq"], _ts(oldest)))
        looked.back_to = at[0].back_to if at else ""
        told(looked)
        waiting.sort(key=_ts)
        while waiting and _ts(waiting[-1]) >= looked.back_to:
            yield waiting.pop()
    for message in reversed(waiting):
        yield message


@dataclass(slots=True)
class _Place:
    """How far a room was read back. The first in order is the one that was read back least."""

    room: str
    before: int | None = None
    back_to: str = field(default=_NOW)

    def __lt__(self, other: _Place) -> bool:
        return (self.back_to, self.room) > (other.back_to, other.room)


async def _ask(connection: Connection, query: Query, room: str | None, limit: int) -> list[Message]:
    given = {"q": query.text, "room": room, "sender": query.sender, "limit": min(limit, PAGE)}
    params: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    found: list[Message] = []
    for _ in range(_MAX_ANSWERS):
        answer = await connection.request("GET", "/v1/search", params=params)
        hits = [hit for hit in map(_hit, answer.get("hits") or []) if hit is not None]
        found += [hit for hit in hits if query.fits_time(hit)]
        following = answer.get("next")
        if len(found) >= limit or not following or following == params.get("cursor"):
            break
        if hits and _ts(hits[-1]) < query.since:
            break
        params["cursor"] = following
    return found


def _hit(value: Any) -> Message | None:
    """A hit is a message, or has one beside its snippet."""
    if not isinstance(value, dict):
        return None
    message = value.get("message")
    if isinstance(message, dict):
        return {**message, "snippet": value["snippet"]} if "snippet" in value else message
    return value


def _ts(message: Message) -> str:
    return str(message.get("ts") or "")
