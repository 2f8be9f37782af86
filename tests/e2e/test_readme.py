"""What the README tells people to type works as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.workers import Worker

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
