"""Signing in, tokens, and who is behind a request. The store is in memory; its contract suite ties it to Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from dchat_server.accounts import MAX_API_TOKENS, MAX_SESSIONS, SESSION_S, Accounts, SignIn
from dchat_server.errors import BackendUnavailable, ChatError
from dchat_server.model import Control
from dchat_server.passwords import Passwords
from dchat_server.ports_accounts import Owner
from dchat_server.principals import Principal
from dchat_server.tokens import digest
from tests.in_memory import MemoryAccountStore, MemoryBuckets

PASSWORD = "correct horse"


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Store(MemoryAccountStore):
    """Counts look-ups, and can make them wait or fail."""

    looked_up = 0
    gate: asyncio.Event | None = None
    down = False

    async def owner(self, shard: int, digest: str) -> Owner | None:
        self.looked_up += 1
        found = await super().owner(shard, digest)
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise BackendUnavailable
        return found


class World:
    """Workers over one store, and the feed between them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Store(self.clock)
        self.buckets = MemoryBuckets(self.clock)
        self.passwords = Passwords(memory_kib=64, rounds=1)
        self.here, self.there = self.worker(), self.worker()
        self._told = 0

    def worker(self, **options: Any) -> Accounts:
        return Accounts(self.store, self.buckets, self.passwords, shards=4, wall=self.clock, **options)

    def deliver(self) -> set[str]:
        """Bring every worker what was announced since; the digests whose streams the last one closes."""
        closed: set[str] = set()
        for kind, user, digests in self.store.announced[self._told :]:
            control = Control(kind, user, orjson.dumps({"digests": digests}))
            for worker in (self.here, self.there):
                told = worker.on_control(control)
            closed |= told
        self._told = len(self.store.announced)
        return closed

    async def register(self, username: str = "ada") -> tuple[SignIn, Principal]:
        signed_in = await self.here.register(username, PASSWORD, username.title())
        return signed_in, await self.here.authenticate(signed_in.token)


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.passwords.stop()


async def refusal(work: Any) -> str:
    with pytest.raises(ChatError) as caught:
        await work
    return caught.value.code


# Signing in


async def test_who_registers_is_signed_in(world: World) -> None:
    signed_in, principal = await world.register()
    assert signed_in.user == {
        "username": "ada",
        "display_name": "Ada",
        "admin": True,
        "status": "",
        "created_at": "2027-01-15T08:00:00.000Z",
    }
    assert signed_in.expires_at == principal.expires_at == (1_800_000_000 + SESSION_S) * 1000
    assert principal == Principal(
        "ada",
        True,
        frozenset({"read", "write", "admin"}),
        digest(signed_in.token),
        signed_in.token_id,
        signed_in.expires_at,
        "Ada",
    )
    _, bob = await world.register("bob")
    assert bob.scopes == {"read", "write"}


async def test_a_login_needs_the_right_password(world: World) -> None:
    await world.register()
    signed_in = await world.there.login("ada", PASSWORD, "10.0.0.1")
    assert (await world.here.authenticate(signed_in.token)).user == "ada"
    assert await refusal(world.here.login("ada", "correct horsf", "10.0.0.1")) == "bad_credentials"
    assert await refusal(world.here.login("ada", "short", "10.0.0.1")) == "bad_credentials"
    assert await refusal(world.here.login("ada", "x" * 2000, "10.0.0.1")) == "bad_credentials"


@pytest.mark.parametrize("username", ["nobody", "Ada", "", "no name!", "x" * 2000])
async def test_an_unknown_name_takes_a_verification_and_says_the_same(world: World, username: str) -> None:
    await world.register()
    verified: list[str | None] = []
    verify = world.passwords.verify

    async def watched(stored: str | None, password: str) -> bool:
        verified.append(stored)
        return await verify(stored, password)

    world.passwords.verify = watched  # type: ignore[method-assign]
    assert await refusal(world.here.login(username, PASSWORD, "10.0.0.1")) == "bad_credentials"
    assert verified == [None]


async def test_the_sixth_try_in_a_minute_is_refused_and_other_addresses_and_names_are_not(world: World) -> None:
    await world.register()
    for worker in (world.here, world.there, world.here, world.there, world.here):
        assert await refusal(worker.login("ada", "wrong wrong", "10.0.0.1")) == "bad_credentials"
    with pytest.raises(ChatError) as caught:
        await world.there.login("ada", PASSWORD, "10.0.0.1")
    assert caught.value.code == "too_many_logins"
    assert caught.value.retry_after_s == pytest.approx(12)
    assert await refusal(world.here.login("bob", PASSWORD, "10.0.0.1")) == "bad_credentials"
    assert await world.here.login("ada", PASSWORD, "10.0.0.2")
    world.clock.now += 12
    assert await world.here.login("ada", PASSWORD, "10.0.0.1")


