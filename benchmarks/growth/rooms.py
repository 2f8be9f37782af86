"""From 10 to 100,000 rooms: what a send costs, and what a room holds."""

from __future__ import annotations

from benchmarks import machine
from benchmarks.growth.town import IN_FLIGHT, Growth, Town
from benchmarks.growth.turns import in_turns, medians, ratio, through
from benchmarks.load import Load, Rooms
from benchmarks.measure import Figure, at_most, figure

HEARD, A_STREAM = 10, 20
"""One room in ten is listened to, so that deliveries are the same share of the work everywhere; twenty by a stream."""
OWNERS = 20


class _Place:
    """A town with so many rooms. Sends go over all of them in turn, to each the same number."""

    def __init__(self, growth: Growth, town: Town, many: int) -> None:
        self._growth, self._town = growth, town
        before = self._memory()
        rooms, self.created = town.create(many)
        self.grown_kb = {name: after - before[name] for name, after in self._memory().items()}
        watched = min(A_STREAM, max(1, many // HEARD))
        self._streams = max(1, many // HEARD // watched)
        self._rooms = Rooms(rooms.name, many, watched)
        self._first = town.people[0].head(f"{rooms.name}-0") + 1
        self.send()  # the first message of a room is another matter

    def send(self) -> Load:
        each = max(1, self._growth.sizes.sends // self._rooms.many)
        load = self._growth.generator.run(
            self._town.server(),
            room=self._rooms,
            first=self._first,
            streams=self._streams,
            senders=IN_FLIGHT,
            messages=each * self._rooms.many,
        )
        self._first += each
        return load

    def _memory(self) -> dict[str, float]:
        return {name: machine.pss_kb(pid) for name, pid in self._town.pids.items()}


def rooms(growth: Growth) -> list[Figure]:
    """Towns with ever more rooms, side by side; 64 sends in flight in each, in turns."""
    counts = growth.sizes.rooms
    with growth.towns(counts, people=min(OWNERS, counts[0])) as towns:
        places = {many: _Place(growth, town, many) for many, town in towns.items()}
        found = in_turns(counts, lambda many: places[many].send(), 1)
    costs = {name: medians(found, lambda load, name=name: _cost(load, name)) for name in ("worker", "Redis")}
    figures = []
    for many in counts:
        parts = {name: costs[name][many] for name in costs}
        for name, cost in parts.items():
            growth.point("rooms", name, many, cost)
        split = " + ".join(f"{name} {cost:.1f}" for name, cost in parts.items())
        figures.append(figure(f"{many:,} rooms: CPU a send", sum(parts.values()), "µs", None, split))
    few, most = counts[0], counts[-1]
    for name in ("worker", "Redis"):
        times = ratio(found, lambda load, name=name: _cost(load, name), most, few)
        figures.append(figure(f"a send, {name} alone: {most:,} rooms over {few}", times, "×"))
    times = ratio(found, lambda load: load.cpu_us, most, few)
    figures.append(figure(f"a send: {most:,} rooms over {few}", times, "×", at_most(1.2)))
    for name in ("Redis", "worker"):
        memory = through({many: place.grown_kb[name] for many, place in places.items()})
        figures.append(figure(f"a room: memory of {name}", memory.slope, "KB"))
    created = places[most].created
    rate, split = created.sent / created.seconds, created.split(created.sent)
    return [
        *figures,
        figure(f"{most:,} rooms created, 64 at a time", rate, "/s", None, f"{created.seconds:.0f} s"),
        figure("a room created: CPU", created.cpu_us, "µs", None, split),
    ]


def _cost(load: Load, name: str) -> float:
    """CPU microseconds of a process a send."""
    return load.cpu_s[name] * 1e6 / load.sent
