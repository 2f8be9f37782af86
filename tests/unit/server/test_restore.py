"""Bringing back what was lost: the walk through the directory, and the bounds of looking people up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from dchat_server.errors import ArchiveUnavailable, BackendUnavailable
from dchat_server.model import shard_of
from dchat_server.ports_archive import Entry, Fenced, Mark, RoomChange, RoomRecord, UserRecord
from dchat_server.ports_cluster import TermOver
from dchat_server.restore import FIRST, Recall, Walk, choice, marks
from tests.archives import MemoryArchive
from tests.cluster_fakes import FakeTerm

SHARDS = 2


class Log:
    """A message log that has lost what it had: what is brought back, in which order."""

    shards = SHARDS

    def __init__(self, archive: MemoryArchive) -> None:
        self.archive = archive
        self.epochs = [7] * SHARDS
        self.lost: list[int] = []
        self.said: list[tuple[str, Any]] = []
        self.people: dict[str, UserRecord] = {}
        self.fence = 0

    def shard_of(self, name: str) -> int:
        return shard_of(name, SHARDS)

    async def epoch(self, shard: int) -> int:
        return self.epochs[shard]

    async def unsure(self, user: str) -> bool:
        return user not in self.people

    async def restore(self, record: UserRecord, epoch: int) -> bool:
        if epoch != self.epochs[0 if record.user == FIRST else shard_of(record.user, SHARDS)]:
            return False
        self.people[record.user] = record
        return True

    async def add_names(self, shard: int, users: Sequence[str], public_rooms: Sequence[str]) -> None:
        self.said += [("name", name) for name in (*users, *public_rooms)]

    async def restore_rooms(self, rooms: Sequence[str]) -> set[str]:
        await self.archive.rooms(rooms)
        self.said += [("back", name) for name in rooms]
        return set(rooms)

    async def restore_users(self, users: Sequence[str]) -> set[str]:
        await self.archive.users(users)
        self.said += [("back", name) for name in users]
        return set(users)

    async def behind(self) -> list[int]:
        return list(self.lost)

    async def caught_up(self, fence: int, shard: int, epoch: int) -> None:
        if fence < self.fence:
            raise Fenced(self.fence)
        self.lost.remove(shard)


class Setting:
    def __init__(self) -> None:
        self.archive = MemoryArchive()
        self.log, self.term = Log(self.archive), FakeTerm(1)
        self.archive._fence = 1
        self.walk = Walk(self.log, self.archive, self.log, self.log, per_s=1e9, pause_s=0.002)  # type: ignore[arg-type]
        self.recall = Recall(self.archive, self.log)

    async def add(self, *names: str) -> None:
        for name in names:
            await self.archive.save_users(1, [(shard_of(name, SHARDS), record(name))])

    async def add_room(self, room: str, kind: str) -> None:
        change = RoomChange(
            RoomRecord(room, version=1, facts={"kind": kind}, commit="c1"), shard=shard_of(room, SHARDS)
        )
        await self.archive.commit(1, change)

    async def caught_up(self) -> None:
        run = asyncio.create_task(self.walk.run(self.term))
        while self.log.lost:
            await asyncio.sleep(0.001)
        run.cancel()


def record(name: str, **account: str) -> UserRecord:
    return UserRecord(name, account, {}, (), {})


@pytest.fixture
def setting() -> Setting:
    return Setting()


# The walk


async def test_names_come_before_everything_else_and_then_all_is_brought_back(setting: Setting) -> None:
    people, rooms = {f"user{n}" for n in range(130)}, {"lobby", "den"}
    await setting.add(*people)
    await setting.add_room("lobby", "public")
    await setting.add_room("den", "private")
    await setting.archive.save_users(1, [(0, choice("settled", "user1"))])
    setting.log.lost = [0, 1]
    await setting.caught_up()
    kinds = [kind for kind, _ in setting.log.said]
    assert kinds == sorted(kinds, reverse=True)
    assert {name for kind, name in setting.log.said if kind == "name"} == people | {"lobby"}
    assert {name for kind, name in setting.log.said if kind == "back"} == people | rooms | {FIRST}
    facts = setting.walk.facts()
    assert (facts["users"], facts["rooms"], facts["names"]) == (131, 2, 133)


async def test_only_shards_that_are_behind_are_walked(setting: Setting) -> None:
    await setting.add(*(f"user{n}" for n in range(20)))
    setting.log.lost = [1]
    await setting.caught_up()
    assert {shard_of(name, SHARDS) for _, name in setting.log.said} == {1}
    setting.archive.calls.clear()
    run = asyncio.create_task(setting.walk.run(setting.term))
    while setting.walk.facts()["state"] != "idle":
        await asyncio.sleep(0.001)
    run.cancel()
    assert setting.archive.calls == []


async def test_after_an_outage_it_goes_on_where_it_was(setting: Setting) -> None:
    names = [name for name in (f"user{n:04}" for n in range(900)) if shard_of(name, SHARDS) == 0][:400]
    await setting.add(*names)
    setting.log.lost = [0]
    calls = 0

    async def gate(step: str) -> None:
        nonlocal calls
        calls += step == "before directory"
        if calls in (12, 14):
            calls += 1
            raise ArchiveUnavailable

    setting.archive.gate = gate
    await setting.caught_up()
    back = [name for kind, name in setting.log.said if kind == "back"]
    assert back == names  # each once, though it was interrupted twice
    assert len([1 for kind, _ in setting.log.said if kind == "name"]) == 400


async def test_what_it_waits_for_is_reported(setting: Setting) -> None:
    setting.log.lost = [0]

    async def gate(step: str) -> None:
        raise ArchiveUnavailable

    setting.archive.gate = gate
    run = asyncio.create_task(setting.walk.run(setting.term))
    while setting.walk.facts()["state"] != "waiting":
        await asyncio.sleep(0.001)
    run.cancel()
    assert setting.walk.facts()["behind"] == [0]
    assert setting.walk.facts()["error"].startswith("archive_unavailable")
    assert setting.log.lost == [0]


async def test_a_shard_that_lost_its_data_again_is_walked_again(setting: Setting) -> None:
    await setting.add(*(f"user{n}" for n in range(40)))
    setting.log.lost = [0]
    here = len([n for n in range(40) if shard_of(f"user{n}", SHARDS) == 0])

    async def gate(step: str) -> None:
        if len([1 for kind, _ in setting.log.said if kind == "back"]) >= here:
            setting.log.epochs[0] = 8

    setting.archive.gate = gate
    await setting.caught_up()
    assert len([1 for kind, _ in setting.log.said if kind == "back"]) == 2 * here


async def test_it_keeps_to_its_rate(setting: Setting) -> None:
    await setting.add(*(f"user{n}" for n in range(200)))
    setting.log.lost = [0, 1]
    walk = Walk(setting.log, setting.archive, setting.log, setting.log, per_s=1000)  # type: ignore[arg-type]
    began = asyncio.get_running_loop().time()
    run = asyncio.create_task(walk.run(setting.term))
    while setting.log.lost:
        await asyncio.sleep(0.001)
    run.cancel()
    assert asyncio.get_running_loop().time() - began >= 0.39  # 200 names, then 200 people


async def test_a_leader_whose_term_is_over_ends_and_says_nothing(setting: Setting) -> None:
    await setting.add("ada")
    setting.log.lost = [0, 1]
    setting.log.fence = 2
    with pytest.raises(Fenced):
        await setting.walk.run(setting.term)
    setting.term.end()
    with pytest.raises(TermOver):
        await setting.walk.run(setting.term)
    assert setting.log.lost == [0, 1]


# Looking people up


async def test_who_is_asked_for_comes_back_under_the_epoch_that_held_before(setting: Setting) -> None:
    await setting.add("ada", "bob")
    again = False

    async def gate(step: str) -> None:
        nonlocal again
        if step == "after users" and not again:
            again = True
            setting.log.epochs = [8, 8]
            await setting.archive.save_users(1, [(shard_of("ada", SHARDS), record("ada", status="newer"))])

    setting.archive.gate = gate
    assert await setting.recall.restore_users(["ada", "nobody", "bob", "ada"]) == {"ada", "bob"}
    assert setting.log.people["ada"] == record("ada", status="newer")


async def test_a_log_that_is_lost_again_and_again_is_unavailable(setting: Setting) -> None:
    await setting.add("ada")

    async def gate(step: str) -> None:
        setting.log.epochs = [epoch + 1 for epoch in setting.log.epochs]

    setting.archive.gate = gate
    with pytest.raises(BackendUnavailable):
        await setting.recall.restore_users(["ada"])
    with pytest.raises(BackendUnavailable):
        await setting.recall.first()


async def test_bad_tokens_keep_nobody_else_waiting_and_are_bounded(setting: Setting) -> None:
    await setting.add("ada")
    hold, waiting = asyncio.Event(), 0

    async def gate(step: str) -> None:
        nonlocal waiting
        if step == "before token_user":
            waiting += 1
            await hold.wait()

    setting.archive.gate = gate
    recall = Recall(setting.archive, setting.log, at_once=4, waiting=20)
    asked = [asyncio.create_task(recall.token(0, f"digest {n}")) for n in range(50)]
    await asyncio.sleep(0.01)
    assert waiting == 2
    assert await recall.restore_users(["ada"]) == {"ada"}
    refused = [task for task in asked if task.done()]
    assert len(refused) == 28
    for task in refused:
        assert isinstance(task.exception(), ArchiveUnavailable)
    hold.set()
    assert await asyncio.gather(*(task for task in asked if task not in refused)) == [False] * 22


async def test_a_token_brings_its_owner_back_but_not_from_another_shard(setting: Setting) -> None:
    shard = shard_of("ada", SHARDS)
    owner = UserRecord("ada", {}, {"t": '{"digest":"d1"}'}, (), {})
    await setting.archive.save_users(1, [(shard, owner)])
    assert not await setting.recall.token(1 - shard, "d1")
    assert not await setting.recall.token(shard, "d2")
    assert setting.log.people == {}
    assert await setting.recall.token(shard, "d1")
    assert setting.log.people == {"ada": owner}


async def test_who_is_as_new_as_the_archive_is_not_looked_up_in_it(setting: Setting) -> None:
    await setting.add("ada")
    await setting.recall.settle("ada")
    assert set(setting.log.people) == {"ada"}
    setting.archive.calls.clear()
    await setting.recall.settle("ada")
    assert setting.archive.calls == []


async def test_names_are_of_people_alone(setting: Setting) -> None:
    setting.archive._directory[0] = {
        f"{kind}:{name}": Entry(kind, name, True)
        for kind, name in (("room", "a"), ("user", FIRST), ("user", "a"), ("user", "b"), ("user", "c"))
    }
    assert await setting.recall.names(0, "", 2) == ["a", "b"]
    assert await setting.recall.names(0, "a", 9) == ["b", "c"]


async def test_an_archive_that_was_ever_led_has_held_something_of_every_shard(setting: Setting) -> None:
    new = MemoryArchive()
    assert await marks(new, SHARDS) == {}
    for shard, place in ((0, (0, 0)), (1, (1_800_000_000, 9))):
        change = RoomChange(RoomRecord(f"room{shard}", version=1, commit="c1"), (), (), None, shard, *place)
        await setting.archive.commit(1, change)
    assert await marks(setting.archive, SHARDS) == {0: Mark(1, 0), 1: Mark(1_800_000_000, 9)}
    await new.raise_fence(1)
    assert await marks(new, SHARDS) == {0: Mark(1, 0), 1: Mark(1, 0)}
