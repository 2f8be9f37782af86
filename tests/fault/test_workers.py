"""Several workers on one Redis: one order, nothing lost, nothing twice, whatever happens to the workers."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.harness.checker import violations
from tests.harness.crowd import Reader, Writer, caught_up, stop_all
from tests.harness.people import Person, crowd
from tests.harness.processes import eventually
from tests.harness.workers import Workers

FORMS = ("sse", "sse", "ndjson", "poll")


async def house(
    http: aiohttp.ClientSession, workers: Workers, people: int, rooms: int = 1
) -> tuple[list[Person], list[str]]:
    """People who are all in the same new rooms."""
    found = await crowd(http, workers.urls, people)
    names = [await found[0].create() for _ in range(rooms)]
    for room in names:
        await asyncio.gather(*(person.join(room) for person in found[1:]))
    return found, names


async def histories(person: Person, rooms: list[str]) -> dict[str, list[dict[str, object]]]:
    return {room: await person.history(room) for room in rooms}


@pytest.mark.parametrize("count", [2, 3])
async def test_everybody_reads_every_message_once_in_one_order_while_workers_are_killed(
    workers: Workers, http: aiohttp.ClientSession, count: int
) -> None:
    mine = workers[:count]
    people, rooms = await house(http, workers, 6, rooms=2)
    for person in people:
        person.urls = [worker.url for worker in mine]
    heads, cursor = await people[0].sync()
    starts = {room: heads[room] for room in rooms}
    readers = [
        Reader(
            people[number % 6],
            forms=FORMS,
            restless=(1, 400) if number % 3 else None,
            cursor=cursor,
            starts=starts,
            allowed=frozenset(rooms),
            seed=number,
        ).start()
        for number in range(32)
    ]
    writers = [Writer(person, rooms[at % 2], stubborn=at < 4, pause_s=0.01) for at, person in enumerate(people)]
    sending = [asyncio.create_task(writer.run()) for writer in writers]
    for at in range(4):
        await asyncio.sleep(1.0)
        victim = mine[at % count]
        victim.kill()
        await asyncio.sleep(0.3)
        victim.start(wait=False)
        await eventually(victim.is_ready, "the killed worker is back", every_s=0.1)
    for writer in writers:
        writer.stopped = True
    await asyncio.gather(*sending)
    final = {room: await people[0].head(room) for room in rooms}
    await caught_up(readers, final)
    await stop_all(readers)
    attempts = [attempt for writer in writers for attempt in writer.attempts]
    history = await histories(people[0], rooms)
    found = violations(history, attempts, [reader.record for reader in readers], heads=final)
    assert found == []
    assert not any(reader.record.gaps() for reader in readers)
    # The run was one worth looking at.
    assert sum(writer.acknowledged for writer in writers) > 200
    assert sum(writer.trouble for writer in writers) > 0
    assert sum(reader.record.connections for reader in readers) > 32 * 3
    print(
        f"{sum(w.acknowledged for w in writers)} acknowledged of {len(attempts)}, heads {final}, "
        f"{sum(r.record.connections for r in readers)} connections"
    )
