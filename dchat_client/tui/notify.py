"""Telling a person that something was said: a bell, and a command of theirs.

The command gets the message as `dchat tail --exec` gives it: as a line of JSON on its standard input, with DCHAT_ROOM,
DCHAT_SENDER and DCHAT_SEQ in its environment, and DCHAT_WHY (mention, dm, message) beside them. Nothing of the message
gets onto a command line. Nobody waits for the command: so many run at once, so many wait, each has so long; what is
over that is dropped and counted. Its output goes nowhere, for the screen is ours.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

from dchat_client.terminal import json_line
from dchat_client.transcript import Line

MOST_RUNNING = 4
MOST_WAITING = 32
LONGEST_S = 30.0

Why = Literal["mention", "dm", "message"]


def concerns(level: str, why: Why) -> bool:
    """Tell whether a room of that level notifies of a message that comes for that reason."""
    return level == "all" or (level == "mentions" and why in ("mention", "dm"))


def message_of(line: Line, room: str) -> dict[str, Any]:
    """Return the message as the server gives it, as far as a line has it."""
    fields: dict[str, Any] = {"type": "message", "id": f"{room}:{line.seq}", "room": room, "seq": line.seq}
    fields |= {"ts": line.ts, "sender": line.sender, "text": line.text}
    return fields | ({} if line.reply_to is None else {"reply_to": line.reply_to})


class Command:
    """The person's command, run by a shell for each message."""

    def __init__(self, command: str, trouble: Callable[[str], None], *, longest_s: float = LONGEST_S) -> None:
        """`trouble` hears, once each kind, that the command fails or cannot keep up."""
        self.dropped = 0
        self._command = command
        self._trouble = trouble
        self._longest_s = longest_s
        self._slots = asyncio.Semaphore(MOST_RUNNING)
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: set[str] = set()

    def run(self, message: dict[str, Any], why: Why) -> None:
        """Run the command for a message, soon. Never waits."""
        if len(self._tasks) >= MOST_RUNNING + MOST_WAITING:
            self.dropped += 1
            self._tell("slow", "the notification command cannot keep up; some messages went by without it")
            return
        task = asyncio.ensure_future(self._run(message, why))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End what is running."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, message: dict[str, Any], why: Why) -> None:
        async with self._slots:
            names = {"DCHAT_ROOM": "room", "DCHAT_SENDER": "sender", "DCHAT_SEQ": "seq"}
            values = {key: str(message.get(name, "")).replace("\0", "") for key, name in names.items()}
            try:
                process = await asyncio.create_subprocess_shell(
                    self._command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,
                    env={**os.environ, **values, "DCHAT_WHY": why},
                    start_new_session=True,  # it has no business with our terminal, and ends with all it started
                )
            except OSError as error:
                self._tell("start", f"the notification command cannot be started: {error.strerror}")
                return
            try:
                async with asyncio.timeout(self._longest_s):
                    await process.communicate((json_line(message) + "\n").encode("utf-8", "surrogatepass"))
            except TimeoutError:
                self._tell("long", f"the notification command was ended after {self._longest_s:g} s")
            finally:
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()
            if process.returncode and process.returncode > 0:
                self._tell("failed", f"the notification command ended with {process.returncode}")

    def _tell(self, kind: str, words: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self._trouble(words)
