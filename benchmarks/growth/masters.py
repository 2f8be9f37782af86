"""From 1 to 3 masters of a Redis Cluster: what a send costs, and whom."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.growth.town import IN_FLIGHT, Growth, Town
from benchmarks.growth.turns import in_turns, medians
from benchmarks.load import Load, Rooms
from benchmarks.machine import cores
from benchmarks.measure import Figure, figure

ROOMS, A_STREAM = 128, 16
"""Enough to meet all shards. One stream checks so many of them."""
PLAIN = 0
"""A Redis that is no cluster, to compare with."""


class _Place:
    """A town on so many masters, and its rooms."""

    def __init__(self, growth: Growth, town: Town) -> None:
        self._growth, self._town = growth, town
        rooms, _ = town.create(ROOMS)
        self._rooms = Rooms(rooms.name, ROOMS, A_STREAM)
        self._first = town.people[0].head(f"{rooms.name}-0") + 1

    def send(self) -> Load:
        each = max(1, self._growth.sizes.sends // ROOMS)
        load = self._growth.generator.run(
            self._town.server(),
            room=self._rooms,
            first=self._first,
            streams=1,
            senders=IN_FLIGHT,
            messages=each * ROOMS,
        )
        self._first += each
        return load


def masters(growth: Growth) -> list[Figure]:
    """One worker on each; 64 sends in flight over many rooms, in turns."""
    counts = (PLAIN, *growth.sizes.masters)
    with ExitStack() as running:
        towns = {many: running.enter_context(growth.town(masters=many)) for many in counts}
        places = {many: _Place(growth, town) for many, town in towns.items()}
        found = in_turns(counts, lambda many: places[many].send(), growth.sizes.rounds)
    rate = medians(found, lambda load: load.sent / load.seconds)
    worker = medians(found, lambda load: load.cpu_s["worker"] * 1e6 / load.sent)
    together = medians(found, lambda load: sum(_redis(load)) * 1e6 / load.sent)
    busiest = medians(found, lambda load: max(_redis(load)) * 1e6 / load.sent)
    figures = []
    for many in counts:
        what = "one Redis, no cluster" if many == PLAIN else f"a cluster of {many} master{'s'[: many > 1]}"
        last = found[many][-1]
        used = f"{(sum(last.cpu_s.values()) + last.own_cpu_s) / last.seconds:.1f} of {cores()} cores used"
        split = " + ".join(f"{us * 1e6 / last.sent:.1f}" for us in _redis(last))
        figures += [
            figure(f"{what}: sends", rate[many], "/s", None, used),
            figure(f"{what}: CPU of the worker a send", worker[many], "µs"),
            figure(f"{what}: CPU of Redis a send, all masters", together[many], "µs", None, split),
            figure(f"{what}: CPU of Redis a send, the busiest", busiest[many], "µs"),
        ]
        if many != PLAIN:
            growth.point("masters", "worker", many, worker[many])
            growth.point("masters", "Redis", many, together[many])
            growth.point("masters", "the busiest master", many, busiest[many])
    return figures


def _redis(load: Load) -> list[float]:
    """CPU seconds of each master."""
    return [used for name, used in load.cpu_s.items() if name == "Redis" or name.startswith("master ")]
