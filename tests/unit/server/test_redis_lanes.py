"""Lanes over a server that is a list; what real servers do is in tests/contract/test_sending.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextvars import Context
from typing import Any

import pytest
from redis.exceptions import ResponseError

from dchat_server.adapters import redis_lanes
from dchat_server.adapters.redis_keys import Keys
from dchat_server.adapters.redis_lanes import ARGUMENTS, FIRST, MAX_CALL, QUIET_TURNS, Answer, Lanes
from dchat_server.adapters.redis_nodes import LogFull, StaleScript
from dchat_server.errors import BackendUnavailable, ChatError
from dchat_server.logs import request_id


class Nodes:
    """Stores what send.lua would be given. `trouble` is raised by the next attempts, before or after they acted.
    `connected`: the first attempt needs no task; else a task makes all of them."""

    def __init__(self, connected: bool) -> None:
        self.connected = connected
        self.broken = False
        """Whether the connection turns out to be broken at the next attempt without a task."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.keys = Keys(4)
        self.stored: list[str] = []
        self.calls: list[int] = []
        self.trouble: list[tuple[str, Exception]] = []
        self.answered: dict[str, list[list[Any]]] = {}
        self.keyed: dict[str, int] = {}
        self.loads = 0
        self.moved: dict[int, str] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.under_way = self.most_under_way = 0
        self.on_behalf_of: set[str] = set()
        """Whose request is named in what is logged while a call is under way."""

    def address(self, shard: int) -> str:
        return self.moved.get(shard, "one" if shard < 2 else "two")

    def fenced(self, shard: int, name: str, *args: Any) -> list[Any]:
        assert name == "send"
        return [shard, *args]

    async def load(self, shard: int) -> None:
        self.loads += 1

    def can_begin(self, address: str) -> bool:
        return self.connected

    def begin_write(self, address: str, commands: Sequence[Sequence[Any]], told: Callable[[Any], None]) -> None:
        assert {self.address(int(command[0])) for command in commands} == {address}
        if self.broken:
            self.broken = False
            raise BackendUnavailable
        task = asyncio.get_running_loop().create_task(self._answer(commands, told), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, commands: Sequence[Sequence[Any]], told: Callable[[Any], None]) -> None:
        try:
            outcome: Any = await self.write(0, commands)
        except Exception as error:
            outcome = error
        told(outcome)

    async def write(self, shard: int, commands: Sequence[Sequence[Any]]) -> list[Any]:
        self.on_behalf_of.add(request_id.get())
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.gate.wait()
            when, error = self.trouble.pop(0) if self.trouble else ("", None)
            if when == "before" and error is not None:
                raise error
            replies = [self._send(command) for command in commands]
            if error is not None:
                raise error
            return replies
        finally:
            self.under_way -= 1

    def _send(self, command: Sequence[Any]) -> list[Any]:
        batch, messages = command[2], command[FIRST:]
        if batch in self.answered:
            return self.answered[batch]
        reply: list[Any] = []
        self.calls.append(len(messages) // ARGUMENTS)
        for at in range(0, len(messages), ARGUMENTS):
            key = messages[at + 3]
            if key in self.keyed:
                reply += [b"repeat", 1, str(self.keyed[key]), "1", "7"]
                continue
            self.stored.append(messages[at + 7])
            if reply[-5:-4] == [b"ok"]:
                reply[-4] += 1
            else:
                reply += [b"ok", 1, len(self.stored), 1, 7]
            if key:
                self.keyed[key] = len(self.stored)
        if batch:
            self.answered[batch] = reply
        return reply


@pytest.fixture(params=[True, False], ids=["connected", "not connected"])
def nodes(request: pytest.FixtureRequest) -> Nodes:
    return Nodes(request.param)


@pytest.fixture
def lanes(nodes: Nodes) -> Lanes:
    return Lanes(nodes)  # type: ignore[arg-type]


def submit(lanes: Lanes, *texts: str, shard: int = 0, key: str = "") -> asyncio.Future[list[Answer]]:
    return lanes.submit(shard, [part for text in texts for part in ("p", "hall", "ada", key, 1, "", "", text)])


def seqs(answers: list[Answer]) -> list[int]:
    return [seq for _, seq, _, _ in answers]


async def test_a_lone_send_is_one_call_and_many_at_once_are_few(lanes: Lanes, nodes: Nodes) -> None:
    assert seqs(await submit(lanes, "a")) == [1]
    await asyncio.gather(*(submit(lanes, str(number)) for number in range(600)))
    assert nodes.stored == ["a", *map(str, range(600))]
    assert len(nodes.calls) <= 1 + 600 // MAX_CALL + 2
    assert max(nodes.calls) <= MAX_CALL


async def test_sends_keep_their_order_and_one_call_is_under_way_at_a_time(lanes: Lanes, nodes: Nodes) -> None:
    futures = []
    for number in range(200):
        futures.append(submit(lanes, str(number), shard=number % 2))
        if number % 7 == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*futures)
    for shard in (0, 1):
        assert [int(text) for text in nodes.stored if int(text) % 2 == shard] == list(range(shard, 200, 2))
    assert nodes.most_under_way == 1


