"""Connections to the Redis servers: one place that knows about time-outs, redirects, epochs and scripts.

Theory of operation
-------------------
*Outcome.* A command can be answered, refused cleanly (the server says it did nothing: MOVED, LOADING, READONLY,
CLUSTERDOWN, …) or stay unclear (no reply in time, connection lost). Refused commands are sent again after the layout
was looked up anew. Unclear ones are sent again only when the caller says that a repeat does no harm: all scripts of
this project are safe to repeat, each remembers its answer under a key. Everything ends within `DEADLINE_S`.

*Epochs.* Scripts run by SHA, and their text holds the shard's epoch (see lua/common.lua). A server that restarted,
was promoted, or took the slot over does not know that SHA. `_open` then compares the server's run id with the one in
the shard's state, raises the epoch when it is another server, and only then loads the text. redis-server keeps no
EVAL script over a restart and replicates none (7.0 and later), which is what makes this a fence. Redis functions
would be restored and replicated, so they would not do here.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from dchat_server.adapters.redis_durability import Durability
from dchat_server.adapters.redis_keys import Keys
from dchat_server.adapters.redis_locator import REPLY_S, Address, Layout, client_to, locator_for, one_client, parse
from dchat_server.adapters.redis_wire import RedisWire, Told, Value
from dchat_server.errors import ArchiveUnavailable, BackendUnavailable, ClusterMismatch
from dchat_server.logs import nobodys_task
from dchat_server.model import Position
from dchat_server.ports_archive import Mark

DEADLINE_S = 5.0
ARCHIVE_S = 10.0
"""How long a shard that is opened waits for the archive: longer than one that answers at all takes for a call."""
HOT, LANES = 0, 4
"""Connections to each server: one for sends alone, and four that everything else takes turns on, so that a long
answer holds up a quarter of what comes behind it at most."""
_REFUSED = (MovedError, AskError, TryAgainError, ClusterDownError, MasterDownError, BusyLoadingError, ReadOnlyError)
_UNCLEAR = (RedisConnectionError, RedisTimeoutError, OSError, asyncio.TimeoutError)
_BUSY = "is busy running a script"
"""Says a server that was stopped (a machine that pauses, a debugger) amid one of our scripts, until that has ended."""
_REFUSED_WORDS = (
    "non local key",
    "NOREPLICAS",
    "UNBLOCKED",
    "CROSSSLOT during",
    "-MASTERDOWN",
    _BUSY,
    "killed by user",  # a script, which then has written nothing
    "appendonly is disabled",  # WAITAOF: the promise cannot be kept
    "cannot be used with replica",  # WAIT and WAITAOF: likewise
)


@cache
def _source(name: str) -> str:
    return (resources.files("dchat_server") / "lua" / f"{name}.lua").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class ShardState:
    """What a worker knows of a shard's feed."""

    epoch: int
    head: int
    first: int
    """The oldest offset the feed still holds (head + 1 when it holds none)."""
    bases: Mapping[int, int]
    """Epochs that are over → the offset each ended at."""
    behind: bool = False
    """The shard may lack what the archive holds; see lua/open_shard.lua."""

    def knows(self, epoch: int) -> bool:
        """True for the present epoch and those whose end is on record."""
        return epoch == self.epoch or epoch in self.bases

    def kept(self, position: Position) -> bool:
        """True when nothing up to `position` was lost in a change of epoch. (Whether a position of the present
        epoch lies beyond its head is for the caller to see: `head` is only as fresh as this value.)"""
        return position.epoch == self.epoch or position.offset <= self.bases.get(position.epoch, -1)


