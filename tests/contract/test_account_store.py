"""What every AccountStore must do: in memory, on Redis, on Valkey, and on a server that has lost its data."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import orjson
import pytest
import pytest_asyncio

from dchat_server.adapters.redis_accounts import RedisAccountStore
from dchat_server.adapters.redis_feed import decode_entry
from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.model import Control, shard_of
from dchat_server.ports_accounts import Account, AccountStore, First, Token
from dchat_server.tokens import digest, new_id
from tests.archived_people import world
from tests.in_memory import MemoryAccountStore
from tests.redis_servers import SHARDS, empty_nodes, redis_urls  # noqa: F401

Told = list[tuple[str, str, list[str]]]


@dataclass
class Setting:
    """A store, and how to see what it told the workers about a user, oldest first."""

    store: AccountStore
    nodes: RedisNodes | None

    async def told(self, username: str) -> Told:
        if self.nodes is None:
            assert isinstance(self.store, MemoryAccountStore)
            return [entry for entry in self.store.announced if entry[1] == username]
        rows = await self.nodes.run(
            shard_of(username, SHARDS), "XRANGE", self.nodes.keys.feed(shard_of(username, SHARDS)), "-", "+"
        )
        entries = [decode_entry(row, int(position.split(b"-")[1])) for position, row in rows]
        return [
            (entry.type, entry.user, orjson.loads(entry.body)["digests"])
            for entry in entries
            if isinstance(entry, Control) and entry.user == username
        ]


@pytest_asyncio.fixture(params=["memory", "redis", "valkey", "redis behind"])
async def setting(request: pytest.FixtureRequest, redis_urls: Callable[[str], str]) -> AsyncIterator[Setting]:  # noqa: F811
    if request.param == "memory":
        yield Setting(MemoryAccountStore(), None)
        return
    if request.param == "redis behind":
        async with world(redis_urls("redis")) as (here, worker):
            await here.wipe()
            yield Setting(worker.store, worker.nodes)
        return
    async with empty_nodes(redis_urls(request.param)) as nodes:
        yield Setting(RedisAccountStore(nodes), nodes)


@pytest.fixture
def store(setting: Setting) -> AccountStore:
    return setting.store


def account(username: str = "ada", **changes: object) -> Account:
    fields = {"display_name": "Ada L.", "admin": False, "status": "", "created_at": 1_800_000_000_000, "password": "p1"}
    return Account(username=username, **{**fields, **changes})  # type: ignore[arg-type]


def now_ms() -> int:
    return int(time.time() * 1000)


def token(secret: str, *, kind: str = "session", expires_at: int | None = None, created_at: int = 0) -> Token:
    return Token(new_id(), digest(secret), kind, "müde ☾", ("read", "write"), created_at or now_ms(), expires_at)


# Accounts


async def test_an_account_comes_back_as_it_was_made(store: AccountStore) -> None:
    made = account(display_name="Ädä\u3000李", admin=True, status="👩‍💻")
    assert await store.create(made, "r1")
    assert await store.account("ada") == made
    assert await store.account("bob") is None


async def test_a_name_is_given_once_and_a_repeat_of_the_same_request_is_told_so_again(store: AccountStore) -> None:
    assert await store.create(account(), "r1")
    assert await store.create(account(), "r1")
    assert not await store.create(account(display_name="Another", password="p2"), "r2")
    assert await store.account("ada") == account()


async def test_of_forty_at_once_one_gets_the_name(store: AccountStore) -> None:
    answers = await asyncio.gather(*(store.create(account(password=f"p{n}"), f"r{n}") for n in range(40)))
    assert answers.count(True) == 1
    made = await store.account("ada")
    assert made is not None
    assert made.password == f"p{answers.index(True)}"


async def test_an_update_changes_only_what_it_names_and_is_told_to_all(setting: Setting) -> None:
    store = setting.store
    await store.create(account(), "r1")
    one = token("t1")
    await store.add_token("ada", one, most=9)
    updated = await store.update("ada", {"status": "away", "admin": "1"})
    assert updated == account(status="away", admin=True)
    assert await store.account("ada") == updated
    assert await setting.told("ada") == [("account", "ada", [one.digest])]


async def test_an_update_of_nobody_makes_nobody(setting: Setting) -> None:
    assert await setting.store.update("nobody", {"admin": "1"}) is None
    assert await setting.store.account("nobody") is None
    assert await setting.told("nobody") == []


async def test_names_are_listed_in_order_over_all_shards(store: AccountStore) -> None:
    names = ["a", "a-b", "a.b", "a1", "a_b", "ab", "b", "zed", *(f"user{n:02}" for n in range(20))]
    for name in names:
        await store.create(account(name), name)
    assert {shard_of(name, SHARDS) for name in names} == set(range(SHARDS))
    ordered = sorted(names)
    assert await store.usernames("", 100) == ordered
    assert await store.usernames("", 3) == ordered[:3]
    assert await store.usernames(ordered[2], 4) == ordered[3:7]
    assert await store.usernames("zed", 10) == []
    assert await store.usernames("", 100, "a") == [name for name in ordered if name.startswith("a")]
    assert await store.usernames("user08", 3, "user") == ["user09", "user10", "user11"]
    assert await store.usernames("a", 100, "b") == ["b"]
    assert await store.usernames("c", 100, "b") == []


async def test_display_names_are_those_of_people_who_exist(store: AccountStore) -> None:
    for name in ("ada", "bob", "cyd"):
        await store.create(account(name, display_name=name.upper()), name)
    assert await store.display_names(["cyd", "nobody", "ada"]) == {"cyd": "CYD", "ada": "ADA"}
    assert await store.display_names([]) == {}


# Tokens


async def test_who_is_behind_a_token_is_said_as_it_is_now(store: AccountStore) -> None:
    await store.create(account(), "r1")
    expires_at = now_ms() + 60_000
    one = token("t1", kind="api", expires_at=expires_at)
    assert await store.add_token("ada", one, most=9) == "ok"
    shard = shard_of("ada", SHARDS)
    owner = await store.owner(shard, one.digest)
    assert owner == ("ada", "Ada L.", False, one.id, "api", ("read", "write"), expires_at)
    await store.update("ada", {"admin": "1", "display_name": "A"})
    assert await store.owner(shard, one.digest) == owner._replace(admin=True, display_name="A")
    assert await store.owner(shard, digest("t2")) is None
    assert await store.tokens("ada") == [one]
    assert await store.tokens("nobody") == []


async def test_a_revoked_token_is_gone_and_all_workers_are_told_once(setting: Setting) -> None:
    store, shard = setting.store, shard_of("ada", SHARDS)
    await store.create(account(), "r1")
    one, two = token("t1"), token("t2")
    for each in (one, two):
        await store.add_token("ada", each, most=9)
    assert await store.revoke("ada", [one.id, "unknown"]) == 1
    assert await store.revoke("ada", [one.id]) == 0
    assert await store.owner(shard, one.digest) is None
    assert await store.owner(shard, two.digest) is not None
    assert await store.tokens("ada") == [two]
    assert await store.living({one.digest: "ada", two.digest: "ada"}) == {two.digest}
    assert await setting.told("ada") == [("revoke", "ada", [one.digest])]


async def test_nobody_revokes_the_token_of_another(store: AccountStore) -> None:
    one = token("t1")
    for name in ("ada", "bob"):
        await store.create(account(name), name)
    await store.add_token("ada", one, most=9)
    assert await store.revoke("bob", [one.id]) == 0
    assert await store.owner(shard_of("ada", SHARDS), one.digest) is not None


async def test_an_expired_token_vanishes_from_everywhere(store: AccountStore) -> None:
    await store.create(account(), "r1")
    brief, lasting = token("t1", expires_at=now_ms() + 80), token("t2")
    for each in (brief, lasting):
        await store.add_token("ada", each, most=9)
    await asyncio.sleep(0.2)
    assert await store.owner(shard_of("ada", SHARDS), brief.digest) is None
    assert await store.tokens("ada") == [lasting]
    assert await store.living({brief.digest: "ada", lasting.digest: "ada"}) == {lasting.digest}


async def test_a_new_session_ends_the_oldest_one_and_an_api_token_is_refused(setting: Setting) -> None:
    store = setting.store
    await store.create(account(), "r1")
    sessions = [token(f"s{n}", created_at=1000 + n) for n in range(4)]
    api = token("a1", kind="api", created_at=1)
    for each in (*sessions[:3], api):
        assert await store.add_token("ada", each, most=3) == "ok"
    assert await store.add_token("ada", sessions[3], most=3) == "ok"
    assert await store.tokens("ada") == [api, *sessions[1:]]
    await store.revoke("ada", [sessions[1].id])
    ended = [("revoke", "ada", [each.digest]) for each in sessions[:2]]
    assert await setting.told("ada") == ended
    assert await store.add_token("ada", token("a2", kind="api"), most=1) == "too_many"
    assert await store.add_token("ada", api, most=1) == "ok"  # a repeat of what is there


async def test_expired_tokens_do_not_count(store: AccountStore) -> None:
    await store.create(account(), "r1")
    await store.add_token("ada", token("a1", kind="api", expires_at=now_ms() + 50), most=1)
    await asyncio.sleep(0.15)
    assert await store.add_token("ada", token("a2", kind="api"), most=1) == "ok"


async def test_no_token_is_made_with_a_right_that_was_withdrawn(store: AccountStore) -> None:
    await store.create(account(password="p1"), "r1")
    maker = token("t1")
    assert await store.add_token("ada", maker, most=9, password="p1") == "ok"
    assert await store.add_token("ada", token("t2"), most=9, password="p0") == "stale"
    assert await store.add_token("ada", token("t3"), most=9, maker=maker.digest) == "ok"
    await store.revoke("ada", [maker.id])
    assert await store.add_token("ada", token("t4"), most=9, maker=maker.digest) == "stale"
    assert await store.add_token("nobody", token("t5"), most=9) == "stale"
    assert len(await store.tokens("ada")) == 1


async def test_a_new_password_ends_all_other_tokens_and_all_workers_are_told(setting: Setting) -> None:
    store = setting.store
    await store.create(account(password="p1"), "r1")
    mine, other, api = token("t1", created_at=1), token("t2", created_at=2), token("t3", kind="api", created_at=3)
    for each in (mine, other, api):
        await store.add_token("ada", each, most=9)
    assert not await store.change_password("ada", "p0", "p2", keep=mine.digest)
    assert len(await store.tokens("ada")) == 3
    for _ in range(2):  # the repeat after a lost answer
        assert await store.change_password("ada", "p1", "p2", keep=mine.digest)
        assert await store.tokens("ada") == [mine]
    ((kind, user, digests),) = await setting.told("ada")
    assert (kind, user, set(digests)) == ("revoke", "ada", {other.digest, api.digest})
    changed = await store.account("ada")
    assert changed is not None
    assert changed.password == "p2"


async def test_a_renewed_hash_of_the_same_password_ends_nothing(setting: Setting) -> None:
    store = setting.store
    await store.create(account(password="p1"), "r1")
    await store.add_token("ada", token("t1"), most=9)
    assert await store.change_password("ada", "p1", "p1-renewed", keep=None)
    assert len(await store.tokens("ada")) == 1
    assert await setting.told("ada") == []


# Tickets and invites


async def test_a_ticket_is_taken_once_even_by_forty_at_once(store: AccountStore) -> None:
    await store.put_ticket(1, digest("k"), digest("t1"), 30)
    answers = await asyncio.gather(*(store.take_ticket(1, digest("k")) for _ in range(40)))
    assert answers.count(digest("t1")) == 1
    assert answers.count(None) == 39


async def test_a_ticket_ends(store: AccountStore) -> None:
    await store.put_ticket(1, digest("k"), digest("t1"), 1)
    await asyncio.sleep(1.1)
    assert await store.take_ticket(1, digest("k")) is None


async def test_an_invite_lets_one_in(store: AccountStore) -> None:
    await store.put_invite(2, "i1", "root", now_ms() + 60_000)
    assert not await store.reserve_invite(2, "unknown", "ada", "r1", 30)
    assert await store.reserve_invite(2, "i1", "ada", "r1", 30)
    assert await store.reserve_invite(2, "i1", "ada", "r1", 30)  # the repeat after a lost answer
    assert not await store.reserve_invite(2, "i1", "bob", "r2", 30)
    await store.settle_invite(2, "i1", "r2", used=True)  # who does not hold it ends nothing
    await store.settle_invite(2, "i1", "r1", used=False)
    assert await store.reserve_invite(2, "i1", "bob", "r2", 30)
    for _ in range(2):
        await store.settle_invite(2, "i1", "r2", used=True)
    assert not await store.reserve_invite(2, "i1", "cyd", "r3", 30)


async def test_an_invite_ends(store: AccountStore) -> None:
    await store.put_invite(2, "i1", "root", now_ms() + 60)
    await asyncio.sleep(0.15)
    assert not await store.reserve_invite(2, "i1", "ada", "r1", 30)


async def test_an_invite_is_free_again_when_its_holder_died_before_the_account_was_made(store: AccountStore) -> None:
    await store.put_invite(2, "i1", "root", now_ms() + 60_000)
    assert await store.reserve_invite(2, "i1", "ada", "r1", 0)
    await asyncio.sleep(0.01)
    assert await store.reserve_invite(2, "i1", "bob", "r2", 30)
    assert not await store.reserve_invite(2, "i1", "cyd", "r3", 30)


async def test_an_invite_is_used_up_when_its_holder_died_after_the_account_was_made(store: AccountStore) -> None:
    await store.put_invite(2, "i1", "root", now_ms() + 60_000)
    assert await store.reserve_invite(2, "i1", "ada", "r1", 0)
    assert await store.create(account("ada"), "r1")
    await asyncio.sleep(0.01)
    assert not await store.reserve_invite(2, "i1", "bob", "r2", 30)
    assert not await store.reserve_invite(2, "i1", "ada", "r1", 30)


# The first account


async def test_the_first_is_claimed_then_settled_for_good(store: AccountStore) -> None:
    assert await store.first() is None
    assert await store.claim_first("ada") == First("claimed", "ada")
    assert await store.claim_first("bob") == First("claimed", "ada")
    await store.settle_first("bob")
    assert await store.first() == First("claimed", "ada")
    for _ in range(2):
        await store.settle_first("ada")
        assert await store.first() == First("settled", "ada")
    assert await store.claim_first("bob", instead_of="ada") == First("settled", "ada")
    assert not await store.reserve_first("bob", "r1", 30)


async def test_one_who_was_chosen_and_does_not_exist_can_be_replaced(store: AccountStore) -> None:
    await store.claim_first("ghost")
    assert await store.claim_first("ada", instead_of="other") == First("claimed", "ghost")
    assert await store.claim_first("ada", instead_of="ghost") == First("claimed", "ada")


async def test_a_reservation_of_the_first_place_keeps_others_out_until_it_lapses(store: AccountStore) -> None:
    assert await store.reserve_first("ada", "r1", 1)
    assert await store.reserve_first("ada", "r1", 1)
    assert not await store.reserve_first("bob", "r2", 1)
    assert await store.first() == First("reserved", "ada")
    await asyncio.sleep(1.1)
    assert await store.first() is None
    assert await store.reserve_first("bob", "r2", 30)
    assert await store.claim_first("bob") == First("claimed", "bob")


async def test_of_forty_who_claim_the_first_place_at_once_one_is_chosen(store: AccountStore) -> None:
    chosen = await asyncio.gather(*(store.claim_first(f"u{n}") for n in range(40)))
    assert len(set(chosen)) == 1
