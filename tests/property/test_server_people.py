"""Whatever people do, and whenever Redis loses everything: they are what they were when they were last saved."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dchat_server.model import shard_of
from dchat_server.ports import Marker
from dchat_server.ports_accounts import Account, Token
from tests.archived_people import Worker, World, account, token, world
from tests.redis_servers import SHARDS, redis_urls  # noqa: F401

USERS = ("ada", "bob", "cyd", "dan")
ROOMS = ("lobby", "den", "attic")

users, rooms, numbers = st.sampled_from(USERS), st.sampled_from(ROOMS), st.integers(0, 5)
STEPS = st.one_of(
    st.tuples(st.just("create"), users),
    st.tuples(st.just("create"), users),
    st.tuples(st.just("update"), users, numbers),
    st.tuples(st.just("password"), users, numbers, st.booleans()),
    st.tuples(st.just("sign_in"), users),
    st.tuples(st.just("sign_in"), users),
    st.tuples(st.just("revoke"), users, numbers),
    st.tuples(st.just("join"), users, rooms),
    st.tuples(st.just("leave"), users, rooms),
    st.tuples(st.just("mark"), users, rooms, numbers),
    st.tuples(st.just("claim"), users),
    st.tuples(st.just("save")),
    st.tuples(st.just("save")),
    st.tuples(st.just("wipe")),
    st.tuples(st.just("walk")),
    st.tuples(st.just("other_worker")),
    st.tuples(st.just("check"), users),
)


@dataclass
class Person:
    account: Account
    tokens: dict[str, Token] = field(default_factory=dict)
    rooms: set[str] = field(default_factory=set)
    markers: dict[str, int] = field(default_factory=dict)


class Driver:
    """Does each step to Redis and to a plain model of it."""

    def __init__(self, here: World, worker: Worker) -> None:
        self.here, self.worker = here, worker
        self.people: dict[str, Person] = {}
        self.first = ""
        self.saved: tuple[dict[str, Person], str] = ({}, "")
        self.made = 0

    async def create(self, user: str) -> None:
        self.made += 1
        new = account(user, password=f"p{self.made}", created_at=self.made)
        assert await self.worker.store.create(new, f"r{self.made}") == (user not in self.people)
        self.people.setdefault(user, Person(new))

    async def update(self, user: str, number: int) -> None:
        updated = await self.worker.store.update(user, {"status": f"s{number}"})
        if user in self.people:
            self.people[user].account = Account(**{**_fields(self.people[user].account), "status": f"s{number}"})
        assert updated == (self.people[user].account if user in self.people else None)

    async def password(self, user: str, number: int, right: bool) -> None:
        self.made += 1
        person, new = self.people.get(user), f"n{self.made}"
        keep = _pick(person, number)
        old = person.account.password if person and right else "wrong"
        changed = await self.worker.store.change_password(user, old, new, keep=keep.digest if keep else "none")
        assert changed == (person is not None and right)
        if person and right:
            person.account = Account(**{**_fields(person.account), "password": new})
            person.tokens = {keep.digest: keep} if keep else {}

    async def sign_in(self, user: str) -> None:
        self.made += 1
        person, new = self.people.get(user), token(f"t{self.made}", created_at=self.made)
        password = person.account.password if person else None
        answer = await self.worker.store.add_token(user, new, most=4, password=password)
        assert answer == ("ok" if person else "stale")
        if person:
            if len(person.tokens) == 4:
                del person.tokens[min(person.tokens, key=lambda digest: person.tokens[digest].created_at)]
            person.tokens[new.digest] = new

    async def revoke(self, user: str, number: int) -> None:
        person = self.people.get(user)
        one = _pick(person, number)
        assert await self.worker.store.revoke(user, [one.id if one else "none"]) == (1 if one else 0)
        if person and one:
            del person.tokens[one.digest]

    async def join(self, user: str, room: str) -> None:
        if user in self.people:
            await self._join_set(user, "add", room)
            self.people[user].rooms.add(room)

    async def leave(self, user: str, room: str) -> None:
        if user in self.people:
            await self.check(user)  # who is not back yet would find the room in their list again
            await self._join_set(user, "remove", room)
            self.people[user].rooms.discard(room)

    async def mark(self, user: str, room: str, seq: int) -> None:
        if user in self.people:
            await self.worker.rooms.mark(user, room, Marker(seq, seq, 9, False), b"{}")
            markers = self.people[user].markers
            markers[room] = max(seq, markers.get(room, 0))

    async def claim(self, user: str) -> None:
        if user in self.people:
            chosen = (await self.worker.store.claim_first(user)).username
            if not self.first:  # nobody yet; or the choice was lost, and the eldest is chosen
                known = self.saved[0] if await self.here.archive.users(USERS) else {}
                assert chosen == user or chosen in known
                self.first = chosen
            assert chosen == self.first

    async def save(self) -> None:
        await self.worker.keeper.save(self.here.term)
        self.saved = copy.deepcopy((self.people, self.first))

    async def wipe(self) -> None:
        await self.here.wipe()
        self.people, self.first = copy.deepcopy(self.saved)

    async def walk(self) -> None:
        for shard in range(SHARDS):
            await self.worker.nodes.open_shard(shard)
        walking = asyncio.create_task(self.worker.walk.run(self.here.term))
        while await self.worker.hot.behind():
            await asyncio.sleep(0.001)
        walking.cancel()

    async def other_worker(self) -> None:
        await self.worker.nodes.stop()
        self.worker = await self.here.worker()

    async def check(self, user: str) -> None:
        """The person is what the model says, whichever question comes first."""
        store, person, shard = self.worker.store, self.people.get(user), shard_of(user, SHARDS)
        living = dict.fromkeys(person.tokens, user) if person else {}
        assert await store.living({**living, "dead": user}) == living.keys()
        for digest in living:
            owner = await store.owner(shard, digest)
            assert owner is not None
            assert owner.username == user
        assert await store.owner(shard, "dead") is None
        assert await store.account(user) == (person.account if person else None)
        assert {each.digest for each in await store.tokens(user)} == living.keys()
        if person:
            markers = await self.worker.rooms.markers(user, ROOMS)
            assert {room: each.seq for room, each in zip(ROOMS, markers, strict=True) if each} == person.markers
            record = await self.worker.people.user(user)
            assert record is not None
            assert set(record.rooms) == person.rooms

    async def _join_set(self, user: str, action: str, room: str) -> None:
        nodes = self.worker.nodes
        await nodes.script(shard_of(user, SHARDS), "join_set", nodes.keys.user(user), user, action, room)


def _fields(account: Account) -> dict[str, Any]:
    names = ("username", "display_name", "admin", "status", "created_at", "password")
    return {name: getattr(account, name) for name in names}


def _pick(person: Person | None, number: int) -> Token | None:
    tokens = list(person.tokens.values()) if person else []
    return tokens[number % len(tokens)] if tokens else None


def test_people_are_what_they_were_when_they_were_last_saved(redis_urls: Callable[[str], str]) -> None:  # noqa: F811
    url = redis_urls("redis")

    @settings(max_examples=60, deadline=None)
    @given(st.lists(STEPS, min_size=10, max_size=50))
    def run(steps: list[tuple[Any, ...]]) -> None:
        async def play() -> None:
            async with world(url) as (here, worker):
                driver = Driver(here, worker)
                for name, *arguments in steps:
                    await getattr(driver, name)(*arguments)
                assert await driver.worker.store.usernames("", 99) == sorted(driver.people)
                for user in USERS:
                    await driver.check(user)

        asyncio.run(play())

    run()
