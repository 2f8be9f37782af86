"""What the README tells people to type works as it stands there."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.dynamodb import dynamodb
from tests.harness.processes import Running, free_port, plain_environment, until
from tests.harness.redis import RedisServer
from tests.harness.workers import Worker
from tests.harness.zookeeper import ensemble

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)

# `dchat register` asks for a password; `dchat tail` and `curl -N` go on until they are stopped.
PRELUDE = """
set -eu
dchat() {
  case "$1" in
    register) echo "correct horse battery" | command dchat "$@" --password-stdin;;
    tail) timeout 4 dchat-once "$@" || [ $? -eq 124 ] || [ $? -eq 130 ];;
    *) command dchat "$@";;
  esac
}
curl() {
  case "$1" in
    -N) timeout 3 curl-once "$@" || [ $? -eq 124 ];;
    *) command curl "$@";;
  esac
}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Worker]:
    worker = Worker(None, 0)
    try:
        yield worker.start()
    finally:
        worker.close()


def run(block: str, server: Worker, home: Path) -> str:
    """The block as a shell sees it, with this server's address in place of port 5000."""
    tools = home / "tools"
    tools.mkdir(exist_ok=True)
    client = f"{sys.executable} -m dchat_client"
    for name, command in (("dchat", client), ("dchat-once", client), ("curl-once", shutil.which("curl"))):
        (tools / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (tools / name).chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", PRELUDE + block.replace("localhost:5000", f"127.0.0.1:{server.port}")],
        cwd=home,
        env={
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(home),
            "DCHAT_URL": server.url,
            "DCHAT_KEYRING": "0",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_two_commands_that_do_all_the_set_up_are_there() -> None:
    assert "make run\n" in BLOCKS
    assert "make test\n" in BLOCKS


def test_the_first_chat_and_the_one_with_curl_go_as_written(server: Worker, tmp_path: Path) -> None:
    (chat,) = [block for block in BLOCKS if "dchat create lobby" in block]
    assert "ada: Hello!" in run(chat, server, tmp_path)

    (bare,) = [block for block in BLOCKS if "/v1/register" in block]
    assert "export TOKEN=..." in bare
    register, rest = bare.split("export TOKEN=...", 1)
    token = """TOKEN=$(sed 's/.*"token":"\\([^"]*\\)".*/\\1/' answer)"""
    out = run(register.rstrip() + " > answer\n" + token + rest, server, tmp_path)
    assert '"text":"hi"' in out
    assert "event: hello" in out


async def test_the_fleet_leads_and_archives_as_written(tmp_path: Path) -> None:
    (fleet,) = [block for block in BLOCKS if "init-table" in block]
    with RedisServer() as redis:
        async with ensemble(1) as zookeeper, dynamodb(table=False) as dynamo:
            for name, here in (
                ("redis+cluster://redis.internal:6379", redis.url),
                ("zk1.internal:2181,zk2.internal:2181,zk3.internal:2181", zookeeper.hosts),
            ):
                assert name in fleet
                fleet = fleet.replace(name, here)
            port = free_port()
            folder = tmp_path / "tools"
            folder.mkdir()
            (folder / "dchat-server").write_text(f'#!/bin/sh\nexec {sys.executable} -m dchat_server "$@"\n')
            (folder / "dchat-server").chmod(0o755)
            env = plain_environment(
                PATH=f"{folder}:{os.environ['PATH']}",
                DCHAT_DYNAMODB_ENDPOINT=dynamo.endpoint,
                DCHAT_HOST="127.0.0.1",
                DCHAT_PORT=str(port),
                DCHAT_DATA_DIR=str(tmp_path / "data"),
            )
            block = fleet.replace("\ndchat-server\n", "\nexec dchat-server\n")
            server = Running("fleet", [shutil.which("bash") or "bash", "-euc", block], tmp_path, env)
            try:
                await asyncio.to_thread(until, lambda: " is ready: http" in server.log, "the server is ready")
                leading = f"http://127.0.0.1:{port}/metrics"
                await asyncio.to_thread(until, lambda: "dchat_leader{" in text_of(leading), "the figures are there")
                await asyncio.to_thread(until, lambda: leads(text_of(leading)), "it leads")
            finally:
                server.kill()


def text_of(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def leads(metrics: str) -> bool:
    (line,) = [line for line in metrics.splitlines() if line.startswith("dchat_leader{")]
    return line.endswith(" 1.0")
