"""History and streams, over log and archive, joined without a seam: while everything is archived, and whatever dies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from dchat_server.adapters.dynamodb_archive import DynamoDbArchive
from dchat_server.adapters.redis_keys import Keys
from dchat_server.adapters.sqlite_archive import FILE, SqliteArchive
from dchat_server.ports_archive import Archive
from tests.harness.crowd import Reader, caught_up
from tests.harness.dynamodb import Dynamo, dynamodb
from tests.harness.people import Person, house
from tests.harness.processes import ROOT, eventually
from tests.harness.redis import RedisServer
from tests.harness.town import SHARDS, Town, Witness, town, writes_of
from tests.harness.workers import Worker, Workers

KEEP = 5
FAST = {"DCHAT_COMPACT_INTERVAL_S": "0.1", "DCHAT_COMPACT_KEEP": str(KEEP)}


@pytest.fixture(scope="module")
def three() -> Iterator[tuple[RedisServer, Workers]]:
    with RedisServer(aof="always") as redis, Workers(redis.url, 3, **FAST) as workers:
        yield redis, workers


@asynccontextmanager
async def same_archive(workers: Workers) -> AsyncIterator[Archive]:
    """The workers' SQLite archive, as one more process has it."""
    archive = SqliteArchive(workers[0].folder / "data" / FILE, SHARDS)
    await archive.start()
    try:
        yield archive
    finally:
        await archive.stop()


async def settled(witness: Witness, heads: dict[str, int]) -> None:
    """Wait until all that was said is archived, and the log has let go of it."""

    async def archived() -> bool:
        sights = {sight.room: sight for sight in await witness.look()}
        return all(
            room in sights and sights[room].watermark == head and sights[room].first > head - KEEP
            for room, head in heads.items()
        )

    await eventually(archived, "everything is archived", every_s=0.1)


async def test_history_and_streams_are_one_while_everything_is_archived_behind_their_backs(
    http: aiohttp.ClientSession, three: tuple[RedisServer, Workers]
) -> None:
    redis, workers = three
    async with same_archive(workers) as archive:
        here = await town(http, workers.urls)
        try:
            witness = Witness(redis.port, archive, here.rooms)
            await here.start(witness=witness)
            while here.done <= 300:
                await here.run(1.5)
            await here.quiet()
            await settled(witness, here.heads)
            assert await here.end() == []
            assert not any(reader.record.gaps() for reader in here.readers)
            assert len(here.walks) > 20
            assert any(sight.first > 1 and sight.watermark < here.heads[sight.room] for sight in witness.sights)
            print(here)
        finally:
            here.close()


async def test_a_redis_that_is_killed_and_loses_nothing_leaves_no_seam(
    http: aiohttp.ClientSession, three: tuple[RedisServer, Workers]
) -> None:
    redis, workers = three
    async with same_archive(workers) as archive:
        here = await town(http, workers.urls)
        try:
            witness = Witness(redis.port, archive, here.rooms)
            await here.start(witness=witness)
            for _ in range(2):
                await here.run(0.8)
                redis.process.kill()
                await asyncio.sleep(0.5)
                redis.restart()
                before = here.done
                await eventually(lambda before=before: here.done > before + 20, "chat goes on")
            await here.run(0.6)
            await here.quiet()
            await settled(witness, here.heads)
            assert await here.end() == []
            assert not any(reader.record.gaps() for reader in here.readers)
            assert {len({message["epoch"] for message in page}) for page in here.history.values()} == {3}
            print(here)
        finally:
            here.close()


