"""A shard of a Redis Cluster that moves to another node, under those who write and read it."""

from __future__ import annotations

import asyncio

from dchat_server import wire
from dchat_server.errors import BackendUnavailable
from tests.contract.servers import Shared, create, draft, hearing, place_of

MOVES = 3


async def test_a_shard_that_moves_loses_nothing_doubles_nothing_and_keeps_its_order(shared: Shared) -> None:
    async with place_of("cluster", shared) as place:
        writer, reader = await place.worker(), await place.worker()
        await create(writer.store, "hall", "ada", "bob")
        shard = place.keys.shard("hall")
        stored: dict[int, str] = {}
        stop = False

        async def write(user: str) -> None:
            number = 0
            while not stop:
                number += 1
                text, key = f"{user} {number}", f"k{number}" if number % 2 else None
                try:
                    sent = await writer.log.send("hall", draft(user, text, key))
                    stored[sent.seq] = text
                except BackendUnavailable:
                    pass
                await asyncio.sleep(0.002)

        async with hearing(reader.feed, backlog=100) as heard:
            writing = [asyncio.create_task(write(user)) for user in ("ada", "bob")]
            for _ in range(MOVES):
                before = len(stored)
                async with asyncio.timeout(20):
                    while len(stored) < before + 30:
                        await asyncio.sleep(0.01)
                await asyncio.to_thread(shared.move, shard, pause_s=0.01)
            await asyncio.sleep(0.3)
            stop = True
            await asyncio.gather(*writing)
            events = await writer.log.read("hall", 0, 10_000)
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            texts = {event.seq: wire.body_fields(event).get("text") for event in events}
            assert {seq: texts[seq] for seq in stored} == stored
            said = [text for text in texts.values() if text]
            assert len(said) == len(set(said))
            await heard.until(lambda heard: len(heard.events) == len(events))
            assert [(event.epoch, event.seq) for event in heard.events] == [
                (event.epoch, event.seq) for event in events
            ]
            assert not heard.news
            # One epoch a move. More would mean that workers who see different nodes raise it against each other.
            assert len({event.epoch for event in events}) <= MOVES + 1
            assert (await writer.nodes.open_shard(shard)).epoch <= events[0].epoch + MOVES


async def test_who_is_told_that_a_shard_moved_goes_there_from_then_on(shared: Shared) -> None:
    async with place_of("cluster", shared) as place:
        reader = await place.worker()
        await create(reader.store, "hall", "ada")
        shard = place.keys.shard("hall")
        before = reader.nodes.address(shard)
        await asyncio.to_thread(shared.move, shard)
        assert len(await reader.log.read("hall", 0, 10)) == 2
        assert reader.nodes.address(shard) != before
        assert reader.nodes.state(shard).epoch == (await reader.log.read("hall", 0, 1))[0].epoch
        sent = await reader.log.send("hall", draft("ada", "there"))
        assert (sent.seq, sent.epoch) == (3, reader.nodes.state(shard).epoch)
