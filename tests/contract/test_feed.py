"""What every Feed must do: in memory, on Redis, on Valkey, on a Redis Cluster, and when something happens to them."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from dchat_server.adapters import redis_feed
from dchat_server.adapters.redis_nodes import RedisNodes, StaleScript, _fenced_text, _source
from dchat_server.errors import BackendUnavailable, ClusterMismatch
from dchat_server.model import Control, Position
from dchat_server.ports import Batch, Change, Lost, Marker, Overtaken
from tests.contract.servers import Hearing, Place, Ports, RedisPlace, create, draft, hearing
from tests.fakes import SHARDS


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that waits for nothing is over soon."""
    monkeypatch.setattr(redis_feed, "BLOCK_MS", 100)


async def said(ports: Ports, room: str) -> list[tuple[int, int]]:
    return [(event.epoch, event.seq) for event in await ports.log.read(room, 0, 1000)]


def heard(hearing: Hearing, room: str) -> list[tuple[int, int]]:
    return [(event.epoch, event.seq) for event in hearing.events if event.room == room]


# --- as long as nothing happens -------------------------------------------------------------------------------------


async def test_every_reader_hears_everything_in_order_without_a_hole(place: Place) -> None:
    writer, one, two = [await place.worker() for _ in range(3)]
    rooms = ["hall", "yard", "den", "attic"]
    async with hearing(one.feed) as first, hearing(two.feed) as second:
        for room in rooms:
            await create(writer.store, room, "ada")
        await asyncio.gather(*(writer.log.send(room, draft("ada", str(n))) for n in range(50) for room in rooms))
        for each in (first, second):
            await each.until(lambda each: len(each.events) == 4 * 52)
            assert not each.news
            for room in rooms:
                assert heard(each, room) == await said(writer, room)
            batches = [change for change in each.changes if isinstance(change, Batch)]
            for shard in range(SHARDS):
                ends = [Position(0, 0)] + [batch.position for batch in batches if batch.shard == shard]
                sizes = [len(batch.entries) for batch in batches if batch.shard == shard]
                assert [late.offset - early.offset for early, late in pairwise(ends)] == sizes
            for batch in batches:
                offsets = [entry.offset for entry in batch.entries if hasattr(entry, "offset")]
                assert offsets == list(range(batch.position.offset - len(batch.entries) + 1, batch.position.offset + 1))


async def test_a_feed_begins_so_many_entries_before_its_end(place: Place) -> None:
    writer, late = await place.worker(), None
    await create(writer.store, "hall", "ada")
    await writer.log.send_many("hall", [draft("ada", str(number)) for number in range(20)])
    late = await place.worker()
    async with hearing(late.feed, backlog=5) as each:
        await each.until(lambda each: len(each.events) == 5)
        assert [event.seq for event in each.events] == [18, 19, 20, 21, 22]
    async with hearing(late.feed, backlog=1000) as each:
        await each.until(lambda each: len(each.events) == 22)


async def test_a_feed_that_begins_at_the_end_tells_nothing_old(place: Place) -> None:
    writer = await place.worker()
    await create(writer.store, "hall", "ada")
    late = await place.worker()
    async with hearing(late.feed) as each:
        await writer.log.send("hall", draft("ada", "new"))
        await each.until(lambda each: each.events)
        assert [event.seq for event in each.events] == [3]


async def test_an_idle_feed_is_heard_of(ports: Ports) -> None:
    async with hearing(ports.feed) as each:
        await each.until(lambda each: each.turns >= 3)
        assert not each.changes


async def test_what_belongs_to_no_room_is_announced(place: Place) -> None:
    ports = await place.worker()
    async with hearing(ports.feed) as each:
        body = b'{"type":"read","room":"hall","read":3,"unread":0}'
        await ports.store.mark("ada", "hall", Marker(3, 1, 3, False), body)
        await each.until(lambda each: each.changes)
        (batch,) = each.changes
        assert isinstance(batch, Batch)
        assert list(batch.entries) == [Control("read", "ada", body)]
        assert batch.position.offset == 1


