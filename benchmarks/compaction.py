"""Compaction: how fast the leader archives a backlog, what it costs in DynamoDB, and what others notice of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

from redis import Redis

from benchmarks.backlog import Backlog, opened
from benchmarks.chatter import KINDS, Kind
from benchmarks.compact import archive_for, compact
from benchmarks.load import Server, WrongResult
from benchmarks.machine import CpuClock
from benchmarks.measure import Figure, at_least, figure
from benchmarks.people import Person
from benchmarks.setting import ROOT, Process, free_port
from benchmarks.suite import SHARDS, Bench
from dchat_server.adapters.dynamodb_items import Item, chunk, number, size
from dchat_server.adapters.redis_keys import Keys

ANSWER_MS = 5
"""How long the stand-in for DynamoDB takes to answer."""
TIMEOUT_S = 300


def compaction(bench: Bench) -> list[Figure]:
    """A backlog in a few rooms and in many, into SQLite and into an endpoint that answers in 5 ms."""
    sizes, found = bench.sizes, []
    few = Backlog(["few1", "few2", "few3", "few4"], sizes.backlog // 4)
    many = Backlog([f"many{at}" for at in range(sizes.small_rooms)], sizes.small_room)
    for where, least in (("sqlite", 20_000), ("dynamodb", 5000)):
        for backlog in (few, many):
            found += _backlog(bench, where, backlog, at_least(least) if backlog is few else None)
    return found


def _backlog(bench: Bench, where: str, backlog: Backlog, goal: Any) -> list[Figure]:
    redis, place, processes = _servers(bench, where, ANSWER_MS)
    try:
        asyncio.run(_write(redis.port, backlog))
        clock = CpuClock({"Redis": redis.pid})
        command = [sys.executable, "-m", "benchmarks.compact", str(redis.port), where, place]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if done.returncode:
            raise WrongResult(f"compaction failed:\n{done.stderr[-2000:]}")
        used, took = clock.used(), json.loads(done.stdout)
        asyncio.run(_check(where, place, backlog))
    finally:
        for process in processes:
            process.kill()
    messages = backlog.messages
    if took["archived"]["messages"] != messages:
        raise WrongResult(f"{took['archived']} were archived of {messages} messages")
    cpu = {"leader": took["cpu_s"], **used}
    store = "SQLite" if where == "sqlite" else f"DynamoDB ({ANSWER_MS} ms)"
    what = f"compaction into {store}, {len(backlog.rooms):,} rooms of {backlog.each:,}"
    split = " + ".join(f"{name} {each * 1e6 / messages:.1f}" for name, each in cpu.items())
    packed = took["archived"]["chunk_bytes"] / messages
    return [
        figure(f"{what}: messages", messages / took["seconds"], "/s", goal, f"{packed:.0f} bytes a message"),
        figure(f"{what}: CPU a message", sum(cpu.values()) * 1e6 / messages, "µs", None, split),
        figure(f"{what}: memory it took", (took["peak_kb"] - took["idle_kb"]) / 1024, "MB", None,
               f"{took['peak_kb'] / 1024:.0f} MB at the peak, Python and all"),
    ]  # fmt: skip


def write_units(bench: Bench) -> list[Figure]:
    """DynamoDB's write units, counted, against an item a message: put plainly, and with the guarantee that a leader
    which is over writes nothing (item and watermark in one transaction, at twice the price)."""
    found = []
    for kind in KINDS[:2] if bench.sizes.small else KINDS:
        units, packed, backlog = _units(bench, kind)
        plain, same = _item_a_message(backlog)
        found += [
            figure(f"{kind.name}: an item a message, put plainly, over ours", plain / units, "×", at_least(50)),
            figure(f"{kind.name}: an item a message with the same guarantee, over ours", same / units, "×",
                   at_least(50), f"{units * 1000 / backlog.messages:.0f} units for 1,000 messages, "
                   f"{packed / backlog.messages:.0f} bytes each"),
        ]  # fmt: skip
    for each in (1, 10, 100)[: 1 if bench.sizes.small else None]:
        units = _quiet(bench, each)
        found.append(figure(f"a quiet room, {each} messages at a time: write units a message", units, ""))
    return found


def _units(bench: Bench, kind: Kind) -> tuple[float, int, Backlog]:
    backlog = Backlog(["room"], bench.sizes.unit_messages, kind)
    redis, place, processes = _servers(bench, "dynamodb", 0)

    async def run() -> dict[str, Any]:
        await _write(redis.port, backlog)
        archive = archive_for("dynamodb", place)
        await archive.start()
        before = await archive.write_units()
        took = await compact(redis.port, archive)
        await backlog.check(archive)
        # What raising the fences costs is no part of it.
        took["units"] = await archive.write_units() - before - (1 + SHARDS)
        await archive.stop()
        return took

    try:
        took = asyncio.run(run())
    finally:
        for process in processes:
            process.kill()
    return took["units"], took["archived"]["chunk_bytes"], backlog


def _quiet(bench: Bench, each: int) -> float:
    """Write units a message in a room that has `each` messages a round."""
    redis, place, processes = _servers(bench, "dynamodb", 0)
    rounds = max(2, bench.sizes.quiet_messages // each)

    async def run() -> float:
        archive = archive_for("dynamodb", place)
        await archive.start()
        async with opened(redis.port) as nodes:
            backlog = Backlog(["quiet"], each)
            await backlog.write(nodes)
            await compact(redis.port, archive)
            before = await archive.write_units()
            for _ in range(rounds):
                await backlog.write_more(nodes)
                await compact(redis.port, archive)
        units = await archive.write_units() - before - rounds * (1 + SHARDS)
        await archive.stop()
        return units / (rounds * each)

    try:
        return asyncio.run(run())
    finally:
        for process in processes:
            process.kill()


def _item_a_message(backlog: Backlog) -> tuple[float, float]:
    """Write units that an item a message takes: put alone, and in a transaction that moves the watermark as well."""
    plain = same = 0.0
    for body in backlog.bodies():
        item: Item = {
            **chunk("room", 1),
            "type": {"S": "message"},
            "ts": number(1_790_000_000_000),
            "offset": number(1_000_000),
            "body": {"B": body},
        }
        units = -(-size(item) // 1024)
        plain += units
        same += 2 * units + 2
    return plain, same


def beside(bench: Bench) -> list[Figure]:
    """Sends at 200/s while the worker that takes them archives a backlog as fast as it can, and while it has none."""
    setting, sizes = bench.setting, bench.sizes
    redis = setting.start_redis()
    folder = str(setting.folder / f"beside{bench.number()}")
    waiting = setting.start_worker(redis=redis, DCHAT_DATA_DIR=folder, DCHAT_COMPACT_INTERVAL_S="3600")
    processes = [redis, waiting]
    try:
        backlog = Backlog([f"old{at}" for at in range(16)], sizes.beside_backlog // 16)
        calm = _sends(bench, waiting, redis)
        asyncio.run(_write(redis.port, backlog))
        waiting.stop()
        busy_worker = setting.start_worker(
            redis=redis, DCHAT_DATA_DIR=folder, DCHAT_COMPACT_INTERVAL_S="0.1", DCHAT_COMPACT_KEEP="1000"
        )
        processes.append(busy_worker)
        time.sleep(1.5)
        before, began = _archived(redis, backlog), time.perf_counter()
        busy = _sends(bench, busy_worker, redis)
        archived, seconds = _archived(redis, backlog) - before, time.perf_counter() - began
        left = backlog.messages - _archived(redis, backlog)
        if not sizes.small and left <= 0:
            raise WrongResult("the backlog was archived before the sends were through")
    finally:
        for process in processes:
            process.kill()
    note = f"{archived / seconds:,.0f} messages/s archived meanwhile"
    return [
        figure("send → delivery at 200/s, nothing to archive, p50", calm["p50"] / 1000, "ms"),
        figure("send → delivery at 200/s, nothing to archive, p99", calm["p99"] / 1000, "ms"),
        figure("send → delivery at 200/s, beside compaction, p50", busy["p50"] / 1000, "ms", None, note),
        figure("send → delivery at 200/s, beside compaction, p99", busy["p99"] / 1000, "ms", None,
               f"slowest {busy['max'] / 1000:.1f} ms"),
    ]  # fmt: skip


def _sends(bench: Bench, worker: Process, redis: Process) -> dict[str, int]:
    person = Person(worker.port)
    room = person.create(f"live{bench.number()}")
    sizes = bench.sizes
    load = bench.generator.run(
        Server("D-Chat", worker.port, {"worker": worker.pid, "Redis": redis.pid}, tokens=[person.token]),
        room=room,
        first=person.head(room) + 1,
        streams=1,
        senders=4,
        messages=sizes.latency_messages,
        rate=sizes.latency_rate,
    )
    person.close()
    return load.delivery_us


def _archived(redis: Process, backlog: Backlog) -> int:
    """How many events of the backlog's rooms are archived."""
    keys = Keys(SHARDS)
    with Redis(port=redis.port, protocol=2) as client:
        pipeline = client.pipeline(transaction=False)
        for room in backlog.rooms:
            pipeline.hget(keys.room(room) + ":meta", "w")
        return sum(int(mark or 0) for mark in pipeline.execute())


def _servers(bench: Bench, where: str, answer_ms: float) -> tuple[Process, str, list[Process]]:
    """A Redis, and a place for an archive: a file, or the address of an endpoint."""
    redis = bench.setting.start_redis()
    if where == "sqlite":
        return redis, str(bench.setting.folder / f"archive{bench.number()}.sqlite3"), [redis]
    endpoint = start_endpoint(bench, answer_ms)
    return redis, address(endpoint), [redis, endpoint]


def start_endpoint(bench: Bench, answer_ms: float) -> Process:
    """The stand-in for DynamoDB, ready."""
    port = free_port()
    return bench.setting.start_peer(
        "endpoint", [sys.executable, "-m", "benchmarks.endpoint", str(port), str(answer_ms)], port
    )


def address(endpoint: Process) -> str:
    return f"http://127.0.0.1:{endpoint.port}"


async def _write(port: int, backlog: Backlog) -> None:
    async with opened(port) as nodes:
        await backlog.write(nodes)


async def _check(where: str, place: str, backlog: Backlog) -> None:
    archive = archive_for(where, place)
    await archive.start()
    try:
        await backlog.check(archive)
    finally:
        await archive.stop()
