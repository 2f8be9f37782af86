"""A worker that is told to stop sends its readers elsewhere, finishes what it took, and loses nobody anything."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator

import aiohttp
import pytest

from tests.harness.crowd import NETWORK, Reader, Writer, caught_up, run_of, stop_all
from tests.harness.people import house
from tests.harness.processes import eventually
from tests.harness.redis import RedisServer
from tests.harness.workers import Workers


@pytest.fixture
def crew(shared_redis: RedisServer) -> Iterator[Workers]:
    """Three workers of the test's own, to be stopped."""
    with Workers(shared_redis.url, 3) as workers:
        yield workers


async def test_a_worker_with_hundreds_of_streams_drains_in_time_and_its_readers_miss_nothing(
    crew: Workers, http: aiohttp.ClientSession
) -> None:
    going, *_ = crew
    people, (room,) = await house(http, crew.urls, 4)
    heads, cursor = await people[0].sync()
    readers = [
        Reader(
            people[at % 4], worker=0, forms=(("sse", "ndjson")[at % 2],), cursor=cursor, starts=heads, seed=at
        ).start()
        for at in range(400)
    ]
    for reader in readers:
        await asyncio.wait_for(reader.live.wait(), 60)
        reader.worker = 1 + (reader.worker or 0) % 2  # where it goes next
    writer = Writer(people[0], room, pause_s=0.05).start()
    await asyncio.sleep(0.3)
    assert going.process is not None
    began = time.monotonic()
    going.process.terminate()
    await eventually(lambda: going.status("/readyz") == 503, "/readyz of the draining worker says 503")
    assert going.status("/healthz") == 200
    # It still takes what comes in, a stream as well: a balancer may not have heard of it.
    assert (await people[1].ask("GET", "/v1/events?poll=0", worker=0)).status == 200
    assert (await people[1].ask("POST", f"/v1/rooms/{room}/messages", {"text": "x"}, worker=0)).status == 201
    code = await asyncio.to_thread(going.process.wait)
    took = time.monotonic() - began
    assert code == 0
    writer.stopped = True
    await writer.task  # type: ignore[misc]
    last = await people[2].ask("POST", f"/v1/rooms/{room}/messages", {"text": "all here?"}, worker=1)
    assert last.status == 201
    await caught_up(readers, {room: last.json["message"]["seq"]})
    for person in people:
        person.urls = crew.urls[1:]
    found, _ = await run_of([], readers, [room])
    assert found == []
    for reader in readers:
        (farewell,) = reader.told("reconnect")
        assert 0 <= farewell["after_ms"] <= 5000
        assert reader.ends[0] == "closed"
    with_retry = [reader for reader in readers if reader.forms == ("sse",)]
    assert all(reader.retries_ms == [reader.told("reconnect")[0]["after_ms"]] for reader in with_retry)
    spread = [reader.told("reconnect")[0]["after_ms"] for reader in readers]
    assert len(set(spread)) > 100, "they would all come back at once"
    print(f"400 streams: exit {code} after {took:.1f} s; after_ms {min(spread)} to {max(spread)}")
    assert took < 15


async def test_sends_that_a_stopping_worker_has_taken_are_finished(crew: Workers, http: aiohttp.ClientSession) -> None:
    (ada,), (room,) = await house(http, crew.urls, 1)
    worker = crew[0]
    assert worker.process is not None
    answers: Counter[int] = Counter()
    acknowledged: list[str] = []

    async def keep_sending(name: int) -> None:
        for number in range(10_000):
            text = f"{name} {number}"
            try:
                answer = await ada.ask("POST", f"/v1/rooms/{room}/messages", {"text": text}, worker=0)
            except aiohttp.ClientConnectorError:
                return  # nobody listens any more: it was not taken
            answers[answer.status] += 1
            if answer.status == 201:
                acknowledged.append(text)

    sending = [asyncio.create_task(keep_sending(name)) for name in range(30)]
    await asyncio.sleep(0.3)
    worker.process.terminate()
    results = await asyncio.gather(*sending, return_exceptions=True)
    broken = [result for result in results if isinstance(result, NETWORK)]
    others = [result for result in results if isinstance(result, BaseException) and not isinstance(result, NETWORK)]
    assert others == []
    assert await asyncio.to_thread(worker.process.wait) == 0
    ada.urls = crew.urls[1:]
    stored = Counter(message["text"] for message in await ada.history(room))
    assert [text for text in acknowledged if stored[text] != 1] == []
    print(f"answers {dict(answers)}, {len(broken)} connections closed between two requests, {len(stored)} stored")
    assert set(answers) <= {201, 503}
    assert len(broken) <= 30


async def test_a_second_signal_does_not_cut_a_drain_short_and_nobody_waits_for_an_empty_worker(
    crew: Workers, http: aiohttp.ClientSession
) -> None:
    (ada,), _ = await house(http, crew.urls, 1)
    reader = Reader(ada, worker=0)
    reader.patience = False
    reader.start()
    await reader.live.wait()
    process, empty = crew[0].process, crew[1].process
    assert process is not None
    assert empty is not None
    began = time.monotonic()
    process.terminate()
    empty.terminate()
    process.terminate()
    codes = await asyncio.gather(asyncio.to_thread(process.wait), asyncio.to_thread(empty.wait))
    assert codes == [0, 0]
    await reader.ended()
    assert reader.told("reconnect")
    await stop_all([reader])
    assert time.monotonic() - began < 15
