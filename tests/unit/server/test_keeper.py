"""The leader's duty that saves people: what is saved in which order, and what an outage or a death changes."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from dchat_server.errors import ArchiveUnavailable, BackendUnavailable
from dchat_server.keeper import Keeper
from dchat_server.model import shard_of
from dchat_server.ports_archive import Fenced, UserRecord
from dchat_server.ports_cluster import TermOver
from dchat_server.ports_hot import ChangedUser
from tests.archives import MemoryArchive
from tests.cluster_fakes import FakeTerm

SHARDS = 4


def names_of(shard: int, count: int) -> list[str]:
    return [name for name in (f"user{n}" for n in range(9999)) if shard_of(name, SHARDS) == shard][:count]


class Log:
    """The users' half of a message log: person → (version, what they are now)."""

    shards = SHARDS

    def __init__(self) -> None:
        self.people: dict[str, tuple[int, str]] = {}
        self.marks: dict[str, int] = {}
        self.fence = 0
        self.lost: list[int] = []
        self.restored: list[str] = []
        self.down = False

    def change(self, user: str, facts: str) -> None:
        version = self.people.get(user, (0, ""))[0] + 1
        self.people[user], self.marks[user] = (version, facts), version

    async def changed_users(self, shard: int, limit: int) -> list[ChangedUser]:
        if self.down:
            raise BackendUnavailable
        return [ChangedUser(*each) for each in self.marks.items() if shard_of(each[0], SHARDS) == shard][:limit]

    async def user(self, user: str) -> UserRecord | None:
        if user not in self.people:
            return None
        return UserRecord(user, {"facts": self.people[user][1]}, {}, (), {})

    async def user_saved(self, fence: int, user: str, version: int) -> None:
        if fence < self.fence:
            raise Fenced(self.fence)
        self.fence = fence
        if self.marks.get(user) == version:
            del self.marks[user]

    async def behind(self) -> list[int]:
        return self.lost

    async def restore_rooms(self, rooms: object) -> set[str]:
        raise AssertionError

    async def restore_users(self, users: list[str]) -> set[str]:
        self.restored += users
        return set(users)


class Setting:
    def __init__(self) -> None:
        self.log, self.archive, self.term = Log(), MemoryArchive(), FakeTerm(1)
        self.archive._fence = 1
        self.keeper = self.new_keeper()

    def new_keeper(self, **options: float) -> Keeper:
        return Keeper(self.log, self.archive, self.log, interval_s=0.005, wall=lambda: 1000.0, **options)  # type: ignore[arg-type]

    async def kept(self) -> dict[str, str]:
        return {user: each.account["facts"] for user, each in (await self.archive.users(list(self.log.people))).items()}

    def here(self) -> dict[str, str]:
        return {user: facts for user, (_, facts) in self.log.people.items()}


@pytest.fixture
def setting() -> Setting:
    return Setting()


async def test_everybody_who_changed_is_saved_and_nobody_twice(setting: Setting) -> None:
    for n in range(150):
        setting.log.change(f"user{n}", f"facts {n}")
    await setting.keeper.save(setting.term)
    assert await setting.kept() == setting.here()
    assert setting.log.marks == {}
    assert setting.keeper.facts() == {
        "state": "ok",
        "waiting": 0,
        "since": None,
        "saved": 150,
        "failed": [],
        "error": "",
    }
    setting.archive.calls.clear()
    assert not await setting.keeper.save(setting.term)
    assert setting.archive.calls == []


async def test_a_crowd_in_one_shard_does_not_keep_the_others_waiting(setting: Setting) -> None:
    for name in names_of(0, 300):
        setting.log.change(name, "")
    few = [name for shard in (1, 2, 3) for name in names_of(shard, 2)]
    for name in few:
        setting.log.change(name, "")
    first: list[str] = []

    async def gate(step: str) -> None:
        if step == "after save_users" and not first:
            first.extend(setting.archive._users)

    setting.archive.gate = gate
    assert await setting.keeper.save(setting.term)  # more wait
    assert set(few) <= set(first)
    assert Counter(shard_of(name, SHARDS) for name in setting.archive._users) == {0: 100, 1: 2, 2: 2, 3: 2}


async def test_a_round_that_leaves_some_is_followed_by_the_next_at_once(setting: Setting) -> None:
    keeper = Keeper(setting.log, setting.archive, setting.log, interval_s=3600, most=10)  # type: ignore[arg-type]
    for name in names_of(0, 95):
        setting.log.change(name, "")
    run = asyncio.create_task(keeper.run(setting.term))
    while setting.log.marks:
        await asyncio.sleep(0)
    run.cancel()
    assert len(setting.archive._users) == 95


