"""A reader's place, kept in a file: `dchat tail` goes on where it stopped, also after a crash.

The file is replaced in one step after the output was flushed. One reader at a time may use it: the lock
lies beside it, in a file that is never replaced, and goes away with the process, however it ends.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from dchat_client.config import ConfigError, write_private
from dchat_client.position import Bookmark

_VERSION = 1


class BookmarkInUse(ConfigError):
    """Another process keeps its place in this file."""


class BookmarkFile:
    """The place of one reader of one stream. `about` says what the stream is; it must match when loading.

    Use it as a context manager; it holds the lock meanwhile. Raises BookmarkInUse and ConfigError on
    entering.
    """

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        self.path = path
        self._about = about
        self._lock: IO[bytes] | None = None
        self._stored: Bookmark | None = None

    def __enter__(self) -> Self:
        lock_path = self.path.with_name(self.path.name + ".lock")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = open(lock_path, "ab")
        except OSError as error:
            raise ConfigError(f"{lock_path} cannot be opened: {error.strerror or error}.") from None
        if not lock(self._lock):
            self._lock.close()
            self._lock = None
            raise BookmarkInUse(f"Another dchat tail keeps its place in {self.path}.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            let_go(self._lock)
            self._lock = None

    def load(self) -> Bookmark | None:
        """Return the stored place; None when there is none yet. Raises ConfigError when it cannot be used."""
        try:
            value = json.loads(self.path.read_text("utf-8"))
            if value["version"] != _VERSION:
                raise ValueError("it was written by another version")
            if value["about"] != self._about:
                raise ConfigError(
                    f"{self.path} keeps the place of another stream: {_describe(value['about'])}."
                    " Give another --cursor-file, or remove it to start anew."
                )
            self._stored = Bookmark.from_json(value["bookmark"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{self.path} cannot be used ({error}); remove it to start anew.") from None
        return self._stored.copy()

    def store(self, bookmark: Bookmark) -> None:
        """Keep `bookmark`; nothing is written when it is the one kept already. Raises ConfigError."""
        if bookmark == self._stored:
            return
        value = {"version": _VERSION, "about": self._about, "bookmark": bookmark.to_json()}
        write_private(self.path, json.dumps(value, ensure_ascii=False) + "\n")
        self._stored = bookmark.copy()


def lock(file: IO[bytes]) -> bool:
    """Lock an open file until `let_go` or the death of the process; False when another process has."""
    if os.name != "posix":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def let_go(file: IO[bytes]) -> None:
    """Close a file that was locked. To close it alone is not enough while a child that was just forked has it, too."""
    try:
        file.flush()
        if os.name == "posix":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_UN)
    finally:
        file.close()


def _describe(about: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(about.items()))