class RedisNodes:
    """All Redis servers of a cluster, by shard.

    `url` is `DCHAT_REDIS_URL`; `shards` must be what the cluster was set up with.
    """

    def __init__(
        self,
        url: str,
        shards: int,
        *,
        durability: Durability | None = None,
        marks: Callable[[], Awaitable[Mapping[int, Mark]]] | None = None,
        seal: Callable[[int, int], Awaitable[int]] | None = None,
    ) -> None:
        self._durability = durability or Durability("memory")
        self._marks, self._seal, self._last_marks = marks, seal, dict[int, Mark]()
        self.keys = Keys(shards)
        self._target = parse(url)
        self._locator = locator_for(self._target, self.keys)
        self._layout = Layout((), {})
        self._clients: dict[Address, Redis] = {}
        """One a server; it only makes connections, which know how to sign in."""
        self._wires: dict[tuple[Address, int], RedisWire] = {}
        self._connecting: dict[tuple[Address, int], asyncio.Task[RedisWire]] = {}
        """Attempts under way. Whoever needs the connection shares its attempt, and its failure: one after the other
        they would each wait for a server that is silent."""
        self._turn = 0
        self._states: dict[int, ShardState] = {}
        self._opening: dict[int, asyncio.Lock] = {}
        self._locating: asyncio.Task[Layout] | None = None

    @property
    def many_nodes(self) -> bool:
        """True for Redis Cluster, where one command may not touch two shards."""
        return self._target.kind == "cluster"

    async def start(self) -> None:
        """Find the servers and open every shard. Raises BackendUnavailable or ClusterMismatch."""
        self._layout = await self._locator.locate()
        one_each = {address: shard for shard, address in self._layout.shards.items()}
        await self._durability.fit([partial(self.run, shard) for shard in one_each.values()])
        openings = (self.open_shard(shard) for shard in range(self.keys.shards))
        for opened in await asyncio.gather(*openings, return_exceptions=True):  # so that none is left under way
            if isinstance(opened, BaseException):
                raise opened

    async def stop(self) -> None:
        for attempt in self._connecting.values():
            attempt.cancel()
        await asyncio.gather(*self._connecting.values(), return_exceptions=True)
        for wire in self._wires.values():
            wire.close()
        self._wires.clear()

    def address(self, shard: int) -> Address:
        """Where the shard was last seen; the lanes of `RedisRoomLog` group by this."""
        return self._layout.shards[shard]

    def state(self, shard: int) -> ShardState:
        return self._states[shard]

    async def run(self, shard: int, *command: Value, repeat: bool = True) -> Any:
        """One command on the shard's server; the raw reply. One round trip.

        `repeat=False` for a command that must not be done twice: an unclear outcome is then raised at once.
        Raises BackendUnavailable.
        """
        (reply,) = await self.pipe(shard, [command], repeat=repeat)
        return reply

    async def pipe(
        self,
        shard: int,
        commands: Sequence[Sequence[Value]],
        *,
        repeat: bool = True,
        attempts: int = 1000,
        lane: int | None = None,
    ) -> list[Any]:
        """Several commands for one shard in one round trip; their raw replies in order.

        Not atomic. Raises BackendUnavailable, or the first reply that is an error the server meant.
        """
        deadline = time.monotonic() + (DEADLINE_S if attempts > 1 else 0)
        pause = 0.02
        while True:
            try:
                return await self._pipe_once(self._layout.shards[shard], commands, lane)
            except _REFUSED as error:
                if type(error) is AskError and len(commands) == 1:  # (redis-py has MovedError be one, too)
                    with suppress(*_UNCLEAR, ResponseError):
                        return [await self._ask(error, commands[0])]
                await self._again(deadline, pause, error)
            except (NoScriptError, OutOfMemoryError, AuthenticationError, NoPermissionError) as error:
                raise _translate(error) from error
            except _UNCLEAR as error:
                if not repeat:
                    raise BackendUnavailable from error
                await self._again(deadline, pause, error)
            except ResponseError as error:
                if not any(word in str(error) for word in _REFUSED_WORDS):
                    raise _translate(error) from error
                await self._again(deadline, pause, error)
            pause = min(pause * 2, 0.3)

    async def ask(self, questions: Sequence[tuple[int, Sequence[Value]]]) -> list[Any]:
        """The raw replies to many (shard, command) questions, in order: one round trip a server, all at once.

        For commands that only read, or may be repeated. Raises BackendUnavailable.
        """
        servers: dict[Address, list[int]] = {}
        for at, (shard, _) in enumerate(questions):
            servers.setdefault(self._layout.shards[shard], []).append(at)
        replies: list[Any] = [None] * len(questions)

        async def one(places: list[int]) -> None:
            commands = [questions[at][1] for at in places]
            try:
                got = await self.pipe(questions[places[0]][0], commands, attempts=1)
            except BackendUnavailable:
                # Perhaps some of the shards have moved: each is asked where it is now.
                got = [await self.run(questions[at][0], *questions[at][1]) for at in places]
            for at, reply in zip(places, got, strict=True):
                replies[at] = reply

        await asyncio.gather(*map(one, servers.values()))
        return replies

    async def script(self, shard: int, name: str, *args: Value, durable: bool = True) -> Any:
        """Run the fenced writing script lua/<name>.lua on a shard; its raw reply. One round trip as a rule.

        Repeats it until it is answered or `DEADLINE_S` is over: every script must remember its answer. `durable`: wait
        for what `DCHAT_ACK` asks.
        """
        waits = self._durability.commands if durable else ()
        deadline = time.monotonic() + DEADLINE_S
        while True:
            sha = self._sha(shard, name)
            try:
                command = ("EVALSHA", sha, 2, self.keys.feed(shard), self.keys.state(shard), *args)
                replies = await self.pipe(shard, [command, *waits])
                self._durability.check(replies[1:])
                return replies[0]
            except StaleScript:
                if time.monotonic() > deadline:
                    raise BackendUnavailable from None
                await self.load(shard)

    async def write(self, shard: int, commands: Sequence[Sequence[Value]]) -> list[Any]:
        """One attempt at a pipeline of fenced calls, then whatever `DCHAT_ACK` waits for; their raw replies.

        The caller repeats it: raises StaleScript when a shard has to be opened and loaded, BackendUnavailable when
        the outcome is unclear, the shard has moved (it was looked up anew), or the promise is not kept yet.
        """
        replies = await self.pipe(shard, [*commands, *self._durability.commands], attempts=1, lane=HOT)
        self._durability.check(replies[len(commands) :])
        return replies[: len(commands)]

    def can_begin(self, address: Address) -> bool:
        """Tell whether the connection that `begin_write` needs is open."""
        wire = self._wires.get((address, HOT))
        return wire is not None and not wire.closed

    def begin_write(self, address: Address, commands: Sequence[Sequence[Value]], told: Told) -> None:
        """`write` for who is no task, when it `can_begin`. `told` hears of the raw replies, or what `write` would
        raise; of a shard that has moved, BackendUnavailable, without a look where to. Raises BackendUnavailable when
        the connection turns out to be broken; nobody is told then."""
        count = len(commands)

        def answered(outcome: list[Any] | Exception) -> None:
            if not isinstance(outcome, Exception):
                for reply in outcome:
                    if isinstance(reply, Exception):
                        told(_meant(reply))
                        return
                try:
                    self._durability.check(outcome[count:])
                except Exception as error:
                    told(error)
                    return
                told(outcome[:count])
            else:
                told(_meant(outcome))

        try:
            self._wires[address, HOT].send([*commands, *self._durability.commands], REPLY_S, answered)
        except RedisConnectionError as error:
            raise BackendUnavailable from error

    async def look(self, shard: int, name: str, keys: Sequence[str], *args: Value) -> Any:
        """Run a script that only reads. One round trip, two the first time on a server."""
        text = _source(name)
        try:
            return await self.run(shard, "EVALSHA", _digest(text), len(keys), *keys, *args)
        except StaleScript:
            return await self.run(shard, "EVAL", text, len(keys), *keys, *args)

    def fenced(self, shard: int, name: str, *args: Value) -> list[Value]:
        """The EVALSHA command that `script` would send, for a lane that pipelines it itself."""
        return ["EVALSHA", self._sha(shard, name), 2, self.keys.feed(shard), self.keys.state(shard), *args]

    async def open_shard(self, shard: int) -> ShardState:
        """Make sure the epoch belongs to the server that runs now, and return the shard's state. One round trip;
        two and a read of the archive when the epoch changes."""
        lock = self._opening.setdefault(shard, asyncio.Lock())
        async with lock:
            known = self._states.get(shard)
            keys = [self.keys.feed(shard), self.keys.state(shard), *([self.keys.first_user()] if shard == 0 else [])]
            command: list[Value] = ["EVAL", _source("open_shard"), len(keys), *keys]
            command += [known.epoch if known else 0, int(time.time()), self.keys.shards, known.head if known else 0]
            reply = await self.run(shard, *command)
            if reply[0] == b"MARK":
                mark, least = await self._sealed(shard, int(reply[1]), int(reply[2]))
                there = 0 if self._marks is None else 1
                reply = await self.run(shard, *command, *mark, there, least)
            ends = [base.split(b":") for base in bytes(reply[2]).split()]
            bases = {int(epoch): int(end) for epoch, end in ends}
            state = ShardState(int(reply[0]), int(reply[1]), int(reply[3]), bases, reply[4] == b"1")
            self._states[shard] = state
            return state

    async def _sealed(self, shard: int, epoch: int, head: int) -> tuple[Mark, int]:
        """What the archive has of the shard and, after this, ever will have of its epochs until now; and the epoch that
        may begin. An archive that is away must not keep a worker that runs from writing: what it said last is believed
        then. `epoch` and `head` are what the server has."""
        known = self._states.get(shard)
        if self._marks is None:
            return Mark(0, 0), 0
        least = 0
        try:
            async with asyncio.timeout(ARCHIVE_S):
                self._last_marks = dict(await self._marks())
                mark = self._last_marks.get(shard, Mark(0, 0))
                least = max(epoch, mark.epoch, known.epoch if known else 0) + 1
                if not epoch or mark.offset > head:
                    # Nobody knows how far the epochs of what was lost went. They count from seconds, and rise more
                    # slowly.
                    least = max(least, int(time.time()))
                if self._seal is not None:
                    least = await self._seal(shard, least)
                    self._last_marks = dict(await self._marks())
        except (ArchiveUnavailable, TimeoutError) as error:
            if known is None:
                raise BackendUnavailable("The archive cannot say whether the message log is whole.") from error
        # `least` also when the seal's own answer was lost: it may have been made.
        return self._last_marks.get(shard, Mark(0, 0)), least

    async def load(self, shard: int) -> None:
        """Open the shard and give its server the fenced scripts for the epoch that holds now."""
        await self.open_shard(shard)
        await self.pipe(shard, [("SCRIPT", "LOAD", self._text(shard, name)) for name in SCRIPTS])

    async def reader(self, shard: int) -> RedisWire:
        """A connection of one's own to the shard's server. The caller closes it."""
        try:
            return await self._open(self._layout.shards[shard])
        except (*_UNCLEAR, RedisError) as error:
            await self.look_again()
            raise BackendUnavailable from error

    async def look_again(self) -> None:
        """Look the layout up anew; several callers share one look-up."""
        if self._locating is None or self._locating.done():
            self._locating = nobodys_task(self._locator.locate())
        with suppress(BackendUnavailable):
            self._layout = await asyncio.shield(self._locating)

    async def _open(self, address: Address) -> RedisWire:
        client = self._clients.get(address)
        if client is None:
            client = self._clients[address] = client_to(address, self._target.options, connections=1)
        return await RedisWire.open(client.connection_pool.make_connection())  # type: ignore[no-untyped-call]

    async def _wire(self, address: Address, lane: int) -> RedisWire:
        """The connection of a lane, opened when there is none that works."""
        key = (address, lane)
        wire = self._wires.get(key)
        if wire is not None and not wire.closed:
            return wire
        attempt = self._connecting.get(key)
        if attempt is None:
            attempt = self._connecting[key] = nobodys_task(self._open(address))
            attempt.add_done_callback(partial(self._connected, key))
        return await asyncio.shield(attempt)

    def _connected(self, key: tuple[Address, int], attempt: asyncio.Task[RedisWire]) -> None:
        del self._connecting[key]
        if not attempt.cancelled() and attempt.exception() is None:  # (it is looked at here when nobody waits any more)
            self._wires[key] = attempt.result()

    async def _pipe_once(self, address: Address, commands: Sequence[Sequence[Value]], lane: int | None) -> list[Any]:
        if lane is None:
            self._turn = lane = self._turn % LANES + 1
        wire = await self._wire(address, lane)
        replies = await wire.call(commands, REPLY_S)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def _ask(self, error: AskError, command: Sequence[Value]) -> Any:
        async with (
            one_client((error.host, error.port), self._target.options) as client,
            client.pipeline(transaction=False) as pipeline,
        ):
            pipeline.execute_command("ASKING")
            pipeline.execute_command(*command)
            return (await pipeline.execute())[1]

    async def _again(self, deadline: float, pause: float, error: Exception, *, look: bool = True) -> None:
        if look:
            await self.look_again()
        if time.monotonic() + pause > deadline:
            raise BackendUnavailable from error
        await asyncio.sleep(pause)

    def _text(self, shard: int, name: str) -> str:
        return _fenced_text(name, self._states[shard].epoch)

    def _sha(self, shard: int, name: str) -> str:
        return _fenced_sha(name, self._states[shard].epoch)


