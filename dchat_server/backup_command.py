"""`dchat-server backup FILE` and `dchat-server restore FILE`: what is opened, refused and told."""

from __future__ import annotations

import argparse
import asyncio
import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dchat_server import logs
from dchat_server.backends import archive_for, opened
from dchat_server.backup import Backup, NotReady
from dchat_server.backup_file import BackupWriter, BadBackup, Summary, verify
from dchat_server.config import Config, ConfigError
from dchat_server.data_folder import DataFolderError, user_of
from dchat_server.embedded import EmbeddedError, EmbeddedRedis, url_of
from dchat_server.errors import ArchiveUnavailable, BackendUnavailable, ClusterMismatch
from dchat_server.ports_archive import Archive, Conflict, Fenced
from dchat_server.ports_hot import HotLog
from dchat_server.refill import Refill

WAIT_S = 120.0
TELL_S = 2.0

_REFUSALS = (
    NotReady,
    BadBackup,
    DataFolderError,
    EmbeddedError,
    ArchiveUnavailable,
    BackendUnavailable,
    ClusterMismatch,
    OSError,
)


class Refused(Exception):
    """It cannot be done. The text is a sentence with the next step."""


def main(command: str, words: Sequence[str], env: Mapping[str, str], say: Callable[[str], None]) -> int:
    """Do `backup` or `restore`, and return the exit code. `say` gets sentences for a person. Raises ConfigError."""
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    if command == "backup":
        own.add_argument("--wait", type=_seconds, default=WAIT_S)
        own.add_argument("--archived", action="store_true")
    else:
        own.add_argument("--check", action="store_true")
    if not words or words[0].startswith("-"):
        raise ConfigError([f"Name the file, first of all: dchat-server {command} FILE."])
    path = Path(words[0]).expanduser().absolute()
    try:
        asked, rest = own.parse_known_args(list(words[1:]))
    except argparse.ArgumentError as problem:
        raise ConfigError(["--wait takes seconds, such as 600."]) from problem
    config = Config.from_env(env, rest)
    logs.start("error", config.log_format)
    progress = _Progress(say)
    try:
        if command == "backup":
            asyncio.run(_backup(config, path, None if asked.archived else asked.wait, progress))
        else:
            asyncio.run(_restore(config, path, progress, only_check=asked.check))
    except (*_REFUSALS, Refused) as problem:
        say(str(problem) or repr(problem))
    except (Fenced, Conflict):
        say("Somebody else writes into this archive: end all workers that use it, and begin again with a new one.")
    else:
        return 0
    return 1


async def _backup(config: Config, path: Path, wait_s: float | None, progress: _Progress) -> None:
    if wait_s is None:
        archive = archive_for(config)
        try:
            await archive.start()
            await _write(config, path, archive, None, 0.0, progress)
        finally:
            await archive.stop()
        return
    url = config.redis_url if config.redis_url is not None else url_of(config.data_dir)
    async with opened(config, url, "backup") as parts:
        await parts.archive.start()  # it may have been away when it was opened
        await _write(config, path, parts.archive, parts.hot, wait_s, progress)


async def _write(
    config: Config, path: Path, archive: Archive, hot: HotLog | None, wait_s: float, progress: _Progress
) -> None:
    began, identity = time.time(), await archive.identity()
    with BackupWriter(
        path,
        backup=secrets.token_hex(8),
        made=int(began * 1000),
        shards=config.shards,
        identity=identity,
        complete=hot is not None,
    ) as file:
        await Backup(archive, hot, file, progress, wait_s=wait_s).take(config.shards)
        file.finish()
    print(f"{path}: {_told(verify(path))}", flush=True)


async def _restore(config: Config, path: Path, progress: _Progress, *, only_check: bool) -> None:
    summary = verify(path)
    print(f"{path}: {_told(summary)}", flush=True)
    if only_check:
        return
    if summary.shards != config.shards:
        raise Refused(
            f"The backup has {summary.shards} shards, not {config.shards}: set DCHAT_SHARDS={summary.shards}."
        )
    await _check_log(config)
    archive = archive_for(config)
    try:
        await Refill(archive, path, summary, progress).run()
    finally:
        await archive.stop()
    print("All of it is there. Start the workers.", flush=True)


async def _check_log(config: Config) -> None:
    """Raise Refused unless the message log is empty: what it knows does not fit to another archive."""
    if config.redis_url is not None:
        await _check_empty(config.redis_url, config.shards)
    elif (user := user_of(config.data_dir)) is not None:
        raise user
    elif (config.data_dir / "redis" / "appendonlydir").exists():
        # A server that found only a part of a backup has begun one, and left it empty.
        redis = EmbeddedRedis(config.data_dir, ack=config.ack)
        try:
            await asyncio.to_thread(redis.start)
            await asyncio.to_thread(redis.wait_ready)
            await _check_empty(redis.url, config.shards)
        finally:
            await asyncio.to_thread(redis.stop)


async def _check_empty(url: str, shards: int) -> None:
    from dchat_server.adapters.redis_nodes import RedisNodes

    nodes = RedisNodes(url, shards)
    try:
        await nodes.look_again()
        if await nodes.run(0, "EXISTS", nodes.keys.state(0)):
            raise Refused(
                "This Redis belongs with an archive already; a backup needs an empty one (of a server's own: a new "
                "folder, --data-dir)."
            )
    finally:
        await nodes.stop()


class _Progress:
    """Says now and then how far it is."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._told_at = say, time.monotonic()

    def __call__(self, what: str, counts: Mapping[str, int], size: int) -> None:
        if time.monotonic() - self._told_at >= TELL_S:
            self._told_at = time.monotonic()
            self._say(f"{what}: {_counted(counts)}, {size / 1e6:,.1f} MB")


def _told(summary: Summary) -> str:
    made = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(summary.made / 1000))
    held = "everything acknowledged before" if summary.complete else "what was archived by"
    return (
        f"{held} {made}: {_counted(summary.counts)}, {summary.size / 1e6:,.1f} MB, {summary.shards} shards; undamaged"
    )


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts.get(what, 0):,} {what}" for what in ("people", "rooms", "chunks"))


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError(text)
    return value
