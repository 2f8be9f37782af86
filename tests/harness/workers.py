"""Real worker processes on one Redis, with one archive and one election; and HAProxy in front of them."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import pytest

from tests.harness.processes import Running, eventually, free_port, new_folder, plain_environment, until

SETTINGS = {
    "DCHAT_HOST": "127.0.0.1",
    "DCHAT_RATE_MESSAGES": "0",
    "DCHAT_LOGIN_PER_MINUTE": "0",
    "DCHAT_ROOMS_PER_DAY": "0",
    "DCHAT_STREAMS_PER_USER": "0",
    "DCHAT_PING_INTERVAL_S": "2",
    "DCHAT_DRAIN_S": "6",
    "DCHAT_LOG_FORMAT": "json",
}
"""What most tests want: no limits in the way, and pings soon enough to wait for."""


class Worker:
    """One `dchat-server` with a port of its own. `stop` and `start` keep the port."""

    def __init__(self, redis_url: str | None, number: int = 0, **settings: str) -> None:
        self.port, self.folder, self.name = free_port(), new_folder(), f"worker{number}"
        mine = {**SETTINGS, "DCHAT_DATA_DIR": str(self.folder / "data"), **settings, "DCHAT_PORT": str(self.port)}
        if redis_url is not None:
            mine["DCHAT_REDIS_URL"] = redis_url
        self._env = plain_environment(**mine)
        self.process: Running | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        return self.process.log if self.process else ""

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.alive

    def start(self, *, wait: bool = True) -> Self:
        self.process = Running(
            self.name, [sys.executable, "-m", "dchat_server"], self.folder, self._env, append=self.process is not None
        )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        until(self.is_ready, f"{self.name} is ready", every_s=0.05)

    def is_ready(self) -> bool:
        """/readyz answers 200. Raises AssertionError with the log when the process has ended."""
        assert self.alive, f"{self.name} ended:\n{self.log}"
        return self.status("/readyz") == 200

    def status(self, path: str) -> int:
        """The status of a GET, 0 when nobody answers."""
        return self.get(path)[0]

    def get(self, path: str, timeout_s: float = 5.0) -> tuple[int, str]:
        """Status and text of a GET; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout_s) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    @property
    def leads(self) -> bool:
        """Whether this worker says that it leads. False when it says nothing."""
        status, text = self.get("/metrics", timeout_s=2.0)
        return status == 200 and f'dchat_leader{{worker="{self._said_name(text)}"}} 1.0' in text

    @staticmethod
    def _said_name(text: str) -> str:
        return text.partition('dchat_leader{worker="')[2].partition('"')[0]

    def metric(self, name: str) -> float:
        """The worker's value of a metric without labels beside its own name."""
        _, text = self.get("/metrics")
        for line in text.splitlines():
            if line.startswith((name + "{", name + " ")):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"/metrics has no {name}:\n{text}")

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()

    def restart(self) -> None:
        """SIGKILL, then a new process on the same port, ready."""
        self.kill()
        self.start()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def mistakes(log: str) -> list[str]:
    """The last mistakes in a worker's log, in lines a person can read: of a traceback within a line of JSON, whatever
    shows it would cut off the end, which says what went wrong."""
    found: list[str] = []
    for line in [line for line in log.splitlines() if '"level": "error"' in line or " error " in line][-5:]:
        lines = [each[:300] for each in line.replace("\\n", "\n").replace('\\"', '"').splitlines()]
        found += [lines[0], "…", *lines[-12:]] if len(lines) > 13 else lines
    return found


class Workers(Sequence[Worker]):
    """`count` workers on one Redis, all ready. As a context manager it ends them."""

    def __init__(self, redis_url: str, count: int, **settings: str) -> None:
        # One archive for all: the first one's data folder.
        first = Worker(redis_url, 0, **settings)
        settings = {"DCHAT_DATA_DIR": str(first.folder / "data"), **settings}
        self._workers = [first, *(Worker(redis_url, number, **settings) for number in range(1, count))]
        try:
            for worker in self._workers:
                worker.start(wait=False)
            for worker in self._workers:
                worker.wait_ready()
        except BaseException:
            self.close()
            raise

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self._workers[index]

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers)

    @property
    def urls(self) -> list[str]:
        return [worker.url for worker in self._workers]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if value is not None:
            for worker in self._workers:
                if found := mistakes(worker.log):
                    value.add_note("\n".join([f"{worker.name} logged mistakes, the last of them:", *found]))
        self.close()

    def close(self) -> None:
        for worker in self._workers:
            worker.close()

    async def leader(self, other_than: Worker | None = None) -> Worker:
        """The worker that leads, once one does that is not `other_than`."""

        def look() -> Worker | None:
            return next((each for each in self._workers if each is not other_than and each.leads), None)

        found: Worker = await eventually(lambda: asyncio.to_thread(look), "a worker leads", every_s=0.1)
        return found

    def revive(self) -> None:
        """Start again those that are dead, so that the next test finds all of them."""
        for worker in self._workers:
            if not worker.alive:
                worker.start(wait=False)
        for worker in self._workers:
            worker.wait_ready()


class Haproxy:
    """HAProxy in front of workers, quick to see who is there. `up` are those that have to be: all, unless it says."""

    def __init__(self, workers: Sequence[Worker], up: Sequence[Worker] | None = None) -> None:
        found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
        if found is None:
            pytest.skip("there is no haproxy on this machine")
        self.port, self.folder = free_port(), new_folder()
        self._stats = free_port()
        (self.folder / "haproxy.cfg").write_text(self._configuration(workers))
        self.process = Running("haproxy", [found, "-db", "-f", str(self.folder / "haproxy.cfg")], self.folder)
        for worker in workers if up is None else up:
            self.wait_for(worker, "UP")

    def _configuration(self, workers: Sequence[Worker]) -> str:
        servers = "\n".join(f"  server {worker.name} 127.0.0.1:{worker.port} check" for worker in workers)
        return f"""\
global
  maxconn 5000
defaults
  mode http
  option http-no-delay
  option redispatch
  retries 3
  retry-on conn-failure
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend chat
  bind 127.0.0.1:{self.port}
  default_backend workers
frontend stats
  bind 127.0.0.1:{self._stats}
  stats enable
  stats uri /stats
backend workers
  balance leastconn
  option httpchk GET /readyz
  http-check expect status 200
  default-server inter 200ms fall 1 rise 1
{servers}
"""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait_for(self, worker: Worker, state: str) -> None:
        """Wait until HAProxy has seen that a worker is UP or DOWN."""
        until(lambda: self._state(worker).startswith(state), f"HAProxy sees {worker.name} {state}", every_s=0.05)

    def _state(self, worker: Worker) -> str:
        assert self.process.alive, self.process.log
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._stats}/stats;csv", timeout=5) as response:
                rows = response.read().decode().splitlines()
        except OSError:
            time.sleep(0.05)
            return ""
        columns = rows[0].lstrip("# ").split(",")
        for row in rows[1:]:
            about = dict(zip(columns, row.split(","), strict=False))
            if about.get("pxname") == "workers" and about.get("svname") == worker.name:
                return str(about["status"])
        return ""
