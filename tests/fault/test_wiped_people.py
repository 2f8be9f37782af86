"""A Redis that lost everything, and the people of real workers: who they are outlives it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.people import Person, new_name, web
from tests.harness.processes import eventually
from tests.harness.redis import RedisServer
from tests.harness.workers import Worker


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer(aof="none") as server:
        yield server


def saved(redis: RedisServer) -> bool:
    """Everybody's record is in the archive."""
    return not redis.ask("KEYS", "dchat:*:changed")


def whole(redis: RedisServer) -> bool:
    """Nobody and nothing is missing any more."""
    shards = redis.ask("KEYS", "dchat:*:state")
    return bool(shards) and not any(redis.ask("HGET", shard, "behind") for shard in shards)


@pytest.mark.parametrize("restarted", [False, True], ids=["worker lives", "worker restarted"])
async def test_people_are_who_they_were(redis: RedisServer, restarted: bool) -> None:
    worker = Worker(redis.url)
    worker.start()
    try:
        async with web() as http:
            root, ada = Person(http, [worker.url], new_name("root")), Person(http, [worker.url], new_name("ada"))
            for each in (root, ada):
                await each.register()
            gone = (await ada.must("POST", "/v1/tokens", {"name": "gone", "scopes": ["read"]}))["info"]["id"]
            await ada.must("DELETE", f"/v1/tokens/{gone}")
            before = [(await each.must("GET", "/v1/me"))["user"] for each in (root, ada)]
            assert [each["admin"] for each in before] == [True, False]
            tokens = await ada.must("GET", "/v1/tokens")
            await eventually(lambda: saved(redis), "everybody is saved")
        if restarted:
            worker.kill()
        redis.ask("FLUSHALL")
        if restarted:
            worker.start()
        async with web() as http:
            root, ada = (Person(http, [worker.url], each.name, each.token) for each in (root, ada))
            eve = await Person(http, [worker.url], new_name("eve")).register()
            assert not (await eve.must("GET", "/v1/me"))["user"]["admin"]
            assert [(await each.must("GET", "/v1/me"))["user"] for each in (root, ada)] == before
            assert await ada.must("GET", "/v1/tokens") == tokens
            taken = await eve.ask("POST", "/v1/register", {"username": ada.name, "password": "somebody else"})
            assert taken.code == "username_taken"
            await eventually(lambda: whole(redis), "all is back")
            listed = (await eve.must("GET", "/v1/users"))["users"]
            assert {each["username"] for each in listed} == {root.name, ada.name, eve.name}
    finally:
        worker.close()
