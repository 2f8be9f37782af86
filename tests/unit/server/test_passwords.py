"""Passwords: what is hashed, and how many at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from dchat_server.errors import ChatError
from dchat_server.passwords import Passwords, check_password


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(memory_kib=64, rounds=1)
    yield made
    made.stop()


async def test_only_the_right_password_is_right(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")
    assert "correct" not in stored
    assert stored != await passwords.hash("correct horse")
    assert await passwords.verify(stored, "correct horse")
    assert not await passwords.verify(stored, "correct horsf")
    assert not await passwords.verify("no hash at all", "correct horse")


async def test_the_default_is_argon2id_at_the_cost_that_was_decided() -> None:
    passwords = Passwords()
    stored = await passwords.hash("correct horse")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify(stored, "correct horse")
    passwords.stop()


async def test_nobodys_password_is_hashed_as_well_and_never_right() -> None:
    passwords = Passwords(memory_kib=64, rounds=1)
    seen: list[str] = []
    verify = passwords._hasher.verify

    class Watched:
        def verify(self, stored: str, password: str) -> bool:
            seen.append(stored)
            return verify(stored, password)

    passwords._hasher = Watched()  # type: ignore[assignment]
    assert not await passwords.verify(None, "whatever")
    assert len(seen) == 1
    assert seen[0].startswith("$argon2id$v=19$m=64,t=1,p=1$")
    passwords.stop()


async def test_a_hash_of_other_parameters_is_outdated(passwords: Passwords) -> None:
    older = Passwords(memory_kib=32, rounds=1)
    stored = await older.hash("correct horse")
    older.stop()
    assert passwords.outdated(stored)
    assert passwords.outdated("no hash at all")
    assert await passwords.verify(stored, "correct horse")
    assert not passwords.outdated(await passwords.hash("correct horse"))


async def test_beyond_its_queue_it_says_overloaded_at_once_and_recovers() -> None:
    passwords = Passwords(memory_kib=64, rounds=1, threads=2, waiting=3)
    gate = threading.Event()
    jobs = [asyncio.create_task(passwords._run(gate.wait)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(ChatError) as caught:
        await passwords.hash("correct horse")
    assert caught.value.code == "overloaded"
    jobs[0].cancel()  # its caller is gone; its thread is at work all the same
    await asyncio.sleep(0)
    with pytest.raises(ChatError):
        await passwords.hash("correct horse")
    gate.set()
    await asyncio.gather(*jobs, return_exceptions=True)
    assert await passwords.hash("correct horse")
    passwords.stop()


@pytest.mark.parametrize("password", ["short77", "", "x" * 1025, "half a \ud83d pair", 12345678, None, ["x" * 9]])
def test_what_cannot_be_a_password_is_refused_without_repeating_it(password: object) -> None:
    with pytest.raises(ChatError) as caught:
        check_password(password)
    assert caught.value.code == "invalid_request"
    assert str(password) not in caught.value.detail or password == ""


@pytest.mark.parametrize("password", ["x" * 8, "x" * 1024, "пароль паролей", "    spaces  ", "🔑" * 8])
def test_any_other_text_may_be_one(password: str) -> None:
    assert check_password(password) == password


def test_the_same_letters_typed_on_another_keyboard_are_the_same_password() -> None:
    assert check_password("cafe\u0301 cre\u0300me") == check_password("café crème")