async def test_who_types_is_announced_between_what_is_said_in_the_room(place: Place) -> None:
    ports = await place.worker()
    await create(ports.store, "hall", "ada")
    async with hearing(ports.feed) as each:
        body = b'{"type":"typing","room":"hall","sender":"ada","until":""}'
        await ports.log.send("hall", draft("ada", "one"))
        await ports.store.typing("hall", "ada", b"")
        await ports.store.typing("hall", "ada", body)
        await ports.log.send("hall", draft("ada", "two"))
        await each.until(lambda each: [event.seq for event in each.events][-2:] == [3, 4])
        entries = [entry for change in each.changes if isinstance(change, Batch) for entry in change.entries]
        assert [entry for entry in entries if isinstance(entry, Control)] == [Control("typing", "ada", body)]
        assert isinstance(entries[-2], Control), "in its place"


async def test_a_long_backlog_comes_in_several_reads_and_whole(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_feed, "COUNT", 50)
    writer = await place.worker()
    await create(writer.store, "hall", "ada")
    for _ in range(3):
        await writer.log.send_many("hall", [draft("ada", str(number)) for number in range(200)])
    async with hearing((await place.worker()).feed, backlog=5000) as each:
        await each.until(lambda each: len(each.events) == 602)
        assert heard(each, "hall") == await said(writer, "hall")
        assert not each.news


async def test_a_take_that_fails_ends_the_reading_and_the_next_goes_on_behind_it(place: Place) -> None:
    writer, reader = await place.worker(), await place.worker()
    await create(writer.store, "hall", "ada")
    await reader.feed.start(0)
    shard = place.keys.shard("hall")
    (group,) = [group for group in reader.feed.groups() if shard in group]

    def fail(changes: list[Change]) -> bool:
        if changes:
            raise ZeroDivisionError
        return True

    async def read() -> None:
        async for _ in reader.feed.read(group, fail):
            pass

    reading = asyncio.create_task(read())
    await writer.log.send("hall", draft("ada", "one"))
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(20):
            await reading
    await writer.log.send("hall", draft("ada", "two"))
    each = Hearing(reader.feed)
    try:
        await each.until(lambda each: each.events)
        assert [event.seq for event in each.events] == [4]
    finally:
        await each.stop()


# --- epochs ---------------------------------------------------------------------------------------------------------


async def test_a_new_epoch_that_lost_nothing_is_no_news(place: Place) -> None:
    writer, reader = await place.worker(), await place.worker()
    await create(writer.store, "hall", "ada")
    async with hearing(reader.feed, backlog=100) as each:
        for _ in range(4):
            await writer.log.send("hall", draft("ada", "x"))
            await place.new_epoch("hall")
        await writer.log.send("hall", draft("ada", "x"))
        await each.until(lambda each: len(each.events) == 7)
        assert heard(each, "hall") == await said(writer, "hall")
        assert len({event.epoch for event in each.events}) == 5
        assert not each.news


async def test_a_backlog_over_several_epochs_is_read_whole(place: Place) -> None:
    writer = await place.worker()
    await create(writer.store, "hall", "ada")
    for _ in range(4):
        await place.new_epoch("hall")
        await writer.log.send("hall", draft("ada", "x"))
    async with hearing((await place.worker()).feed, backlog=100) as each:
        await each.until(lambda each: len(each.events) == 6)
        assert not each.news


async def test_workers_that_open_a_shard_at_once_agree_on_its_epoch(place: Place) -> None:
    if not isinstance(place, RedisPlace):
        return
    workers = [await place.worker() for _ in range(4)]
    shard = workers[0].nodes.keys.shard("hall")
    await workers[0].nodes.run(shard, "HSET", workers[0].nodes.keys.state(shard), "run", "another")
    states = await asyncio.gather(*(worker.nodes.open_shard(shard) for worker in workers * 3))
    assert len({state.epoch for state in states}) == 1
    assert len(states[0].bases) == 1


