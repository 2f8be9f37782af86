"""Which lines of a transcript are drawn: a stretch that ends at the newest and grows backwards. Pure.

It begins with the last few hundred. Who scrolls to its upper end gets more, first of what the transcript has, then by a
page that is asked for; once the view is back at the bottom, and the stretch has grown long, it is cut again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from dchat_client.transcript import Line, Transcript

SHOWN = 200
"""Lines drawn at first, and by which the stretch grows."""
MOST_SHOWN = 600
"""With more, and the view at the bottom, the oldest are let go."""
ASK_AGAIN_S = 3.0
"""A page that did not come is asked for again after that, when somebody is still there."""


class Stretch:
    """The stretch of one transcript."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._top = 0
        """The seq from which lines are drawn; 0: from the first."""
        self._asked: tuple[int, float] | None = None

    @property
    def hidden(self) -> int:
        """How many lines of the transcript lie above it."""
        return bisect_left(self._transcript.lines, self._top, key=lambda line: line.seq)

    @property
    def lines(self) -> Sequence[Line]:
        """The lines to draw."""
        return self._transcript.lines[self.hidden :]

    def cut(self) -> None:
        """The view is at the bottom: let go what nobody looks at."""
        lines = self._transcript.lines
        if len(lines) - self.hidden > (MOST_SHOWN if self._top else SHOWN):
            self._top = lines[-SHOWN].seq

    def reach(self, seq: int) -> bool:
        """Grow until the line of that seq is in it. False when the transcript has none."""
        if self._transcript.find(seq) is None:
            return False
        self._top = min(self._top, seq)
        return True

    def grow(self) -> bool:
        """Take in more of what the transcript has. False when that is all there is."""
        hidden = self.hidden
        if hidden:
            self._top = self._transcript.lines[max(0, hidden - SHOWN)].seq
        return bool(hidden)

    def page_to_ask(self, now: float) -> int | None:
        """Return the seq below which a page is to be asked for at the monotonic time `now`; None for no page."""
        oldest = self._transcript.oldest
        if not self._transcript.has_older or oldest is None:
            return None
        if self._asked is not None and self._asked[0] == oldest and now < self._asked[1] + ASK_AGAIN_S:
            return None
        self._top, self._asked = 0, (oldest, now)
        return oldest

    def replaced(self) -> None:
        """A page came."""
        self._asked = None

    @property
    def words(self) -> str:
        """What stands above its first line."""
        if not self._transcript.is_loaded:
            return "Loading …"
        if self.hidden or self._transcript.has_older:
            return "Older messages are loaded as you scroll up."
        return "This is where the room begins." if self._transcript.lines else "Nobody has said anything yet."
