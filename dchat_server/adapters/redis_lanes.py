"""Sends in flight share their round trips: a lane a Redis server.

While one pipeline is under way, sends gather; the next pipeline carries all of them, one script call a shard. So a
lone send waits for nobody, and a thousand cost a few calls. When a full call has gathered it need not wait: a second
pipeline goes out behind the first, so Redis has work while the worker reads answers, and the other way round. A lane
repeats a pipeline when its outcome is unclear: the script answers `repeat` for what it had stored.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence

import structlog
from redis.exceptions import RedisError, ResponseError

from dchat_server.adapters.redis_locator import Address
from dchat_server.adapters.redis_nodes import DEADLINE_S, LogFull, RedisNodes, StaleScript
from dchat_server.adapters.redis_wire import Value
from dchat_server.errors import BackendUnavailable, ChatError
from dchat_server.logs import nobodys_task

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


class _Lane:
    """What waits for a server, and how many pipelines to it are under way."""

    __slots__ = ("calls", "messages", "running")

    def __init__(self) -> None:
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

    def put(self, shard: int, args: Sequence[Value], told: Told) -> Call:
        """Put messages (eight arguments of send.lua each) on their lane. `told` is called with their answers, later
        and from no task in particular; with BackendUnavailable after `DEADLINE_S`.

        They are stored together, in order, or not at all, so give at most `MAX_CALL` of them. Raises ChatError
        overloaded at once.
        """
        if self._messages >= MAX_WAITING:
            raise ChatError("overloaded", "Too many messages are waiting for the log.")
        address = self._nodes.address(shard)
        lane = self._lanes.get(address)
        if lane is None:
            lane = self._lanes[address] = _Lane()
        call = Call(shard, args, told, time.monotonic() + DEADLINE_S)
        lane.put(call)
        self._messages += call.messages
        if not lane.running or (lane.running < DEPTH and lane.messages >= MAX_CALL):
            lane.running += 1
            task = nobodys_task(self._run(address, lane))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return call

    async def idle(self) -> None:
        """Wait until nothing is on its way."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _run(self, address: Address, lane: _Lane) -> None:
        try:
            while lane.calls and (lane.running == 1 or lane.messages >= MAX_CALL):
                if self._crowded:
                    await self._gather(lane)
                calls = lane.take()
                self._crowded = len(calls) > 1
                try:
                    await self._settle(calls)
                except Exception as error:  # a fault of ours: the senders must not wait for ever
                    self._fail(calls, error)
                finally:
                    self._messages -= sum(call.messages for call in calls)
        finally:
            lane.running -= 1
            if not lane.running and not lane.calls:
                self._lanes.pop(address, None)

    async def _gather(self, lane: _Lane) -> None:
        """Let the loop turn for as long as each turn brings more sends: a call's fixed cost is then theirs together.
        The last empty turns cost some 20 µs, so a send that follows a lone one waits for nobody."""
        quiet = 0
        for _ in range(GATHER_TURNS):
            before = lane.messages
            if quiet == QUIET_TURNS or before >= MAX_CALL:
                return
            await asyncio.sleep(0)
            quiet = quiet + 1 if lane.messages == before else 0

    async def _settle(self, calls: list[Call]) -> None:
        """Repeat until each call has its answer or its time is over."""
        pause = 0.02
        cause: ChatError | None = None
        now = time.monotonic()
        if calls[0].deadline <= now:  # those before them took all their time
            self._fail([call for call in calls if call.deadline <= now], BackendUnavailable())
            calls = [call for call in calls if not call.done]
            if not calls:
                return
        shards: dict[int, list[Call]] = {}
        for call in calls:
            shards.setdefault(call.shard, []).append(call)
        # A repeat must be of the same messages in the same order: the answer is kept under the batch's key.
        batches = {shard: self._batch_key(shard, group) for shard, group in shards.items()}
        while True:
            try:
                await self._attempt(shards, batches)
                return
            except StaleScript:
                pause = 0
                try:
                    for shard in shards:
                        await self._nodes.load(shard)
                except (ChatError, RedisError, OSError) as error:
                    self._fail(calls, error)
                    return
            except ChatError as error:
                if isinstance(error, LogFull) or not isinstance(error, BackendUnavailable):
                    self._fail(calls, error)
                    return
                cause = error
            except (ResponseError, ValueError) as error:
                self._fail(calls, error)
                return
            now = time.monotonic()
            self._fail([call for call in calls if call.deadline <= now], cause or BackendUnavailable())
            if all(call.done for call in calls):
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2 + 0.02, 0.3)

    def _batch_key(self, shard: int, calls: list[Call]) -> str:
        """Where the answer to this batch is remembered; empty when each message has a key of its own."""
        if all(call.args[at] for call in calls for at in range(KEY, len(call.args), ARGUMENTS)):
            return ""
        self._counter += 1
        return self._nodes.keys.batch(shard, f"{self._random}.{self._counter}")

    async def _attempt(self, shards: dict[int, list[Call]], batches: dict[int, str]) -> None:
        """One pipeline a server; as a rule there is one. A shard may have moved since the lane was chosen."""
        now = int(time.time() * 1000)
        servers: dict[Address, list[int]] = {}
        for shard in shards:
            servers.setdefault(self._nodes.address(shard), []).append(shard)
        for group in servers.values():
            commands: list[Sequence[Value]] = []
            for shard in group:
                arguments: list[Value] = [now, batches[shard], BATCH_KEY_S, self._contexts(shards[shard])]
                for call in shards[shard]:
                    arguments += call.args
                commands.append(self._nodes.fenced(shard, "send", *arguments))
            replies = await self._nodes.write(group[0], commands)
            for shard, reply in zip(group, replies, strict=True):
                at = 0
                for call in shards[shard]:
                    end = at + 5 * call.messages
                    # (The numbers of a repeat are text.)
                    call.settle(
                        [(reply[i], int(reply[i + 1]), int(reply[i + 2]), int(reply[i + 3])) for i in range(at, end, 5)]
                    )
                    at = end

    def _contexts(self, calls: Sequence[Call]) -> str:
        """Which of these messages are traced: see redis_traced.py. Here, none."""
        return ""

    @staticmethod
    def _fail(calls: Sequence[Call], error: BaseException) -> None:
        for call in calls:
            call.settle(error)
