"""Processes of a test: started with a log, tied to our life, killed at the end whatever happens."""

from __future__ import annotations

import asyncio
import atexit
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dchat_server.lifeline import tied

ROOT = Path(__file__).resolve().parents[2]
"""The tree under test; its processes import from here, installed or not."""

PATIENCE_S = 60.0
"""How long a test waits for what has to come. Long, because the machine may be busy; nothing is judged by it."""

_handed_out: set[int] = set()
_running: set[Running] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, outside the range the kernel gives to outgoing connections. Test
    processes side by side have ranges of their own."""
    beside = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    while True:
        port = 15_000 + 2_000 * beside + random.randrange(2_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _handed_out:
            _handed_out.add(port)
            return port


def new_folder() -> Path:
    """A folder for a process, short enough for a socket's path. Left to the system's cleaning of /tmp by nobody:
    `Running` removes nothing, the fixture that made it does."""
    return Path(tempfile.mkdtemp(prefix="dchat-t-"))


def until(condition: Callable[[], Any], what: str, *, timeout_s: float = PATIENCE_S, every_s: float = 0.02) -> Any:
    """Wait for `condition` to be true and return what it returned. Raises AssertionError with `what`."""
    deadline = time.monotonic() + timeout_s
    while True:
        if found := condition():
            return found
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for: {what}"
        time.sleep(every_s)


async def eventually(
    condition: Callable[[], Any], what: str, *, timeout_s: float = PATIENCE_S, every_s: float = 0.02
) -> Any:
    """`until` for tests that have a loop. `condition` may return an awaitable."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for: {what}"
        await asyncio.sleep(every_s)


class Running:
    """One process. Its output goes to `folder`/`name`.log."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        env: Mapping[str, str] | None = None,
        *,
        append: bool = False,
    ) -> None:
        self.name, self.log_path = name, folder / f"{name}.log"
        with self.log_path.open("ab" if append else "wb") as log:
            self._process = subprocess.Popen(
                tied([str(word) for word in command], signal.SIGKILL),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=dict(env) if env is not None else None,
                process_group=0,
            )
        _running.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL, and wait for the end. May be repeated."""
        if self.alive:
            self._process.kill()
        self._process.wait()
        _running.discard(self)

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        if self.alive:
            self._process.terminate()

    def freeze(self) -> None:
        """SIGSTOP: the process is there and does nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for the end and return the exit code."""
        code = self._process.wait(timeout_s)
        _running.discard(self)
        return code

    def ended(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.poll()


@atexit.register
def _end_all() -> None:
    for each in list(_running):
        each.kill()


def plain_environment(**extra: str) -> dict[str, str]:
    """Our environment without any setting of D-Chat, with `extra`, and with the tree under test in front."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DCHAT_", "XDG_"))}
    return {**env, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **extra}


def open_files(pid: int) -> int:
    """How many files and sockets a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def children(pid: int) -> list[int]:
    """The processes that `pid` has started and that still run."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found
