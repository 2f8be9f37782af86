"""From 100 to 18,000 streams of one room: what a delivery costs and what a stream holds."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.growth.town import IN_FLIGHT, Growth, Town
from benchmarks.growth.turns import medians
from benchmarks.load import Load
from benchmarks.measure import Figure, at_most, figure

LEAST_MESSAGES, PACED_LEAST = 2 * IN_FLIGHT, 4
LEAST_STREAMS = 1000
"""Fewer take less memory than Python takes from the system at a time."""


def streams(growth: Growth) -> list[Figure]:
    """64 sends in flight, where what is ready together is one write; and paced, where each delivery is a write."""
    counts, paced_counts = growth.sizes.streams, growth.sizes.paced_streams
    busy, paced = _walk(growth, counts, _busy), _walk(growth, paced_counts, _paced)
    figures = []
    for many in counts:
        what, load, cost = f"{many:,} streams in a room", busy[many][0], medians(busy, _cost)[many]
        split = load.split(load.delivered)
        figures.append(figure(f"{what}, 64 sends in flight: CPU a delivery", cost, "µs", None, split))
        growth.point("streams", "worker + Redis", many, cost)
        if many >= LEAST_STREAMS or growth.sizes.small:
            kb = load.pss_kb["worker"] / load.streams
            figures.append(figure(f"{what}: memory of the worker a stream (Pss)", kb, "KB"))
            growth.point("stream memory", "worker", many, kb)
    for many, cost in medians(paced, _cost).items():
        load = paced[many][0]
        note = f"{load.split(load.delivered)}; {load.sent / load.seconds:.1f} messages/s"
        figures.append(figure(f"{many:,} streams in a room, paced: CPU a delivery", cost, "µs", None, note))
        growth.point("streams", "worker + Redis, paced", many, cost)
    for how, found in (("64 sends in flight", busy), ("paced", paced)):
        costs = medians(found, _cost)
        few, most = min(costs), max(costs)
        what = f"a delivery, {how}: {most:,} streams over {few:,}"
        figures.append(figure(what, costs[most] / costs[few], "×", at_most(1.2)))
    return figures


def _walk(growth: Growth, counts: tuple[int, ...], load: Callable[[Growth, Town, int], Load]) -> dict[int, list[Load]]:
    """From few to many, and the fewest once more: opening thousands takes too long for the way back.

    Each on a worker that has just started: in memory used before, thousands of streams would cost nothing.
    """
    found: dict[int, list[Load]] = {many: [] for many in counts}
    for many in (*counts, counts[0]):
        with growth.town() as town:
            found[many].append(load(growth, town, many))
    return found


def _busy(growth: Growth, town: Town, many: int) -> Load:
    messages = max(LEAST_MESSAGES, growth.sizes.deliveries // many)
    return town.load(town.create_one(), streams=many, messages=messages, idle_s=1)


def _paced(growth: Growth, town: Town, many: int) -> Load:
    rate = growth.sizes.paced_deliveries_s / many
    messages = max(PACED_LEAST, round(rate * growth.sizes.paced_s))
    return town.load(town.create_one(), streams=many, messages=messages, rate=rate)


def _cost(load: Load) -> float:
    return load.delivery_cpu_us
