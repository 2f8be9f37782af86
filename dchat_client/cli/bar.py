"""How far long work is: a bar on one line of standard error, where a person looks on."""

from __future__ import annotations

import time
from collections.abc import Callable

from dchat_client.cli.face import Face

WIDTH = 30
_EVERY_S = 0.1
_FIRST_GUESS_S = 3.0


def bar(done: float, total: float) -> str:
    """Return "[######....]  60%"."""
    share = min(1.0, max(0.0, done / total)) if total > 0 else 1.0
    full = int(share * WIDTH)
    return f"[{'#' * full}{'.' * (WIDTH - full)}] {share:4.0%}"


class Progress:
    """Shows `bar` a few times a second, with what is left to wait once that can be guessed."""

    def __init__(self, face: Face, clock: Callable[[], float] = time.monotonic) -> None:
        self._face = face
        self._clock = clock
        self._began: tuple[float, float] | None = None
        self._next = 0.0

    def show(self, done: float, total: float, words: str) -> None:
        """Show that `done` of `total` (the same unit) is done, with cleaned `words` behind the bar. Call it at will."""
        now = self._clock()
        if self._began is None:
            self._began = (now, done)  # what a run before this one did says nothing about the speed
        if now < self._next:
            return
        self._next = now + _EVERY_S
        self._face.progress(f"{bar(done, total)}  {words}{self._left(now, done, total)}")

    def _left(self, now: float, done: float, total: float) -> str:
        since, first = self._began or (now, done)
        if now - since < _FIRST_GUESS_S or done <= first or done >= total:
            return ""
        seconds = (now - since) / (done - first) * (total - done)
        return f", {span(seconds)} left"


def span(seconds: float) -> str:
    """Return a time as people say it: 3.1 s, 12 min, 5 h, 9 d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
