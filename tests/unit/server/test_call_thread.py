"""A thread for calls that block."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from dchat_server.adapters.call_thread import CallThread


async def test_calls_are_made_one_after_the_other_and_the_loop_goes_on() -> None:
    thread = CallThread("test")
    order: list[int] = []

    def call(number: int) -> str:
        time.sleep(0.02)
        order.append(number)
        return threading.current_thread().name

    futures = [asyncio.wrap_future(thread.run(lambda n=n: call(n))) for n in range(5)]  # type: ignore[misc]
    turns = 0
    while not futures[-1].done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
    assert order == [0, 1, 2, 3, 4]
    assert {await future for future in futures} == {"test"}
    thread.end(lambda: None)


async def test_what_a_call_raises_comes_back_and_the_thread_goes_on() -> None:
    thread = CallThread("test")
    with pytest.raises(ZeroDivisionError):
        await asyncio.wrap_future(thread.run(lambda: 1 // 0))
    assert await asyncio.wrap_future(thread.run(lambda: 3)) == 3
    thread.end(lambda: None)


async def test_a_call_that_nobody_waits_for_is_not_made_but_the_last_one_is() -> None:
    thread = CallThread("test")
    go, made = threading.Event(), []
    thread.run(go.wait)
    thread.run(lambda: made.append("forgotten")).cancel()
    last = thread.end(lambda: made.append("last"))
    assert thread.end(lambda: made.append("never")) is last
    last.cancel()
    late = thread.run(lambda: made.append("late"))
    go.set()
    with pytest.raises(RuntimeError):
        await asyncio.wrap_future(late)
    async with asyncio.timeout(10):
        while made != ["last"]:
            await asyncio.sleep(0.01)