async def test_a_worker_that_knows_a_higher_epoch_raises_the_shards(place: Place) -> None:
    if not isinstance(place, RedisPlace):
        return
    old, new = await place.worker(), await place.worker()
    shard, keys = old.nodes.keys.shard("hall"), old.nodes.keys
    await create(old.store, "hall", "ada")
    before = old.nodes.state(shard)
    for _ in range(3):
        await place.new_epoch("hall")
    known = await old.nodes.open_shard(shard)
    await old.nodes.run(shard, "HSET", keys.state(shard), "epoch", before.epoch, "bases", "")  # an older state is back
    assert (await new.nodes.open_shard(shard)).epoch == before.epoch  # one that knows nothing better sees no wrong
    raised = await old.nodes.open_shard(shard)
    assert raised.epoch > known.epoch
    assert raised.bases == {before.epoch: before.head + 2}
    sent = await new.log.send("hall", draft("ada", "x"))
    assert sent.epoch == raised.epoch


async def test_a_worker_with_an_old_epoch_appends_nothing(place: Place) -> None:
    if not isinstance(place, RedisPlace):
        return
    old, new = await place.worker(), await place.worker()
    shard = old.nodes.keys.shard("hall")
    await create(old.store, "hall", "ada")
    await old.log.send("hall", draft("ada", "x"))
    stale = old.nodes.state(shard).epoch
    await new.nodes.run(shard, "HSET", new.nodes.keys.state(shard), "run", "another")
    await new.nodes.open_shard(shard)
    before = await new.log.read("hall", 0, 100)
    # The old text is still in this server's cache: only its own look at the epoch stops it.
    with pytest.raises(StaleScript):
        await old.nodes.write(
            shard, [old.nodes.fenced(shard, "send", 0, "", 1, "", "p", "hall", "ada", "k", 1, "", "", "{}")]
        )
    keys = (old.nodes.keys.feed(shard), old.nodes.keys.state(shard))
    with pytest.raises(StaleScript):
        await old.nodes.run(shard, "EVAL", _fenced_text("announce", stale), 2, *keys, "x", "ada", "{}")
    assert await new.log.read("hall", 0, 100) == before
    assert (await new.nodes.open_shard(shard)).head == len(before)
    sent = await old.log.send("hall", draft("ada", "y"))  # and then it learns
    assert (sent.epoch, sent.seq) == (new.nodes.state(shard).epoch, before[-1].seq + 1)


async def test_a_flushed_script_cache_is_no_new_epoch(place: Place) -> None:
    if not isinstance(place, RedisPlace):
        return
    ports = await place.worker()
    await create(ports.store, "hall", "ada")
    before = await ports.log.send("hall", draft("ada", "x"))
    await ports.nodes.run(ports.nodes.keys.shard("hall"), "SCRIPT", "FLUSH")
    after = await ports.log.send("hall", draft("ada", "y"))
    assert (after.epoch, after.seq) == (before.epoch, before.seq + 1)


async def test_another_number_of_shards_is_refused(place: Place) -> None:
    if not isinstance(place, RedisPlace):
        return
    await place.worker()
    other = RedisNodes(place.url, SHARDS + 1)
    with pytest.raises(ClusterMismatch):
        await other.start()
    await other.stop()


async def test_the_scripts_are_all_there_is(place: Place) -> None:
    """A script that no worker loads would be found missing only when somebody needs it."""
    from importlib import resources

    from dchat_server.adapters.redis_nodes import SCRIPTS

    files = {
        each.name[:-4] for each in (resources.files("dchat_server") / "lua").iterdir() if each.name.endswith(".lua")
    }
    fenced = {name for name in files if "commit()" in _source(name) and name != "common"}
    assert fenced <= set(SCRIPTS) <= files


# --- a reader that falls behind -------------------------------------------------------------------------------------


