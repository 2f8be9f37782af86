"""How long to wait before the next try. Pure: the dice are passed in."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """Waits that double and are jittered over their full width, so that many clients do not come back
    together.

    "Full jitter" after Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): the wait is
    drawn evenly from 0 to min(`cap_s`, `base_s` × 2^tries). What a server asks for (Retry-After, `retry:`)
    comes on top, as a floor, cut at `max_floor_s`.
    """

    def __init__(
        self,
        *,
        base_s: float = 1.0,
        cap_s: float = 30.0,
        max_floor_s: float = 300.0,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.tries = 0
        self._base_s = base_s
        self._cap_s = cap_s
        self._max_floor_s = max_floor_s
        self._dice = dice

    def next(self, floor_s: float | None = None) -> float:
        """Return the next wait in seconds, at least `floor_s`, and count one try."""
        # The exponent is bounded because 2.0**1100 would be an error after a very long outage.
        width = min(self._cap_s, self._base_s * 2.0 ** min(self.tries, 30))
        self.tries += 1
        return self.floor(floor_s) + self._dice() * width

    def floor(self, asked_s: float | None) -> float:
        """Return what a server asked for in seconds, within 0 and `max_floor_s`."""
        return min(max(asked_s or 0.0, 0.0), self._max_floor_s)

    def reset(self) -> None:
        """Begin again with the shortest wait; to be called once things have gone well for a while."""
        self.tries = 0