async def test_an_archive_that_is_away_is_waited_for_and_reported(setting: Setting) -> None:
    setting.log.change("ada", "1")

    async def gate(step: str) -> None:
        raise ArchiveUnavailable

    setting.archive.gate = gate
    run = asyncio.create_task(setting.keeper.run(setting.term))
    while setting.keeper.facts()["state"] != "waiting":
        await asyncio.sleep(0.001)
    facts = setting.keeper.facts()
    assert facts["waiting"] == 1
    assert facts["since"] == 1_000_000
    assert facts["error"].startswith("archive_unavailable")
    setting.archive.gate = None
    while setting.keeper.facts()["state"] != "ok":
        await asyncio.sleep(0.001)
    run.cancel()
    assert await setting.kept() == {"ada": "1"}


async def test_a_message_log_that_is_away_is_waited_for(setting: Setting) -> None:
    setting.log.down = True
    run = asyncio.create_task(setting.keeper.run(setting.term))
    while setting.keeper.facts()["state"] != "waiting":
        await asyncio.sleep(0.001)
    setting.log.down = False
    setting.log.change("ada", "1")
    while await setting.kept() != {"ada": "1"}:
        await asyncio.sleep(0.001)
    run.cancel()


@pytest.mark.parametrize("step", ["before save_users", "after save_users"])
async def test_whoever_dies_in_between_leaves_it_to_the_next(setting: Setting, step: str) -> None:
    class Death(BaseException):
        pass

    for n in range(60):
        setting.log.change(f"user{n}", f"facts {n}")
    deaths = 0

    async def gate(at: str) -> None:
        nonlocal deaths
        if at == step:
            deaths += 1
            if deaths == 2:
                raise Death

    setting.archive.gate = gate
    with pytest.raises(Death):
        await setting.keeper.save(setting.term)
    setting.log.change("user3", "later")
    setting.archive.gate = None
    await setting.archive.raise_fence(2)
    await setting.new_keeper().save(FakeTerm(2))
    assert await setting.kept() == setting.here()
    assert setting.log.marks == {}


async def test_a_change_while_it_is_saved_is_saved_again(setting: Setting) -> None:
    setting.log.change("ada", "1")

    async def gate(step: str) -> None:
        if step == "after save_users" and setting.log.people["ada"] == (1, "1"):
            setting.log.change("ada", "2")

    setting.archive.gate = gate
    await setting.keeper.save(setting.term)
    assert setting.log.marks == {"ada": 2}
    await setting.keeper.save(setting.term)
    assert await setting.kept() == {"ada": "2"}
    assert setting.log.marks == {}


async def test_one_who_cannot_be_saved_keeps_nobody_else_from_it(setting: Setting) -> None:
    for n in range(30):
        setting.log.change(f"user{n}", "")
    save = setting.archive.save_users

    async def save_users(fence: int, records: list[tuple[int, UserRecord]]) -> None:
        if any(record.user == "user3" for _, record in records):
            raise ValueError("too large")
        await save(fence, records)

    setting.archive.save_users = save_users  # type: ignore[assignment, method-assign]
    assert not await setting.keeper.save(setting.term)
    assert set(setting.log.marks) == {"user3"}
    assert setting.keeper.facts() | {"since": 0} == {
        "state": "failing",
        "waiting": 1,
        "since": 0,
        "saved": 29,
        "failed": ["user3"],
        "error": "",
    }
    setting.archive.save_users = save  # type: ignore[method-assign]
    await setting.keeper.save(setting.term)
    assert setting.keeper.facts()["state"] == "ok"


async def test_a_later_leader_ends_it(setting: Setting) -> None:
    setting.log.change("ada", "1")
    await setting.archive.raise_fence(2)
    with pytest.raises(Fenced):
        await setting.keeper.run(setting.term)
    assert setting.log.marks == {"ada": 1}
    setting.term.end()
    with pytest.raises(TermOver):
        await setting.keeper.run(setting.term)
    assert await setting.kept() == {}


async def test_a_term_that_ends_between_saving_and_saying_so_leaves_the_mark(setting: Setting) -> None:
    setting.log.change("ada", "1")

    async def gate(step: str) -> None:
        if step == "after save_users":
            setting.term.end()

    setting.archive.gate = gate
    with pytest.raises(TermOver):
        await setting.keeper.save(setting.term)
    assert setting.log.marks == {"ada": 1}


async def test_where_data_was_lost_people_are_brought_forward_before_they_are_saved(setting: Setting) -> None:
    lost, whole = names_of(2, 3), names_of(1, 3)
    for name in (*lost, *whole):
        setting.log.change(name, "")
    setting.log.lost = [2]

    async def gate(step: str) -> None:
        if step == "before save_users":
            assert setting.log.restored == lost

    setting.archive.gate = gate
    await setting.keeper.save(setting.term)
    assert set(await setting.kept()) == {*lost, *whole}


async def test_a_mark_of_nobody_goes(setting: Setting) -> None:
    setting.log.marks["ghost"] = 0
    await setting.keeper.save(setting.term)
    assert setting.log.marks == {}
    assert "save_users" not in setting.archive.calls
