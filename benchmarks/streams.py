"""Open streams: how fast they open, and what an idle one holds."""

from __future__ import annotations

from benchmarks.measure import Figure, at_most, figure
from benchmarks.people import Person
from benchmarks.suite import Bench

SETTLE_S = 2


def streams(bench: Bench) -> list[Figure]:
    """Streams of people who are signed in and in 20 rooms each, on a worker that has just started."""
    sizes, setting = bench.sizes, bench.setting
    rooms = [bench.new_room() for _ in range(sizes.rooms)]
    people = [Person(setting.worker.port) for _ in range(sizes.people)]
    for person in people:
        for room in rooms:
            person.join(room)
        person.close()
    tokens = [person.token for person in people]
    # One of its own: in memory that was used and freed before, thousands of streams would cost nothing.
    worker = setting.start_worker()
    try:
        pids = {"worker": worker.pid, "Redis": setting.redis.pid}
        bench.generator.run(worker.port, tokens, pids, path="/v1/events", streams=2 * sizes.people)
        idle_s = 0 if sizes.small else SETTLE_S
        load = bench.generator.run(
            worker.port, tokens, pids, path="/v1/events", streams=sizes.idle_streams, idle_s=idle_s
        )
    finally:
        worker.kill()
    cpu = load.open_cpu_s
    split = " + ".join(f"{name} {used * 1e6 / load.streams:.0f}" for name, used in cpu.items())
    count = f"{load.streams:,} streams, {sizes.people} people in {sizes.rooms} rooms"
    return [
        figure("an idle stream: memory of the worker (Pss)", load.pss_kb["worker"] / load.streams, "KB", at_most(4),
               count),
        figure("streams opened", load.streams / load.open_s, "/s", None, "64 at a time, to each one's `hello`"),
        figure("streams opened: CPU a stream", sum(cpu.values()) * 1e6 / load.streams, "µs", None, split),
    ]  # fmt: skip
