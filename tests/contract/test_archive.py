"""What every archive does: in memory, in a SQLite file, in DynamoDB (moto, behind the proxy of tests/harness)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
import pytest_asyncio

from dchat_server.errors import ArchiveUnavailable, ClusterMismatch
from dchat_server.ports_archive import (
    MAX_DROPS,
    MAX_PART_BYTES,
    MAX_PUTS,
    MAX_ROSTER_PARTS,
    Archive,
    Chunk,
    Conflict,
    Entry,
    Fenced,
    Mark,
    RoomChange,
    RoomRecord,
    UserRecord,
)
from tests.archive_places import KINDS, SHARDS, ArchivePlace, SharedMoto, archive_place

FENCE = 10


@pytest.fixture(scope="module")
def moto() -> Iterator[SharedMoto]:
    with SharedMoto() as moto:
        yield moto


@pytest_asyncio.fixture(params=KINDS)
async def place(request: pytest.FixtureRequest, moto: SharedMoto) -> AsyncIterator[ArchivePlace]:
    async with archive_place(request.param, moto) as place:
        yield place


@pytest_asyncio.fixture
async def archive(place: ArchivePlace) -> Archive:
    """One that a leader with FENCE uses."""
    archive = await place.open()
    await archive.raise_fence(FENCE)
    return archive


def chunk(first: int, last: int, data: bytes = b"", *, offset: int = 0, ts: int = 0) -> Chunk:
    return Chunk(first, last, offset or 10 * last, ts or 1000 * last, data or b"%d to %d" % (first, last))


def step(version: int, room: str = "lobby", **facts: object) -> RoomRecord:
    return RoomRecord(room, version=version, commit=f"{room}-{version}", **facts)  # type: ignore[arg-type]


async def fill(archive: Archive, chunks: list[Chunk], room: str = "lobby") -> None:
    await archive.commit(FENCE, RoomChange(step(1, room, watermark=chunks[-1].last), put=chunks))


RUNS = [chunk(1, 10), chunk(11, 11), chunk(12, 40), chunk(41, 45)]


# --- what it is ----------------------------------------------------------------------------------------------------


async def test_everybody_sees_the_same_identity_whoever_started_first(place: ArchivePlace) -> None:
    archives = await asyncio.gather(*(place.open() for _ in range(4)))
    identities = {await archive.identity() for archive in archives}
    assert len(identities) == 1
    assert len(identities.pop()) >= 16


async def test_another_archive_has_another_identity(place: ArchivePlace, moto: SharedMoto) -> None:
    async with archive_place(place.kind, moto) as other:
        assert await (await other.open()).identity() != await (await place.open()).identity()


async def test_starting_again_changes_nothing(archive: Archive) -> None:
    await fill(archive, RUNS)
    identity = await archive.identity()
    await archive.start()
    assert await archive.identity() == identity
    assert await archive.fence() == FENCE
    assert (await archive.rooms(["lobby"]))["lobby"].version == 1


async def test_an_archive_of_another_number_of_shards_is_refused(place: ArchivePlace) -> None:
    if place.kind == "memory":
        pytest.skip("has no number of shards")
    await place.open()
    with pytest.raises(ClusterMismatch, match=f"DCHAT_SHARDS={SHARDS}"):
        await place.open(shards=SHARDS + 1)


async def test_an_empty_archive_knows_nothing(place: ArchivePlace) -> None:
    archive = await place.open()
    assert await archive.fence() == 0
    assert await archive.marks() == {}
    assert await archive.rooms([]) == {}
    assert await archive.rooms(["lobby"]) == {}
    assert await archive.roster("lobby") == (0, [])
    assert await archive.chunk("lobby", 1) is None
    assert await archive.chunks("lobby", 0, 10) == []
    assert await archive.chunks_back("lobby", 10**9, 10) == []
    assert await archive.find("lobby", offset=0) is None
    assert await archive.users(["ada"]) == {}
    assert await archive.token_user("aa") is None
    assert await archive.directory(0, "", 10) == []


async def test_after_the_end_everything_is_unavailable(place: ArchivePlace) -> None:
    if place.kind == "memory":
        pytest.skip("has no end")
    archive = await place.open()
    await archive.raise_fence(FENCE)
    await archive.stop()
    await archive.stop()
    with pytest.raises(ArchiveUnavailable):
        await archive.rooms(["lobby"])
    with pytest.raises(ArchiveUnavailable):
        await archive.commit(FENCE, RoomChange(step(1)))


# --- fences --------------------------------------------------------------------------------------------------------


async def test_a_fence_once_raised_is_seen_by_everybody_and_never_falls(place: ArchivePlace) -> None:
    old, new = await place.open(), await place.open()
    await old.raise_fence(5)
    await old.raise_fence(5)
    await new.raise_fence(2**62)
    assert await old.fence() == await new.fence() == 2**62
    with pytest.raises(Fenced) as refused:
        await old.raise_fence(5)
    assert refused.value.seen == 2**62
    assert await new.fence() == 2**62


async def test_a_leader_of_an_earlier_term_can_write_nothing_in_any_shard(place: ArchivePlace) -> None:
    old, new = await place.open(), await place.open()
    await old.raise_fence(5)
    rooms = [f"room-{shard}" for shard in range(SHARDS)]
    for shard, room in enumerate(rooms):
        await old.commit(5, RoomChange(step(1, room), shard=shard, put=RUNS[:1]))
    await new.raise_fence(6)
    for shard, room in enumerate(rooms):
        with pytest.raises(Fenced) as refused:
            await old.commit(5, RoomChange(step(2, room), shard=shard, put=RUNS[1:], epoch=9, offset=9))
        assert refused.value.seen == 6
        with pytest.raises(Fenced):
            await old.commit(5, RoomChange(step(1, "other"), shard=shard))
        with pytest.raises(Fenced):
            await old.save_users(5, [(shard, ADA)])
        assert await new.chunks(room, 0, 10) == RUNS[:1]
    assert await new.rooms([*rooms, "other"]) == {room: step(1, room) for room in rooms}
    assert await new.users(["ada"]) == {}
    assert await new.marks() == dict.fromkeys(range(SHARDS), Mark(0, 0))
    for shard, room in enumerate(rooms):
        await new.commit(6, RoomChange(step(2, room), shard=shard, put=RUNS[1:]))


async def test_a_fence_that_was_never_raised_writes_nothing(archive: Archive) -> None:
    with pytest.raises(Fenced):
        await archive.commit(FENCE + 1, RoomChange(step(1)))
    assert await archive.fence() == FENCE


async def test_of_two_leaders_that_raise_their_fences_at_once_the_later_one_writes(place: ArchivePlace) -> None:
    leaders = [await place.open() for _ in range(4)]
    fences = [3, 9, 5, 7]
    await asyncio.gather(
        *(leader.raise_fence(fence) for leader, fence in zip(leaders, fences, strict=True)), return_exceptions=True
    )
    for leader, fence in zip(leaders, fences, strict=True):
        for shard in range(SHARDS):
            change = RoomChange(step(1, f"room-{fence}-{shard}"), shard=shard)
            if fence == 9:
                await leader.commit(fence, change)
            else:
                with pytest.raises(Fenced):
                    await leader.commit(fence, change)


# --- steps of a room -----------------------------------------------------------------------------------------------


async def test_a_step_stores_the_record_and_the_chunks_with_every_field(archive: Archive) -> None:
    record = RoomRecord(
        "lobby",
        version=1,
        watermark=45,
        floor=2,
        messages=40,
        ts=1_795_000_000_123,
        offset=2**52,
        epochs=((1, 1), (7, 30)),
        facts={"kind": "private", "topic": "Grüße 🙂 \x00", "retention": "7"},
        tail=41,
        roster_at=33,
        commit="c1",
    )
    binary = chunk(1, 10, bytes(range(256)) * 256)
    await archive.commit(FENCE, RoomChange(record, put=[binary, *RUNS[1:]]))
    assert await archive.rooms(["lobby", "nowhere"]) == {"lobby": record}
    assert await archive.chunks("lobby", 1, 100) == [binary, *RUNS[1:]]


async def test_a_step_replaces_and_drops_chunks_in_one_go(archive: Archive) -> None:
    await fill(archive, RUNS)
    longer = chunk(41, 60)
    change = RoomChange(step(2, watermark=60, floor=12), put=[longer], drop=[1, 11, 999])
    await archive.commit(FENCE, change)
    assert await archive.chunks("lobby", 0, 100) == [RUNS[2], longer]
    assert await archive.chunk("lobby", 11) is None


async def test_a_step_from_another_version_is_refused_and_changes_nothing(
    place: ArchivePlace, archive: Archive
) -> None:
    await archive.commit(FENCE, RoomChange(step(1), put=RUNS[:2], roster=[b"old"]))
    for version in (1, 3):
        record = replace(step(version, watermark=99), commit="another")
        with pytest.raises(Conflict):
            await archive.commit(
                FENCE, RoomChange(record, put=[chunk(1, 99)], drop=[11], roster=[b"new"], epoch=1, offset=9)
            )
    with pytest.raises(Conflict):
        await archive.commit(FENCE, RoomChange(step(2, "never-seen")))
    assert await archive.rooms(["lobby", "never-seen"]) == {"lobby": step(1)}
    assert await archive.chunks("lobby", 0, 10) == RUNS[:2]
    assert await archive.roster("lobby") == (0, [b"old"])
    assert await archive.marks() == {0: Mark(0, 0)}


async def test_of_writers_that_start_from_the_same_version_one_wins(archive: Archive) -> None:
    await archive.commit(FENCE, RoomChange(step(1)))
    steps = [RoomChange(replace(step(2), commit=name), put=[chunk(1, 5, name.encode())]) for name in "abcdef"]
    outcomes = await asyncio.gather(*(archive.commit(FENCE, each) for each in steps), return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["Conflict"] * 5 + ["NoneType"]
    winner = "abcdef"[outcomes.index(None)]
    assert (await archive.rooms(["lobby"]))["lobby"].commit == winner
    assert (await archive.chunks("lobby", 1, 10))[0].data == winner.encode()


async def test_a_step_that_is_repeated_succeeds_and_happens_once(archive: Archive) -> None:
    change = RoomChange(step(1, watermark=45), put=RUNS, roster=[b"r"], epoch=1, offset=4)
    await archive.commit(FENCE, change)
    await archive.commit(FENCE, change)
    assert (await archive.rooms(["lobby"]))["lobby"] == change.record
    await archive.commit(FENCE, RoomChange(step(2, watermark=45)))
    with pytest.raises(Conflict):
        await archive.commit(FENCE, change)


async def test_a_repeated_step_of_an_earlier_term_is_refused(archive: Archive) -> None:
    await archive.commit(FENCE, RoomChange(step(1)))
    await archive.raise_fence(FENCE + 1)
    with pytest.raises(Fenced):
        await archive.commit(FENCE, RoomChange(step(1)))


async def test_rooms_of_all_shards_change_side_by_side(archive: Archive) -> None:
    async def work(number: int) -> None:
        room = f"room-{number}"
        for version in range(1, 4):
            put = [chunk(version * 10 - 9, version * 10)]
            await archive.commit(FENCE, RoomChange(step(version, room), put=put, shard=number % SHARDS))

    await asyncio.gather(*(work(number) for number in range(2 * SHARDS)))
    records = await archive.rooms([f"room-{number}" for number in range(2 * SHARDS)])
    assert {record.version for record in records.values()} == {3}
    assert len(records) == 2 * SHARDS


async def test_a_step_of_the_greatest_size_is_stored(archive: Archive) -> None:
    await fill(archive, [chunk(each, each) for each in range(1, MAX_DROPS + 1)])
    data = b"\xff" * 50_000
    put = [chunk(each, each, data) for each in range(101, 101 + MAX_PUTS)]
    parts = [b"%d" % number * (MAX_PART_BYTES // 2) for number in range(MAX_ROSTER_PARTS)]
    await archive.commit(FENCE, RoomChange(step(2, roster_at=140), put=put, drop=range(1, MAX_DROPS + 1), roster=parts))
    assert await archive.chunks("lobby", 0, 1000) == put
    assert await archive.roster("lobby") == (140, parts)


async def test_a_step_over_the_bounds_is_refused(archive: Archive) -> None:
    with pytest.raises(ValueError, match="lobby"):
        await archive.commit(FENCE, RoomChange(step(1), put=[chunk(each, each) for each in range(1, MAX_PUTS + 2)]))


async def test_records_of_many_rooms_come_in_one_call(archive: Archive) -> None:
    names = [f"room-{number}" for number in range(104)]
    for start in range(0, 104, 13):
        await asyncio.gather(
            *(
                archive.commit(FENCE, RoomChange(step(1, name), shard=number % SHARDS))
                for number, name in enumerate(names[start : start + 13])
            )
        )
    assert set(await archive.rooms([*names, "nowhere", names[0]])) == set(names)


# --- rosters -------------------------------------------------------------------------------------------------------


async def test_a_roster_is_replaced_as_a_whole_or_left(archive: Archive) -> None:
    await archive.commit(FENCE, RoomChange(step(1, roster_at=5), roster=[b"a" * 1000, b"b", b"c"]))
    assert await archive.roster("lobby") == (5, [b"a" * 1000, b"b", b"c"])
    await archive.commit(FENCE, RoomChange(step(2, roster_at=5)))
    assert await archive.roster("lobby") == (5, [b"a" * 1000, b"b", b"c"])
    await archive.commit(FENCE, RoomChange(step(3, roster_at=9), roster=[b"x"]))
    assert await archive.roster("lobby") == (9, [b"x"])
    await archive.commit(FENCE, RoomChange(step(4, roster_at=12), roster=[b"x", b"y"]))
    assert await archive.roster("lobby") == (12, [b"x", b"y"])
    await archive.commit(FENCE, RoomChange(step(5, roster_at=13), roster=[]))
    assert await archive.roster("lobby") == (13, [])


async def test_a_roster_that_is_read_while_it_changes_is_of_one_commit(place: ArchivePlace, archive: Archive) -> None:
    sizes = (3, 1, 6, 2)

    async def write() -> None:
        for version in range(1, 21):
            parts = [b"%06d" % version * 20_000] * sizes[version % 4]
            await archive.commit(FENCE, RoomChange(step(version, roster_at=version), roster=parts))

    reader = await place.open()
    writing = asyncio.create_task(write())
    while not writing.done():
        at, parts = await reader.roster("lobby")
        assert {part[:6] for part in parts} <= {b"%06d" % at}
        assert len(parts) == (sizes[at % 4] if at else 0)
        await asyncio.sleep(0)
    await writing


# --- marks ---------------------------------------------------------------------------------------------------------


async def test_a_sealed_shard_refuses_what_was_read_under_an_earlier_epoch(
    place: ArchivePlace, archive: Archive
) -> None:
    async def write(version: int, shard: int, read_under: int) -> None:
        record = step(version, f"r{shard}")
        await archive.commit(FENCE, RoomChange(record, shard=shard, epoch=5, offset=100, read_under=read_under))

    other = await place.open()
    await write(1, 2, 5)
    for epoch in (9, 9, 7):  # repeated, and one that comes late
        assert await other.seal(2, epoch) == 9
    for epoch in (1, 5, 8):
        with pytest.raises(Conflict):
            await write(2, 2, epoch)
    assert (await other.rooms(["r2"]))["r2"].version == 1
    await write(2, 2, 9)
    await write(3, 2, 10)
    await write(4, 2, 0)  # takes nothing from the log
    await write(1, 3, 5)  # another shard
    await other.raise_fence(FENCE + 1)
    with pytest.raises(Fenced):
        await write(5, 2, 1)


async def test_a_shard_may_be_sealed_before_anybody_led(place: ArchivePlace) -> None:
    archive = await place.open()
    await archive.seal(1, 3)
    assert await archive.marks() == {}
    await archive.raise_fence(FENCE)
    with pytest.raises(Conflict):
        await archive.commit(FENCE, RoomChange(step(1, "r1"), shard=1, epoch=2, offset=1, read_under=2))
    await archive.commit(FENCE, RoomChange(step(1, "r1"), shard=1, epoch=2, offset=1, read_under=3))
    assert await archive.marks() == {1: Mark(2, 1)}


async def test_a_mark_only_moves_forward(place: ArchivePlace, archive: Archive) -> None:
    async def write(by: Archive, version: int, shard: int, epoch: int, offset: int) -> None:
        await by.commit(FENCE, RoomChange(step(version, f"r{shard}"), shard=shard, epoch=epoch, offset=offset))

    other = await place.open()
    await write(archive, 1, 2, 1, 100)
    await write(archive, 2, 2, 1, 90)
    assert await archive.marks() == {2: Mark(1, 100)}
    await write(other, 3, 2, 1, 300)
    await write(archive, 4, 2, 1, 200)  # which does not know what the other wrote
    assert await archive.marks() == {2: Mark(1, 300)}
    await write(archive, 5, 2, 2, 50)
    await write(other, 6, 2, 1, 900)
    await write(archive, 1, 3, 0, 0)
    assert await other.marks() == {2: Mark(2, 50), 3: Mark(0, 0)}


# --- reading chunks ------------------------------------------------------------------------------------------------


async def test_a_chunk_is_found_by_any_seq_in_it(archive: Archive) -> None:
    await fill(archive, RUNS)
    for neighbour in ("lobby2", "lobb", "lobby0"):
        await fill(archive, [chunk(1, 100, b"another room")], neighbour)
    cases = {0: None, 1: 0, 10: 0, 11: 1, 12: 2, 40: 2, 41: 3, 45: 3, 46: 3, 10**12: 3}
    for seq, found in cases.items():
        assert await archive.chunk("lobby", seq) == (None if found is None else RUNS[found]), seq


async def test_chunks_follow_from_any_seq(archive: Archive) -> None:
    await fill(archive, RUNS)
    await fill(archive, [chunk(1, 100, b"another room")], "lobby2")
    cases = [(0, 9, RUNS), (1, 2, RUNS[:2]), (11, 9, RUNS[1:]), (39, 1, RUNS[2:3]), (45, 9, RUNS[3:]), (46, 9, [])]
    for seq, limit, found in [*cases, (5, 4, RUNS)]:
        assert await archive.chunks("lobby", seq, limit) == found, (seq, limit)


async def test_chunks_go_back_from_any_seq(archive: Archive) -> None:
    await fill(archive, RUNS)
    await fill(archive, [chunk(1, 100, b"another room")], "lobby0")
    cases = [(0, 9, []), (1, 9, RUNS[:1]), (12, 2, RUNS[2:0:-1]), (10**9, 9, RUNS[::-1]), (45, 1, RUNS[3:])]
    for seq, limit, found in [*cases, (44, 9, RUNS[::-1])]:
        assert await archive.chunks_back("lobby", seq, limit) == found, (seq, limit)


async def test_a_room_that_begins_late_is_read_from_its_first_chunk(archive: Archive) -> None:
    await fill(archive, RUNS[2:])
    assert await archive.chunks("lobby", 1, 10) == RUNS[2:]
    assert await archive.chunk("lobby", 11) is None
    assert await archive.find("lobby", offset=0) == RUNS[2]


async def test_more_chunks_come_than_fit_one_answer_of_the_store(archive: Archive) -> None:
    chunks = [chunk(each, each, b"%05d" % each * 10_000) for each in range(1, 61)]
    await fill(archive, chunks[:30])
    await archive.commit(FENCE, RoomChange(step(2, watermark=60), put=chunks[30:]))
    assert await archive.chunks("lobby", 1, 100) == chunks
    assert await archive.chunks_back("lobby", 60, 100) == chunks[::-1]


async def test_chunks_that_are_read_while_they_are_packed_anew_fit_together(
    place: ArchivePlace, archive: Archive
) -> None:
    # Over and over the same forty events, in chunks of changing sizes.
    def cut(size: int) -> list[Chunk]:
        return [chunk(first, min(first + size - 1, 40), b"%d" % size * 9) for first in range(1, 41, size)]

    async def write() -> None:
        before = cut(7)
        await fill(archive, before)
        for version in range(2, 30):
            after = cut(3 + version * 5 % 11)
            drop = {each.first for each in before} - {each.first for each in after}
            await archive.commit(FENCE, RoomChange(step(version), put=after, drop=sorted(drop)))
            before = after

    reader = await place.open()
    writing = asyncio.create_task(write())
    while not writing.done():
        for found in (await reader.chunks("lobby", 15, 99), (await reader.chunks_back("lobby", 25, 99))[::-1]):
            seqs = [seq for each in found for seq in range(each.first, each.last + 1)]
            assert seqs == list(range(seqs[0], seqs[-1] + 1)) if seqs else True
        await asyncio.sleep(0)
    await writing


async def test_what_was_committed_is_seen_at_once_by_another_reader(place: ArchivePlace, archive: Archive) -> None:
    reader = await place.open()
    for version in range(1, 15):
        put = chunk(1, version)
        await archive.commit(FENCE, RoomChange(step(version, watermark=version), put=[put]))
        assert (await reader.rooms(["lobby"]))["lobby"].watermark == version
        assert await reader.chunk("lobby", version) == put


async def test_the_first_chunk_past_an_offset_or_a_time_is_found(archive: Archive) -> None:
    for count in (1, 2, 3, 7, 40):
        room, ends = f"room-{count}", [5 * number + number % 3 for number in range(1, count + 1)]
        chunks = [
            chunk(first, last, offset=100 + 7 * last, ts=50_000 + last // 20)  # some times are equal
            for first, last in zip([1] + [end + 1 for end in ends[:-1]], ends, strict=True)
        ]
        await fill(archive, chunks, room)
        middle = chunks[count // 2].offset
        for offset in {0, chunks[0].offset, middle - 1, middle, chunks[-1].offset}:
            wanted = next((each for each in chunks if each.offset > offset), None)
            assert await archive.find(room, offset=offset) == wanted
        for ts in {0, 50_000, chunks[count // 2].ts, chunks[-1].ts, chunks[-1].ts + 1}:
            wanted = next((each for each in chunks if each.ts >= ts), None)
            assert await archive.find(room, ts=ts) == wanted


# --- people --------------------------------------------------------------------------------------------------------

ADA = UserRecord(
    "ada",
    {"display_name": "Ada ✨", "password": "$argon2id$v=19$…", "admin": "1"},
    {"t1": '{"digest":"d1","kind":"api"}', "t2": '{"digest":"d2","kind":"session"}'},
    ["lobby", "team"],
    {"lobby": "7:7:9:0"},
)


async def test_a_person_is_kept_whole_and_found_by_their_tokens(archive: Archive) -> None:
    bob = UserRecord("bob", {"display_name": "Bob"}, {}, [], {})
    await archive.save_users(FENCE, [(1, ADA), (2, bob)])
    assert await archive.users(["ada", "bob", "eve", "ada"]) == {"ada": ADA, "bob": bob}
    assert await archive.token_user("d1") == await archive.token_user("d2") == "ada"
    assert await archive.token_user("d3") is None


async def test_a_person_who_is_saved_again_is_replaced_and_revoked_tokens_are_nobodys(archive: Archive) -> None:
    await archive.save_users(FENCE, [(1, ADA)])
    await archive.save_users(FENCE, [(1, ADA)])
    changed = replace(ADA, tokens={"t2": ADA.tokens["t2"], "t4": '{"digest":"d4"}'}, rooms=["team"], markers={})
    await archive.save_users(FENCE, [(1, changed)])
    assert await archive.users(["ada"]) == {"ada": changed}
    assert [await archive.token_user(digest) for digest in ("d1", "d2", "d4")] == [None, "ada", "ada"]


async def test_many_people_are_saved_in_one_call(archive: Archive) -> None:
    people = [replace(ADA, user=f"u{number}", tokens={"t": f'{{"digest":"u{number}"}}'}) for number in range(60)]
    await archive.save_users(FENCE, [(number % 3, person) for number, person in enumerate(people)])
    assert await archive.users([person.user for person in people]) == {person.user: person for person in people}
    assert await archive.token_user("u57") == "u57"


async def test_a_person_with_hundreds_of_tokens_is_saved(archive: Archive) -> None:
    many = replace(ADA, tokens={f"t{number}": f'{{"digest":"x{number}"}}' for number in range(130)})
    await archive.save_users(FENCE, [(0, many)])
    await archive.save_users(FENCE, [(0, replace(many, tokens={"t5": many.tokens["t5"]}))])
    assert [await archive.token_user(f"x{number}") for number in (0, 5, 6, 129)] == [None, "ada", None, None]


async def test_a_person_with_more_than_fits_one_item_is_saved_and_shrinks_again(archive: Archive) -> None:
    from random import Random

    random = Random(4)
    markers = {f"{random.randrange(16**24):024x}": f"{random.randrange(10**15)}:0" for _ in range(28_000)}
    large = replace(ADA, markers=markers, rooms=sorted(markers))
    await archive.save_users(FENCE, [(0, large)])
    assert await archive.users(["ada"]) == {"ada": large}
    await archive.save_users(FENCE, [(0, ADA)])
    assert await archive.users(["ada"]) == {"ada": ADA}


# --- the directory -------------------------------------------------------------------------------------------------


async def test_the_directory_lists_a_shards_rooms_and_people_in_pages(archive: Archive) -> None:
    for number, kind in enumerate(["public", "private", "dm", "public"]):
        await archive.commit(FENCE, RoomChange(step(1, f"room-{number}", facts={"kind": kind}), shard=1))
    await archive.commit(FENCE, RoomChange(step(2, "room-0", facts={"kind": "public"}), shard=1))
    await archive.commit(FENCE, RoomChange(step(1, "elsewhere", facts={"kind": "public"}), shard=2))
    people = [replace(ADA, user=name, tokens={}) for name in ("zed", "ada", "room-7")]
    await archive.save_users(FENCE, [(1, person) for person in people])
    wanted = [
        Entry("room", "room-0", True),
        Entry("room", "room-1", False),
        Entry("room", "room-2", False),
        Entry("room", "room-3", True),
        Entry("user", "ada", False),
        Entry("user", "room-7", False),
        Entry("user", "zed", False),
    ]
    assert await archive.directory(1, "", 100) == wanted
    assert await archive.directory(2, "", 100) == [Entry("room", "elsewhere", True)]
    assert await archive.directory(0, "", 100) == []
    for size in (1, 2, 3, 4, 5):
        pages: list[Entry] = []
        while page := await archive.directory(1, f"{pages[-1].kind}:{pages[-1].name}" if pages else "", size):
            assert len(page) <= size
            pages += page
        assert pages == wanted


async def test_a_room_that_was_refused_is_not_in_the_directory(archive: Archive) -> None:
    with pytest.raises(Conflict):
        await archive.commit(FENCE, RoomChange(step(2, "nowhere", facts={"kind": "public"}), shard=1))
    assert await archive.directory(1, "", 10) == []


async def test_write_units_are_counted_where_they_are_paid(place: ArchivePlace, archive: Archive) -> None:
    before = await archive.write_units()
    await fill(archive, RUNS)
    spent = await archive.write_units() - before
    # Shard, record, directory and four chunks, each under a kilobyte, twice as much as outside a transaction.
    assert spent == (14 if place.kind == "dynamodb" else 0)


async def test_nobody_starts_on_an_archive_that_has_only_a_part_of_a_backup(place: ArchivePlace) -> None:
    archive = await place.open()
    for _ in range(2):  # as often as one likes
        await archive.begin_filling("one")
        with pytest.raises(ClusterMismatch, match="part of a backup"):
            await place.open()
    with pytest.raises(ClusterMismatch, match="not empty"):
        await archive.begin_filling("another")
    await archive.end_filling("another")  # not under way: changes nothing
    await archive.raise_fence(FENCE)
    await fill(archive, RUNS)
    await archive.begin_filling("one")  # interrupted, and begun again
    await archive.end_filling("one")
    await archive.end_filling("one")
    assert (await (await place.open()).chunks("lobby", 1, 10)) == RUNS


async def test_an_archive_that_a_leader_was_at_is_not_filled(place: ArchivePlace, archive: Archive) -> None:
    with pytest.raises(ClusterMismatch, match="not empty"):
        await archive.begin_filling("one")
    assert await (await place.open()).fence() == FENCE