SCRIPTS = (
    "send",
    "amend",
    "create_room",
    "update_room",
    "set_member",
    "archived",
    "raise_fence",
    "caught_up",
    "restore_room",
    "mark_read",
    "announce",
    "update_account",
    "change_password",
    "add_token",
    "revoke_tokens",
    "create_account",
    "first_account",
    "join_set",
    "user_saved",
    "restore_user",
    "tell",
    "typing",
)


class LogFull(BackendUnavailable):
    """Redis takes no writes: it has no memory left, or cannot write its file. A repeat at once would not help."""


class StaleScript(Exception):
    """The server does not know the script, or the shard is at another epoch: open the shard, then load again."""


def _meant(error: Exception) -> Exception:
    """What came of a command that is not looked after any further: BackendUnavailable when a repeat may help."""
    if not isinstance(error, (AuthenticationError, NoPermissionError)) and (
        isinstance(error, (*_REFUSED, *_UNCLEAR)) or any(word in str(error) for word in _REFUSED_WORDS)
    ):
        return BackendUnavailable()
    return _translate(error)


def _translate(error: Exception) -> Exception:
    text = str(error)
    if isinstance(error, NoScriptError) or "STALEEPOCH" in text or text.startswith("NOSCRIPT"):
        return StaleScript()
    if text.startswith("SHARDS"):
        return ClusterMismatch(text)
    if isinstance(error, OutOfMemoryError) or "OOM" in text or "MISCONF" in text:
        return LogFull("The message log is full or cannot write; its operator has to make room.")
    if isinstance(error, (AuthenticationError, NoPermissionError)):
        return BackendUnavailable("The message log refuses this server's credentials.")
    return error


@cache
def _fenced_text(name: str, epoch: int) -> str:
    return f"local EPOCH = '{epoch}'\n{_source('common')}\n{_source(name)}"


@cache
def _fenced_sha(name: str, epoch: int) -> str:
    return _digest(_fenced_text(name, epoch))


def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
