"""A Redis of the server's own: found on this machine, kept in the data folder, run as a child process.

What it promises. With `ack="fsync"` Redis answers a write after it is on disk (`appendfsync always`, one
fsync for all writes of a turn of its loop): what was acknowledged survives the kill of every process and the
loss of power. With `ack="memory"` it writes to the file within the same turn as a rule and asks for the disk
once a second (`everysec`): a loss of power may take the last second, and a kill of Redis itself up to two
seconds when the disk is slow.

One thread looks after the child from start to end. It starts it, waits until it answers, and starts it again
on the same socket when it dies alone; the workers see a lost connection and go on. The thread outlives the
child, which matters: the kernel ends the child when the thread that started it is gone (see `lifeline.py`).

A folder once written by a newer server cannot be read by an older one. So the folder remembers who wrote it
last, that server is tried first, and the next one when it cannot read the folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from dchat_server.data_folder import DataFolder
from dchat_server.lifeline import Watchdog, tied
from dchat_server.redis_binary import RedisBinary, find_binaries

Say = Callable[[str], None]

LONGEST_SOCKET_PATH = 100
"""A socket's path may have 107 bytes on Linux and 103 on macOS."""
NO_SERVER = (
    "No Redis was found on this machine. Install one (Debian, Ubuntu: apt-get install redis-server; "
    "macOS: brew install redis), or name one that runs elsewhere: --redis-url URL, or DCHAT_REDIS_URL."
)
_SLOWEST_RESTART_S = 5.0
_CONNECT_S = 30.0
_LOG_BYTES = 10_000_000


class EmbeddedError(Exception):
    """Redis could not be started. The text is a sentence with the next step."""


