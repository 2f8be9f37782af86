"""A screen of a test's own: an X server without a monitor, keys typed as a person does, pictures of what is there."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.harness.processes import Running, new_folder, until


class Screen:
    """One Xvfb. `env` is what a program needs to draw on it."""

    def __init__(self, width: int = 1280, height: int = 800) -> None:
        for program in ("Xvfb", "xdotool"):
            if shutil.which(program) is None:
                pytest.fail(f"{program} is missing; on Debian: apt-get install xvfb xdotool")
        self.folder = new_folder()
        for _ in range(20):
            self.number = random.randrange(100, 60_000)
            socket, lock = Path(f"/tmp/.X11-unix/X{self.number}"), Path(f"/tmp/.X{self.number}-lock")
            if socket.exists() or lock.exists():
                continue
            command = [str(shutil.which("Xvfb")), self.name, "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"]
            self.process = Running("xvfb", command, self.folder)
            until(lambda socket=socket: socket.exists() or not self.process.alive, "the screen is there")
            if self.process.alive:
                break
        else:
            raise AssertionError(f"no screen could be started:\n{self.process.log}")

    @property
    def name(self) -> str:
        return f":{self.number}"

    @property
    def env(self) -> dict[str, str]:
        return {"DISPLAY": self.name}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # What a person does

    def window(self, title: str, *, pid: int | None = None) -> str:
        """The id of a window that is shown, once it is there. `title` is a regular expression."""
        only = ["--all", "--pid", str(pid)] if pid is not None else []
        found = until(lambda: self._xdotool("search", "--onlyvisible", *only, "--name", title), f"a window {title}")
        return str(found).split()[-1]

    def focus(self, window: str) -> None:
        """Give the keyboard to a window; there is no window manager that would."""
        self._xdotool("windowfocus", "--sync", window)

    def fill(self, window: str) -> None:
        """Make a window as large as the screen."""
        self._xdotool("windowmove", window, "0", "0")
        self._xdotool("windowsize", "--sync", window, "100%", "100%")

    def type(self, text: str) -> None:
        """Type into the window that has the keyboard."""
        self._xdotool("type", "--delay", "12", "--", text)

    def key(self, *keys: str) -> None:
        """Press keys one after the other: "Return", "ctrl+k"."""
        self._xdotool("key", "--delay", "30", *keys)

    def click(self, x: int, y: int, button: int = 1) -> None:
        """Press a button of the mouse at a place of the screen."""
        self._xdotool("mousemove", str(x), str(y), "click", str(button))

    def title(self, window: str) -> str:
        """What a window is called now."""
        return self._xdotool("getwindowname", window).strip()

    def _xdotool(self, *words: str) -> str:
        done = subprocess.run(
            ["xdotool", *words], env={**os.environ, **self.env}, capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout

    # What is to be seen

    def picture(self) -> Any:
        """What the screen shows, as a PIL image."""
        from PIL import ImageGrab

        return ImageGrab.grab(xdisplay=self.name)

    def save(self, path: Path | str, *, after_s: float = 0.0) -> None:
        """Keep a picture of the screen."""
        time.sleep(after_s)
        self.picture().save(path)
