"""Sends in flight share their round trips: a lane a Redis server.

Theory of operation
-------------------
*Gathering.* While one pipeline is under way, sends gather; the next one carries all of them, one script call a shard.
So a lone send waits for nobody, and a thousand cost a few calls. When a full call has gathered it need not wait: a
second pipeline goes out behind the first, so Redis has work while the worker reads answers, and the other way round.

*The short way.* Where the connection is open and the server answers, all of this happens in callbacks: `put` writes to
Redis before it returns, and who waits is told while Redis' bytes are read. With tasks in their place, for sends and
for the feed, a lone send was delivered a fifth later (docs/profiles.md).

*The long way.* Everything else (no connection yet, a reply that is an error or does not come) is a task's, `_repair`,
which repeats the pipeline until each call has an answer or its time is over: the script answers `repeat` for what it
had stored.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import structlog

from dchat_server.adapters.redis_locator import Address
from dchat_server.adapters.redis_nodes import DEADLINE_S, LogFull, RedisNodes, StaleScript
from dchat_server.adapters.redis_wire import Value
from dchat_server.errors import BackendUnavailable, ChatError
from dchat_server.logs import nobodys_call, nobodys_task

MAX_CALL = 256
"""Messages in one script call: about 2 ms of Redis' time."""
DEPTH = 2
"""Pipelines under way at once, once each is full."""
GATHER_TURNS = 40
QUIET_TURNS = 2
MAX_WAITING = 20_000
"""Messages that may wait in a lane; more are refused as overloaded."""

FIRST = 5
"""Where the first message begins among the arguments of send.lua, as Lua counts."""
ARGUMENTS, KEY = 8, 3
"""How many send.lua takes for each message, and which of them is the idempotency key."""
BATCH_KEY_S = 120
"""How long the answer to a batch is remembered: longer than it is repeated."""

Answer = tuple[bytes, int, int, int]
"""Status, seq, ts, epoch."""
Told = Callable[[list[Answer] | BaseException], None]
"""Who waits for the answers to messages; called once."""

log = structlog.get_logger("dchat.lanes")


class Call:
    """Messages that are sent together, and who waits for their answers."""

    __slots__ = ("args", "deadline", "done", "messages", "shard", "told")

    def __init__(self, shard: int, args: Sequence[Value], told: Told, deadline: float) -> None:
        self.shard, self.args, self.told, self.deadline = shard, args, told, deadline
        self.messages = len(args) // ARGUMENTS
        self.done = False

    def settle(self, outcome: list[Answer] | BaseException) -> None:
        """Tell who waits; the first time only."""
        if not self.done:
            self.done = True
            try:
                self.told(outcome)
            except Exception:  # a fault of theirs: the others who share the call must hear of it, too
                log.exception("answer_not_taken")


class Trip:
    """One pipeline: its calls by shard, and under which key each shard's script remembers the answer to them."""

    __slots__ = ("batches", "calls", "shards")

    def __init__(self, calls: list[Call], batch_key: Callable[[int, list[Call]], str]) -> None:
        self.calls = calls
        self.shards: dict[int, list[Call]] = {}
        for call in calls:
            self.shards.setdefault(call.shard, []).append(call)
        # A repeat must be of the same messages in the same order: the answer is kept under the batch's key.
        self.batches = {shard: batch_key(shard, group) for shard, group in self.shards.items()}

    def settle(self, shards: Sequence[int], replies: Sequence[Any]) -> None:
        """Give the calls of these shards their answers."""
        for shard, reply in zip(shards, replies, strict=True):
            calls = self.shards[shard]
            answers = _answers(reply)
            if len(answers) != sum(call.messages for call in calls):
                raise ValueError("the log answered another number of messages than it was given")
            at = 0
            for call in calls:
                end = at + call.messages
                call.settle(answers[at:end])
                at = end

    def fail(self, error: BaseException, now: float = float("inf")) -> None:
        """Tell those that have no answer, and whose time is over by `now`, why they get none."""
        for call in self.calls:
            if call.deadline <= now:
                call.settle(error)

    @property
    def done(self) -> bool:
        """True once every call has its answer."""
        return all(call.done for call in self.calls)


def _answers(reply: Sequence[Any]) -> list[Answer]:
    """What send.lua says of each message: its reply has one entry for all that were stored one behind the other."""
    answers: list[Answer] = []
    for at in range(0, len(reply), 5):
        status, count = reply[at], reply[at + 1]
        seq, ts, epoch = int(reply[at + 2]), int(reply[at + 3]), int(reply[at + 4])  # (those of a repeat are text)
        if count == 1:
            answers.append((status, seq, ts, epoch))
        else:
            answers += [(status, each, ts, epoch) for each in range(seq, seq + count)]
    return answers