async def test_an_idle_room_leaves_redis_reads_from_the_archive_and_lives_on(
    http: aiohttp.ClientSession, three: tuple[RedisServer, Workers]
) -> None:
    redis, workers = three
    (ada, ben), (room,) = await house(http, workers.urls, 2)
    heads, cursor = await ben.sync()
    keys = Keys(SHARDS)
    sent = []
    for number in range(30):
        sent.append(await ada.send(room, f"number {number}", client_id=f"k{number}"))
    await ada.must("PATCH", f"/v1/rooms/{room}/messages/{sent[3]['seq']}", {"text": "edited"})
    await ben.must("PUT", f"/v1/rooms/{room}/messages/{sent[4]['seq']}/reactions/ok")
    before = await ben.history(room)
    head = await ada.head(room)
    async with same_archive(workers) as archive:
        witness = Witness(redis.port, archive, [room])
        await settled(witness, {room: head})
        await witness.stop()
    assert redis.ask("XLEN", keys.room(room) + ":log") <= KEEP
    assert redis.ask("KEYS", keys.room(room) + ":msg:*") == []
    reader = Reader(ben, cursor=cursor, starts=heads).start()
    for page in (1, 7, 200):
        assert await ben.history(room, page=page) == before
    # A send that is repeated now is the same message still.
    for number in (0, 15, 29):
        body = {"text": f"number {number}", "client_id": f"k{number}"}
        again = await ada.ask("POST", f"/v1/rooms/{room}/messages", body)
        assert (again.status, again.json["message"]) == (200, sent[number])
    last = await ada.send(room, "and on")
    assert last["seq"] == head + 1
    await caught_up([reader], {room: head + 1})
    await reader.stop()
    assert reader.record.seqs(room) == list(range(heads[room] + 1, head + 2))
    assert [message["seq"] for message in await ben.history(room)] == [
        *(message["seq"] for message in before),
        head + 1,
    ]


async def test_a_dynamodb_that_throttles_answers_too_late_and_goes_away_loses_and_doubles_nothing(
    http: aiohttp.ClientSession,
) -> None:
    async with dynamodb() as dynamo:
        dynamo.outcomes = []
        with RedisServer(aof="always") as redis:
            settings = {"DCHAT_DYNAMODB_TABLE": dynamo.table, "DCHAT_DYNAMODB_ENDPOINT": dynamo.endpoint, **FAST}
            workers = await asyncio.to_thread(lambda: Workers(redis.url, 3, **settings))
            archive = DynamoDbArchive(dynamo.table, SHARDS, endpoint=dynamo.endpoint)
            await archive.start()
            here = await town(http, workers.urls)
            try:
                await here.start(pause_s=0.03, witness=Witness(redis.port, archive, here.rooms))
                here.writes = lambda: writes_of(dynamo.outcomes or ())
                await here.run(1.5)
                dynamo.faults.throttle(times=None, share=0.3)
                await here.run(1.5)
                dynamo.faults.clear()
                for operation in ("TransactWriteItems", "Query", "GetItem"):
                    dynamo.faults.cut(operation, times=None, share=0.3)  # carried out, and the answer lost
                dynamo.faults.swallow("TransactWriteItems", times=1)
                await here.run(2.0)
                dynamo.faults.clear()

                async def old_ones_left() -> bool:
                    record = (await archive.rooms([here.rooms[0]])).get(here.rooms[0])
                    return record is not None and record.watermark > KEEP + 30

                await eventually(old_ones_left, "the oldest events have left Redis")
                await away(here, dynamo)
                await here.quiet()
                assert here.witness is not None
                await settled(here.witness, here.heads)
                assert await here.end() == []
                assert not any(reader.record.gaps() for reader in here.readers)
                assert dynamo.faults.hits["throttle"] > 0
                assert dynamo.faults.hits["cut"] > 0
                print(here, dict(dynamo.faults.hits))
            finally:
                here.close()
                await archive.stop()
                workers.close()


async def away(here: Town, dynamo: Dynamo) -> None:
    """DynamoDB is away for a while: streams and sends go on, recent pages answer, old ones say why they cannot."""
    ada, room = here.people[0], here.rooms[0]
    dynamo.faults.down = True
    dynamo.drop_connections()
    old = await ada.ask("GET", f"/v1/rooms/{room}/messages?after=0&limit=5")
    assert (old.status, old.code) == (503, "archive_unavailable")
    assert int(old.headers["Retry-After"]) >= 1
    before, began = here.done, time.monotonic()
    await eventually(lambda: here.done > before + 40, "chat goes on without the archive")
    head = await ada.head(room)
    page = await ada.must("GET", f"/v1/rooms/{room}/messages?limit=3&after={head - 3}")
    assert page["head"] >= head
    live = [reader for reader in here.readers if reader.restless is None]
    seen = [reader.heads[room] for reader in live]
    await eventually(
        lambda: all(reader.heads[room] > was for reader, was in zip(live, seen, strict=True)), "streams go on"
    )
    dynamo.faults.down = False
    print(f"without the archive for {time.monotonic() - began:.1f} s")