async def test_full_calls_go_out_two_at_a_time(lanes: Lanes, nodes: Nodes) -> None:
    nodes.gate.clear()
    futures = [submit(lanes, *(f"{batch}.{number}" for number in range(128))) for batch in range(20)]
    late = submit(lanes, "late")
    await asyncio.sleep(0.01)
    assert nodes.under_way == 2
    nodes.gate.set()
    await asyncio.gather(*futures, late)
    assert sorted(nodes.stored) == sorted(
        [f"{batch}.{number}" for batch in range(20) for number in range(128)] + ["late"]
    )
    assert max(nodes.calls) <= MAX_CALL
    assert nodes.most_under_way == 2
    assert seqs(await submit(lanes, "again")) == [20 * 128 + 2]


async def test_who_fails_to_take_an_answer_harms_nobody_who_shares_the_call(lanes: Lanes, nodes: Nodes) -> None:
    def fail(outcome: object) -> None:
        raise ZeroDivisionError

    first = submit(lanes, "first")
    lanes.put(0, ["p", "hall", "ada", "", 1, "", "", "a"], fail)
    assert seqs(await submit(lanes, "b")) == [3]
    assert (nodes.calls, await first) == ([1, 2], [(b"ok", 1, 1, 7)])
    assert seqs(await submit(lanes, "c")) == [4]


async def test_a_send_that_follows_a_lone_one_waits_for_nobody_and_one_that_follows_many_does(
    lanes: Lanes, nodes: Nodes
) -> None:
    async def turns() -> int:
        """How often the loop turns until a send is under way."""
        before, count = len(nodes.calls), 0
        sent = submit(lanes, "x")
        while len(nodes.calls) == before:
            await asyncio.sleep(0)
            count += 1
        await sent
        return count

    await turns()
    after_one = await turns()
    await asyncio.gather(*(submit(lanes, str(number)) for number in range(3)))
    assert await turns() == after_one + QUIET_TURNS
    assert await turns() == after_one


async def test_two_pipelines_that_gather_at_once_find_enough_for_one_alone(lanes: Lanes, nodes: Nodes) -> None:
    await asyncio.gather(*(submit(lanes, "x") for _ in range(3)))
    async with asyncio.timeout(20):
        await asyncio.gather(*(submit(lanes, str(number)) for number in range(MAX_CALL)))
        await submit(lanes, "again")
        await lanes.idle()
    assert nodes.calls == [1, 2, MAX_CALL, 1]


async def test_servers_do_not_wait_for_each_other(lanes: Lanes, nodes: Nodes) -> None:
    nodes.gate.clear()
    futures = [submit(lanes, "a", shard=0), submit(lanes, "b", shard=3)]
    await asyncio.sleep(0.01)
    assert nodes.under_way == 2
    nodes.gate.set()
    await asyncio.gather(*futures)


async def test_a_batch_is_never_cut(lanes: Lanes, nodes: Nodes) -> None:
    batches = [submit(lanes, *(f"{batch}.{number}" for number in range(100))) for batch in range(7)]
    for answers in await asyncio.gather(*batches):
        places = seqs(answers)
        assert places == list(range(places[0], places[0] + 100))
    assert max(nodes.calls) <= MAX_CALL


@pytest.mark.parametrize("key", ["", "k"])
async def test_a_reply_that_is_lost_is_asked_for_again(lanes: Lanes, nodes: Nodes, key: str) -> None:
    nodes.trouble = [("after", BackendUnavailable()), ("before", BackendUnavailable())]
    first, second = submit(lanes, "a", key=key), submit(lanes, "b", key="")
    await asyncio.gather(first, second)
    assert nodes.stored == ["a", "b"]


async def test_a_server_that_forgot_the_script_is_given_it_again(lanes: Lanes, nodes: Nodes) -> None:
    nodes.trouble = [("before", StaleScript()), ("before", StaleScript())]
    await submit(lanes, "a")
    assert (nodes.loads, nodes.stored) == (2, ["a"])


