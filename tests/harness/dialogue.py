"""A program that asks, in a pseudo-terminal of its own, and somebody who answers."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from tests.harness.processes import PATIENCE_S, ROOT

# A session of its own that its terminal controls, so that Ctrl-C and hidden input work as for a person.
_CONTROLLED = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Dialogue:
    """A process whose three files are one pseudo-terminal. Use it as a context manager; it is killed at the end."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], *, size: tuple[int, int] = (24, 80)) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.shown = ""
        self._read_to = 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CONTROLLED, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(env),
            cwd=ROOT,
            start_new_session=True,
        )
        os.close(slave)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self._master)

    def expect(self, words: str) -> None:
        """Wait until the program has written `words` behind what was expected before."""
        deadline = time.monotonic() + PATIENCE_S
        while (at := self.shown.find(words, self._read_to)) < 0:
            assert time.monotonic() < deadline, f"waited for {words!r}; shown at last:\n{self.shown[-3000:]}"
            assert self._read(0.2), f"it ended before {words!r}; shown at last:\n{self.shown[-3000:]}"
        self._read_to = at + len(words)

    def answer(self, text: str) -> None:
        """Type a line, and Return."""
        self.press(text + "\r")

    def press(self, keys: str) -> None:
        """Type these characters, Ctrl-C as \x03."""
        os.write(self._master, keys.encode())

    def ended(self, *, pressing: str = "") -> int:
        """Read to the end and return the exit code.

        `pressing` is typed first, and again when that had no effect: a Ctrl-C that comes in the moment before Python
        waits for input waits with it, as people know.
        """
        deadline = time.monotonic() + PATIENCE_S
        press_at = 0.0
        while True:
            assert time.monotonic() < deadline, f"it does not end; shown at last:\n{self.shown[-3000:]}"
            if pressing and time.monotonic() > press_at:
                self.press(pressing)
                press_at = time.monotonic() + 10
            if not self._read(0.2):
                return self.process.wait(PATIENCE_S)

    def _read(self, within_s: float) -> bool:
        """Take what is there; False when nothing more will come."""
        if not select.select([self._master], [], [], within_s)[0]:
            return True
        try:
            part = os.read(self._master, 1 << 16)
        except OSError:  # Linux says EIO when the other end is closed
            return False
        self.shown += part.decode(errors="replace").replace("\r\n", "\n")
        return bool(part)
