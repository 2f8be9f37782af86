"""Who may make an account, and who becomes the first administrator."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from dchat_server.errors import ChatError
from dchat_server.passwords import Passwords
from dchat_server.ports_accounts import Account
from dchat_server.registration import INVITE_S, LEASE_S, Mode, Registration
from tests.in_memory import MemoryAccountStore

PASSWORD = "correct horse"


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryAccountStore:
    return MemoryAccountStore(clock)


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(memory_kib=64, rounds=1)
    yield made
    made.stop()


@pytest.fixture
def desk(store: MemoryAccountStore, passwords: Passwords, clock: Clock) -> Registration:
    return Registration(store, passwords, shards=4, wall=clock)


def with_mode(desk: Registration, mode: Mode) -> Registration:
    desk._mode = mode
    return desk


async def refusal(work: Any) -> str:
    with pytest.raises(ChatError) as caught:
        await work
    return caught.value.code


async def admins(store: MemoryAccountStore, names: list[str]) -> list[str]:
    found = [await store.account(name) for name in names]
    return [account.username for account in found if account is not None and account.admin]


async def test_the_first_becomes_administrator_and_later_ones_do_not(
    desk: Registration, store: MemoryAccountStore
) -> None:
    assert (await desk.register("ada", PASSWORD)).admin
    assert not (await desk.register("bob", PASSWORD)).admin
    assert await admins(store, ["ada", "bob"]) == ["ada"]


async def test_of_many_who_are_first_at_once_exactly_one_becomes_administrator(
    desk: Registration, store: MemoryAccountStore
) -> None:
    names = [f"u{number}" for number in range(30)]
    accounts = await asyncio.gather(*(desk.register(name, PASSWORD) for name in names))
    chosen = [account.username for account in accounts if account.admin]
    assert len(chosen) == 1
    assert await admins(store, names) == chosen


@pytest.mark.parametrize("last_step", ["create", "claim_first", "update", "settle_first"])
async def test_when_the_worker_dies_after_any_step_the_next_one_finishes(
    desk: Registration, store: MemoryAccountStore, monkeypatch: pytest.MonkeyPatch, last_step: str
) -> None:
    whole = getattr(store, last_step)

    async def and_die(*args: Any) -> Any:
        await whole(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(store, last_step, and_die)
    with pytest.raises(KeyboardInterrupt):
        await desk.register("ada", PASSWORD)
    monkeypatch.undo()
    bob = await desk.register("bob", PASSWORD)
    chosen = await admins(store, ["ada", "bob"])
    # Ada had a claim, or none yet: whoever comes next then is as good a first one.
    assert chosen == (["bob"] if last_step == "create" else ["ada"])
    assert bob.admin == (chosen == ["bob"])
    assert (await store.first() or ("", ""))[0] == "settled"


async def test_a_chosen_one_who_was_lost_with_the_servers_tail_is_replaced(
    desk: Registration, store: MemoryAccountStore
) -> None:
    await store.claim_first("ghost")
    assert (await desk.register("ada", PASSWORD)).admin


async def test_a_name_is_given_once(desk: Registration) -> None:
    answers = await asyncio.gather(
        *(desk.register("ada", PASSWORD, f"Ada {number}") for number in range(20)), return_exceptions=True
    )
    assert sum(isinstance(answer, Account) for answer in answers) == 1
    assert {answer.code for answer in answers if isinstance(answer, ChatError)} == {"username_taken"}
    assert await refusal(desk.register("ada", PASSWORD)) == "username_taken"


async def test_a_taken_name_costs_no_hash(desk: Registration, passwords: Passwords) -> None:
    await desk.register("ada", PASSWORD)
    passwords.stop()
    assert await refusal(desk.register("ada", PASSWORD)) == "username_taken"


@pytest.mark.parametrize("username", ["", "me", "Ada", "-a", ".a", "ä", "a b", "a/b", "a" * 33, "a\n", "a:b"])
async def test_what_is_no_user_name_is_refused(desk: Registration, username: str) -> None:
    assert await refusal(desk.register(username, PASSWORD)) == "invalid_request"


async def test_a_display_name_may_be_any_line(desk: Registration) -> None:
    assert (await desk.register("ada", PASSWORD)).display_name == "ada"
    assert (await desk.register("bob", PASSWORD, "  ")).display_name == "bob"
    assert (await desk.register("cyd", PASSWORD, " 李 ليلى 👩‍💻 ")).display_name == "李 ليلى 👩‍💻"
    assert await refusal(desk.register("dan", PASSWORD, "x" * 65)) == "invalid_request"
    assert await refusal(desk.register("dan", PASSWORD, "a\x1b[31m")) == "invalid_request"


async def test_closed_is_closed_to_the_first_as_well(desk: Registration) -> None:
    assert await refusal(with_mode(desk, "closed").register("ada", PASSWORD)) == "registration_closed"


async def test_only_the_first_needs_no_invite(desk: Registration, store: MemoryAccountStore) -> None:
    with_mode(desk, "invite")
    names = [f"u{number}" for number in range(10)]
    answers = await asyncio.gather(*(desk.register(name, PASSWORD) for name in names), return_exceptions=True)
    (first,) = [answer for answer in answers if isinstance(answer, Account)]
    assert first.admin
    assert {answer.code for answer in answers if isinstance(answer, ChatError)} == {"registration_closed"}
    assert list((await store.display_names(names)).keys()) == [first.username]
    assert await refusal(desk.register("bob", PASSWORD)) == "registration_closed"


async def test_a_first_who_never_came_back_keeps_the_place_for_a_while_only(
    desk: Registration, store: MemoryAccountStore, clock: Clock
) -> None:
    with_mode(desk, "invite")
    await store.reserve_first("ghost", "r1", LEASE_S)
    assert await refusal(desk.register("ada", PASSWORD)) == "registration_closed"
    clock.now += LEASE_S + 1
    assert (await desk.register("ada", PASSWORD)).admin


async def test_an_invite_lets_one_person_in(desk: Registration) -> None:
    with_mode(desk, "invite")
    await desk.register("ada", PASSWORD)
    invite, _ = await desk.create_invite("ada")
    answers = await asyncio.gather(
        *(desk.register(f"u{number}", PASSWORD, None, invite) for number in range(10)), return_exceptions=True
    )
    assert sum(isinstance(answer, Account) for answer in answers) == 1
    assert await refusal(desk.register("bob", PASSWORD, None, invite)) == "registration_closed"
    assert await refusal(desk.register("bob", PASSWORD, None, "dchati_0_" + "a" * 43)) == "registration_closed"
    assert await refusal(desk.register("bob", PASSWORD, None, "")) == "registration_closed"


async def test_an_invite_is_not_used_up_by_a_name_that_was_taken(
    desk: Registration, store: MemoryAccountStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_mode(desk, "invite")
    await desk.register("ada", PASSWORD)
    invite, _ = await desk.create_invite("ada")
    assert await refusal(desk.register("ada", PASSWORD, None, invite)) == "username_taken"
    with monkeypatch.context() as patch:  # taken between looking and making

        async def nobody(username: str) -> None:
            return None

        patch.setattr(store, "account", nobody)
        assert await refusal(desk.register("ada", PASSWORD, None, invite)) == "username_taken"
    assert (await desk.register("bob", PASSWORD, None, invite)).username == "bob"


async def test_an_invite_ends(desk: Registration, clock: Clock) -> None:
    with_mode(desk, "invite")
    await desk.register("ada", PASSWORD)
    invite, expires_at = await desk.create_invite("ada")
    assert expires_at == int((clock.now + INVITE_S) * 1000)
    clock.now += INVITE_S
    assert await refusal(desk.register("bob", PASSWORD, None, invite)) == "registration_closed"
