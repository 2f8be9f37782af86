"""A machine of the group that is to end: the real script asks an instance metadata service for it, drains the real
worker and says so when its readers are elsewhere. Only systemd and the AWS command line are replaced."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import aiohttp
import pytest

from tests.harness.crowd import Reader, Writer, run_of
from tests.harness.people import house
from tests.harness.processes import ROOT, Running, eventually, free_port
from tests.harness.redis import RedisServer
from tests.harness.workers import Worker, Workers

SCRIPT = ROOT / "terraform" / "modules" / "workers" / "files" / "lifecycle.sh"
GROUP = {"REGION": "eu-central-1", "GROUP": "chat-workers", "HOOK": "drain", "POLL_S": "0.2", "SETTLE_S": "0.5"}
SYSTEMCTL = """#!/bin/sh
echo "$@" >>{notes}/systemctl
kill -TERM {pid}
while kill -0 {pid} 2>/dev/null; do sleep 0.05; done
"""
"""`systemctl stop` has the container sent SIGTERM, and returns when it has ended."""
AWS = """#!/bin/sh
kill -0 {pid} 2>/dev/null && echo "while the worker still ran" >>{notes}/aws
echo "$@" >>{notes}/aws
"""


class Imds:
    """The instance metadata service, version 2: without a token of its own it answers nothing. As for a machine that is
    not yet in its group, there is no `state` at first."""

    def __init__(self) -> None:
        self.state, self.asked = "", 0
        self._server = ThreadingHTTPServer(("127.0.0.1", free_port()), self._handler())
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        if (method, path) == ("PUT", "/latest/api/token"):
            return (200, "a-token") if int(headers.get("x-aws-ec2-metadata-token-ttl-seconds", 0)) else (400, "")
        if headers.get("x-aws-ec2-metadata-token") != "a-token":
            return 401, ""
        if path == "/latest/meta-data/instance-id":
            return 200, "i-0123456789"
        if path == "/latest/meta-data/autoscaling/target-lifecycle-state":
            self.asked += 1
            return (200, self.state) if self.state else (404, "")
        return 404, ""

    def _handler(imds) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, text = imds.answer(self.command, self.path, headers)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            do_PUT = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


@pytest.fixture
def imds() -> Iterator[Imds]:
    imds = Imds()
    yield imds
    imds.close()


@pytest.fixture
def crew() -> Iterator[Workers]:
    """A worker on the machine that is to end, and one elsewhere."""
    with RedisServer() as redis, Workers(redis.url, 2, DCHAT_DRAIN_S="4") as workers:
        yield workers


def watching(worker: Worker, imds: Imds, notes: Path) -> Running:
    """The script, as it runs on the machine of `worker`."""
    (notes / "stack.env").write_text("".join(f"{name}={value}\n" for name, value in GROUP.items()))
    for name, text in (("systemctl", SYSTEMCTL), ("aws", AWS)):
        command = notes / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(text.format(notes=notes, pid=worker.pid))
        command.chmod(0o755)
    text = SCRIPT.read_text("utf-8").replace("169.254.169.254", imds.address).replace("/etc/dchat", str(notes))
    environment = {"PATH": f"{notes}/bin:{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return Running("lifecycle", ["/bin/bash", "-c", text], notes, environment)


async def test_a_machine_that_is_to_end_says_so_once_its_readers_are_elsewhere_and_have_missed_nothing(
    crew: Workers, imds: Imds, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    going, staying = crew
    people, (room,) = await house(http, [staying.url], 4)
    heads, cursor = await people[0].sync()
    readers = []
    for at in range(12):
        people[at % 4].urls = [going.url, staying.url]
        readers.append(Reader(people[at % 4], worker=0, cursor=cursor, starts=heads, seed=at).start())
    for reader in readers:
        await asyncio.wait_for(reader.live.wait(), 60)
        reader.worker = 1
    writer = Writer(people[0], room, pause_s=0.02)
    people[0].urls = [staying.url, staying.url]
    writer.start()
    with watching(going, imds, tmp_path) as script:
        await eventually(lambda: imds.asked > 1, "the script asks again when there is no answer")
        imds.state = "InService"
        asked = imds.asked
        await eventually(lambda: imds.asked > asked + 1, "the script asks again when nothing is planned")
        assert going.status("/readyz") == 200
        assert not (tmp_path / "systemctl").exists()

        imds.state = "Terminated"
        assert going.process is not None
        assert await asyncio.to_thread(going.process.wait) == 0
        assert await asyncio.to_thread(script.wait) == 0, script.log

    assert (tmp_path / "systemctl").read_text() == "stop dchat.service\n"
    (told,) = (tmp_path / "aws").read_text().splitlines()
    assert shlex.split(told) == [
        *("--region", "eu-central-1", "autoscaling", "complete-lifecycle-action"),
        *("--auto-scaling-group-name", "chat-workers", "--lifecycle-hook-name", "drain"),
        *("--instance-id", "i-0123456789", "--lifecycle-action-result", "CONTINUE"),
    ]
    for person in people:
        person.urls = [staying.url, staying.url]
    found, _ = await run_of([writer], readers, [room])
    assert found == []
    assert writer.trouble == 0
    assert [reader.ends for reader in readers] == [["closed"]] * 12
    assert all(reader.told("reconnect") for reader in readers)
