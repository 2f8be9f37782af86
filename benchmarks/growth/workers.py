"""From 1 to 16 workers on one Redis: what one more costs Redis, the others, and when nobody says anything."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.growth.town import Growth, Town
from benchmarks.growth.turns import Line, in_turns, medians, through
from benchmarks.load import Load
from benchmarks.machine import CpuClock, cores
from benchmarks.measure import Figure, at_most, figure

FAR = 100
"""Workers to which the lines are drawn on."""
SETTLE_S = 0.5


@dataclass(frozen=True)
class _Found:
    idle: dict[str, float]
    """CPU of each process, ms a second."""
    paced: Load
    busy: Load


def workers(growth: Growth) -> list[Figure]:
    """The first worker gets all sends; each has a stream that checks what it is told."""
    sizes = growth.sizes
    with growth.town() as town:
        room = town.create_one()
        found = in_turns(sizes.workers, lambda many: _measure(growth, town, room, many), max(1, sizes.rounds - 1))
    figures, lines = [], {}
    for how in ("paced", "busy"):
        loads = {many: [getattr(each, how) for each in there] for many, there in found.items()}
        words, pace = (f"{sizes.rate} sends/s", ", paced") if how == "paced" else ("64 in flight", "")
        redis = medians(loads, lambda load: _cost(load, "Redis"))
        other = medians({many: loads[many] for many in sizes.workers if many > 1}, _cost_of_another)
        for many in sizes.workers:
            busy = f"{_busy_cores(loads[many][-1]):.1f} of {cores()} cores used"
            figures.append(figure(f"{many} workers, {words}: CPU of Redis a send", redis[many], "µs", None, busy))
            growth.point("workers", f"Redis{pace}", many, redis[many])
        for many, cost in other.items():
            figures.append(figure(f"{many} workers, {words}: CPU of each other worker a send", cost, "µs"))
            growth.point("workers", f"worker{pace}", many, cost)
        lines[words] = through(redis)
    for words, line in lines.items():
        goal, note = at_most(5), f"{line.start:.1f} + {line.slope:.2f} × workers, least squares"
        figures.append(figure(f"one more worker, {words}: CPU of Redis a send", line.slope, "µs", goal, note))
    for words, line in lines.items():
        what, note = f"{FAR} workers, {words}: CPU of Redis a send, extrapolated", _sum(line)
        figures.append(figure(what, line.at(FAR), "µs", None, note))
    return figures + _idle(found)


def _sum(line: Line) -> str:
    return f"{line.start:.1f} + {line.slope:.2f} × {FAR} = {line.at(FAR):.0f}: {1e6 / line.at(FAR):,.0f} sends/s"


def _idle(found: dict[int, list[_Found]]) -> list[Figure]:
    redis = through(medians(found, lambda each: each.idle["Redis"]))
    most = max(found)
    one = medians(found, lambda each: sum(each.idle.values()) - each.idle["Redis"])[most] / most
    return [
        figure("one more worker, nobody says anything: CPU of Redis", redis.slope, "ms/s"),
        figure("one more worker, nobody says anything: its own CPU", one, "ms/s", None, f"of {most}"),
    ]


def _measure(growth: Growth, town: Town, room: str, many: int) -> _Found:
    sizes = growth.sizes
    town.have_workers(many)
    time.sleep(0 if sizes.small else SETTLE_S)
    clock, begun = CpuClock(town.pids), time.monotonic()
    time.sleep(sizes.idle_s)
    seconds = time.monotonic() - begun
    idle = {name: used * 1000 / seconds for name, used in clock.used().items()}
    server = town.server(listen_ports=[worker.port for worker in town.workers])
    paced_sends, busy_sends = (20, 100) if sizes.small else (2 * sizes.rate, sizes.sends // 2)
    paced = town.load(room, streams=many, messages=paced_sends, rate=sizes.rate, server=server)
    busy = town.load(room, streams=many, messages=busy_sends, server=server)
    return _Found(idle, paced, busy)


def _cost(load: Load, name: str) -> float:
    return load.cpu_s[name] * 1e6 / load.sent


def _cost_of_another(load: Load) -> float:
    """Microseconds a send of a worker that did not get it."""
    others = [used for name, used in load.cpu_s.items() if name.startswith("worker ")]
    return sum(others) * 1e6 / len(others) / load.sent


def _busy_cores(load: Load) -> float:
    return (sum(load.cpu_s.values()) + load.own_cpu_s) / load.seconds
