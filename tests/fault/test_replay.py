"""Readers who come back late: what they missed comes from memory, from the logs, in parts, always without a seam."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import orjson

from tests.harness.crowd import Reader, Writer, caught_up, run_of
from tests.harness.people import Person, house
from tests.harness.processes import eventually
from tests.harness.workers import Workers


async def pour(person: Person, room: str, count: int, worker: int) -> None:
    """Send `count` short messages in batches."""
    for start in range(0, count, 500):
        lines = b"".join(b'{"text":"%d"}\n' % number for number in range(start, min(start + 500, count)))
        headers = {**person.headers, "Content-Type": "application/x-ndjson"}
        url = f"{person.url(worker)}/v1/rooms/{room}/messages"
        async with person.http.post(url, data=lines, headers=headers) as response:
            answers = (await response.read()).splitlines()
        assert response.status == 200
        assert {orjson.loads(line)["status"] for line in answers} == {201}


async def test_a_cursor_of_long_ago_is_answered_in_full_in_every_form_on_a_worker_that_has_just_started(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    people, rooms = await house(http, workers.urls, 4, rooms=4)
    heads, cursor = await people[0].sync()
    await asyncio.gather(*(pour(person, room, 1500, 1) for person, room in zip(people, rooms, strict=True)))
    half = await people[0].ask("GET", "/v1/sync", worker=1)
    await asyncio.gather(*(pour(person, room, 700, 2) for person, room in zip(people, rooms, strict=True)))
    workers[0].restart()
    # While they are at it, people go on talking.
    others = [Person(http, workers.urls[1:], person.name, person.token) for person in people]
    writers = [Writer(person, room, pause_s=0.001).start() for person, room in zip(others, rooms, strict=True)]
    await asyncio.sleep(0.1)
    readers = [
        Reader(people[at % 4], forms=(form,), worker=worker, cursor=cursor, starts=heads, seed=at).start()
        for at, (form, worker) in enumerate((form, worker) for form in ("sse", "ndjson", "poll") for worker in (0, 1))
    ]
    later = {room["room"]: room["head"] for room in half.json["rooms"]}
    readers.append(Reader(people[3], worker=0, cursor=half.json["cursor"], starts=later, seed=9).start())
    named = Reader(people[2], rooms=rooms[:2], worker=0, cursor=cursor, allowed=frozenset(rooms[:2]), seed=10)
    named.record.starts = {room: heads[room] for room in rooms[:2]}
    named.start()
    await caught_up([*readers, named], {room: later[room] + 701 for room in rooms[:2]})
    await asyncio.sleep(0.3)
    for writer in writers:
        writer.stopped = True
    await asyncio.gather(*(writer.task for writer in writers if writer.task))
    found, final = await run_of([], readers, rooms)
    assert found == []
    await caught_up([named], {room: final[room] for room in rooms[:2]})
    await named.stop()
    assert named.record.seqs(rooms[0]) == list(range(named.record.seqs(rooms[0])[0], final[rooms[0]] + 1))
    assert not set(named.heads) - set(rooms[:2])
    assert not any(reader.record.gaps() for reader in readers)


async def test_a_worker_whose_feed_was_trimmed_before_it_could_read_sends_its_readers_to_the_room_logs(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    people, (room,) = await house(http, workers.urls, 4)
    heads, cursor = await people[0].sync()
    readers = [
        Reader(people[at % 4], worker=0, cursor=cursor, starts=heads, idle_s=120, seed=at).start() for at in range(4)
    ]
    await asyncio.gather(*(reader.live.wait() for reader in readers))
    frozen = workers[0].process
    assert frozen is not None
    frozen.freeze()
    try:
        began = time.monotonic()
        await asyncio.gather(*(pour(person, room, 6000, 1 + at % 2) for at, person in enumerate(people)))
        took = time.monotonic() - began
    finally:
        frozen.thaw()
    head = await people[0].ask("GET", f"/v1/rooms/{room}", worker=1)
    await caught_up(readers, {room: head.json["room"]["head"]})
    await eventually(workers[0].is_ready, "the worker is ready")
    found, _ = await run_of([], readers, [room])
    assert found == []
    assert not any(reader.record.gaps() for reader in readers)
    told = sum(len(reader.told("reconnect")) for reader in readers)
    print(f"24,000 messages in {took:.1f} s by batches; {told} of 4 streams were sent to the logs")
    assert told == 4
