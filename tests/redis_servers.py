"""Real Redis servers for tests: each kind this machine has, private, on a socket of its own.

Import the fixtures where they are needed, with those they stand on:
`from tests.redis_servers import nodes, redis_url, redis_urls  # noqa: F401`.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path

import pytest
import pytest_asyncio

from dchat_server.adapters.redis_nodes import RedisNodes
from dchat_server.lifeline import tied
from dchat_server.redis_binary import find_binaries

SHARDS = 4
KINDS = ("redis", "valkey")


@contextmanager
def redis_server(kind: str, *options: str) -> Iterator[str]:
    """The URL of a fresh server of `kind` that keeps nothing; it ends with the block, or with this process."""
    binary = next((each for each in find_binaries() if each.flavour.lower() == kind), None)
    if binary is None:
        pytest.skip(f"no {kind} server on this machine")
    folder = Path(tempfile.mkdtemp(prefix="dchat-test-"))  # not tmp_path: a socket's path must be short
    path = folder / "redis.sock"
    command = [binary.path, "--port", "0", "--unixsocket", str(path), "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "no", "--logfile", str(folder / "log"), *options]
    server = subprocess.Popen(tied(command))
    try:
        deadline = time.monotonic() + 10
        while True:
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(path))
                    break
                except OSError:
                    if server.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError((folder / "log").read_text()) from None
            time.sleep(0.01)
        yield f"unix://{path}"
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def redis_urls() -> Iterator[Callable[[str], str]]:
    """`redis_urls(kind)`: the URL of a server of that kind, which all tests of this run share."""
    with ExitStack() as stack:
        yield cache(lambda kind: stack.enter_context(redis_server(kind)))


@pytest.fixture(scope="session", params=KINDS)
def redis_url(request: pytest.FixtureRequest, redis_urls: Callable[[str], str]) -> str:
    """The same, once for each kind."""
    return redis_urls(request.param)


@asynccontextmanager
async def empty_nodes(url: str) -> AsyncIterator[RedisNodes]:
    """Connections to a server, which is empty at first."""
    nodes = RedisNodes(url, SHARDS)
    await nodes.start()
    await nodes.run(0, "FLUSHALL")
    await nodes.start()
    try:
        yield nodes
    finally:
        await nodes.stop()


@pytest_asyncio.fixture
async def nodes(redis_url: str) -> AsyncIterator[RedisNodes]:
    async with empty_nodes(redis_url) as nodes:
        yield nodes
