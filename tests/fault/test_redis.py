"""What happens to chat when Redis is killed, wiped or frozen, or when its words are lost on the way."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from redis.exceptions import ResponseError

from tests.harness.checker import Attempt, Missed, violations
from tests.harness.crowd import Reader, Writer, caught_up, run_of
from tests.harness.people import Person, crowd, house
from tests.harness.processes import eventually
from tests.harness.redis import RedisServer
from tests.harness.wires import wire_to
from tests.harness.workers import Worker, Workers


def told_of_trouble(readers: list[Reader]) -> bool:
    return all(reader.told("degraded") or "closed" in reader.ends for reader in readers)


def told_of_gaps(reader: Reader, *rooms: str) -> bool:
    """Each of the rooms has a gap. Those of several shards are told one after the other."""
    return set(rooms) <= {room for room, _, _ in reader.record.gaps()}


async def first_after(readers: list[Reader], room: str, moment: float) -> float:
    """Seconds from `moment` until every reader has something new of the room."""
    heads = {id(reader): reader.heads.get(room, 0) for reader in readers}
    await eventually(
        lambda: all(reader.has(room, heads[id(reader)] + 1) for reader in readers), "readers see new messages again"
    )
    return time.monotonic() - moment


@pytest.mark.parametrize("kind", ["redis", "valkey"])
async def test_a_killed_redis_that_syncs_always_loses_nothing_and_announces_no_gap(
    http: aiohttp.ClientSession, kind: str
) -> None:
    with RedisServer(kind=kind, aof="always") as redis, Workers(redis.url, 2) as workers:
        people, (room,) = await house(http, workers.urls, 4)
        heads, cursor = await people[0].sync()
        readers = [
            Reader(people[at % 4], cursor=cursor, starts=heads, restless=(50, 600) if at % 2 else None, seed=at).start()
            for at in range(8)
        ]
        writers = [Writer(person, room, stubborn=at < 2, pause_s=0.01).start() for at, person in enumerate(people)]
        calm = [reader for reader in readers if reader.restless is None]
        await asyncio.gather(*(reader.live.wait() for reader in calm))
        healing = []
        for _ in range(2):
            await asyncio.sleep(0.7)
            redis.process.kill()
            await eventually(lambda: told_of_trouble(calm), "open streams say `degraded`")
            await eventually(lambda: workers[0].status("/readyz") == 503, "/readyz says 503")
            answer = await people[0].ask(
                "POST", f"/v1/rooms/{room}/messages", {"text": "into the void", "client_id": "v"}
            )
            assert (answer.status, answer.code) == (503, "backend_unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
            redis.restart()
            healing.append(await first_after(calm, room, time.monotonic()))
            await eventually(workers[0].is_ready, "/readyz says 200 again")
        # The one whose outcome nobody knew, repeated, has an outcome now.
        sent = await people[0].send(room, "into the void", client_id="v")
        for writer in writers:
            writer.stopped = True
        found, heads = await run_of(writers, readers, [room])
        strays = [words for words in found if "nobody sent" not in words or "into the void" not in words]
        assert strays == []
        assert [m["seq"] for m in await people[0].history(room) if m["text"] == "into the void"] == [sent["seq"]]
        assert all(len(reader.told("recovered")) >= 1 for reader in calm if "closed" not in reader.ends)
        assert not any(reader.record.gaps() for reader in readers)
        waits = [seconds for writer in writers for seconds, _, _ in writer.refusals]
        print(f"healed in {healing} s; {len(waits)} refusals, the longest {max(waits):.1f} s; heads {heads}")
        assert max(waits) < 30


async def test_a_tail_that_redis_lost_is_announced_to_who_saw_it_and_its_places_are_used_again_in_a_new_epoch(
    http: aiohttp.ClientSession,
) -> None:
    # What is archived is not lost with Redis (test_lost_redis.py): nothing is, here.
    never = {"DCHAT_COMPACT_INTERVAL_S": "3600"}
    with RedisServer(aof="always") as redis, Workers(redis.url, 2, **never) as workers:
        leader = await workers.leader()
        rounds = "dchat_compaction_last_round_timestamp_seconds"
        await eventually(lambda: leader.metric(rounds) > 0, "the round with which a leader begins is over")
        (ada, ben), (room, other, quiet) = await house(http, workers.urls, 2, rooms=3)
        heads, cursor = await ben.sync()
        watching = [Reader(ben, cursor=cursor, starts=heads, worker=at, seed=at).start() for at in range(2)]
        attempts = []
        for number in range(20):
            for where in (room, other):
                sent = await ada.send(where, f"{where} {number}", client_id=f"k{number}")
                attempts.append(Attempt(ada.name, where, f"{where} {number}", "ok", sent["seq"], sent["epoch"]))
        last = {where: await ada.head(where) for where in (room, other)}
        await caught_up(watching, last)
        before = watching[0].cursor
        middle = Reader(ben, cursor=cursor, starts=heads, seed=7)
        middle.patience, middle.restless = False, (15, 15)  # knows half of what there was
        await middle.start().ended()
        redis.process.kill()
        await eventually(lambda: told_of_trouble(watching), "open streams say `degraded`")
        redis.lose_tail(f'"text":"{room} 12"'.encode())
        redis.restart()
        await eventually(
            lambda: all(told_of_gaps(reader, room, other) for reader in watching), "open streams are told of both gaps"
        )
        kept = heads[room] + 12
        for reader in watching:
            gaps = {where: (first, to) for where, first, to in reader.record.gaps()}
            assert gaps[room][0] <= kept + 1
            assert gaps[room][1] >= last[room]
            assert gaps[other][1] >= last[other]
            assert quiet not in gaps
        for number in range(5):
            for where in (room, other, quiet):
                sent = await ada.send(where, f"{where} again {number}", client_id=f"a{number}")
                if where == room and number == 0:
                    assert sent["seq"] == kept + 1
                attempts.append(Attempt(ada.name, where, f"{where} again {number}", "ok", sent["seq"], sent["epoch"]))
        # What was lost can be sent again under its old key.
        sent = await ada.send(room, f"{room} 19", client_id="k19")
        attempts = [each for each in attempts if each.text != f"{room} 19"]
        attempts.append(Attempt(ada.name, room, f"{room} 19", "ok", sent["seq"], sent["epoch"]))
        # Whoever comes with a cursor from the lost tail is told, on a worker that never served it too.
        late = []
        for worker in range(2):
            for form in ("sse", "ndjson", "poll"):
                reader = Reader(ben, forms=(form,), cursor=before, worker=worker, seed=100 + len(late))
                reader.record.entries = list(watching[0].record.entries)
                stop = next(at for at, entry in enumerate(reader.record.entries) if isinstance(entry, Missed))
                del reader.record.entries[stop:]
                reader.record.starts = dict(heads)
                late.append(reader.start())
        await middle.stop()
        middle.patience, middle.restless = True, None
        middle.start()
        found, final = await run_of([], [*watching, *late, middle], [room, other, quiet], lossy=True)
        history = {where: await ada.history(where) for where in (room, other, quiet)}
        found += violations(history, attempts, [reader.record for reader in watching], heads=final, lossy=True)
        assert found == []
        assert all(reader.record.gaps() for reader in late)
        assert len({message["epoch"] for message in history[room]}) == 2
        print(f"kept {kept} of {last[room]}; gaps {watching[0].record.gaps()}, late {late[0].record.gaps()}")


async def test_a_frozen_redis_gives_bounded_refusals_and_chat_goes_on_when_it_thaws(
    http: aiohttp.ClientSession,
) -> None:
    with RedisServer(aof="everysec") as redis, Workers(redis.url, 2) as workers:
        people, (room,) = await house(http, workers.urls, 3)
        heads, cursor = await people[0].sync()
        readers = [Reader(people[at % 3], cursor=cursor, starts=heads, seed=at).start() for at in range(6)]
        writers = [Writer(person, room, stubborn=at < 2, pause_s=0.01).start() for at, person in enumerate(people)]
        await asyncio.gather(*(reader.live.wait() for reader in readers))
        await asyncio.sleep(0.5)
        redis.process.freeze()
        frozen_at = time.monotonic()
        try:
            await eventually(lambda: told_of_trouble(readers), "open streams say `degraded`")
            noticed = time.monotonic() - frozen_at
            await asyncio.sleep(max(0.0, 8 - noticed))
        finally:
            redis.process.thaw()
        healed = await first_after(readers, room, time.monotonic())
        found, heads = await run_of(writers, readers, [room])
        assert found == []
        assert not any(reader.record.gaps() for reader in readers)
        refused = [answer for writer in writers for answer in writer.refusals]
        assert refused, "eight seconds without Redis must refuse somebody"
        assert {(status, code) for _, status, code in refused} == {(503, "backend_unavailable")}
        longest = max(seconds for seconds, _, _ in refused)
        print(f"noticed in {noticed:.1f} s, longest refusal {longest:.1f} s, healed in {healed:.1f} s, heads {heads}")
        assert longest < 20


async def test_a_reply_that_is_lost_on_the_way_makes_no_second_message(
    shared_redis: RedisServer, http: aiohttp.ClientSession
) -> None:
    async with wire_to(shared_redis.port) as wire:
        worker = Worker(f"redis://127.0.0.1:{wire.port}", 9)
        try:
            worker.start(wait=False)
            await eventually(lambda: asyncio.to_thread(worker.is_ready), "the worker behind the wire is ready")
            people, (room,) = await house(http, [worker.url], 4)
            heads, cursor = await people[0].sync()
            readers = [Reader(person, cursor=cursor, starts=heads).start() for person in people]
            for number in range(3):
                wire.swallow(f"swallowed {number}".encode())
                answer = await people[0].ask("POST", f"/v1/rooms/{room}/messages", {"text": f"swallowed {number}"})
                assert answer.status in (200, 201), answer
            assert wire.spoiled == 3
            wire.cut_replies = 0.15
            writers = [Writer(person, room, stubborn=at < 2) for at, person in enumerate(people)]
            await asyncio.gather(*(writer.run(60) for writer in writers))
            wire.cut_replies = 0.0
            assert wire.spoiled > 20
            found, _ = await run_of(writers, readers, [room])
            assert [words for words in found if "'swallowed" not in words] == []
            texts = [message["text"] for message in await people[0].history(room)]
            assert [text for text in texts if text.startswith("swallowed")] == [f"swallowed {at}" for at in range(3)]
            acknowledged = sum(writer.acknowledged for writer in writers)
            print(f"{wire.spoiled} replies spoiled, {acknowledged} of 240 acknowledged, {len(texts)} stored")
            assert acknowledged >= 230
        finally:
            worker.close()


async def test_a_line_that_goes_dead_between_worker_and_redis_is_noticed_and_left(
    shared_redis: RedisServer, http: aiohttp.ClientSession
) -> None:
    """Neither side hears that the other is gone: only deadlines end that."""
    async with wire_to(shared_redis.port) as wire:
        worker = Worker(f"redis://127.0.0.1:{wire.port}", 9)
        try:
            worker.start(wait=False)
            await eventually(lambda: asyncio.to_thread(worker.is_ready), "the worker behind the wire is ready")
            (ada, ben), (room,) = await house(http, [worker.url], 2)
            heads, cursor = await ben.sync()
            reader = Reader(ben, cursor=cursor, starts=heads).start()
            await reader.live.wait()
            wire.blocked = True
            answer = await ada.ask("POST", f"/v1/rooms/{room}/messages", {"text": "anybody?", "client_id": "a"})
            assert answer.status == 503
            await eventually(lambda: told_of_trouble([reader]), "the stream says `degraded`")
            wire.blocked = False
            wire.cut()
            sent = await eventually(lambda: tries(ada, room), "the message is taken")
            await caught_up([reader], {room: sent["seq"]})
            await reader.stop()
            assert reader.texts(room) == ["anybody?"]
            assert not reader.record.gaps()
        finally:
            worker.close()


async def test_a_redis_that_says_it_is_busy_is_waited_for(http: aiohttp.ClientSession) -> None:
    """It answers everything with BUSY once a script takes long: after a pause of its machine, our own."""
    with RedisServer() as redis, Workers(redis.url, 1) as workers:
        people, (room,) = await house(http, workers.urls, 2)
        heads, cursor = await people[0].sync()
        reader = Reader(people[1], cursor=cursor, starts=heads).start()
        await reader.live.wait()
        redis.ask("CONFIG", "SET", "lua-time-limit", 1)
        busy = asyncio.create_task(asyncio.to_thread(redis.ask, "EVAL", "while true do end", 0))
        await eventually(lambda: asyncio.to_thread(says_busy, redis), "Redis says BUSY", every_s=0.01)
        sends = asyncio.gather(
            *(
                people[at % 2].ask("POST", f"/v1/rooms/{room}/messages", {"text": f"busy {at}", "client_id": f"c{at}"})
                for at in range(10)
            )
        )
        await asyncio.sleep(0.5)
        assert says_busy(redis)
        redis.ask("SCRIPT", "KILL")
        answers = await sends
        assert {answer.status for answer in answers} == {201}
        await caught_up([reader], {room: max(answer.json["message"]["seq"] for answer in answers)})
        await reader.stop()
        assert sorted(reader.texts(room)) == [f"busy {at}" for at in range(10)]
        assert not reader.record.gaps()
        with pytest.raises(ResponseError, match="killed by user"):
            await busy


def says_busy(redis: RedisServer) -> bool:
    try:
        redis.ask("GET", "nothing")
    except ResponseError as problem:
        return "BUSY" in str(problem)
    return False


async def tries(person: Person, room: str) -> dict[str, int] | None:
    answer = await person.ask("POST", f"/v1/rooms/{room}/messages", {"text": "anybody?", "client_id": "a"})
    return answer.json["message"] if answer.status in (200, 201) else None


async def test_workers_that_start_before_redis_wait_for_it(http: aiohttp.ClientSession) -> None:
    redis = RedisServer(aof="none")
    try:
        redis.process.kill()
        worker = Worker(redis.url, 0)
        try:
            worker.start(wait=False)
            await asyncio.sleep(1.5)
            assert worker.alive
            redis.restart()
            await eventually(worker.is_ready, "the worker has found Redis")
            (ada,) = await crowd(http, [worker.url], 1)
            await ada.send(await ada.create(), "hello")
        finally:
            worker.close()
    finally:
        redis.close()


async def test_a_full_redis_refuses_messages_in_plain_words_loses_none_and_goes_on_when_there_is_room(
    http: aiohttp.ClientSession,
) -> None:
    with (
        RedisServer(aof="none", options=("--maxmemory-policy", "noeviction")) as redis,
        Workers(redis.url, 2) as workers,
    ):
        (ada, ben), (room,) = await house(http, workers.urls, 2)
        heads, cursor = await ben.sync()
        readers = [Reader(ben, cursor=cursor, starts=heads, worker=at, seed=at).start() for at in range(2)]
        redis.ask("CONFIG", "SET", "maxmemory", int(redis.ask("INFO", "memory")["used_memory"]) + 2_000_000)
        writer = Writer(ada, room, stubborn=False, padding="x" * 12_000).start()
        await eventually(lambda: len(writer.refusals) > 3, "messages are refused")
        assert {(status, code) for _, status, code in writer.refusals} == {(503, "backend_unavailable")}
        answer = await ada.ask("POST", f"/v1/rooms/{room}/messages", {"text": "y" * 12_000, "client_id": "late"})
        assert "full" in answer.json["detail"]
        # Reading goes on, and the workers are well.
        stored = writer.acknowledged  # now and then a little memory is freed, and one more is taken
        assert stored <= len(await ben.history(room)) <= writer.acknowledged + 1
        assert [worker.status("/readyz") for worker in workers] == [200, 200]
        redis.ask("CONFIG", "SET", "maxmemory", 0)
        before = writer.acknowledged
        await eventually(lambda: writer.acknowledged > before, "messages are taken again")
        writer.stopped = True
        found, _ = await run_of([writer], readers, [room])
        assert found == []
        assert not any(reader.record.gaps() for reader in readers)