async def test_no_limit_of_logins_is_none(world: World) -> None:
    await world.register()
    worker = world.worker(logins_per_minute=0)
    for _ in range(20):
        assert await refusal(worker.login("ada", "wrong wrong", "10.0.0.1")) == "bad_credentials"


async def test_a_login_renews_a_hash_of_old_parameters_and_ends_no_session(world: World) -> None:
    signed_in, _ = await world.register()
    before = await world.store.account("ada")
    stronger = Passwords(memory_kib=128, rounds=1)
    worker = Accounts(world.store, world.buckets, stronger, shards=4, wall=world.clock)
    logins = await asyncio.gather(*(worker.login("ada", PASSWORD, "10.0.0.1") for _ in range(3)))
    after = await world.store.account("ada")
    assert before is not None
    assert after is not None
    assert "$m=128," in after.password
    assert "$m=64," in before.password
    for each in (signed_in, *logins):
        assert (await world.worker().authenticate(each.token)).user == "ada"
    stronger.stop()


async def test_no_session_begins_with_a_password_that_is_being_changed(world: World) -> None:
    _, principal = await world.register()
    verify = world.passwords.verify

    async def slow(stored: str | None, password: str) -> bool:
        right = await verify(stored, password)
        world.passwords.verify = verify  # type: ignore[method-assign]
        await world.there.update_me(principal, password="new password", old_password=PASSWORD)
        return right

    world.passwords.verify = slow  # type: ignore[method-assign]
    assert await refusal(world.here.login("ada", PASSWORD, "10.0.0.1")) == "bad_credentials"


async def test_the_oldest_session_gives_way(world: World) -> None:
    first, _ = await world.register()
    worker = world.worker(logins_per_minute=0)
    for _ in range(MAX_SESSIONS):
        world.clock.now += 1
        await worker.login("ada", PASSWORD, "10.0.0.1")
    assert world.deliver() == {digest(first.token)}
    assert await refusal(world.here.authenticate(first.token)) == "unauthorized"


async def test_after_a_logout_the_token_is_dead_on_every_worker(world: World) -> None:
    signed_in, principal = await world.register()
    await world.there.authenticate(signed_in.token)
    await world.here.logout(principal)
    assert await refusal(world.here.authenticate(signed_in.token)) == "unauthorized"
    assert world.there.peek(signed_in.token) is not None  # until the feed brings it
    assert world.deliver() == {digest(signed_in.token)}
    assert world.there.peek(signed_in.token) is None
    assert world.there.is_revoked(digest(signed_in.token))
    assert await refusal(world.there.authenticate(signed_in.token)) == "unauthorized"
    await world.here.logout(principal)


# Who is behind a request


async def test_a_known_token_needs_no_look_up_and_many_who_ask_at_once_share_one(world: World) -> None:
    signed_in, _ = await world.register()
    worker = world.worker()
    world.store.looked_up = 0
    assert worker.peek(signed_in.token) is None
    found = await asyncio.gather(*(worker.authenticate(signed_in.token) for _ in range(20)))
    assert {principal.user for principal in found} == {"ada"}
    assert worker.peek(signed_in.token) == found[0]
    await worker.authenticate(signed_in.token)
    assert world.store.looked_up == 1


async def test_what_is_no_token_is_refused_without_a_look_up_and_an_unknown_one_with_one(world: World) -> None:
    for text in ("", "x", "dchat_9_" + "a" * 43, "dchatt_0_" + "a" * 43, "\udcff"):
        assert await refusal(world.here.authenticate(text)) == "unauthorized"
    assert world.store.looked_up == 0
    for _ in range(5):
        assert await refusal(world.here.authenticate("dchat_0_" + "a" * 43)) == "unauthorized"
    assert world.store.looked_up == 1


async def test_a_revocation_that_overtakes_a_look_up_wins(world: World) -> None:
    signed_in, principal = await world.register()
    world.store.gate = asyncio.Event()
    worker = world.there
    asking = asyncio.create_task(worker.authenticate(signed_in.token))
    await asyncio.sleep(0)  # it has read the record, and not yet heard the answer
    await asyncio.sleep(0)
    await world.here.logout(principal)
    world.deliver()
    world.store.gate.set()
    assert await refusal(asking) == "unauthorized"
    assert worker.peek(signed_in.token) is None


