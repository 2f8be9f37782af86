"""The processes of one `dchat-server`: the Redis of its own, where it has one, and its workers.

With one worker everything runs in this process. With more, this process serves nobody: it starts the workers,
starts a crashed one again, hands SIGTERM on, and kills who has not ended in time. Workers share one port
(SO_REUSEPORT: the kernel spreads connections over them) or have one each, for a balancer in front.

A worker never outlives this process: when it is killed, the kernel kills them (see `lifeline.py`), their
readers go on at another machine or at the next start.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, Protocol

from dchat_server.config import WORKER_PREFIX, Config, variable
from dchat_server.embedded import EmbeddedRedis
from dchat_server.lifeline import Watchdog, follow_parent
from dchat_server.listening import check_port

Say = Callable[[str], None]

WORKER_COMMAND = (sys.executable, "-m", "dchat_server", "worker")
LAST_WORDS_S = 3.0
"""What a worker gets beyond its drain before it is killed."""
_FIRST_STARTS = 3
_SLOWEST_RESTART_S = 10.0
_STEADY_S = 30.0


class RunWorker(Protocol):
    """Runs a worker until it was told to end and has drained, and returns its exit code."""

    def __call__(self, config: Config, *, redis_url: str, worker_id: str, on_ready: Callable[[], None]) -> int: ...


def serve(
    config: Config,
    *,
    on_ready: Callable[[EmbeddedRedis | None], None],
    say: Say,
    run_worker: RunWorker | None = None,
    worker_command: Sequence[str] = WORKER_COMMAND,
) -> int:
    """Run the server that `config` describes until SIGTERM or SIGINT, and return the exit code.

    `on_ready` is called once, when all workers take requests. `say` gets a sentence when
    something happens to a process. `run_worker` is `dchat_server.app.run_worker` unless a test says
    otherwise. Raises ListenError, DataFolderError, EmbeddedError.
    """
    for port in config.ports:
        check_port(config.host, port)
    with contextlib.ExitStack() as ending:
        embedded = None
        redis_url = config.redis_url
        if redis_url is None:
            embedded = EmbeddedRedis(config.data_dir, ack=config.ack, say=say)
            ending.callback(embedded.stop)
            embedded.start()
        if config.workers > 1:
            if embedded is not None:
                embedded.wait_ready()
            redis_url = redis_url or (embedded.url if embedded else "")
            workers = Workers(config, redis_url, say=say, command=worker_command)
            return workers.run(lambda: on_ready(embedded))
        # Importing it takes longer than Redis to start: the two go on at the same time.
        work = run_worker or _real_worker()
        if embedded is not None:
            embedded.wait_ready()
            redis_url = embedded.url
        assert redis_url is not None
        return work(config, redis_url=redis_url, worker_id=new_worker_id(), on_ready=lambda: on_ready(embedded))


def _real_worker() -> RunWorker:
    # What importing makes stays, nearly all of it: the collector would go through it a hundred times for nothing.
    gc.disable()
    from dchat_server.app import run_worker  # here: the parent of several workers never needs it

    gc.freeze()
    gc.enable()
    return run_worker


def new_worker_id() -> str:
    """Return a name for this process as a worker, unlike that of any other and of any before it."""
    return f"{socket.gethostname().split('.')[0][:24]}-{os.getpid()}-{os.urandom(2).hex()}"


@dataclasses.dataclass(slots=True)
class _Place:
    """One of the workers to be kept running."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    watchdog: Watchdog | None = None
    ready_fd: int = -1
    ready: bool = False
    ever_ready: bool = False
    starts: int = 0
    started_at: float = 0.0
    start_at: float = 0.0
    pause_s: float = 0.1


