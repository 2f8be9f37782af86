"""Display names, remembered."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dchat_server.ports_accounts import Account
from dchat_server.profiles import AGE_S, Profiles
from tests.in_memory import MemoryAccountStore


class Counting(MemoryAccountStore):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[str]] = []

    async def display_names(self, usernames: Sequence[str]) -> dict[str, str]:
        self.asked.append(list(usernames))
        return await super().display_names(usernames)


class Clock:
    now = 5.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def store() -> Counting:
    store = Counting()
    for name in ("ada", "adam", "bob", "cyd"):
        await store.create(Account(name, name.title(), False, "", 0, "p"), name)
    return store


async def test_names_come_in_the_order_asked_for_and_are_asked_once(store: Counting) -> None:
    clock = Clock()
    profiles = Profiles(store, clock=clock)
    assert list((await profiles.of(["bob", "nobody", "ada", "bob"])).items()) == [("bob", "Bob"), ("ada", "Ada")]
    assert await profiles.of(["ada", "cyd"]) == {"ada": "Ada", "cyd": "Cyd"}
    assert store.asked == [["bob", "nobody", "ada"], ["cyd"]]
    clock.now += AGE_S
    assert await profiles.of(["ada"]) == {"ada": "Ada"}
    assert store.asked[2:] == [["ada"]]
    assert await profiles.of([]) == {}


async def test_a_changed_name_is_seen_once_it_was_dropped(store: Counting) -> None:
    profiles = Profiles(store)
    await profiles.of(["ada"])
    await store.update("ada", {"display_name": "Countess"})
    assert await profiles.of(["ada"]) == {"ada": "Ada"}
    profiles.drop("ada")
    assert await profiles.of(["ada"]) == {"ada": "Countess"}


async def test_memory_is_bounded_and_swept(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dchat_server.profiles._MOST", 2)
    clock = Clock()
    profiles = Profiles(store, clock=clock)
    assert len(await profiles.of(["ada", "adam", "bob", "cyd"])) == 4
    assert list(profiles._names) == ["bob", "cyd"]
    clock.now += AGE_S
    profiles.sweep()
    assert not profiles._names


async def test_people_are_found_by_the_beginning_of_their_name_a_page_at_a_time(store: Counting) -> None:
    profiles = Profiles(store)
    assert await profiles.find("", 10, "") == ({"ada": "Ada", "adam": "Adam", "bob": "Bob", "cyd": "Cyd"}, None)
    assert await profiles.find("", 3, "") == ({"ada": "Ada", "adam": "Adam", "bob": "Bob"}, "bob")
    assert await profiles.find("", 3, "bob") == ({"cyd": "Cyd"}, None)
    assert await profiles.find(" @ADA", 10, "") == ({"ada": "Ada", "adam": "Adam"}, None)
    assert await profiles.find("ada*", 10, "") == ({}, None)
    assert await profiles.find("x" * 1000, 10, "") == ({}, None)
