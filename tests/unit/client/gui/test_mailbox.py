from __future__ import annotations

import asyncio
import threading

from dchat_client.gui.mailbox import Mailbox


async def test_letters_come_out_in_the_order_they_went_in() -> None:
    box: Mailbox[int] = Mailbox(4)
    for number in range(20):
        box.put(number)
    found: list[int] = []
    while len(found) < 20:
        found += box.take(1.0)
        await asyncio.sleep(0)
    assert found == list(range(20))


async def test_a_taker_stops_when_its_time_is_used_up_but_takes_one_at_least() -> None:
    box: Mailbox[int] = Mailbox(100)
    for number in range(10):
        box.put(number)
    now = iter(range(100))
    assert list(box.take(3.0, lambda: float(next(now)))) == [0, 1, 2]
    assert list(box.take(0.0, lambda: float(next(now)))) == [3]


async def test_who_waits_for_room_is_held_up_while_the_box_is_full_and_the_loop_goes_on() -> None:
    box: Mailbox[int] = Mailbox(10)
    for number in range(25):
        box.put(number)
    waiting = asyncio.ensure_future(box.drained())
    ticks = 0
    for _ in range(50):
        await asyncio.sleep(0)
        ticks += 1
    assert not waiting.done()
    assert ticks == 50
    taken: list[int] = []
    while not waiting.done():
        taken += box.take(1.0)
        await asyncio.sleep(0.001)
    assert len(taken) >= 20, "it was let go on before half of the box was empty"
    assert (taken + list(box.take(1.0)))[:25] == list(range(25))


async def test_the_box_holds_no_more_than_its_capacity() -> None:
    box: Mailbox[int] = Mailbox(10)
    for number in range(25):
        box.put(number)
    assert len(list(box.take(1.0))) == 10, "what is beyond the capacity stays on the loop's side"


async def test_a_thread_that_takes_and_a_loop_that_puts_lose_nothing() -> None:
    box: Mailbox[int] = Mailbox(16)
    found: list[int] = []
    ended = threading.Event()

    def take() -> None:
        while len(found) < 3000 and not ended.wait(0.0005):
            found.extend(box.take(0.002))

    thread = threading.Thread(target=take)
    thread.start()
    try:
        for number in range(3000):
            await asyncio.wait_for(box.drained(), 60)
            box.put(number)
        await asyncio.wait_for(asyncio.to_thread(thread.join), 60)
    finally:
        ended.set()
    assert found == list(range(3000))


def test_taking_after_the_loop_has_ended_is_no_fault() -> None:
    box: Mailbox[int] = Mailbox(2)

    async def put() -> None:
        for number in range(5):
            box.put(number)

    asyncio.run(put())
    assert list(box.take(1.0)) == [0, 1]
