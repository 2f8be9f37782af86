"""Unread counts are what a plain list says, whatever is written, edited, deleted, read, joined and left."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dchat_server.model import Control
from tests.fakes import MemoryCluster, MemoryNodes, MemoryRoomLog, MemoryRoomStore
from tests.property.unread import ROOMS, TEXTS, USERS, Driver

users, rooms, texts, which = st.sampled_from(USERS), st.sampled_from(ROOMS), st.sampled_from(TEXTS), st.integers(0, 50)
STEPS = st.one_of(
    st.tuples(st.just("say"), users, rooms, texts),
    st.tuples(st.just("say"), users, rooms, texts),
    st.tuples(st.just("edit"), users, rooms, which, texts),
    st.tuples(st.just("delete"), users, rooms, which),
    st.tuples(st.just("react"), users, rooms, which),
    st.tuples(st.just("read"), users, rooms, which, st.booleans()),
    st.tuples(st.just("come"), users, rooms),
    st.tuples(st.just("go"), users, rooms),
)


@settings(max_examples=80, deadline=None)
@given(st.lists(STEPS, min_size=15, max_size=60))
def test_unread_counts_are_those_of_a_plain_list(steps: list[tuple[Any, ...]]) -> None:
    async def run() -> None:
        cluster = MemoryCluster()
        nodes = MemoryNodes(cluster)
        driver = Driver(MemoryRoomLog(nodes), MemoryRoomStore(nodes))
        heads = dict.fromkeys(USERS, 0)

        def announced(user: str) -> list[dict[str, object]]:
            shard = cluster.home(user)
            found = [
                json.loads(entry.body)
                for place, entry in shard.feed
                if isinstance(entry, Control) and entry.user == user and place.offset > heads[user]
            ]
            heads[user] = shard.head
            return found

        driver.announced = announced
        await driver.begin()
        for name, *arguments in steps:
            await getattr(driver, name)(*arguments)
            await driver.check()

    asyncio.run(run())