async def test_a_reader_behind_the_feeds_beginning_is_overtaken_and_goes_on_at_its_end(place: Place) -> None:
    writer, reader = await place.worker(), await place.worker()
    await create(writer.store, "hall", "ada")
    await reader.feed.start(0)
    await writer.log.send_many("hall", [draft("ada", str(number)) for number in range(30)])
    await place.trim("hall", 10)
    each = Hearing(reader.feed)
    try:
        await each.until(lambda each: each.news)
        shard = place.keys.shard("hall")
        assert each.news == [Overtaken(shard, Position(each.news[0].position.epoch, 32))]
        await writer.log.send("hall", draft("ada", "x"))
        await each.until(lambda each: each.events)
        assert [event.seq for event in each.events] == [33]
    finally:
        await each.stop()


async def test_a_reader_that_is_overtaken_between_two_reads_is_told_as_well(place: Place) -> None:
    writer = await place.worker()
    await create(writer.store, "hall", "ada")
    reader = await place.worker()
    await reader.feed.start(0)
    shard = place.keys.shard("hall")
    (group,) = [group for group in reader.feed.groups() if shard in group]
    reading = reader.feed.read(group)
    assert not await anext(reading)
    await writer.log.send_many("hall", [draft("ada", str(number)) for number in range(30)])
    await place.trim("hall", 10)
    async with asyncio.timeout(10):
        while not (changes := await anext(reading)):
            pass
    assert [type(change) for change in changes] == [Overtaken]
    await reading.aclose()  # type: ignore[attr-defined]


async def test_a_feed_that_is_trimmed_behind_its_readers_is_no_news(place: Place) -> None:
    writer = await place.worker()
    await create(writer.store, "hall", "ada")
    reader = await place.worker()
    async with hearing(reader.feed) as each:
        for number in range(5):
            await writer.log.send_many("hall", [draft("ada", str(number)) for number in range(10)])
            await each.until(lambda each, number=number: len(each.events) == 10 * (number + 1))
            await place.trim("hall", 0)
        assert not each.news


# --- what befalls a server ------------------------------------------------------------------------------------------