class EmbeddedRedis:
    """A Redis in the data folder, reachable under `url` from this machine and this user only.

    `start` locks the folder and returns at once, `wait_ready` waits until Redis answers; both are blocking
    calls for the main thread. `say` gets a sentence, from another thread, when something happens that a
    person should know. As a context manager: started and ready inside, ended after.
    """

    def __init__(
        self,
        path: Path,
        *,
        ack: str = "fsync",
        say: Say = lambda text: None,
        binaries: Callable[[], Iterable[RedisBinary]] = find_binaries,
    ) -> None:
        self._path = path
        self._fsync = "always" if ack == "fsync" else "everysec"
        self._say = say
        self._binaries = binaries
        self._folder: DataFolder | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._settled = threading.Event()  # it answered for the first time, or never will
        self._stopping = threading.Event()
        self._problem: EmbeddedError | None = None
        self._watchdog: Watchdog | None = None
        self._socket_path = ""
        self._short: Path | None = None
        self.binary: RedisBinary | None = None

    @property
    def url(self) -> str:
        """The address, as DCHAT_REDIS_URL would give it. It stays the same when Redis is restarted."""
        return f"unix://{quote(self._socket_path)}"

    @property
    def pid(self) -> int:
        """The process id of Redis as it runs now, 0 when it does not."""
        return self._child.pid if self._child is not None and self._child.returncode is None else 0

    @property
    def log_path(self) -> Path:
        """What Redis itself has to say."""
        return self._path / "redis.log"

    def __enter__(self) -> EmbeddedRedis:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Lock the folder and begin to start Redis. Raises DataFolderError (FolderInUse after 5 s)."""
        self._folder = DataFolder(self._path)
        self._socket_path = self._place_socket(self._folder.private)
        if self.log_path.exists() and self.log_path.stat().st_size > _LOG_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        self._thread = threading.Thread(target=self._look_after, name="embedded-redis", daemon=True)
        self._thread.start()

    def wait_ready(self) -> None:
        """Return when Redis has read what is stored and answers. Raises EmbeddedError when it cannot."""
        self._settled.wait()
        if self._problem is not None:
            raise self._problem

    def stop(self, *, timeout_s: float = 10.0) -> None:
        """End Redis, gently first, and let go of the folder. May be repeated."""
        self._stopping.set()
        if self._thread is not None:
            self._end_child(timeout_s)
            self._thread.join()
            self._thread = None
        if self._folder is not None:
            self._folder.close()
            self._folder = None
            if self._short is not None:
                shutil.rmtree(self._short, ignore_errors=True)

    def _end_child(self, timeout_s: float) -> None:
        assert self._thread is not None
        deadline = time.monotonic() + timeout_s
        while self._thread.is_alive():
            # Again and again: the thread may have been about to start a child when it was told to stop.
            if self._child is not None:
                with contextlib.suppress(ProcessLookupError):
                    self._child.send_signal(signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
            self._thread.join(0.5)

    # From here on: the thread that looks after the child.

    def _look_after(self) -> None:
        try:
            self._first_start()
        except EmbeddedError as problem:
            self._problem = problem
        except Exception as problem:  # the main thread waits for us: it must hear of everything
            self._problem = EmbeddedError(f"Redis could not be started: {problem!r}.")
        finally:
            self._settled.set()
        pause_s = 0.1
        while self._problem is None:
            assert self._child is not None
            began = time.monotonic()
            code = self._child.wait()
            self._let_go()
            if self._stopping.is_set():
                return
            pause_s = 0.1 if time.monotonic() - began > 10 else min(pause_s * 2, _SLOWEST_RESTART_S)
            self._say(f"Redis ended by itself ({_how(code)}); starting it again. Its log is {self.log_path}.")
            while not self._stopping.wait(pause_s):
                assert self.binary is not None
                if self._run(self.binary):
                    self._say("Redis answers again.")
                    break
                pause_s = min(pause_s * 2, _SLOWEST_RESTART_S)
                if not self._stopping.is_set():
                    self._say(f"Redis did not start: {self._last_words()} Trying again in {pause_s:g} s.")
            else:
                return

    def _first_start(self) -> None:
        """Start the first server that can read the folder. Raises EmbeddedError when none can."""
        assert self._folder is not None
        writer = self._folder.private / "written-by"
        wrote = writer.read_text() if writer.exists() else ""
        choices: Iterable[RedisBinary] = self._binaries()
        if wrote:
            choices = sorted(choices, key=lambda it: (it.name != wrote, it.flavour not in wrote))
        tried = []
        for binary in choices:
            if self._run(binary):
                self.binary = binary
                writer.write_text(binary.name)
                return
            if self._stopping.is_set():
                raise EmbeddedError("Redis was stopped before it was ready.")
            tried.append(f"{binary.name} ({binary.path}): {self._last_words()}")
        if not tried:
            raise EmbeddedError(NO_SERVER)
        by = f" Its data was written by {wrote}." if wrote else ""
        raise EmbeddedError(f"Redis did not start. {' '.join(tried)}{by} Its log is {self.log_path}.")

    def _run(self, binary: RedisBinary) -> bool:
        """Start `binary` and wait until it answers. Return False when it ended or never answered."""
        assert self._folder is not None
        with self.log_path.open("ab") as log:
            self._child = child = subprocess.Popen(
                tied(self._command(binary), signal.SIGTERM),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={name: value for name, value in os.environ.items() if not name.startswith("DCHAT_")},
                pass_fds=[self._folder.lock_fd],
                process_group=0,  # Ctrl-C is for us: Redis ends last
            )
        self._folder.note(child.pid)
        self._watchdog = Watchdog(child.pid)
        began = time.monotonic()
        told = False
        while child.poll() is None and not self._stopping.is_set():
            answer = _ping(self._socket_path)
            if answer.startswith(b"+PONG"):
                return True
            waited_s = time.monotonic() - began
            if not answer and waited_s > _CONNECT_S:
                child.kill()
            if answer.startswith(b"-LOADING") and waited_s > 2 and not told:
                told = True
                self._say("Redis is reading what it has stored; a large history takes a while.")
            time.sleep(0.005 if waited_s < 1 else 0.05)
        if child.poll() is None:
            child.terminate()
        child.wait()
        self._let_go()
        return False

    def _let_go(self) -> None:
        """Forget about a child that has ended."""
        if self._watchdog is not None:
            self._watchdog.close()
            self._watchdog = None

    def _command(self, binary: RedisBinary) -> list[str]:
        assert self._folder is not None
        settings = {
            "port": "0",
            "unixsocket": self._socket_path,
            "unixsocketperm": "700",
            "dir": str(self._folder.private),
            "daemonize": "no",
            "logfile": "",
            "save": "",
            "appendonly": "yes",
            "appendfsync": self._fsync,
            "maxmemory-policy": "noeviction",
        }
        return [binary.path, *(word for name, value in settings.items() for word in (f"--{name}", value))]

    def _last_words(self) -> str:
        """Return what Redis logged last, as a reason for its end."""
        with self.log_path.open("rb") as log:
            log.seek(max(0, self.log_path.stat().st_size - 4096))
            lines = log.read().decode(errors="replace").splitlines()
        reasons = [line.partition(" # ")[2] or line for line in lines if " # " in line or "rror" in line]
        return (reasons or lines or ["it said nothing"])[-1].strip().rstrip(".") + "."

    def _place_socket(self, private: Path) -> str:
        """Return a path for the socket, elsewhere when the data folder's is too long for one."""
        remembered = private / "socket-folder"
        if remembered.exists():  # left by a server that was killed
            left = Path(remembered.read_text())
            if left.name.startswith("dchat-") and left.is_dir() and left.stat().st_uid == os.getuid():
                shutil.rmtree(left, ignore_errors=True)
            remembered.unlink()
        path = str(private / "redis.sock")
        if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
            self._short = Path(tempfile.mkdtemp(prefix="dchat-", dir="/tmp"))  # only for this user
            remembered.write_text(str(self._short))
            path = str(self._short / "redis.sock")
        return path


def url_of(path: Path) -> str:
    """The address of the Redis that serves the data folder `path` now. Raises EmbeddedError when none does."""
    private = path / "redis"
    elsewhere = private / "socket-folder"
    socket_path = str((Path(elsewhere.read_text()) if elsewhere.exists() else private) / "redis.sock")
    if not _ping(socket_path).startswith(b"+PONG"):
        raise EmbeddedError(
            f"No D-Chat server runs on {path}. Start it, or name another folder: --data-dir FOLDER. "
            "(A copy of the folder, while none runs, is a backup as well.)"
        )
    return f"unix://{quote(socket_path)}"


def _ping(socket_path: str) -> bytes:
    """Return what Redis answers to PING, empty when it does not."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(socket_path)
        connection.sendall(b"PING\r\n")
        return connection.recv(64)
    return b""


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