async def test_a_connection_that_turns_out_to_be_broken_costs_nobody_their_message(lanes: Lanes, nodes: Nodes) -> None:
    nodes.broken = True
    assert seqs(await submit(lanes, "a")) == [1]
    assert seqs(await submit(lanes, "b")) == [2]
    assert nodes.stored == ["a", "b"]
    await lanes.idle()


async def test_a_call_whose_shard_has_moved_since_goes_where_it_is_now(lanes: Lanes, nodes: Nodes) -> None:
    nodes.gate.clear()
    first = submit(lanes, "a")
    second = submit(lanes, "b", shard=1)
    nodes.moved = {1: "two"}
    nodes.gate.set()
    assert [seqs(await each) for each in (first, second)] == [[1], [2]]


async def test_a_reply_that_is_none_of_the_scripts_is_told_and_ends_nothing_else(
    lanes: Lanes, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        for odd in ([b"ok", b"odd"], [b"ok", 2, 1, 1, 7], []):
            patch.setattr(nodes, "_send", lambda command, odd=odd: odd)
            with pytest.raises((ValueError, IndexError)):
                await submit(lanes, "a")
    assert seqs(await submit(lanes, "b")) == [1]
    await lanes.idle()


async def test_what_cannot_be_repeated_is_told_at_once(lanes: Lanes, nodes: Nodes) -> None:
    for error in (LogFull("full"), ResponseError("ERR no"), ValueError("odd"), RuntimeError("a mistake of ours")):
        nodes.trouble = [("before", error)]
        with pytest.raises(type(error)):
            await submit(lanes, "a")
    assert seqs(await submit(lanes, "b")) == [1]


async def test_the_deadline_is_kept(lanes: Lanes, nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_lanes, "DEADLINE_S", 0.2)
    nodes.trouble = [("before", BackendUnavailable("away"))] * 1000
    began = time.monotonic()
    with pytest.raises(BackendUnavailable):
        await submit(lanes, "a")
    assert 0.1 < time.monotonic() - began < 2
    assert not nodes.stored


async def test_those_who_wait_behind_a_stuck_call_have_the_same_deadline(
    lanes: Lanes, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen server holds each attempt for seconds: the queue behind it must not be served one after another."""
    monkeypatch.setattr(redis_lanes, "DEADLINE_S", 0.1)

    async def frozen(shard: int, commands: object) -> list[Any]:
        await asyncio.sleep(0.15)
        raise BackendUnavailable

    monkeypatch.setattr(nodes, "write", frozen)
    began = time.monotonic()
    futures = [submit(lanes, *["x"] * 200) for _ in range(30)]
    told = await asyncio.gather(*futures, return_exceptions=True)
    assert all(isinstance(error, BackendUnavailable) for error in told)
    assert time.monotonic() - began < 2
    async with asyncio.timeout(20):
        await lanes.idle()


async def test_too_many_are_refused_at_once_and_taken_again_later(
    lanes: Lanes, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_lanes, "MAX_WAITING", 100)
    nodes.gate.clear()
    futures = [submit(lanes, str(number)) for number in range(100)]
    with pytest.raises(ChatError) as refused:
        submit(lanes, "one too many")
    assert refused.value.code == "overloaded"
    nodes.gate.set()
    await asyncio.gather(*futures)
    await submit(lanes, "again")
    assert "one too many" not in nodes.stored


async def test_who_stops_waiting_does_not_call_a_message_back(lanes: Lanes, nodes: Nodes) -> None:
    nodes.gate.clear()
    gone, there = submit(lanes, "a"), submit(lanes, "b")
    await asyncio.sleep(0.01)
    gone.cancel()
    nodes.gate.set()
    await there
    assert nodes.stored == ["a", "b"]


async def test_idle_waits_for_what_is_on_its_way(lanes: Lanes, nodes: Nodes) -> None:
    await lanes.idle()
    nodes.gate.clear()
    future = submit(lanes, "a")
    waiting = asyncio.create_task(lanes.idle())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    nodes.gate.set()
    await waiting
    assert future.done()


async def test_a_call_is_made_for_all_whose_messages_it_carries_and_in_nobodys_name(lanes: Lanes, nodes: Nodes) -> None:
    token = request_id.set("r-12345")
    first = submit(lanes, "a")
    request_id.reset(token)
    await asyncio.gather(first, submit(lanes, "b"))
    assert nodes.on_behalf_of == {""}
