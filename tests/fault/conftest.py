"""Servers that several tests share: one Redis with three workers, started when the first test asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import pytest_asyncio

from tests.harness.people import web
from tests.harness.redis import RedisServer
from tests.harness.workers import Workers


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """A Redis that keeps what it has, and that no test kills."""
    with RedisServer(aof="everysec") as server:
        yield server


@pytest.fixture(scope="session")
def shared_workers(shared_redis: RedisServer) -> Iterator[Workers]:
    with Workers(shared_redis.url, 3) as workers:
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
