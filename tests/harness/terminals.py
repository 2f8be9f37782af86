"""Terminals of a test: a program in tmux, whose screen is read as a person sees it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import pytest

from tests.harness.processes import ROOT, until


class Terminal:
    """One program in a terminal of its own. Its tmux server has a socket of its own and ends with it."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], *, width: int = 80, height: int = 24, term: str = ""
    ) -> None:
        found = shutil.which("tmux")
        if found is None:
            pytest.fail("tmux is missing; on Debian: apt-get install tmux")
        self._tmux = [found, "-L", f"dchat-{os.getpid()}-{id(self):x}", "-f", "/dev/null"]
        # The shell stays when the program ends, so that what it printed last can be read.
        words = f"{shlex.join(command)}; echo ended with $?; exec cat"
        plain = {name: value for name, value in env.items() if name not in ("TMUX", "TMUX_PANE", "COLORTERM")}
        self._run(
            *("new-session", "-d", "-x", str(width), "-y", str(height), f"cd {shlex.quote(str(ROOT))}; {words}"),
            env={**plain, "TERM": term or "xterm-256color", "LC_ALL": "C.UTF-8"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the program and the terminal."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    @property
    def screen(self) -> str:
        """The screen as text, a line a row."""
        return self._run("capture-pane", "-p")

    @property
    def coloured(self) -> str:
        """The screen with its escape sequences."""
        return self._run("capture-pane", "-p", "-e")

    @property
    def title(self) -> str:
        """The terminal's title."""
        return self._run("display-message", "-p", "#{pane_title}").strip()

    def write(self, text: str) -> None:
        """Type a text, as fast as a program can."""
        self._run("send-keys", "-l", text)

    def press(self, *keys: str) -> None:
        """Press keys, by tmux's names: C-k, M-Enter, Up."""
        self._run("send-keys", *keys)

    def shows(self, *parts: str) -> str:
        """Wait until the screen has all the parts, and return it."""

        def look() -> str:
            screen = self.screen
            return screen if all(part in screen for part in parts) else ""

        try:
            return str(until(look, f"the terminal shows {parts}", every_s=0.1))
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.screen}") from None

    def shows_not(self, part: str) -> str:
        """Wait until the screen does not have that part, and return it."""

        def look() -> str:
            screen = self.screen
            return screen if part not in screen else ""

        return str(until(look, f"{part!r} is gone from the terminal", every_s=0.1))

    def _run(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        done = subprocess.run([*self._tmux, *words], env=env, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout
