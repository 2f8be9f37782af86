"""People of a benchmark: accounts that speak plain, blocking HTTP over one connection each."""

from __future__ import annotations

import http.client
import itertools
import json
import time
from collections.abc import Iterable
from typing import Any

PASSWORD = "correct horse battery staple"
BATCH = 500
QUIET_S = 20
_names = itertools.count(1)


class Refused(Exception):
    """The server answered with another status than the one that was expected."""


class Connection:
    """A keep-alive connection to the server under test."""

    def __init__(self, port: int, token: str = "") -> None:
        self.port, self.token = port, token
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._used = 0.0

    def raw(self, method: str, path: str, body: bytes | None = None, content_type: str = "application/json") -> bytes:
        """The body of a successful answer. Raises Refused."""
        headers = {"Content-Type": content_type} if body is not None else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if time.monotonic() - self._used > QUIET_S:
            self._http.close()  # the server does so after a while, and the next request opens it again
        self._http.request(method, path, body, headers)
        self._used = time.monotonic()
        answer = self._http.getresponse()
        data = answer.read()
        if answer.status not in (200, 201, 204):
            raise Refused(f"{method} {path}: {answer.status} {data[:300]!r}")
        return data

    def ask(self, method: str, path: str, value: Any = None) -> Any:
        """The JSON of an answer."""
        body = None if value is None else json.dumps(value).encode()
        data = self.raw(method, path, body)
        return json.loads(data) if data else None

    def close(self) -> None:
        self._http.close()


class Person(Connection):
    """Somebody with an account, signed in."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.name = f"bench{next(_names)}-{time.time_ns() % 10**9}"
        self.token = self.ask("POST", "/v1/register", {"username": self.name, "password": PASSWORD})["token"]

    def create(self, room: str) -> str:
        self.ask("POST", "/v1/rooms", {"room": room})
        return room

    def join(self, room: str) -> None:
        self.ask("PUT", f"/v1/rooms/{room}/members/me", {})

    def head(self, room: str) -> int:
        """The newest seq of a room."""
        return int(self.ask("GET", f"/v1/rooms/{room}")["room"]["head"])

    def fill(self, room: str, texts: Iterable[str]) -> int:
        """Send these texts in batches, check every line of the answers, and return how many there were."""
        texts, sent, expected = list(texts), 0, self.head(room) + 1
        for at in range(0, len(texts), BATCH):
            part = texts[at : at + BATCH]
            answers = [json.loads(line) for line in self.batch(room, part).splitlines()]
            assert len(answers) == len(part), f"{len(answers)} answers to a batch of {len(part)}"
            for text, answer in zip(part, answers, strict=True):
                assert answer["status"] == 201, answer
                message = answer["message"]
                assert (message["seq"], message["text"]) == (expected, text), (expected, text, message)
                expected += 1
            sent += len(part)
        return sent

    def batch(self, room: str, texts: Iterable[str]) -> bytes:
        body = b"".join(b'{"text":"%b"}\n' % text.encode() for text in texts)
        return self.raw("POST", f"/v1/rooms/{room}/messages", body, "application/x-ndjson")

    def cursor(self) -> str:
        """The place in everything this person may read that it is now."""
        return str(self.ask("GET", "/v1/sync")["cursor"])


def text_of(number: int, size: int = 200) -> str:
    """A message text of `size` characters that names its number."""
    return f"#{number:010d}#".ljust(size, "x")
