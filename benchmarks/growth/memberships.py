"""People in 1 to 500 rooms each: what their streams hold, what opening one costs, and what a delivery does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from benchmarks.growth.town import IN_FLIGHT, Growth, Town
from benchmarks.growth.turns import in_turns, medians, ratio, through
from benchmarks.load import Load
from benchmarks.measure import Figure, at_most, figure
from benchmarks.people import Person

DELIVERIES_EACH = 2 * IN_FLIGHT


def memberships(growth: Growth) -> list[Figure]:
    """The same people's streams in towns with ever more rooms that all of them are in; sends go to one of these."""
    sizes = growth.sizes
    counts = sizes.memberships
    with growth.towns(counts, people=sizes.people) as towns:
        rooms = {many: _all_in(town, many) for many, town in towns.items()}

        def measure(many: int) -> Load:
            server = towns[many].server(listen="/v1/events")
            return towns[many].load(
                rooms[many], streams=sizes.idle_streams, messages=DELIVERIES_EACH, idle_s=1, server=server
            )

        found = in_turns(counts, measure, 1)
    # Only the first streams of a worker tell: those that come after them find the memory of those that went.
    memory = {many: loads[0].pss_kb["worker"] / loads[0].streams for many, loads in found.items()}
    opening, delivery = medians(found, _opening), medians(found, lambda load: load.delivery_cpu_us)
    figures = []
    for many in counts:
        what, last = f"a person in {many} rooms" if many > 1 else "a person in 1 room", found[many][-1]
        split = " + ".join(f"{name} {used * 1e6 / last.streams:.0f}" for name, used in last.open_cpu_s.items())
        growth.point("memberships", "worker", many, memory[many])
        growth.point("opening", "worker + Redis", many, opening[many])
        figures += [
            figure(
                f"{what}: memory of the worker a stream (Pss)", memory[many], "KB", None, f"{last.streams:,} streams"
            ),
            figure(f"{what}: CPU to open a stream", opening[many], "µs", None, split),
            figure(f"{what}: CPU a delivery", delivery[many], "µs", None, last.split(last.delivered)),
        ]
    few, most = counts[0], counts[-1]
    return [
        *figures,
        figure("one more room of a person's: memory a stream", through(memory).slope * 1024, "bytes"),
        figure("one more room of a person's: CPU to open a stream", through(opening).slope, "µs"),
        figure(f"a delivery: in {most} rooms over in {few}", ratio(found, lambda load: load.delivery_cpu_us, most, few),
               "×", at_most(1.2)),
    ]  # fmt: skip


def _opening(load: Load) -> float:
    return sum(load.open_cpu_s.values()) * 1e6 / load.streams


def _all_in(town: Town, many: int) -> str:
    """Rooms that everybody is in. Returns the first one's name, which belongs to the first person."""
    rooms, _ = town.create(many)
    names = [f"{rooms.name}-{number}" for number in range(many)]

    def join(person: Person) -> None:
        for name in names:
            person.join(name)
        person.close()

    with ThreadPoolExecutor(len(town.people)) as threads:
        list(threads.map(join, town.people))
    return names[0]
