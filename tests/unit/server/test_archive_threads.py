"""Blocking calls: bounded in number, in how many wait, and in time."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from dchat_server.adapters.archive_threads import Threads
from dchat_server.errors import ArchiveUnavailable


async def test_a_call_has_its_result_or_its_problem() -> None:
    threads = Threads("t", threads=2, waiting=2)
    assert await threads.run(lambda deadline: 5 if deadline > time.monotonic() else 0) == 5
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda _: 1 // 0)
    await threads.stop()


async def test_no_more_run_than_there_are_threads_and_no_more_wait_than_may() -> None:
    threads, gate, most, running = Threads("t", threads=2, waiting=3), threading.Event(), 0, 0
    lock = threading.Lock()

    def work(_: float) -> str:
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(30)
        with lock:
            running -= 1
        return "done"

    tasks = [asyncio.create_task(threads.run(work, wait_s=60)) for _ in range(9)]
    await asyncio.sleep(0.05)
    refused = [task for task in tasks if task.done()]
    assert len(refused) == 4
    assert all(isinstance(task.exception(), ArchiveUnavailable) for task in refused)
    gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes.count("done") == 5
    assert most == 2
    assert await threads.run(work) == "done"
    await threads.stop()


async def test_a_call_that_waited_too_long_is_not_made() -> None:
    threads, gate, made = Threads("t", threads=1, waiting=5), threading.Event(), []
    first = asyncio.create_task(threads.run(lambda _: gate.wait(30), wait_s=60))
    await asyncio.sleep(0)
    second = asyncio.create_task(threads.run(lambda _: made.append(1), wait_s=0.01))
    await asyncio.sleep(0.05)
    gate.set()
    with pytest.raises(ArchiveUnavailable):
        await second
    assert await first
    assert not made
    await threads.stop()


async def test_cancelled_callers_give_their_places_back() -> None:
    threads, gate = Threads("t", threads=1, waiting=1), threading.Event()
    for _ in range(5):
        tasks = [asyncio.create_task(threads.run(lambda _: gate.wait(30))) for _ in range(2)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        gate.set()
        await asyncio.sleep(0.01)
        assert await threads.run(lambda _: 1) == 1
        gate.clear()
    gate.set()
    await threads.stop()


async def test_after_the_end_calls_are_refused() -> None:
    threads = Threads("t", threads=1, waiting=1)
    await threads.stop()
    await threads.stop()
    for _ in range(3):
        with pytest.raises(ArchiveUnavailable):
            await threads.run(lambda _: 1)
