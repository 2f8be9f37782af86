"""What `dchat-server check` finds out: on what the server would run here, and whether each part answers."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import structlog

from dchat_server.config import Config
from dchat_server.data_folder import DataFolderError, user_of
from dchat_server.embedded import NO_SERVER, EmbeddedError, EmbeddedRedis
from dchat_server.listening import ListenError, check_port
from dchat_server.redis_binary import OLDEST, find_binaries

State = Literal["ok", "warning", "failed"]
FILES_BESIDE_STREAMS = 200
"""Files a worker has open besides one for each stream: Redis connections, sockets, its own."""
_ZOOKEEPER_S = 8.0
_LITTLE_DISK_BYTES = 200_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    part: str
    state: State
    text: str


def findings(config: Config) -> Iterator[Finding]:
    """Yield what is found, one part after another. Starts no server, and leaves the data folder as it is.

    A Redis of the server's own is tried in a folder for the moment; one named by DCHAT_REDIS_URL is only
    asked.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # it is said here
    yield Finding("Python", "ok", f"{sys.version.split()[0]} ({sys.executable})")
    for sentence in config.warnings:
        yield Finding("settings", "warning", sentence)
    yield from _ports(config)
    yield _open_files(config)
    if config.embedded:
        yield from _data_folder(config.data_dir)
        yield from _own_redis(config)
    else:
        yield from asyncio.run(_shared_redis(config))
    yield asyncio.run(_archive(config))
    if config.zookeeper is not None:
        yield asyncio.run(_zookeeper(config))
    elif not config.embedded:
        yield Finding(
            "leader",
            "warning",
            "without DCHAT_ZOOKEEPER one process of each machine leads; with workers on several machines, set it.",
        )


def _ports(config: Config) -> Iterator[Finding]:
    for port in config.ports:
        try:
            check_port(config.host, port)
        except ListenError as problem:
            yield Finding("port", "failed", str(problem))
        else:
            yield Finding("port", "ok", f"{port} on {config.host} is free")


def _open_files(config: Config) -> Finding:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY or most >= config.max_streams + FILES_BESIDE_STREAMS:
        return Finding("open files", "ok", "as many as the streams a worker accepts need")
    return Finding(
        "open files",
        "warning",
        f"a process may have {most} open files here, fewer than the {config.max_streams} streams a worker "
        "accepts need; raise the limit (ulimit -Hn), or give "
        f"DCHAT_MAX_STREAMS={max(most - FILES_BESIDE_STREAMS, 1)}.",
    )


