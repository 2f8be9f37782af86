"""What a person asks for with one request each: change a message, go into a room, find somebody.

None of it raises: what the server did not do is told as a `Failed`, in words, and the call says so by what it returns.
What it did comes back over the stream, to all of the person's devices alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from dchat_client.address import segment
from dchat_client.connection import Connection
from dchat_client.errors import ChatError
from dchat_client.search import Looked, Query, ask_server, read_back
from dchat_client.updates import Failed, MembersAre, RoomIs, Row, Update

MOST_HITS = 50
MOST_READ_BACK = 2000


class Errands:
    """Requests of the signed-in user over `connection`; `emit` takes what is to be told."""

    def __init__(self, connection: Connection, emit: Callable[[Update], None]) -> None:
        self._connection, self._emit = connection, emit

    # Other people's and one's own messages

    async def edit(self, room: str, seq: int, text: str) -> bool:
        """Give one's own message another text. True when that was done."""
        path = f"/v1/rooms/{segment(room)}/messages/{seq}"
        return await self._ask("The message was not edited", room, "PATCH", path, {"text": text}) is not None

    async def delete(self, room: str, seq: int) -> bool:
        """Delete a message."""
        path = f"/v1/rooms/{segment(room)}/messages/{seq}"
        return await self._ask("The message was not deleted", room, "DELETE", path) is not None

    async def react(self, room: str, seq: int, emoji: str, *, add: bool = True) -> bool:
        """React to a message, or take that back."""
        path = f"/v1/rooms/{segment(room)}/messages/{seq}/reactions/{segment(emoji)}"
        return await self._ask("The reaction was not kept", room, "PUT" if add else "DELETE", path) is not None

    async def message(self, room: str, seq: int) -> Row | None:
        """Return one message, for what answers it; None without a word when it cannot be had."""
        with suppress(ChatError):
            answer = await self._connection.request("GET", f"/v1/rooms/{segment(room)}/messages/{seq}")
            found = answer.get("message")
            return found if isinstance(found, dict) else None
        return None

    async def typing(self, room: str) -> None:
        """Tell the room that one is writing. Call it at most every few seconds; nobody minds when it is lost."""
        with suppress(ChatError):
            await self._connection.request("POST", f"/v1/rooms/{segment(room)}/typing")

    # Rooms and people

    async def join(self, room: str) -> bool:
        """Go into a room. It is among the rooms when this returns."""
        path = f"/v1/rooms/{segment(room)}/members/me"
        what = f"Room {room} was not joined"
        if await self._ask(what, room, "PUT", path, {}) is None:
            return False
        return self._take_room(await self._ask(what, room, "GET", f"/v1/rooms/{segment(room)}"))

    async def leave(self, room: str) -> bool:
        """Go out of a room."""
        path = f"/v1/rooms/{segment(room)}/members/me"
        return await self._ask(f"Room {room} was not left", room, "DELETE", path) is not None

    async def create(self, room: str, *, private: bool = False, topic: str = "") -> bool:
        """Make a room and be its owner."""
        body = {"room": room, "kind": "private" if private else "public", "topic": topic}
        answer = await self._ask(f"Room {room} was not made", room, "POST", "/v1/rooms", body)
        return self._take_room(answer)

    async def dm(self, users: Sequence[str]) -> str | None:
        """Return the room in which one talks with just these people; it is made when it is not there yet."""
        names = ", ".join(users)
        answer = await self._ask(
            f"A conversation with {names} was not begun", None, "POST", "/v1/dms", {"users": users}
        )
        return str(answer["room"]["room"]) if answer is not None and self._take_room(answer) else None

    async def topic(self, room: str, text: str) -> bool:
        """Say what a room is about."""
        path = f"/v1/rooms/{segment(room)}"
        return await self._ask("The topic was not changed", room, "PATCH", path, {"topic": text}) is not None

    async def invite(self, room: str, user: str) -> bool:
        """Bring somebody into a room."""
        path = f"/v1/rooms/{segment(room)}/members/{segment(user)}"
        return await self._ask(f"{user} was not invited", room, "PUT", path, {}) is not None

    async def members(self, room: str) -> list[Row]:
        """Return the people of a room, and tell the face."""
        path = f"/v1/rooms/{segment(room)}/members"
        rows = await self._listed("The members could not be read", room, path, "members", {})
        if rows:
            self._emit(MembersAre(room, rows))
        return rows

    async def find_rooms(self, prefix: str = "") -> list[Row]:
        """Return rooms one may see whose names begin so, joined or not; at most 200."""
        params: dict[str, Any] = {"limit": 200} | ({"query": prefix} if prefix else {})
        return await self._listed("The rooms could not be read", None, "/v1/rooms", "rooms", params)

    async def find_users(self, prefix: str = "") -> list[Row]:
        """Return people whose names begin so."""
        params = {"query": prefix} if prefix else {}
        return await self._listed("The people could not be read", None, "/v1/users", "users", params)

    async def search(self, room: str, words: str) -> tuple[list[Row], bool]:
        """Return messages of a room with all these words, the newest first, at most 50; and whether all were looked at.

        Where the server has no search, about the last 2000 messages are read back.
        """
        query = Query(words)
        try:
            found = await ask_server(self._connection, query, [room], MOST_HITS)
            if found is not None:
                return list(found), len(found) < MOST_HITS
            looked = Looked()
            pages = read_back(self._connection, query, [room], max_messages=MOST_READ_BACK, looked=looked)
            rows = [message async for message in pages]
            return list(rows[:MOST_HITS]), not looked.cut_short
        except ChatError as error:
            self._emit(Failed("Nothing could be searched", error, room))
            return [], False

    async def _ask(self, what: str, room: str | None, method: str, path: str, body: Any = None) -> Row | None:
        """Return the answer of a request, or tell that `what` and return None."""
        try:
            return await self._connection.request(method, path, body=body)
        except ChatError as error:
            self._emit(Failed(what, error, room))
            return None

    def _take_room(self, answer: Row | None) -> bool:
        row = (answer or {}).get("room")
        if isinstance(row, dict):
            self._emit(RoomIs(row))
        return isinstance(row, dict)

    async def _listed(self, what: str, room: str | None, path: str, name: str, params: dict[str, Any]) -> list[Row]:
        try:
            return rows_of(await self._connection.request("GET", path, params=params), name)
        except ChatError as error:
            self._emit(Failed(what, error, room))
            return []


def rows_of(answer: Row, name: str) -> list[Row]:
    """Return the objects in a list of an answer."""
    rows = answer.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
