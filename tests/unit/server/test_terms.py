"""Terms: leases that end once, and their way to the one who works with them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from dchat_server.adapters import terms as terms_module
from dchat_server.adapters.terms import LeaseTerm, Terms, clock
from dchat_server.ports_cluster import TermOver


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the test moves."""
    now = [1000.0]
    monkeypatch.setattr(terms_module, "clock", lambda: now[0])
    return now


async def test_a_lease_is_over_at_its_deadline_at_the_first_look(hands: list[float]) -> None:
    term = LeaseTerm(7, 1010.0)
    hands[0] = 1009.9
    assert term.valid
    assert term.left_s == pytest.approx(0.1)
    hands[0] = 1010.0
    assert not term.valid
    assert (term.fence, term.why, term.left_s) == (7, "deadline", 0.0)
    with pytest.raises(TermOver, match="deadline"):
        term.check()


async def test_a_lease_moves_on_only_while_it_lasts(hands: list[float]) -> None:
    term = LeaseTerm(7, 1010.0)
    assert term.extend(1020.0)
    hands[0] = 1015.0
    assert term.valid
    assert term.extend(1012.0)  # an older confirmation that comes late takes nothing away
    hands[0] = 1020.0
    assert not term.extend(1030.0)  # nobody looked in time, and it is over all the same
    assert not term.valid
    hands[0] = 1000.0
    assert not term.valid  # not even a clock brings it back


async def test_an_end_counts_at_once_and_from_any_thread() -> None:
    term = LeaseTerm(7, clock() + 60)
    over = asyncio.create_task(term.over())
    await asyncio.sleep(0)
    thread = threading.Thread(target=term.end, args=("session lost",))
    thread.start()
    thread.join()  # the loop had no turn yet
    assert not term.valid
    await asyncio.wait_for(over, 5)
    term.end("again")
    assert term.why == "session lost"
    assert not term.extend(clock() + 60)


async def test_over_returns_at_the_deadline_also_when_it_moved() -> None:
    term = LeaseTerm(7, clock() + 0.1)
    over = asyncio.create_task(term.over())
    await asyncio.sleep(0.02)
    moved = clock() + 0.3
    term.extend(moved)
    await asyncio.wait_for(over, 10)
    assert clock() >= moved


async def test_a_term_is_wanted_only_while_the_reader_waits() -> None:
    terms = Terms()
    assert not terms.wanted.is_set()
    early, first = LeaseTerm(1), LeaseTerm(2)
    assert not terms.offer(early)
    assert not early.valid
    waiting = asyncio.ensure_future(anext(terms))
    await asyncio.sleep(0)
    assert terms.wanted.is_set()
    assert terms.offer(first)
    assert not terms.wanted.is_set()
    assert not terms.offer(LeaseTerm(3))
    assert await waiting is first
    again = asyncio.ensure_future(anext(terms))
    await asyncio.sleep(0.01)
    assert not terms.wanted.is_set()  # the first one is not over
    first.end("lost")
    await asyncio.wait_for(terms.wanted.wait(), 5)
    terms.close()
    with pytest.raises(StopAsyncIteration):
        await again
    with pytest.raises(StopAsyncIteration):
        await anext(terms)


async def test_no_term_is_wanted_while_the_worker_has_withdrawn() -> None:
    terms = Terms()
    terms.withdraw()
    waiting = asyncio.ensure_future(anext(terms))
    await asyncio.sleep(0)
    assert not terms.wanted.is_set()
    early = LeaseTerm(1)
    assert not terms.offer(early)
    assert not early.valid
    terms.stand()
    assert terms.wanted.is_set()
    terms.withdraw()
    assert not terms.wanted.is_set()
    terms.stand()
    assert terms.offer(LeaseTerm(2))
    terms.stand()  # nobody waits for another one
    assert not terms.wanted.is_set()
    await waiting


async def test_nothing_is_offered_to_a_reader_that_was_told_the_end() -> None:
    terms = Terms()
    waiting = asyncio.ensure_future(anext(terms))
    await asyncio.sleep(0)
    terms.close()
    assert not terms.offer(LeaseTerm(1))
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_a_term_given_to_a_reader_that_is_just_cancelled_is_over() -> None:
    terms = Terms()
    waiting = asyncio.ensure_future(anext(terms))
    await asyncio.sleep(0)
    term = LeaseTerm(1)
    assert terms.offer(term)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not term.valid
    assert not terms.wanted.is_set()
