"""People in Redis and in the archive: what is saved when, what comes back after a loss, and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from dchat_server.accounts import Accounts
from dchat_server.errors import ArchiveUnavailable, ChatError
from dchat_server.model import shard_of
from dchat_server.passwords import Passwords
from dchat_server.ports import Marker
from dchat_server.ports_accounts import First
from dchat_server.ports_archive import Fenced, UserRecord
from dchat_server.ports_hot import ChangedUser
from dchat_server.restore import FIRST
from dchat_server.tokens import digest
from tests.archived_people import Worker, World, account, now_ms, token, told, world
from tests.in_memory import MemoryBuckets
from tests.redis_servers import SHARDS, redis_url, redis_urls  # noqa: F401

ADA = shard_of("ada", SHARDS)


@pytest_asyncio.fixture
async def setting(redis_url: str) -> AsyncIterator[tuple[World, Worker]]:  # noqa: F811
    async with world(redis_url) as made:
        yield made


@pytest.fixture
def here(setting: tuple[World, Worker]) -> World:
    return setting[0]


@pytest.fixture
def worker(setting: tuple[World, Worker]) -> Worker:
    return setting[1]


async def changed(worker: Worker) -> set[str]:
    return {each.user for shard in range(SHARDS) for each in await worker.hot.changed_users(shard, 100)}


async def saved(here: World, worker: Worker) -> None:
    await worker.keeper.save(here.term)
    assert await changed(worker) == set()


async def behind(worker: Worker) -> list[int]:
    """The shards that are behind, once everybody has noticed a loss."""
    for shard in range(SHARDS):
        await worker.nodes.open_shard(shard)
    return await worker.hot.behind()


# To the archive


async def test_every_change_of_a_person_is_saved_once_and_as_it_is(here: World, worker: Worker) -> None:
    store, one = worker.store, token("t1")

    async def step(record: UserRecord | None) -> UserRecord:
        assert await changed(worker) == {"ada"}
        await saved(here, worker)
        kept = (await here.archive.users(["ada"]))["ada"]
        assert kept == await worker.people.user("ada")
        assert record is None or int(kept.account["version"]) > int(record.account["version"])
        return kept

    await store.create(account(status="Ädä 👩‍💻"), "r1")
    kept = await step(None)
    assert kept.account["request"] == "r1"
    assert kept.account["status"] == "Ädä 👩‍💻"
    await store.update("ada", {"display_name": "A"})
    kept = await step(kept)
    await store.add_token("ada", one, most=9)
    kept = await step(kept)
    assert await here.archive.token_user(one.digest) == "ada"
    await worker.nodes.script(ADA, "join_set", worker.nodes.keys.user("ada"), "ada", "add", "lobby")
    await worker.nodes.script(ADA, "join_set", worker.nodes.keys.user("ada"), "ada", "add", "den")
    kept = await step(kept)
    assert kept.rooms == ["den", "lobby"]
    await worker.nodes.script(ADA, "join_set", worker.nodes.keys.user("ada"), "ada", "remove", "den")
    kept = await step(kept)
    await worker.rooms.mark("ada", "lobby", Marker(3, 2, 9, False), b"{}")
    kept = await step(kept)
    assert kept.markers == {"lobby": "3 2 9 0"}
    await store.change_password("ada", "p1", "p2", keep=None)
    kept = await step(kept)
    await store.revoke("ada", [one.id])
    kept = await step(kept)
    assert await here.archive.token_user(one.digest) is None
    await store.add_token("ada", token("t2", expires_at=now_ms() + 50), most=9)
    await asyncio.sleep(0.06)
    await store.update("ada", {"status": ""})
    kept = await step(kept)
    assert kept.tokens == {}  # it had expired


async def test_what_changes_nothing_is_not_saved(here: World, worker: Worker) -> None:
    await worker.store.create(account(), "r1")
    await worker.nodes.script(ADA, "join_set", worker.nodes.keys.user("ada"), "ada", "add", "lobby")
    await saved(here, worker)
    await worker.store.create(account(), "r1")
    await worker.store.revoke("ada", ["unknown"])
    await worker.store.change_password("ada", "wrong", "p2", keep=None)
    await worker.nodes.script(ADA, "join_set", worker.nodes.keys.user("ada"), "ada", "add", "lobby")
    await worker.rooms.mark("nobody", "lobby", Marker(1, 1, 1, False), b"{}")
    await worker.nodes.script(ADA, "join_set", worker.nodes.keys.user("nobody"), "nobody", "add", "lobby")
    assert await changed(worker) == set()


async def test_a_change_during_the_saving_is_saved_after_it(here: World, worker: Worker) -> None:
    await worker.store.create(account(), "r1")
    (before,) = await worker.hot.changed_users(ADA, 9)
    await worker.store.update("ada", {"status": "away"})
    await worker.hot.user_saved(1, *before)
    (after,) = await worker.hot.changed_users(ADA, 9)
    assert after.version > before.version
    await worker.hot.user_saved(1, *after)
    assert await worker.hot.changed_users(ADA, 9) == []
    # Saved and changed again; then a repeat of an older answer comes late.
    await worker.store.update("ada", {"status": "back"})
    for late in (before, after):
        await worker.hot.user_saved(1, *late)
    assert [each.user for each in await worker.hot.changed_users(ADA, 9)] == ["ada"]


async def test_a_leader_whose_term_is_over_takes_no_mark_away(here: World, worker: Worker) -> None:
    await worker.store.create(account(), "r1")
    (change,) = await worker.hot.changed_users(ADA, 9)
    await worker.hot.user_saved(2**62, "nobody", 1)  # adopted by the shards it comes to
    await worker.hot.raise_fence(2**62)
    with pytest.raises(Fenced) as refused:
        await worker.hot.user_saved(2**62 - 1, *change)
    assert refused.value.seen == 2**62
    with pytest.raises(Fenced):
        await worker.hot.user_saved(9, *change)
    assert await worker.hot.changed_users(ADA, 9) == [change]
    await worker.hot.user_saved(2**62, *change)
    assert await worker.hot.changed_users(ADA, 9) == []


async def test_revocations_and_passwords_are_saved_before_rooms_and_markers(here: World, worker: Worker) -> None:
    names = [name for name in (f"user{n}" for n in range(200)) if shard_of(name, SHARDS) == ADA][:30]
    one = token("t1")
    for name in (*names, "ada"):
        await worker.store.create(account(name), name)
    await worker.store.add_token("ada", one, most=9)
    await saved(here, worker)
    for name in names:
        await worker.rooms.mark(name, "lobby", Marker(1, 1, 1, False), b"{}")
    await worker.store.revoke("ada", [one.id])
    for _ in range(5):
        assert [each.user for each in await worker.hot.changed_users(ADA, 1)] == ["ada"]
    listed = await worker.hot.changed_users(ADA, 12)
    assert len({each.user for each in listed}) == 12
    assert "ada" in {each.user for each in listed}
    assert {each.user for each in await worker.hot.changed_users(ADA, 100)} == {*names, "ada"}


# And back


async def test_people_sign_in_again_with_what_they_had(here: World, worker: Worker) -> None:
    def accounts(store: object) -> Accounts:
        return Accounts(store, MemoryBuckets(), Passwords(memory_kib=64, rounds=1), shards=SHARDS)  # type: ignore[arg-type]

    before = accounts(worker.store)
    root = await before.register("root", "root root root")
    ada = await before.register("ada", "correct horse")
    lost = await before.register("bob", "battery staple")
    principal = await before.authenticate(lost.token)
    await before.logout(principal)
    await before.update_me(
        await before.authenticate(ada.token), password="a new password", old_password="correct horse", address="a"
    )
    await saved(here, worker)
    await here.wipe()

    other = await here.worker()
    for after in (accounts(worker.store), accounts(other.store)):
        assert (await after.authenticate(root.token)).admin
        assert (await after.authenticate(ada.token)).user == "ada"
        with pytest.raises(ChatError, match="unauthorized"):
            await after.authenticate(lost.token)
        with pytest.raises(ChatError, match="bad_credentials"):
            await after.login("ada", "correct horse", "a")
        assert (await after.login("ada", "a new password", "a")).user["username"] == "ada"
        assert not (await after.login("bob", "battery staple", "a")).user["admin"]
        for name in ("root", "ada", "bob"):
            with pytest.raises(ChatError, match="username_taken"):
                await after.register(name, "somebody else")
        assert (await after.users("", 9))[0].keys() >= {"root", "ada", "bob"}
        after.stop()
    before.stop()
    assert not (await worker.store.account("bob")).admin  # type: ignore[union-attr]


async def test_tokens_rooms_and_markers_are_back_and_what_was_revoked_or_expired_is_not(
    here: World, worker: Worker
) -> None:
    store, keys = worker.store, worker.nodes.keys
    lasting, gone, brief = token("t1"), token("t2"), token("t3", expires_at=now_ms() + 300)
    dated = token("t4", kind="api", expires_at=now_ms() + 60_000)
    await store.create(account(), "r1")
    for each in (lasting, gone, brief, dated):
        await store.add_token("ada", each, most=9)
    owners = [await store.owner(ADA, each.digest) for each in (lasting, dated)]
    await store.revoke("ada", [gone.id])
    await worker.rooms.create("lobby", "public", "ada", {"ada": "owner"}, topic="", display_name="")
    await worker.nodes.script(ADA, "join_set", keys.user("ada"), "ada", "add", "lobby")
    await worker.rooms.mark("ada", "lobby", Marker(3, 2, 9, True), b"{}")
    await saved(here, worker)
    before = await worker.people.user("ada")
    await here.wipe()
    await asyncio.sleep(0.35)

    assert await store.owner(ADA, lasting.digest) == owners[0]
    assert await store.owner(ADA, gone.digest) is None
    assert await store.owner(ADA, brief.digest) is None
    assert await store.owner(ADA, dated.digest) == owners[1]
    left_ms = await worker.nodes.run(ADA, "PTTL", keys.token(ADA, dated.digest))
    assert 50_000 < left_ms <= 60_000
    assert {each.digest for each in await store.tokens("ada")} == {lasting.digest, dated.digest}
    assert await worker.rooms.markers("ada", ["lobby"]) == [Marker(3, 2, 9, True)]
    assert await worker.nodes.run(ADA, "SMEMBERS", keys.joined("ada")) == [b"lobby"]
    assert await worker.nodes.run(ADA, "ZRANGE", keys.users(ADA), 0, -1) == [b"ada"]
    after = await worker.people.user("ada")
    assert before is not None
    assert after is not None
    assert after.account == {**before.account, "version": after.account["version"]}
    assert after.markers == before.markers


async def test_a_name_that_was_taken_stays_taken_and_one_that_was_free_is_free(here: World, worker: Worker) -> None:
    await worker.store.create(account(), "r1")
    await saved(here, worker)
    await here.wipe()
    assert not await worker.store.create(account(password="thief"), "r2")
    assert await worker.store.account("ada") == account()
    await here.wipe()
    assert await worker.store.create(account(password="thief"), "r1")  # the repeat of what made it
    assert await worker.store.account("ada") == account()
    assert await worker.store.create(account("bob"), "r3")
    assert await worker.store.account("bob") == account("bob")


async def test_no_stream_is_closed_for_a_token_that_only_redis_has_forgotten(here: World, worker: Worker) -> None:
    tokens = {}
    for n in range(20):
        await worker.store.create(account(f"user{n}"), "r")
        tokens[f"user{n}"] = token(f"t{n}")
        await worker.store.add_token(f"user{n}", tokens[f"user{n}"], most=9)
    await worker.store.revoke("user7", [tokens["user7"].id])
    await saved(here, worker)
    await here.wipe()
    asked = {each.digest: user for user, each in tokens.items()}
    assert await worker.store.living(asked) == asked.keys() - {tokens["user7"].digest}


async def test_lists_of_people_are_whole_before_everybody_is_back(here: World, worker: Worker) -> None:
    names = sorted(["a", "a-b", "a.b", "ab", "b", "zed", *(f"user{n:02}" for n in range(12))])
    for name in names:
        await worker.store.create(account(name, display_name=name.upper()), name)
    await worker.store.claim_first("a")
    await saved(here, worker)
    await here.wipe()
    await worker.store.create(account("new"), "r")
    names = sorted([*names, "new"])
    for after, limit, prefix in (("", 100, ""), ("", 3, ""), ("b", 4, ""), ("zed", 9, ""), ("", 9, "a"), ("a", 9, "a")):
        wanted = [name for name in names if name > after and name.startswith(prefix)][:limit]
        assert await worker.store.usernames(after, limit, prefix) == wanted
    assert await worker.store.usernames("user08", 3, "user") == ["user09", "user10", "user11"]
    assert await worker.store.usernames("a", 9, "c") == []
    assert await worker.store.display_names(["zed", "nobody", "a-b"]) == {"zed": "ZED", "a-b": "A-B"}


async def test_changes_after_a_loss_are_made_to_the_person_who_was_there(here: World, worker: Worker) -> None:
    store, one, two = worker.store, token("t1"), token("t2")
    await store.create(account(), "r1")
    for each in (one, two):
        await store.add_token("ada", each, most=9)
    await saved(here, worker)
    await here.wipe()
    assert await store.update("ada", {"status": "away"}) == account(status="away")
    await here.wipe()
    assert await store.add_token("ada", token("t3"), most=9, password="p1") == "ok"
    await here.wipe()
    assert await store.add_token("ada", token("t4"), most=9, maker=one.digest) == "ok"
    await here.wipe()
    assert await store.revoke("ada", [two.id]) == 1
    await saved(here, worker)
    await here.wipe()
    assert await store.change_password("ada", "p1", "p2", keep=one.digest)
    assert await store.tokens("ada") == [one]
    await saved(here, worker)
    await here.wipe()
    assert await store.tokens("ada") == [one]
    assert await store.account("ada") == account(password="p2")


async def test_a_miss_asks_the_archive_only_while_a_shard_is_behind(here: World, worker: Worker) -> None:
    async def miss(store: Worker) -> None:
        assert await store.store.account("nobody") is None
        assert await store.store.owner(ADA, digest("t")) is None
        assert await store.store.living({digest("t"): "nobody"}) == frozenset()
        assert await store.store.display_names(["nobody"]) == {}
        assert await store.store.update("nobody", {"status": ""}) is None
        assert await store.store.create(account("new"), "r1")

    here.archive.calls.clear()
    await miss(worker)
    assert here.archive.calls == []
    await here.wipe()
    await miss(worker)
    assert {"users", "token_user"} <= set(here.archive.calls)


async def test_with_the_archive_away_nobody_is_a_stranger_and_no_name_is_free(here: World, worker: Worker) -> None:
    store, one = worker.store, token("t1")
    await store.create(account(), "r1")
    await store.add_token("ada", one, most=9)
    await saved(here, worker)
    await here.wipe()
    for shard in range(SHARDS):
        await worker.nodes.open_shard(shard)
    here.away = True
    for attempt in (
        lambda: store.account("ada"),
        lambda: store.owner(ADA, one.digest),
        lambda: store.create(account("ada"), "r2"),
        lambda: store.create(account("new"), "r2"),
        lambda: store.living({one.digest: "ada"}),
        lambda: store.tokens("ada"),
        lambda: store.update("ada", {"status": ""}),
        lambda: store.change_password("ada", "p1", "p2", keep=None),
        lambda: store.add_token("ada", token("t2"), most=9),
        lambda: store.revoke("ada", [one.id]),
        lambda: store.display_names(["ada"]),
        lambda: store.usernames("", 9),
        lambda: store.first(),
        lambda: store.reserve_first("new", "r", 30),
        lambda: store.claim_first("new"),
    ):
        with pytest.raises(ArchiveUnavailable):
            await attempt()
    here.away = False
    assert await store.account("ada") == account()
    here.away = True
    # Who is back needs no archive.
    assert await store.owner(ADA, one.digest) is not None
    assert await store.update("ada", {"status": "back"}) == account(status="back")
    assert await store.revoke("ada", [one.id]) == 1


async def test_what_is_newer_is_not_overwritten(here: World, worker: Worker) -> None:
    await worker.store.create(account(), "r1")
    await saved(here, worker)
    old = (await here.archive.users(["ada"]))["ada"]
    await worker.store.update("ada", {"status": "newer"})
    epoch = await worker.people.epoch(ADA)
    assert await worker.people.restore(old, epoch)
    assert await worker.store.account("ada") == account(status="newer")
    await here.wipe()
    # The archive was asked before the loss: what it said may be old by now.
    assert not await worker.people.restore(old, epoch)
    assert not await worker.nodes.run(ADA, "EXISTS", worker.nodes.keys.user("ada"))
    assert await worker.recall.restore_users(["ada", "nobody"]) == {"ada"}
    for _ in range(2):
        assert await worker.recall.restore_users(["ada"]) == {"ada"}
    assert await worker.store.account("ada") == account()


async def test_what_somebody_did_before_they_were_back_is_joined_with_what_they_had(
    here: World, worker: Worker
) -> None:
    join = ("join_set", worker.nodes.keys.user("ada"), "ada", "add")
    await worker.store.create(account(), "r1")
    await worker.nodes.script(ADA, *join, "old")
    for room in ("old", "both"):
        await worker.rooms.mark("ada", room, Marker(1, 1, 1, False), b"{}")
    await saved(here, worker)
    await here.wipe()
    # A worker that remembers who is behind a token lets them act at once.
    await worker.nodes.script(ADA, *join, "new")
    await worker.rooms.mark("ada", "both", Marker(5, 5, 5, False), b"{}")
    assert await worker.store.account("ada") == account()
    assert await changed(worker) == {"ada"}
    await saved(here, worker)
    kept = (await here.archive.users(["ada"]))["ada"]
    assert kept.rooms == ["new", "old"]
    assert kept.markers == {"old": "1 1 1 0", "both": "5 5 5 0"}


async def test_a_server_that_came_back_without_its_last_changes_is_brought_forward(here: World, worker: Worker) -> None:
    store, keys = worker.store, worker.nodes.keys
    one, two = token("t1"), token("t2")
    await store.create(account(), "r1")
    for each in (one, two):
        await store.add_token("ada", each, most=9)
    kept = [
        (key, await worker.nodes.run(ADA, "DUMP", key))
        for key in (keys.user("ada"), keys.tokens("ada"), keys.token(ADA, one.digest), keys.token(ADA, two.digest))
    ]
    await store.revoke("ada", [two.id])
    await store.update("ada", {"status": "later"})
    await saved(here, worker)
    for key, dump in kept:
        await worker.nodes.run(ADA, "RESTORE", key, 0, dump, "REPLACE")
    await worker.nodes.run(ADA, "HSET", keys.state(ADA), "run", "another server", "behind", "1")
    await worker.nodes.open_shard(ADA)
    before = await told(worker, "ada")

    assert await store.owner(ADA, two.digest) is not None  # the revocation is lost here …
    assert await store.update("ada", {"display_name": "A"}) == account(status="later", display_name="A")
    assert await store.owner(ADA, two.digest) is None  # … and known again before anything is changed
    assert await store.tokens("ada") == [one]
    news = (await told(worker, "ada"))[len(before) :]
    assert news == [("revoke", [two.digest]), ("account", [one.digest]), ("account", [one.digest])]


async def test_the_keeper_does_not_write_an_older_person_over_the_archives(here: World, worker: Worker) -> None:
    store, keys = worker.store, worker.nodes.keys
    await store.create(account(), "r1")
    dump = await worker.nodes.run(ADA, "DUMP", keys.user("ada"))
    await store.update("ada", {"status": "later"})
    await saved(here, worker)
    await worker.nodes.run(ADA, "RESTORE", keys.user("ada"), 0, dump, "REPLACE")
    await worker.nodes.run(ADA, "HSET", keys.state(ADA), "run", "another server", "behind", "1")
    await worker.nodes.open_shard(ADA)
    await worker.rooms.mark("ada", "lobby", Marker(1, 1, 1, False), b"{}")
    await worker.keeper.save(here.term)
    assert (await here.archive.users(["ada"]))["ada"].account["status"] == "later"


# The first administrator


async def test_no_newcomer_takes_the_first_administrators_place_after_a_loss(here: World, worker: Worker) -> None:
    store = worker.store
    await store.create(account("root"), "r1")
    await store.claim_first("root")
    await store.settle_first("root")
    await saved(here, worker)
    for take in (
        lambda: store.first(),
        lambda: store.claim_first("eve"),
        lambda: store.reserve_first("eve", "r", 30),
    ):
        await here.wipe()
        await take()
        assert await store.first() == First("settled", "root")
    assert await store.account("root") is not None


async def test_who_was_chosen_and_not_yet_made_administrator_is_so_afterwards(here: World, worker: Worker) -> None:
    await worker.store.create(account("root"), "r1")
    await worker.store.claim_first("root")
    await saved(here, worker)
    await here.wipe()
    assert await worker.store.first() == First("claimed", "root")
    assert await worker.store.claim_first("eve") == First("claimed", "root")


async def test_where_the_choice_was_lost_the_eldest_is_chosen(here: World, worker: Worker) -> None:
    for name, created_at in (("zed", 3), ("root", 1), ("ada", 2)):
        await worker.store.create(account(name, created_at=created_at), name)
    await saved(here, worker)
    await here.wipe()
    assert await worker.store.first() == First("claimed", "root")
    await saved(here, worker)
    # Somebody who was chosen but never saved is not there.
    await here.archive.save_users(1, [(0, UserRecord(FIRST, {"state": "settled", "username": "ghost"}, {}, (), {}))])
    await here.wipe()
    assert await worker.store.claim_first("eve") == First("claimed", "root")


async def test_where_nobody_is_known_the_place_is_free(here: World, worker: Worker) -> None:
    await here.wipe()
    assert await worker.store.first() is None
    assert await worker.store.reserve_first("ada", "r", 30)
    assert await worker.store.first() == First("reserved", "ada")
    assert await worker.store.claim_first("ada") == First("claimed", "ada")
    await worker.store.settle_first("ada")
    assert await worker.store.first() == First("settled", "ada")
    await worker.store.create(account(), "r")
    await saved(here, worker)
    assert (await here.archive.users([FIRST]))[FIRST].account == {"state": "settled", "username": "ada"}


# The walk


async def test_the_walk_brings_everybody_back_and_says_so(here: World, worker: Worker) -> None:
    names = sorted(f"user{n}" for n in range(120))
    for name in names:
        await worker.store.create(account(name), name)
    await worker.store.claim_first("user0")
    await saved(here, worker)
    await here.wipe()
    assert await behind(worker) == list(range(SHARDS))
    walking = asyncio.create_task(worker.walk.run(here.term))
    while await worker.hot.behind():
        await asyncio.sleep(0.01)
    walking.cancel()
    here.away = True
    assert await worker.store.usernames("", 200) == names
    for name in names:
        assert await worker.store.account(name) == account(name)
    assert await worker.store.first() == First("claimed", "user0")
    assert await worker.store.account("nobody") is None
    assert worker.walk.facts()["users"] == 121  # and the choice of the first administrator
    assert await changed(worker) == set()  # nothing of it has to be saved once more


async def test_a_walk_that_is_overtaken_by_another_loss_does_not_say_that_all_is_there(
    here: World, worker: Worker
) -> None:
    for n in range(30):
        await worker.store.create(account(f"user{n}"), "r")
    await saved(here, worker)
    await here.wipe()
    await behind(worker)
    ends = asyncio.Event()

    async def gate(step: str) -> None:
        if step == "after directory" and not ends.is_set() and worker.walk.facts()["users"] >= 20:
            ends.set()
            await here.wipe()

    here.archive.gate = gate
    walking = asyncio.create_task(worker.walk.run(here.term))
    await ends.wait()
    while await behind(worker) != []:
        await asyncio.sleep(0.01)
    walking.cancel()
    here.archive.gate, here.away = here._gate, True
    for n in range(30):
        assert await worker.store.account(f"user{n}") is not None


def test_a_changed_user_has_a_version_that_fits_a_number_of_lua() -> None:
    assert ChangedUser("ada", 4_000_000_000 * 1_000_000).version < 2**53
