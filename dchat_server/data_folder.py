"""The folder in which a server keeps its data, and the lock that lets only one server use it.

The lock is held by an open file that Redis, the server's child, inherits. So the folder stays locked as long
as either of the two lives: a Redis left behind by a killed server cannot meet a second one on the same files.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path


class DataFolderError(Exception):
    """The folder cannot be used. The text is a sentence with the next step."""


class FolderInUse(DataFolderError):
    """Another server, or a Redis it left behind, uses the folder. `pid` is its process, 0 when unknown."""

    def __init__(self, message: str, pid: int) -> None:
        super().__init__(message)
        self.pid = pid


class DataFolder:
    """An open, locked data folder. Close it to let another server have it."""

    def __init__(self, path: Path, *, wait_s: float = 5.0) -> None:
        """Create `path` where it is missing, readable for its owner only, and lock it.

        Waits up to `wait_s` for a server that is just ending. Raises FolderInUse, or DataFolderError when
        the folder cannot be made or written.
        """
        self.path = path
        self.private = path / "redis"
        """Redis's own part, closed to other users even when `path`, which may be older, is not."""
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.private.mkdir(mode=0o700, exist_ok=True)
            self.private.chmod(0o700)
            self.lock_fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise DataFolderError(
                f"The data folder {path} cannot be used ({problem.strerror}). "
                "Name one that you may write to: --data-dir FOLDER, or DCHAT_DATA_DIR."
            ) from problem
        try:
            self._lock(wait_s)
        except BaseException:
            os.close(self.lock_fd)
            raise

    def _lock(self, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise self._in_use() from None
                time.sleep(0.05)
            except OSError as problem:
                raise DataFolderError(
                    f"The data folder {self.path} cannot be locked ({problem.strerror}). "
                    "Choose one on a local disk: --data-dir FOLDER, or DCHAT_DATA_DIR."
                ) from problem
            else:
                self.note()
                return

    def note(self, redis_pid: int = 0) -> None:
        """Write into the lock file who uses the folder, for whoever finds it locked."""
        text = f"{os.getpid()}\n{redis_pid}\n".encode()
        os.pwrite(self.lock_fd, text, 0)
        os.ftruncate(self.lock_fd, len(text))

    def _in_use(self) -> FolderInUse:
        return in_use(self.path, os.pread(self.lock_fd, 64, 0))

    def close(self) -> None:
        """Let go of the folder. Redis must have ended: while it lives, the folder stays locked."""
        os.close(self.lock_fd)


def user_of(path: Path) -> FolderInUse | None:
    """Return who uses the folder, or None. Changes nothing and waits for nobody.

    Raises DataFolderError when the folder cannot be read.
    """
    try:
        fd = os.open(path / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise DataFolderError(f"The data folder {path} cannot be read ({problem.strerror}).") from problem
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return in_use(path, os.pread(fd, 64, 0))
    finally:
        os.close(fd)
    return None


def in_use(path: Path, noted: bytes) -> FolderInUse:
    """Return the error for a folder that is locked, from what its lock file says."""
    server_pid, redis_pid = 0, 0
    with contextlib.suppress(ValueError):
        server_pid, redis_pid = (int(line) for line in noted.split())
    if _alive(server_pid):
        return FolderInUse(
            f"The data folder {path} is in use by a D-Chat server that runs already (process {server_pid}). "
            f"Use that one, end it (kill {server_pid}), or give this one its own folder: --data-dir FOLDER.",
            server_pid,
        )
    if _alive(redis_pid):
        return FolderInUse(
            f"The data folder {path} is still in use by the Redis of a D-Chat server that is gone "
            f"(process {redis_pid}). End it (kill {redis_pid}) and start again.",
            redis_pid,
        )
    return FolderInUse(
        f"The data folder {path} is in use by a process that an earlier D-Chat server left behind. "
        "It ends by itself when it has written its data: start again in a moment.",
        0,
    )


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