IMPATIENT = """
import dchat_server.retention as retention
retention.STEADY_S, retention.PAUSE_S = 0.0, 0.3
"""
"""Put in front of a worker: retention waits a minute for its clock, and between two looks."""


async def test_what_is_too_old_is_gone_for_everybody_and_the_rest_stays_dense(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(IMPATIENT)
    retention = {"DCHAT_RETENTION_DAYS": f"{6.0 / 86_400:.9f}", "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    with RedisServer(aof="always") as redis:
        strict = Worker(redis.url, 0, **retention, **FAST)
        late = Worker(redis.url, 1, DCHAT_DATA_DIR=str(strict.folder / "data"), **FAST)
        try:
            strict.start()
            (ada, ben), (room,) = await house(http, [strict.url], 2)
            heads, cursor = await ben.sync()
            await many(ada, room, "old", 450)
            middle = (await ben.sync())[1]
            await asyncio.sleep(6.2)
            await many(ada, room, "young", 1100)
            head = await ada.head(room)

            async def shrunk() -> bool:
                page = await ben.must("GET", f"/v1/rooms/{room}/messages?after=0&limit=1")
                return bool(page["messages"][0]["seq"] > heads[room] + 350)

            await eventually(shrunk, "the old ones are gone", every_s=0.1)
            # Another one goes on, that keeps what is there, and has not the old ones in its memory of the feed.
            strict.kill()
            late.start()
            ada.urls = ben.urls = [late.url]
            history = [message["seq"] for message in await ben.history(room)]
            floor = history[0]
            assert heads[room] + 350 < floor <= heads[room] + 451
            assert history == list(range(floor, head + 1))
            back = await ben.must("GET", f"/v1/rooms/{room}/messages?before={floor + 3}&limit=50")
            assert [message["seq"] for message in back["messages"]] == [floor, floor + 1, floor + 2]
            assert not back["has_more"]
            assert (await ben.must("GET", f"/v1/rooms/{room}/messages?before={floor}"))["messages"] == []
            around = await ben.must("GET", f"/v1/rooms/{room}/messages?around={floor}&limit=4")
            assert not around["has_more_before"]
            gone = await ben.ask("GET", f"/v1/rooms/{room}/messages/{floor - 1}")
            assert (gone.status, gone.code) == (404, "message_not_found")
            # Who comes from long ago is told so, and reads on where the room begins now.
            for form in ("sse", "poll"):
                for place in (cursor, middle):
                    reader = Reader(ben, forms=(form,), cursor=place).start()
                    await caught_up([reader], {room: head})
                    await reader.stop()
                    assert reader.record.seqs(room) == list(range(max(floor, reader.record.seqs(room)[0]), head + 1))
                    if place == cursor:
                        assert reader.record.seqs(room)[0] == floor
                        assert reader.record.gaps() == [(room, 1, floor - 1)]
            assert (await ada.send(room, "and on"))["seq"] == head + 1
        finally:
            strict.close()
            late.close()


async def many(person: Person, room: str, stem: str, count: int) -> None:
    """Send that many messages, in batches."""
    for at in range(0, count, 250):
        lines = [f'{{"text": "{stem} {number}"}}' for number in range(at, min(at + 250, count))]
        headers = {**person.headers, "Content-Type": "application/x-ndjson"}
        url = f"{person.url()}/v1/rooms/{room}/messages"
        async with person.http.post(url, data="\n".join(lines), headers=headers) as response:
            answers = (await response.text()).splitlines()
        assert [answer[:13] for answer in answers] == ['{"status":201'] * len(lines)
