"""Servers that the end-to-end tests share: one Redis with three workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import pytest_asyncio

from tests.harness.browser import browser, chromium
from tests.harness.people import web
from tests.harness.redis import RedisServer
from tests.harness.scene import ada_and_bob, front, scene
from tests.harness.workers import Workers

__all__ = ["ada_and_bob", "browser", "chromium", "front", "scene"]


@pytest.fixture(scope="session")
def shared_workers() -> Iterator[Workers]:
    with RedisServer(aof="everysec") as server, Workers(server.url, 3) as workers:
        yield workers


@pytest.fixture
def workers(shared_workers: Workers) -> Workers:
    """Three workers on one Redis, all ready, whatever the test before has done to them."""
    shared_workers.revive()
    return shared_workers


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A plain HTTP client."""
    async with web() as session:
        yield session


@pytest_asyncio.fixture(loop_scope="session")
async def session_http() -> AsyncIterator[aiohttp.ClientSession]:
    """The same for tests that run in the session's loop, as those with a browser do."""
    async with web() as session:
        yield session
