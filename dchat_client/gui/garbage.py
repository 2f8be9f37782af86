"""Garbage collected in Tk's thread only.

Python collects cycles in whichever thread happens to allocate. Tk's objects must not be taken down by any thread but
their own: a variable of a closed form would call into Tk from the network's thread, and a whole interpreter would abort
the program. So collecting by itself is off while a window is open, and the window does it, by Python's own measures.
"""

from __future__ import annotations

import gc

EVERY_MS = 250


def take_over() -> bool:
    """Stop Python's own collecting. Return whether it was on.

    What is there by now (modules, mostly) is not looked at again, so that a collection takes a few milliseconds.
    """
    was_on = gc.isenabled()
    gc.disable()
    gc.freeze()
    return was_on


def collect() -> None:
    """Collect what Python would have collected by now. Called often, in Tk's thread."""
    thresholds = gc.get_threshold()
    for generation in (2, 1, 0):
        if gc.get_count()[generation] > thresholds[generation] > 0:
            gc.collect(generation)
            return


def hand_back(was_on: bool) -> None:
    """Let Python collect by itself again, once the other threads have ended."""
    gc.collect()
    gc.unfreeze()
    if was_on:
        gc.enable()