async def test_a_look_up_that_fails_is_nobodys_end_and_is_done_again(world: World) -> None:
    signed_in, _ = await world.register()
    worker = world.worker()
    world.store.down = True
    answers = await asyncio.gather(*(worker.authenticate(signed_in.token) for _ in range(3)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {BackendUnavailable}
    world.store.down = False
    assert (await worker.authenticate(signed_in.token)).user == "ada"
    assert not worker.authenticate.__self__._looking  # type: ignore[attr-defined]


async def test_who_goes_away_does_not_end_the_look_up_of_others(world: World) -> None:
    signed_in, _ = await world.register()
    worker = world.worker()
    world.store.gate = asyncio.Event()
    one, two = (asyncio.create_task(worker.authenticate(signed_in.token)) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.sleep(0)
    world.store.gate.set()
    assert (await two).user == "ada"


async def test_an_expired_token_is_refused_even_where_it_is_remembered(world: World) -> None:
    _, principal = await world.register()
    expires_at = int(world.clock.now * 1000) + 5000
    text, _ = await world.here.create_token(principal, "brief", ["read"], expires_at)
    assert (await world.here.authenticate(text)).expires_at == expires_at
    world.clock.now += 6
    assert await refusal(world.worker().authenticate(text)) == "unauthorized"


async def test_scopes_follow_what_the_account_is_now(world: World) -> None:
    signed_in, _ = await world.register()
    await world.store.update("ada", {"admin": "0"})
    assert world.here.peek(signed_in.token) is not None
    world.deliver()
    principal = await world.here.authenticate(signed_in.token)
    assert not principal.admin
    assert principal.scopes == {"read", "write"}


async def test_missed_announcements_are_made_good_by_asking_for_all(world: World) -> None:
    signed_in, principal = await world.register()
    other, _ = await world.register("bob")
    await world.there.authenticate(signed_in.token)
    await world.here.logout(principal)  # and the feed loses that
    streams = {digest(signed_in.token): "ada", digest(other.token): "bob"}
    assert await world.there.dead_among(streams) == {digest(signed_in.token)}
    assert world.there.peek(signed_in.token) is None
    world.here.forget()
    assert world.here.peek(other.token) is None


# Tickets


async def test_a_ticket_opens_one_stream_on_any_worker(world: World) -> None:
    _, principal = await world.register()
    ticket = await world.here.issue_ticket(principal)
    assert ticket.startswith("dchatt_")
    answers = await asyncio.gather(
        *(worker.redeem_ticket(ticket) for worker in (world.here, world.there) * 10), return_exceptions=True
    )
    assert [answer for answer in answers if isinstance(answer, Principal)] == [principal]
    assert {answer.code for answer in answers if isinstance(answer, ChatError)} == {"unauthorized"}


async def test_a_ticket_ends_after_thirty_seconds_and_with_its_token(world: World) -> None:
    _, principal = await world.register()
    late, orphan = [await world.here.issue_ticket(principal) for _ in range(2)]
    await world.here.logout(principal)
    assert await refusal(world.there.redeem_ticket(orphan)) == "unauthorized"
    world.clock.now += 30
    assert await refusal(world.here.redeem_ticket(late)) == "unauthorized"
    assert await refusal(world.here.redeem_ticket("nonsense")) == "unauthorized"


# One's own account


async def test_one_changes_what_one_names(world: World) -> None:
    signed_in, principal = await world.register()
    assert await world.here.profiles(["ada"]) == await world.there.profiles(["ada"]) == {"ada": "Ada"}
    user = await world.here.update_me(principal, display_name=" Countess ", status="at sea")
    assert (user["display_name"], user["status"]) == ("Countess", "at sea")
    world.deliver()
    assert await world.there.profiles(["ada"]) == {"ada": "Countess"}
    assert (await world.there.authenticate(signed_in.token)).display_name == "Countess"
    assert (await world.here.update_me(principal, status=""))["display_name"] == "Countess"
    assert (await world.here.update_me(principal, display_name=""))["display_name"] == "ada"
    assert await world.here.update_me(principal) == await world.here.me(principal)
    for wrong in ({"display_name": "a\nb"}, {"status": "x" * 141}):
        assert await refusal(world.here.update_me(principal, **wrong)) == "invalid_request"


async def test_a_new_password_ends_all_other_tokens(world: World) -> None:
    signed_in, principal = await world.register()
    other = await world.there.login("ada", PASSWORD, "10.0.0.1")
    api, _ = await world.here.create_token(principal, "bot", ["read"], None)
    await world.here.update_me(principal, password="new password", old_password=PASSWORD)
    assert world.deliver() == {digest(other.token), digest(api)}
    assert (await world.there.authenticate(signed_in.token)).user == "ada"
    for text in (other.token, api):
        assert await refusal(world.there.authenticate(text)) == "unauthorized"
    assert await refusal(world.here.login("ada", PASSWORD, "10.0.0.2")) == "bad_credentials"
    assert await world.here.login("ada", "new password", "10.0.0.2")


async def test_a_new_password_needs_the_old_one_and_counts_as_a_try(world: World) -> None:
    _, principal = await world.register()
    change = {"password": "new password", "address": "10.0.0.1"}
    assert await refusal(world.here.update_me(principal, **change)) == "invalid_request"
    assert await refusal(world.here.update_me(principal, password="short", old_password=PASSWORD)) == "invalid_request"
    for _ in range(5):
        assert await refusal(world.here.update_me(principal, old_password="wrong", **change)) == "bad_credentials"
    assert await refusal(world.here.update_me(principal, old_password=PASSWORD, **change)) == "too_many_logins"


async def test_nobody_is_me_once_the_account_is_gone(world: World) -> None:
    _, principal = await world.register()
    ghost = replace(principal, user="ghost")
    assert await refusal(world.here.me(ghost)) == "unauthorized"
    assert await refusal(world.here.update_me(ghost, status="x")) == "unauthorized"


# API tokens


async def test_an_api_token_does_what_its_scopes_say(world: World) -> None:
    signed_in, principal = await world.register()
    text, token = await world.here.create_token(principal, " bot ", ["write", "read", "read"], None)
    assert (token.name, token.scopes, token.kind, token.expires_at) == ("bot", ("read", "write"), "api", None)
    made = await world.there.authenticate(text)
    assert (made.user, made.scopes, made.session) == ("ada", {"read", "write"}, False)
    listed = await world.here.list_tokens(principal)
    assert sorted(each.id for each in listed) == sorted([signed_in.token_id, token.id])
    assert text not in repr(listed)


async def test_a_token_never_does_more_or_longer_than_its_maker(world: World) -> None:
    _, ada = await world.register()
    _, bob = await world.register("bob")
    assert await refusal(world.here.create_token(bob, "x", ["admin"], None)) == "insufficient_scope"
    ends = int(world.clock.now * 1000) + 60_000
    text, _ = await world.here.create_token(ada, "x", ["write"], ends)
    maker = await world.here.authenticate(text)
    assert await refusal(world.here.create_token(maker, "x", ["read"], None)) == "insufficient_scope"
    for wanted in (None, ends + 1, ends):
        assert (await world.here.create_token(maker, "x", ["write"], wanted))[1].expires_at == ends
    assert (await world.here.create_token(maker, "x", ["write"], ends - 1))[1].expires_at == ends - 1


@pytest.mark.parametrize(
    ("name", "scopes", "expires_at"),
    [("", ["read"], None), ("x" * 65, ["read"], None), ("x", [], None), ("x", ["root"], None), ("x", ["read"], 1000)],
)
async def test_what_cannot_be_a_token_is_refused(
    world: World, name: str, scopes: list[str], expires_at: int | None
) -> None:
    _, principal = await world.register()
    assert await refusal(world.here.create_token(principal, name, scopes, expires_at)) == "invalid_request"


async def test_a_revoked_token_makes_no_tokens_where_it_is_still_remembered(world: World) -> None:
    signed_in, principal = await world.register()
    remembered = await world.there.authenticate(signed_in.token)
    await world.here.logout(principal)
    assert await refusal(world.there.create_token(remembered, "x", ["read"], None)) == "unauthorized"


async def test_there_is_an_end_to_tokens(world: World) -> None:
    _, principal = await world.register()
    for _ in range(MAX_API_TOKENS):
        await world.here.create_token(principal, "x", ["read"], None)
    assert await refusal(world.here.create_token(principal, "x", ["read"], None)) == "too_many_tokens"


async def test_one_revokes_ones_own_tokens_only(world: World) -> None:
    _, ada = await world.register()
    _, bob = await world.register("bob")
    text, token = await world.here.create_token(ada, "x", ["read"], None)
    await world.here.authenticate(text)
    assert await refusal(world.here.revoke_token(bob, token.id)) == "token_not_found"
    await world.here.revoke_token(ada, token.id)
    assert await refusal(world.here.authenticate(text)) == "unauthorized"
    assert await refusal(world.here.revoke_token(ada, token.id)) == "token_not_found"
    assert world.deliver() == {digest(text)}


async def test_other_entries_of_the_feed_are_not_ours(world: World) -> None:
    assert world.here.on_control(Control("read", "ada", b'{"room":"x"}')) == frozenset()


async def test_a_sweep_can_be_done_at_any_time(world: World) -> None:
    signed_in, _ = await world.register()
    world.here.sweep()
    assert world.here.peek(signed_in.token) is not None
