"""Several workers on one Redis: one order, nothing lost, nothing twice, whatever happens to the workers."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp

from tests.harness.checker import violations
from tests.harness.crowd import Reader, Writer, caught_up, run_of, stop_all
from tests.harness.people import house
from tests.harness.processes import eventually, open_files
from tests.harness.workers import Workers

FORMS = ("sse", "sse", "ndjson", "poll")


async def test_everybody_reads_every_message_once_in_one_order_while_workers_are_killed(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    people, rooms = await house(http, workers.urls, 6, rooms=2)
    heads, cursor = await people[0].sync()
    readers = [
        Reader(
            people[number % 6],
            forms=FORMS,
            restless=(1, 400) if number % 3 else None,
            cursor=cursor,
            starts={room: heads[room] for room in rooms},
            allowed=frozenset(rooms),
            seed=number,
        ).start()
        for number in range(32)
    ]
    writers = [Writer(person, rooms[at % 2], stubborn=at < 4, pause_s=0.01).start() for at, person in enumerate(people)]
    for at in range(4):
        await asyncio.sleep(1.0)
        victim = workers[at % 3]
        victim.kill()
        await asyncio.sleep(0.3)
        victim.start(wait=False)
        await eventually(victim.is_ready, "the killed worker is back", every_s=0.1)
    found, heads = await run_of(writers, readers, rooms)
    assert found == []
    assert not any(reader.record.gaps() for reader in readers)
    # The run was one worth looking at.
    connections = sum(reader.record.connections for reader in readers)
    assert sum(writer.acknowledged for writer in writers) > 200
    assert sum(writer.trouble for writer in writers) > 0
    assert connections > 32 * 3
    print(f"{sum(writer.acknowledged for writer in writers)} acknowledged, heads {heads}, {connections} connections")


async def test_forty_repeats_of_one_send_at_once_over_three_workers_make_one_message(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    (ada, ben), (room,) = await house(http, workers.urls, 2)
    reader = Reader(ben, worker=1).start()
    await reader.live.wait()
    path, body = f"/v1/rooms/{room}/messages", {"text": "only once", "client_id": "the same"}
    answers = await asyncio.gather(*(ada.ask("POST", path, body, worker=number) for number in range(40)))
    assert Counter(answer.status for answer in answers) == {201: 1, 200: 39}
    assert len({answer.json["message"]["id"] for answer in answers}) == 1
    assert len({answer.text for answer in answers}) == 1
    # Another one's key of the same name is another key, and other words under the same key are refused.
    assert (await ben.ask("POST", path, body)).status == 201
    refused = await ada.ask("POST", path, {**body, "text": "twice"})
    assert (refused.status, refused.code) == (409, "idempotency_conflict")
    last = await ada.send(room, "the end")
    await caught_up([reader], {room: last["seq"]})
    await stop_all([reader])
    assert [message["text"] for message in await ada.history(room)] == ["only once", "only once", "the end"]
    assert reader.texts(room) == ["only once", "only once", "the end"]


async def test_a_key_still_holds_after_the_worker_that_took_it_was_killed(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    (ada,), (room,) = await house(http, workers.urls, 1)
    path, body = f"/v1/rooms/{room}/messages", {"text": "hello", "client_id": "k"}
    first = await ada.ask("POST", path, body, worker=0)
    workers[0].kill()
    again = await ada.ask("POST", path, body, worker=1)
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json


async def test_a_cursor_goes_on_at_any_worker_and_in_any_form(workers: Workers, http: aiohttp.ClientSession) -> None:
    (ada, ben), rooms = await house(http, workers.urls, 2, rooms=3)
    heads, cursor = await ben.sync()
    texts = [f"number {number}" for number in range(60)]
    for number, text in enumerate(texts):
        await ada.send(rooms[number % 3], text)
    reader = Reader(ben, forms=("sse", "ndjson", "poll"), restless=(5, 25), cursor=cursor, starts=heads).start()
    final = {room: await ada.head(room) for room in rooms}
    await caught_up([reader], final)
    await stop_all([reader])
    history = {room: await ben.history(room) for room in rooms}
    assert violations(history, [], [reader.record], heads=final) == []
    seen = [text for room in rooms for text in reader.texts(room)]
    assert set(seen) == set(texts)
    # Read to the end in one form, it goes on in each other form with what comes next and nothing else.
    for form in ("sse", "ndjson", "poll", "sse"):
        sent = await ada.send(rooms[0], f"for {form}")
        reader.forms, reader.restless, before = (form,), None, len(reader.record.entries)
        reader.start()
        await eventually(lambda sent=sent: reader.has(rooms[0], sent["seq"]), f"the next one by {form}")
        await reader.stop()
        news = [entry for entry in reader.record.entries[before:] if hasattr(entry, "seq")]
        assert [entry.seq for entry in news] == [sent["seq"]], form


async def test_readers_leave_a_frozen_worker_because_its_pings_stop(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    (ada, *others), rooms = await house(http, workers.urls, 4)
    heads, cursor = await ada.sync()
    readers = [
        Reader(others[at % 3], worker=at % 3, cursor=cursor, starts=heads, idle_s=6, seed=at).start() for at in range(6)
    ]
    for reader in readers:
        await reader.live.wait()
    ada.urls = workers.urls[1:]
    workers[0].process.freeze()  # type: ignore[union-attr]
    try:
        for reader in readers:
            reader.worker = 1 + (reader.worker or 0) % 2  # where its next connection goes
        writer = Writer(ada, rooms[0], pause_s=0.02).start()
        stuck = [reader for reader in readers if not reader.ends]
        await asyncio.sleep(1)
        head = await ada.head(rooms[0])
        await caught_up(readers, {rooms[0]: head})
        assert all(reader.has(rooms[0], head) for reader in readers)
        assert any("Timeout" in end for reader in stuck for end in reader.ends)
    finally:
        workers[0].process.thaw()  # type: ignore[union-attr]
    # The one that was frozen serves again, and knows all it has missed.
    await eventually(workers[0].is_ready, "the worker is ready again")
    late = Reader(others[0], worker=0, cursor=cursor, starts=heads, seed=99).start()
    found, _ = await run_of([writer], [*readers, late], rooms)
    assert found == []


async def test_two_hundred_streams_that_came_and_went_leave_nothing_behind(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    worker = workers[2]
    (ada, *others), (room,) = await house(http, [worker.url], 4)
    await asyncio.sleep(0.5)
    await eventually(lambda: worker.metric("dchat_streams") == 0, "no stream is open")
    before = open_files(worker.pid)
    for _ in range(2):
        readers = [Reader(others[at % 3], forms=(FORMS[at % 3],), seed=at).start() for at in range(200)]
        for reader in readers:
            await asyncio.wait_for(reader.live.wait(), 60)
        assert worker.metric("dchat_streams") == 200
        sent = await ada.send(room, "to all of you")
        await caught_up(readers, {room: sent["seq"]})
        assert all(reader.has(room, sent["seq"]) for reader in readers)
        await stop_all(readers)
        await eventually(lambda: worker.metric("dchat_streams") == 0, "all streams are gone")
    await eventually(lambda: open_files(worker.pid) <= before + 5, f"open files are back at {before}")