class _Lane:
    """What waits for a server, and how many pipelines to it are under way."""

    __slots__ = ("address", "calls", "messages", "running")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.calls: deque[Call] = deque()
        self.messages = self.running = 0

    def put(self, call: Call) -> None:
        self.calls.append(call)
        self.messages += call.messages

    def take(self) -> list[Call]:
        """What goes into the next pipeline."""
        taken: list[Call] = []
        size = 0
        while self.calls and (not taken or size + self.calls[0].messages <= MAX_CALL):
            taken.append(self.calls.popleft())
            size += taken[-1].messages
        self.messages -= size
        return taken


class Lanes:
    """Carries send.lua calls."""

    def __init__(self, nodes: RedisNodes) -> None:
        self._nodes = nodes
        self._lanes: dict[Address, _Lane] = {}
        self._messages = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._random, self._counter = secrets.token_hex(6), 0
        self._crowded = False
        """Whether the last pipeline carried several calls: then the next one is worth a moment of gathering."""

    def submit(self, shard: int, args: Sequence[Value]) -> asyncio.Future[list[Answer]]:
        """`put` for tasks: the future gives the answers, or raises. Whoever stops waiting for it (a client that hung
        up) does not call the messages back: they are sent all the same."""
        future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()

        def told(outcome: list[Answer] | BaseException) -> None:
            if future.done():
                return
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

        self.put(shard, args, told)
        return future

    def put(self, shard: int, args: Sequence[Value], told: Told) -> None:
        """Put messages (eight arguments of send.lua each) on their lane. `told` is called with their answers, later
        and from no task in particular; with BackendUnavailable after `DEADLINE_S`.

        They are stored together, in order, or not at all, so give at most `MAX_CALL` of them. Raises ChatError
        overloaded at once.
        """
        if self._messages >= MAX_WAITING:
            raise ChatError("overloaded", "Too many messages are waiting for the log.")
        self._put(Call(shard, args, told, time.monotonic() + DEADLINE_S))

    def _put(self, call: Call) -> None:
        address = self._nodes.address(call.shard)
        lane = self._lanes.get(address)
        if lane is None:
            lane = self._lanes[address] = _Lane(address)
        lane.put(call)
        self._messages += call.messages
        self._idle.clear()
        if not lane.running or (lane.running < DEPTH and lane.messages >= MAX_CALL):
            self._begin(lane)

    async def idle(self) -> None:
        """Wait until nothing is on its way."""
        while self._messages:
            await self._idle.wait()

    # --- the short way ---------------------------------------------------------------------------------------------

    def _begin(self, lane: _Lane) -> None:
        """Send a pipeline of what waits, now or after a moment of gathering."""
        lane.running += 1
        if self._crowded:
            nobodys_call(self._gather, lane, lane.messages, 0, GATHER_TURNS)
        else:
            self._go(lane)

    def _gather(self, lane: _Lane, before: int, quiet: int, turns: int) -> None:
        """Let the loop turn for as long as each turn brings more sends: a call's fixed cost is then theirs together.
        The last empty turns cost some 20 µs, so a send that follows a lone one waits for nobody."""
        quiet = quiet + 1 if lane.messages == before else 0
        if quiet == QUIET_TURNS or not turns or lane.messages >= MAX_CALL:
            self._go(lane)
        else:
            nobodys_call(self._gather, lane, lane.messages, quiet, turns - 1)

    def _go(self, lane: _Lane) -> None:
        if not lane.calls:  # the other pipeline, which gathered at the same time, has taken them
            self._done(lane)
            return
        calls = lane.take()
        if calls[0].deadline <= (now := time.monotonic()):  # those before them took all their time
            calls = self._in_time(calls, now)
            if not calls:
                self._done(lane)
                return
        trip = Trip(calls, self._batch_key)
        self._crowded = len(calls) > 1
        address, shards = lane.address, list(trip.shards)
        in_place = all(self._nodes.address(shard) == address for shard in shards)
        if not (in_place and self._nodes.can_begin(address)):
            self._repair(lane, trip)
            return
        try:
            self._starts(trip)
            self._nodes.begin_write(address, self._commands(trip, shards), partial(self._replied, lane, trip))
        except Exception as error:  # the connection is broken, it cannot be packed, or a fault of ours
            self._replied(lane, trip, error)

    def _in_time(self, calls: list[Call], now: float) -> list[Call]:
        """Those whose time is not over; the others are told, and are not sent."""
        late = [call for call in calls if call.deadline <= now]
        self._messages -= sum(call.messages for call in late)
        for call in late:
            call.settle(BackendUnavailable())
        return [call for call in calls if call.deadline > now]

    def _replied(self, lane: _Lane, trip: Trip, outcome: list[Any] | Exception) -> None:
        if not isinstance(outcome, Exception):
            try:
                trip.settle(list(trip.shards), outcome)
            except Exception as error:  # it is not what send.lua says
                outcome = error
        if isinstance(outcome, Exception):
            self._ends(trip, outcome)
            self._repair(lane, trip, outcome)
        else:
            self._ends(trip)
            self._done(lane, trip)

    def _done(self, lane: _Lane, trip: Trip | None = None) -> None:
        if trip is not None:
            self._messages -= sum(call.messages for call in trip.calls)
        if not self._messages:
            self._idle.set()
        lane.running -= 1
        if lane.calls and (not lane.running or lane.messages >= MAX_CALL):
            self._begin(lane)
        elif not lane.running:
            self._lanes.pop(lane.address, None)

    # --- the long way ----------------------------------------------------------------------------------------------

    def _repair(self, lane: _Lane, trip: Trip, error: Exception | None = None) -> None:
        """Have a task see a pipeline to its end. `error`: what came of its first attempt."""
        task = nobodys_task(self._see_through(lane, trip, error))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _see_through(self, lane: _Lane, trip: Trip, error: Exception | None) -> None:
        try:
            await self._repeat(trip, error)
        except Exception as mistake:  # a fault of ours: the senders must not wait for ever
            trip.fail(mistake)
        except BaseException:
            trip.fail(BackendUnavailable())
            raise
        finally:
            self._done(lane, trip)

    async def _repeat(self, trip: Trip, error: Exception | None) -> None:
        """Repeat until each call has its answer or its time is over."""
        pause, cause = 0.0, BackendUnavailable()
        while True:
            try:
                if error is not None:
                    raise error
                trip.fail(cause, time.monotonic())
                if not trip.done:
                    await self._attempt(trip)
                return
            except StaleScript:
                pause = 0
                for shard in trip.shards:
                    await self._nodes.load(shard)
            except LogFull:
                raise
            except BackendUnavailable as unavailable:
                cause = unavailable
            error = None
            await asyncio.sleep(pause)
            pause = min(pause * 2 + 0.02, 0.3)

    async def _attempt(self, trip: Trip) -> None:
        """One pipeline a server; as a rule there is one. A shard may have moved since the lane was chosen."""
        servers: dict[Address, list[int]] = {}
        for shard in trip.shards:
            servers.setdefault(self._nodes.address(shard), []).append(shard)
        self._starts(trip)
        try:
            for shards in servers.values():
                trip.settle(shards, await self._nodes.write(shards[0], self._commands(trip, shards)))
        except BaseException as error:
            self._ends(trip, error)
            raise
        self._ends(trip)

    # --- both ------------------------------------------------------------------------------------------------------

    def _commands(self, trip: Trip, shards: Sequence[int]) -> list[Sequence[Value]]:
        now = int(time.time() * 1000)
        commands: list[Sequence[Value]] = []
        for shard in shards:
            calls = trip.shards[shard]
            arguments: list[Value] = [now, trip.batches[shard], BATCH_KEY_S, self._contexts(calls)]
            for call in calls:
                arguments += call.args
            commands.append(self._nodes.fenced(shard, "send", *arguments))
        return commands

    def _batch_key(self, shard: int, calls: list[Call]) -> str:
        """Where the answer to this batch is remembered; empty when each message has a key of its own."""
        if all(call.args[at] for call in calls for at in range(KEY, len(call.args), ARGUMENTS)):
            return ""
        self._counter += 1
        return self._nodes.keys.batch(shard, f"{self._random}.{self._counter}")

    # What traced lanes do about it: see redis_traced.py.

    def _starts(self, trip: Trip) -> None:
        """An attempt begins."""

    def _ends(self, trip: Trip, error: BaseException | None = None) -> None:
        """It has ended."""

    def _contexts(self, calls: Sequence[Call]) -> str:
        """Which of these messages are traced."""
        return ""