class Workers:
    """Keeps the worker processes of one machine running. `run` does it, from the main thread."""

    def __init__(self, config: Config, redis_url: str, *, say: Say, command: Sequence[str] = WORKER_COMMAND) -> None:
        self._config = config
        self._redis_url = redis_url
        self._say = say
        self._command = list(command)
        self._places = [_Place(number) for number in range(config.workers)]
        self._selector = selectors.DefaultSelector()
        self._signals = 0
        self._deadline: float | None = None
        self._code = 0

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers that run."""
        return [place.process.pid for place in self._places if place.process is not None]

    def run(self, on_ready: Callable[[], None]) -> int:
        """Run the workers until SIGTERM, SIGINT or SIGHUP and until they have ended.

        Returns 0, or 1 when one had to be killed or when they could not be started at all. A second signal
        kills them at once.
        """
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        self._selector.register(wake_read, selectors.EVENT_READ)
        before_fd = signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        before = {
            signum: signal.signal(signum, handler)
            for signum, handler in (
                (signal.SIGTERM, self._told_to_end),
                (signal.SIGINT, self._told_to_end),
                (signal.SIGHUP, self._told_to_end),
                (signal.SIGCHLD, lambda *_: None),  # only to wake the loop
            )
        }
        try:
            self._loop(on_ready)
        finally:
            self._kill()
            signal.set_wakeup_fd(before_fd)
            for signum, handler in before.items():
                signal.signal(signum, handler)
            self._selector.close()
            os.close(wake_read)
            os.close(wake_write)
        return self._code

    def _told_to_end(self, _signum: int, _frame: FrameType | None) -> None:
        self._signals += 1

    def _loop(self, on_ready: Callable[[], None]) -> None:
        announced = False
        while True:
            for place in self._places:
                self._reap(place)
            if self._signals and self._deadline is None:
                self._begin_end()
            if self._deadline is None:
                for place in self._places:
                    if place.process is None and time.monotonic() >= place.start_at:
                        self._start(place)
            elif not self.pids:
                return
            elif self._signals > 1 or time.monotonic() >= self._deadline:
                self._say("A worker did not end in time and is killed.")
                self._code = 1
                self._kill()
                return
            for key, _ in self._selector.select(self._pause_s()):
                if isinstance(key.data, _Place):
                    self._hear(key.data)
                else:
                    with contextlib.suppress(BlockingIOError):
                        os.read(key.fd, 4096)
            if not announced and all(place.ready for place in self._places):
                announced = True
                on_ready()

    def _pause_s(self) -> float | None:
        due = [place.start_at for place in self._places if place.process is None]
        if self._deadline is not None:
            due = [self._deadline]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _begin_end(self) -> None:
        self._deadline = time.monotonic() + self._config.drain_s + LAST_WORDS_S
        for place in self._places:
            if place.process is not None:
                place.process.terminate()

    def _start(self, place: _Place) -> None:
        config = self._config
        if config.port_per_worker:
            config = dataclasses.replace(config, port=config.port + place.number, workers=1, port_per_worker=False)
        place.ready_fd, ready_write = os.pipe()
        ours = {variable(name) for name in config.redacted()}
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        environment |= config.as_env()
        environment |= {
            f"{WORKER_PREFIX}REDIS_URL": self._redis_url,
            f"{WORKER_PREFIX}READY_FD": str(ready_write),
            f"{WORKER_PREFIX}PARENT": str(os.getpid()),
        }
        try:
            place.process = subprocess.Popen(
                self._command,
                env=environment,
                stdin=subprocess.DEVNULL,
                pass_fds=[ready_write],
                process_group=0,  # Ctrl-C is for us: we hand it on
            )
        finally:
            os.close(ready_write)
        place.watchdog = Watchdog(place.process.pid)
        place.started_at = time.monotonic()
        place.starts += 1
        self._selector.register(place.ready_fd, selectors.EVENT_READ, place)

    def _hear(self, place: _Place) -> None:
        """Note that a worker says it is ready, or has closed its end without saying so."""
        if os.read(place.ready_fd, 1):
            place.ready = place.ever_ready = True
        self._stop_hearing(place)

    def _stop_hearing(self, place: _Place) -> None:
        if place.ready_fd >= 0:
            self._selector.unregister(place.ready_fd)
            os.close(place.ready_fd)
            place.ready_fd = -1

    def _reap(self, place: _Place) -> None:
        if place.process is None or (code := place.process.poll()) is None:
            return
        if place.watchdog is not None:
            place.watchdog.close()
        self._stop_hearing(place)
        place.process = None
        place.ready = False
        if self._deadline is not None:
            # One that was told to end before it could listen for that ends by the signal itself.
            self._code = max(self._code, 0 if code in (0, -signal.SIGTERM) else 1)
            return
        now = time.monotonic()
        steady = now - place.started_at > _STEADY_S
        place.pause_s = 0.1 if steady else min(place.pause_s * 2, _SLOWEST_RESTART_S)
        place.start_at = now + place.pause_s
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if not place.ever_ready and place.starts >= _FIRST_STARTS:
            self._say(f"Worker {place.number + 1} cannot be started ({how}); what it said stands above.")
            self._code = 1
            self._begin_end()
        elif not self._signals:
            self._say(f"Worker {place.number + 1} ended ({how}); starting it again.")

    def _kill(self) -> None:
        for place in self._places:
            if place.process is not None:
                place.process.kill()
                place.process.wait()
                if place.watchdog is not None:
                    place.watchdog.close()
                place.process = None
            self._stop_hearing(place)


def worker_main(env: Mapping[str, str], run_worker: RunWorker | None = None) -> int:
    """Be the worker that a `Workers` started with this environment. Returns the exit code."""

    def told(name: str) -> Any:
        return env[f"{WORKER_PREFIX}{name}"]

    follow_parent(int(told("PARENT")), signal.SIGKILL)
    ready_fd = int(told("READY_FD"))
    config = Config.from_env(env)

    def on_ready() -> None:
        os.write(ready_fd, b"1")
        os.close(ready_fd)

    work = run_worker or _real_worker()
    return work(config, redis_url=told("REDIS_URL"), worker_id=new_worker_id(), on_ready=on_ready)
