"""Places for the contracts of the message log; see servers.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.contract.servers import KINDS, Place, Ports, Shared, mortal_place_of, place_of, shared_servers


@pytest.fixture(scope="session")
def shared() -> Iterator[Shared]:
    yield from shared_servers()


@pytest_asyncio.fixture(params=KINDS)
async def place(request: pytest.FixtureRequest, shared: Shared) -> AsyncIterator[Place]:
    async with place_of(request.param, shared) as place:
        yield place


@pytest_asyncio.fixture(params=["memory", "redis", "valkey"])
async def mortal_place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with mortal_place_of(request.param) as place:
        yield place


@pytest_asyncio.fixture
async def ports(place: Place) -> Ports:
    return await place.worker()