def _data_folder(path: Path) -> Iterator[Finding]:
    try:
        user = user_of(path)
    except DataFolderError as problem:
        yield Finding("data folder", "failed", str(problem))
        return
    if user is not None:
        yield Finding("data folder", "failed", str(user))
        return
    existing = next(each for each in (path, *path.parents) if each.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        yield Finding("data folder", "failed", f"{existing} may not be written by this user; choose another.")
        return
    free = shutil.disk_usage(existing).free
    state: State = "ok" if free >= _LITTLE_DISK_BYTES else "warning"
    there = "" if path.exists() else ", made at the first start"
    yield Finding("data folder", state, f"{path} ({free // 1_000_000:,} MB free{there})")


def _own_redis(config: Config) -> Iterator[Finding]:
    binaries = list(find_binaries())
    if not binaries:
        yield Finding("Redis", "failed", NO_SERVER)
    for binary in binaries:
        with tempfile.TemporaryDirectory(prefix="dchat-check-") as folder:
            began = time.monotonic()
            try:
                with EmbeddedRedis(Path(folder) / "data", ack=config.ack, binaries=partial(iter, [binary])):
                    took_ms = (time.monotonic() - began) * 1000
                    text = f"{binary.name} of the server's own ({binary.path}) answers after {took_ms:.0f} ms"
                    yield Finding("Redis", "ok", text)
                    return
            except EmbeddedError as problem:
                yield Finding("Redis", "failed", str(problem))


async def _shared_redis(config: Config) -> list[Finding]:
    from dchat_server.adapters.redis_keys import Keys
    from dchat_server.adapters.redis_locator import locator_for, parse
    from dchat_server.errors import BackendUnavailable

    shown = config.redacted()["redis_url"]
    assert config.redis_url is not None
    try:
        target = parse(config.redis_url)
        layout = await locator_for(target, Keys(config.shards)).locate()
    except (ValueError, BackendUnavailable) as problem:
        return [Finding("Redis", "failed", f"{shown}: {problem}")]
    found = []
    for address in layout.nodes:
        where = address if isinstance(address, str) else f"{address[0]}:{address[1]}"
        found += await _node(where, address, target.options, config)
    return found


async def _archive(config: Config) -> Finding:
    from dchat_server.errors import ArchiveUnavailable, ClusterMismatch

    if config.dynamodb_table is None:
        path = config.data_dir / "archive.sqlite3"
        text = (
            f"{path} ({path.stat().st_size // 1_000_000:,} MB)" if path.exists() else f"{path}, made at the first start"
        )
        if config.embedded:
            return Finding("archive", "ok", text)
        return Finding("archive", "warning", f"{text}; workers on other machines need DCHAT_DYNAMODB_TABLE instead.")
    from dchat_server.backends import archive_for

    archive = archive_for(config)
    began = time.monotonic()
    try:
        await archive.start()
        fence = await archive.fence()
    except (ArchiveUnavailable, ClusterMismatch) as problem:
        detail = str(problem)
        if isinstance(problem, ArchiveUnavailable):
            detail = "no answer; look at endpoint, region, credentials and the network."
        return Finding("archive", "failed", f"DynamoDB table {config.dynamodb_table}: {detail}")
    finally:
        await archive.stop()
    took_ms = (time.monotonic() - began) * 1000
    return Finding(
        "archive", "ok", f"DynamoDB table {config.dynamodb_table} answers in {took_ms:.0f} ms (fence {fence})"
    )


async def _zookeeper(config: Config) -> Finding:
    from dchat_server.adapters.zookeeper_client import Session, ZooKeeperTrouble
    from dchat_server.backends import access_for

    access = access_for(config)
    session = Session(access, lambda: None)
    began = time.monotonic()
    try:
        async with asyncio.timeout(_ZOOKEEPER_S):
            await session.open()
        await session.children("/")
    except (ZooKeeperTrouble, TimeoutError) as problem:
        text = f"ZooKeeper at {access.servers}: {str(problem) or 'no answer'}; chat goes on without, but nobody leads."
        return Finding("leader", "failed", text)
    finally:
        await session.close(2.0)
    took_ms = (time.monotonic() - began) * 1000
    return Finding("leader", "ok", f"ZooKeeper at {access.servers} answers in {took_ms:.0f} ms")


async def _node(
    where: str, address: tuple[str, int] | str, options: dict[str, object], config: Config
) -> list[Finding]:
    from redis.exceptions import RedisError

    from dchat_server.adapters.redis_locator import one_client

    try:
        async with one_client(address, options) as opened:
            client: Any = opened
            await client.execute_command("PING")
            began = time.monotonic()
            await client.execute_command("PING")
            took_ms = (time.monotonic() - began) * 1000
            facts = _facts(await client.execute_command("INFO"))
            try:
                answer = await client.execute_command("CONFIG", "GET", "appendfsync")
                always = [bytes(word) for word in answer][1:2] == [b"always"]
            except RedisError:  # hosted ones do not tell
                always = False
    except (RedisError, OSError) as problem:
        return [Finding("Redis", "failed", f"{where} does not answer ({problem or type(problem).__name__}).")]
    return list(_judge(where, took_ms, facts, config, always_synced=always))


def _facts(info: object) -> dict[str, str]:
    text = info.decode(errors="replace") if isinstance(info, bytes) else str(info)
    pairs = (line.partition(":") for line in text.splitlines() if not line.startswith("#"))
    return {name: value.strip() for name, _, value in pairs}


def _judge(
    where: str, took_ms: float, facts: dict[str, str], config: Config, *, always_synced: bool
) -> Iterator[Finding]:
    """Yield what a server's INFO means for us."""
    version = facts.get("redis_version", "0")
    name = f"Valkey {facts['valkey_version']}" if "valkey_version" in facts else f"Redis {version}"
    yield Finding("Redis", "ok", f"{name} at {where} answers in {took_ms:.1f} ms")
    number = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if number < OLDEST:
        yield Finding("Redis", "failed", f"{where} is too old; D-Chat needs Redis {OLDEST[0]}.{OLDEST[1]} or newer.")
    if facts.get("role") == "slave":
        yield Finding("Redis", "failed", f"{where} is a replica, which takes no writes; name its primary.")
    if facts.get("maxmemory", "0") != "0" and facts.get("maxmemory_policy", "noeviction") != "noeviction":
        yield Finding(
            "Redis",
            "warning",
            f"{where} throws data away when it is full (maxmemory-policy {facts['maxmemory_policy']}); "
            "set it to noeviction.",
        )
    if facts.get("aof_enabled") == "0":
        yield Finding(
            "Redis",
            "warning",
            f"{where} writes no append-only file: what is newest is lost when it restarts.",
        )
    if config.ack == "replicated" and facts.get("connected_slaves", "0") == "0":
        yield Finding(
            "Redis",
            "failed",
            f"{where} has no replica, so with DCHAT_ACK=replicated no message would be accepted.",
        )
    if config.ack == "fsync" and not always_synced and (number < (7, 2) or facts.get("aof_enabled") == "0"):
        yield Finding(
            "Redis",
            "failed",
            f"{where} cannot say when a message is on disk, as DCHAT_ACK=fsync asks; "
            "it takes Redis 7.2 with appendonly, or appendfsync always.",
        )
