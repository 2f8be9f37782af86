"""Telling the desktop that somebody wrote: a command, run beside the window and never waited for.

The command is what `DCHAT_NOTIFY` says. It gets the message as `dchat tail --exec` gives it: as a line of JSON on its
standard input, with DCHAT_ROOM, DCHAT_SENDER and DCHAT_SEQ in its environment, and DCHAT_WHY (mention, dm, message)
beside them. Without it there is `notify-send`, where that is installed. One at a time, a few may wait, the rest is
dropped: nobody reads a hundred pop-ups, nor one about what was written an hour ago.
"""

from __future__ import annotations

import html
import os
import queue
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dchat_client.terminal import clean, fit, json_line
from dchat_client.transcript import Line

MOST_WAITING = 5
TIMEOUT_S = 10.0
FRESH_S = 120.0
"""Older messages were missed, not just written; the badges tell of them."""


@dataclass(frozen=True, slots=True)
class Note:
    """What is told, as people wrote it: not cleaned. `title` is the room's, `sender` the name to show."""

    room: str
    title: str
    sender: str
    line: Line
    why: str


def wanted(level: str, why: str, ts: str, now: datetime | None = None) -> bool:
    """Tell whether a message is to be told of. `level`: all, mentions (and direct messages), none."""
    if level == "none" or (level == "mentions" and why == "message"):
        return False
    try:
        age_s = ((now or datetime.now(UTC)) - datetime.fromisoformat(ts)).total_seconds()
    except (ValueError, TypeError):
        return False
    return age_s < FRESH_S


class Notifier:
    """Runs the command for each note. `environ` names it."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._command = environ.get("DCHAT_NOTIFY", "")
        self._notify_send = shutil.which("notify-send", path=environ.get("PATH"))
        self._notes: queue.Queue[Note] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None

    def tell(self, room: str, title: str, sender: str, line: Line, why: str) -> bool:
        """Tell the desktop, soon. False when there is nothing to tell it with, or too much waits."""
        if not (self._command or self._notify_send):
            return False
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="dchat-notify", daemon=True)
            self._thread.start()
        try:
            self._notes.put_nowait(Note(room, title, sender, line, why))
        except queue.Full:
            return False
        return True

    def _work(self) -> None:
        while True:
            self._run(self._notes.get())

    def _run(self, note: Note) -> None:
        command: str | Sequence[str]
        if self._command:
            command, standard_input = self._command, json_line(message_of(note)) + "\n"
        else:
            command, standard_input = notify_send(note, str(self._notify_send)), ""
        try:
            subprocess.run(
                command,
                shell=isinstance(command, str),
                input=standard_input.encode("utf-8", "replace"),
                env={**self._environ, **_variables(note)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=TIMEOUT_S,
                check=False,
            )
        except (OSError, ValueError, subprocess.SubprocessError):
            return  # a pop-up that does not come is no reason to disturb anybody


def message_of(note: Note) -> dict[str, Any]:
    """Return the message as the server gives it, as far as it is known here."""
    line = note.line
    fields = {"type": "message", "id": f"{note.room}:{line.seq}", "room": note.room, "seq": line.seq, "ts": line.ts}
    return {**fields, "sender": line.sender, "text": line.text}


def _variables(note: Note) -> dict[str, str]:
    values = {"ROOM": note.room, "SENDER": note.line.sender, "SEQ": str(note.line.seq), "WHY": note.why}
    return {f"DCHAT_{name}": clean(value) for name, value in values.items()}


def notify_send(note: Note, program: str = "notify-send") -> list[str]:
    """Return the command that shows a note; its body is markup, so what people wrote is escaped."""
    title = clean(note.sender) if note.why == "dm" else f"{clean(note.sender)} in {clean(note.title)}"
    body = html.escape(fit(clean(note.line.text.replace("\n", " ")), 200), quote=False)
    return [program, "--app-name=D-Chat", "--category=im.received", "--", title, body]
