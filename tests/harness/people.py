"""People of a test: accounts that speak plain HTTP to any of the workers."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

PASSWORD = "correct horse battery staple"
_names = itertools.count(1)


def new_name(stem: str = "p") -> str:
    """A name for a user or room that no other test uses, also not one of another run on the same server."""
    return f"{stem}{next(_names)}-{os.getpid()}-{os.urandom(2).hex()}"


class Answer:
    """Status, headers and JSON body of an answer."""

    def __init__(self, status: int, headers: Any, text: bytes) -> None:
        self.status, self.headers, self.text = status, headers, text

    @property
    def json(self) -> Any:
        return orjson.loads(self.text) if self.text else None

    @property
    def code(self) -> str:
        """The code of a problem."""
        return str(self.json.get("code")) if self.text[:1] == b"{" else ""

    def __repr__(self) -> str:
        return f"<{self.status} {self.text[:300]!r}>"


class Person:
    """An account with a token. `urls` are the workers; a request goes to the one named by its number, or in turn."""

    def __init__(self, http: aiohttp.ClientSession, urls: Sequence[str], name: str, token: str = "") -> None:
        self.http, self.urls, self.name, self.token = http, list(urls), name, token
        self._turn = itertools.count()

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def url(self, worker: int | None = None) -> str:
        return self.urls[(next(self._turn) if worker is None else worker) % len(self.urls)]

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        worker: int | None = None,
        timeout_s: float = 60.0,
        **more: Any,
    ) -> Answer:
        """One request and its answer. Raises aiohttp.ClientError or TimeoutError when there is none."""
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        headers = {**self.headers, **more.pop("headers", {})}
        data = None
        if body is not None:
            data, headers["Content-Type"] = orjson.dumps(body), "application/json"
        async with self.http.request(
            method, self.url(worker) + path, data=data, headers=headers, timeout=timeout, **more
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def must(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The JSON of an answer that has to be a success."""
        answer = await self.ask(method, path, body, **more)
        assert 200 <= answer.status < 300, f"{method} {path}: {answer}"
        return answer.json

    async def register(self) -> Person:
        answer = await self.must("POST", "/v1/register", {"username": self.name, "password": PASSWORD})
        self.token = answer["token"]
        return self

    async def create(self, room: str | None = None, kind: str = "public") -> str:
        room = room or new_name("room")
        await self.must("POST", "/v1/rooms", {"room": room, "kind": kind})
        return room

    async def join(self, room: str) -> None:
        await self.must("PUT", f"/v1/rooms/{room}/members/me", {})

    async def invite(self, room: str, other: str) -> None:
        await self.must("PUT", f"/v1/rooms/{room}/members/{other}", {})

    async def send(self, room: str, text: str, **more: Any) -> dict[str, Any]:
        """Send one message that has to be stored; the message."""
        answer = await self.must("POST", f"/v1/rooms/{room}/messages", {"text": text, **more})
        message: dict[str, Any] = answer["message"]
        return message

    async def head(self, room: str) -> int:
        return int((await self.must("GET", f"/v1/rooms/{room}"))["room"]["head"])

    async def sync(self) -> tuple[dict[str, int], str]:
        """Heads of the joined rooms, and the cursor from which the stream goes on."""
        answer = await self.must("GET", "/v1/sync")
        return {room["room"]: room["head"] for room in answer["rooms"]}, answer["cursor"]

    async def history(self, room: str, *, page: int = 200) -> list[dict[str, Any]]:
        """All messages, oldest first, by pages."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["seq"] if found else 0
            answer = await self.must("GET", f"/v1/rooms/{room}/messages?after={after}&limit={page}")
            found += answer["messages"]
            if not answer["has_more"]:
                return found


@asynccontextmanager
async def web() -> AsyncIterator[aiohttp.ClientSession]:
    """A plain HTTP client without limits."""
    connector = aiohttp.TCPConnector(limit=0)
    # One cookie would sign in everybody: the server gives a session cookie to whoever registers.
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, auto_decompress=False) as session:
        yield session


async def crowd(http: aiohttp.ClientSession, urls: Sequence[str], count: int, stem: str = "p") -> list[Person]:
    """`count` new accounts."""
    people = [Person(http, urls, new_name(stem)) for _ in range(count)]
    await asyncio.gather(*(person.register() for person in people))
    return people


async def house(
    http: aiohttp.ClientSession, urls: Sequence[str], people: int, rooms: int = 1, kind: str = "public"
) -> tuple[list[Person], list[str]]:
    """New people who are all in the same new rooms, and the rooms."""
    found = await crowd(http, urls, people)
    names = [await found[0].create(kind=kind) for _ in range(rooms)]
    for room in names:
        if kind == "public":
            await asyncio.gather(*(person.join(room) for person in found[1:]))
        else:
            for person in found[1:]:
                await found[0].invite(room, person.name)
    return found, names