async def until_sent(ports: Ports, room: str, text: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await ports.log.send(room, draft("ada", text))
                return
            except BackendUnavailable:
                pass


async def test_after_a_crash_that_lost_nothing_everything_goes_on(mortal_place: Place) -> None:
    writer, reader = await mortal_place.worker(), await mortal_place.worker()
    await create(writer.store, "hall", "ada")
    async with hearing(reader.feed, backlog=100) as each:
        await each.until(lambda each: len(each.events) == 2)
        await mortal_place.save()
        await mortal_place.crash()
        await until_sent(writer, "hall", "x")
        await each.until(lambda each: len(each.events) == 3)
        assert not each.news
        assert heard(each, "hall") == await said(writer, "hall")
        assert each.events[-1].epoch > each.events[0].epoch


async def test_a_lost_tail_is_announced_before_anything_that_came_after(mortal_place: Place) -> None:
    writer, reader = await mortal_place.worker(), await mortal_place.worker()
    await create(writer.store, "hall", "ada")
    async with hearing(reader.feed, backlog=100) as each:
        await writer.log.send_many("hall", [draft("ada", "kept") for _ in range(3)])
        await mortal_place.save()
        await writer.log.send_many("hall", [draft("ada", "lost") for _ in range(4)])
        await each.until(lambda each: len(each.events) == 9)
        old = each.events[-1].epoch
        await mortal_place.crash()
        await until_sent(writer, "hall", "new")
        await until_sent(writer, "hall", "new")
        await each.until(lambda each: len(each.events) == 11)
        assert each.news == [Lost(mortal_place.keys.shard("hall"), Position(old, 5))]
        at = each.changes.index(each.news[0])
        later = [entry for change in each.changes[at:] if isinstance(change, Batch) for entry in change.entries]
        assert later == each.events[9:]
        assert heard(each, "hall")[:5] + heard(each, "hall")[9:] == await said(writer, "hall")


async def test_a_reader_that_had_not_read_what_was_lost_has_lost_nothing(mortal_place: Place) -> None:
    writer, reader = await mortal_place.worker(), await mortal_place.worker()
    await create(writer.store, "hall", "ada")
    await reader.feed.start(100)
    await mortal_place.save()
    await writer.log.send_many("hall", [draft("ada", "lost") for _ in range(4)])
    await mortal_place.crash()
    await until_sent(writer, "hall", "new")
    each = Hearing(reader.feed)
    try:
        await each.until(lambda each: len(each.events) == 3)
        assert not each.news
        assert heard(each, "hall") == await said(writer, "hall")
    finally:
        await each.stop()


async def test_a_server_that_was_wiped_under_its_readers_is_noticed(mortal_place: Place) -> None:
    writer, reader = await mortal_place.worker(), await mortal_place.worker()
    await create(writer.store, "hall", "ada")
    async with hearing(reader.feed, backlog=100) as each:
        await writer.log.send_many("hall", [draft("ada", "gone") for _ in range(4)])
        await each.until(lambda each: len(each.events) == 6)
        old = each.events[-1].epoch
        await mortal_place.wipe()
        await create(writer.store, "hall", "ada")
        await each.until(lambda each: len(each.events) == 8)
        shard = mortal_place.keys.shard("hall")
        assert [(each.shard, each.position.offset) for each in each.news if each.shard == shard] == [(shard, 0)]
        assert all(event.epoch > old for event in each.events[6:])
        assert [event.seq for event in each.events[6:]] == [1, 2]


async def test_an_old_backup_is_told_from_what_was_read_and_nothing_old_is_told_again(mortal_place: Place) -> None:
    """The server of the first save comes back, after two more of which it knows nothing."""
    writer, reader = await mortal_place.worker(), await mortal_place.worker()
    shard = mortal_place.keys.shard("hall")
    await create(writer.store, "hall", "ada")
    await mortal_place.save()
    backup = await keep(mortal_place)
    async with hearing(reader.feed, backlog=100) as each:
        for _ in range(2):
            await until_sent(writer, "hall", "lost")
            await mortal_place.save()
            await mortal_place.crash()
        await until_sent(writer, "hall", "lost")
        await each.until(lambda each: len(each.events) == 5)
        await give_back(mortal_place, backup)
        await until_sent(writer, "hall", "new")
        await each.until(lambda each: len(each.events) == 6)
        lost = [news for news in each.news if news.shard == shard]
        assert [(type(news), news.position.offset) for news in lost] == [(Lost, 2)]
        assert each.events[-1].seq == 3
        assert each.events[-1].epoch > each.events[-2].epoch


async def keep(place: Place) -> object:
    """What was saved last, to be given back later."""
    if isinstance(place, RedisPlace):
        assert place.server is not None
        return (place.server.folder / "dump.rdb").read_bytes()
    return [place.cluster.snapshot(shard) for shard in range(SHARDS)]  # type: ignore[attr-defined]


async def give_back(place: Place, kept: object) -> None:
    if isinstance(place, RedisPlace):
        assert place.server is not None
        assert isinstance(kept, bytes)
        (place.server.folder / "dump.rdb").write_bytes(kept)
    else:
        place._saved = kept  # type: ignore[attr-defined]
    await place.crash()


async def test_a_server_that_is_away_is_feed_down_and_then_goes_on(mortal_place: Place) -> None:
    if not isinstance(mortal_place, RedisPlace):
        return
    assert mortal_place.server is not None
    writer, reader = await mortal_place.worker(), await mortal_place.worker()
    await create(writer.store, "hall", "ada")
    async with hearing(reader.feed, backlog=100) as each:
        await each.until(lambda each: len(each.events) == 2)
        await mortal_place.save()
        mortal_place.server.process.kill()
        await each.until(lambda each: each.breaks)
        await mortal_place.crash()
        await until_sent(writer, "hall", "x")
        await each.until(lambda each: len(each.events) == 3)
        assert not each.news
