"""The connection that carries sends: adapters/redis_wire.py beside redis-py's own pipeline."""

from __future__ import annotations

import asyncio
import time

from redis.asyncio import Redis

from benchmarks.load import WrongResult
from benchmarks.measure import Figure, figure
from benchmarks.suite import Bench
from dchat_server.adapters.redis_wire import RedisWire

COMMANDS = [("ECHO", f"{number:0200d}") for number in range(8)]
REPLIES = [word.encode() for _, word in COMMANDS]


def wire(bench: Bench) -> list[Figure]:
    """A pipeline of eight commands; only this process' CPU."""
    own, theirs = asyncio.run(_compare(bench.setting.redis.port, bench.sizes.wire_calls))
    return [
        figure("a pipeline of 8 commands: CPU of our own client", own, "µs", None, "adapters/redis_wire.py"),
        figure("a pipeline of 8 commands: CPU of redis-py", theirs, "µs"),
    ]


async def _compare(port: int, calls: int) -> tuple[float, float]:
    async with Redis(port=port, protocol=2) as client:
        connection = await RedisWire.open(client.connection_pool.make_connection())
        begun = time.process_time()
        for _ in range(calls):
            if await connection.call(COMMANDS, 5.0) != REPLIES:
                raise WrongResult("our own client got other replies")
        own = time.process_time() - begun
        connection.close()
        begun = time.process_time()
        for _ in range(calls):
            pipeline = client.pipeline(transaction=False)
            for command in COMMANDS:
                pipeline.execute_command(*command)
            if await pipeline.execute() != REPLIES:
                raise WrongResult("redis-py got other replies")
        theirs = time.process_time() - begun
    return own * 1e6 / calls, theirs * 1e6 / calls
