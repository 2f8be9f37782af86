"""A message and what answers it, from the server's thread where it has that, else from pages. Shared by all faces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from dchat_client.address import segment
from dchat_client.answers import field
from dchat_client.connection import Connection
from dchat_client.errors import NotFound
from dchat_client.history import Message, page

_MAX_ANSWERS = 500


async def thread(connection: Connection, room: str, seq: int) -> AsyncIterator[Message] | None:
    """Return message `seq` of `room` and its replies, oldest first, from the server; None when it has no threads.

    A request for each 200 of them, or for each long stretch of the room without any. Raises NotFound when there is no
    such message, other ChatErrors.
    """
    path = f"/v1/rooms/{segment(room)}/messages/{seq}/thread"
    try:
        answer = await connection.request("GET", path, params={"limit": 200})
    except NotFound as error:
        if error.code != "not_found":
            raise
        return None

    async def messages() -> AsyncIterator[Message]:
        found = answer
        yield field(found, "root")
        after = seq
        for _ in range(_MAX_ANSWERS):
            for row in found.get("messages") or []:
                if isinstance(row, dict):
                    yield row
            # A stretch without answers may lie in between: then there are none in this one, and yet more to come.
            following = found.get("next")
            if not found.get("has_more") or type(following) is not int or following <= after:
                return
            after = following
            found = await connection.request("GET", path, params={"limit": 200, "after": following})

    return messages()


async def thread_from_pages(
    connection: Connection,
    room: str,
    seq: int,
    *,
    max_messages: int,
    told: Callable[[int, int, int], None] = lambda messages, seq, head: None,
) -> AsyncIterator[Message]:
    """Yield message `seq` and what answers it, looking through at most about `max_messages` after it.

    `told(messages, seq, head)` is called after each page. Raises NotFound, other ChatErrors.
    """
    path = f"/v1/rooms/{segment(room)}/messages/{seq}"
    yield field(await connection.request("GET", path), "message")
    after, count = seq, 0
    while count < max_messages:
        found = await page(connection, room, after=after)
        for message in found.messages:
            if message.get("reply_to") == seq:
                yield message
        count += len(found.messages)
        if not found.has_more or not found.messages or found.messages[-1]["seq"] <= after:
            return
        after = found.messages[-1]["seq"]
        told(count, after, found.head)
