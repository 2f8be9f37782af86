"""What a worker does beside its requests, when what it needs for that is away."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dchat_server import app
from dchat_server.accounts import Accounts
from dchat_server.errors import ArchiveUnavailable, BackendUnavailable, ChatError
from dchat_server.http.worker import Worker


class Hub:
    """Two open streams, and which of them were closed."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    def streams(self) -> list[Any]:
        return [SimpleNamespace(digest=digest, user="ada") for digest in ("good", "revoked")]

    def close(self, stream: Any, frame: Any) -> None:
        self.closed.append(stream.digest)


async def test_streams_of_revoked_tokens_are_closed_once_somebody_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a loss of the feed: the log may be away, the archive, and too many may ask at once."""
    problems: list[ChatError] = [BackendUnavailable(), ArchiveUnavailable(), ChatError("overloaded")]

    async def dead_among(tokens: Mapping[str, str]) -> frozenset[str]:
        if problems:
            raise problems.pop()
        return frozenset({"revoked"} & tokens.keys())

    async def no_time(seconds: float) -> None:
        pass

    monkeypatch.setattr(app.asyncio, "sleep", no_time)
    accounts = SimpleNamespace(forget=lambda: None, dead_among=dead_among)
    hub = Hub()
    await app._close_dead(cast(Worker, SimpleNamespace(hub=hub)), cast(Accounts, accounts))
    assert (hub.closed, problems) == (["revoked"], [])


async def test_a_task_that_fails_is_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    worker = Worker.__new__(Worker)
    worker.tasks = set()
    worker.spawn(fail())
    for _ in range(3):
        await asyncio.sleep(0)
    assert not worker.tasks
    told = capsys.readouterr()
    assert "task_failed" in told.out + told.err
