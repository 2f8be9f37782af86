"""Redis with Sentinel and Redis Cluster: a master is lost, another takes over, and chat says what that cost."""

from __future__ import annotations

import asyncio
import time

import aiohttp

from tests.harness.crowd import Reader, Writer, caught_up, run_of, stop_all
from tests.harness.people import house
from tests.harness.processes import eventually
from tests.harness.redis import RedisCluster, Sentinel
from tests.harness.workers import Workers


def goes_on(readers: list[Reader], heads: dict[str, int]) -> bool:
    return all(any(reader.has(room, head + 1) for reader in readers) for room, head in heads.items())


async def test_with_sentinel_a_killed_master_is_replaced_and_what_a_replica_confirmed_is_kept(
    http: aiohttp.ClientSession,
) -> None:
    with Sentinel(replicas=2) as redis, Workers(redis.url, 2, DCHAT_ACK="replicated") as workers:
        people, (room,) = await house(http, workers.urls, 4)
        heads, cursor = await people[0].sync()
        readers = [Reader(people[at % 4], cursor=cursor, starts=heads, seed=at).start() for at in range(8)]
        writers = [Writer(person, room, stubborn=at < 2, pause_s=0.01).start() for at, person in enumerate(people)]
        await asyncio.gather(*(reader.live.wait() for reader in readers))
        await asyncio.sleep(1)
        first = redis.master
        began = time.monotonic()
        first.process.kill()
        await eventually(lambda: redis.master is not first, "Sentinel has promoted a replica")
        promoted = time.monotonic() - began
        second = {room: max(reader.heads[room] for reader in readers)}
        await eventually(lambda: goes_on(readers, second), "chat goes on")
        healed = time.monotonic() - began
        first.restart()  # the old master comes back, as what it is told to be
        await eventually(lambda: "role:slave" in _role(first), "the old master follows the new one")
        await asyncio.sleep(1)
        found, final = await run_of(writers, readers, [room])
        assert found == []
        epochs = {message["epoch"] for message in await people[0].history(room)}
        gaps = sum(bool(reader.record.gaps()) for reader in readers)
        kept = sum(writer.acknowledged for writer in writers)
        print(
            f"promoted after {promoted:.1f} s, chat on after {healed:.1f} s; {kept} acknowledged, none lost; {final}; "
            f"{len(epochs)} epochs; {gaps} of {len(readers)} readers were told of a gap"
        )
        assert len(epochs) >= 2


async def test_with_sentinel_a_frozen_master_that_wakes_up_adds_nothing_to_the_chat(
    http: aiohttp.ClientSession,
) -> None:
    with Sentinel(replicas=2) as redis, Workers(redis.url, 2, DCHAT_ACK="replicated") as workers:
        people, (room,) = await house(http, workers.urls, 4)
        heads, cursor = await people[0].sync()
        readers = [Reader(people[at % 4], cursor=cursor, starts=heads, seed=at).start() for at in range(6)]
        writers = [Writer(person, room, stubborn=at < 2, pause_s=0.01).start() for at, person in enumerate(people)]
        await asyncio.gather(*(reader.live.wait() for reader in readers))
        await asyncio.sleep(0.5)
        first = redis.master
        first.process.freeze()
        try:
            await eventually(lambda: redis.master is not first, "Sentinel has promoted a replica")
            now = {room: max(reader.heads[room] for reader in readers)}
            await eventually(lambda: goes_on(readers, now), "chat goes on")
        finally:
            first.process.thaw()
        await eventually(lambda: "role:slave" in _role(first), "the old master follows the new one")
        await asyncio.sleep(1)
        found, _ = await run_of(writers, readers, [room])
        assert found == []


def _role(server: object) -> str:
    reply = server.ask("INFO", "replication")  # type: ignore[attr-defined]
    return "\n".join(f"{name}:{value}" for name, value in reply.items()) if isinstance(reply, dict) else str(reply)


async def test_on_a_cluster_of_three_masters_everything_works_and_a_lost_master_is_replaced(
    http: aiohttp.ClientSession,
) -> None:
    with RedisCluster(replicas=True) as redis, Workers(redis.url, 3) as workers:
        people, rooms = await house(http, workers.urls, 4, rooms=9)
        ada, ben, *_ = people
        heads, cursor = await ada.sync()
        readers = [
            Reader(
                people[at % 4],
                cursor=cursor,
                starts=heads,
                forms=("sse", "ndjson", "poll") if at % 3 else ("sse",),
                restless=(20, 800) if at % 3 else None,
                seed=at,
            ).start()
            for at in range(12)
        ]
        # The API at large, over shards on different nodes.
        hall = await ada.create()
        await ben.join(hall)
        sent = await ada.send(hall, "hello", client_id="one")
        assert (await ada.send(hall, "hello", client_id="one"))["seq"] == sent["seq"]
        path = f"/v1/rooms/{hall}/messages/{sent['seq']}"
        await ada.must("PATCH", path, {"text": "hello, all"})
        await ben.must("PUT", f"{path}/reactions/👋", {})
        await ada.must("DELETE", path)
        dm = (await ada.must("POST", "/v1/dms", {"users": [ben.name]}))["room"]["room"]
        await ben.send(dm, "just us")
        await ben.must("PUT", f"/v1/rooms/{dm}/read", {"seq": await ben.head(dm)})
        token = await ada.must("POST", "/v1/tokens", {"name": "t", "scopes": ["read"]})
        await ada.must("DELETE", f"/v1/tokens/{token['info']['id']}")
        assert len((await ada.must("GET", "/v1/rooms?limit=200"))["rooms"]) == 11
        assert set((await ben.sync())[0]) == {*rooms, hall, dm}
        writers = [
            Writer(person, room, stubborn=at % 2 == 0, pause_s=0.03).start()
            for at, person in enumerate(people)
            for room in rooms[at::3]
        ]
        await asyncio.sleep(1.5)
        victim = redis.nodes[1]
        began = time.monotonic()
        victim.process.kill()
        now = {room: max(reader.heads[room] for reader in readers) for room in rooms}
        await eventually(lambda: goes_on(readers, now), "all rooms go on")
        healed = time.monotonic() - began
        victim.restart()
        await asyncio.sleep(2)
        found, final = await run_of(writers, readers, rooms, lossy=True)
        told = sum(bool(reader.record.gaps()) for reader in readers)
        print(f"all nine rooms on after {healed:.1f} s, {sum(final.values())} events, {told} readers told of a gap")
        assert found == []


async def test_on_a_cluster_slots_that_move_to_another_master_cost_nothing(http: aiohttp.ClientSession) -> None:
    with RedisCluster() as redis, Workers(redis.url, 2) as workers:
        people, rooms = await house(http, workers.urls, 3, rooms=6)
        heads, cursor = await people[0].sync()
        readers = [Reader(people[at % 3], cursor=cursor, starts=heads, seed=at).start() for at in range(6)]
        writers = [Writer(person, room, pause_s=0.03).start() for person in people for room in rooms[::2]]
        await asyncio.sleep(0.5)
        moved = await asyncio.to_thread(redis.move_slots, redis.nodes[0], redis.nodes[1])
        await asyncio.sleep(1)
        now = {room: await people[0].head(room) for room in rooms[::2]}
        await eventually(lambda: goes_on(readers, now), "all rooms go on")
        found, final = await run_of(writers, readers, rooms)
        print(f"{moved} slots with keys moved under {sum(final.values())} events")
        assert found == []
        assert not any(reader.record.gaps() for reader in readers)
        assert moved > 0
        await caught_up(readers, final)
        await stop_all(readers)
