"""Open streams: how fast they open, and what an idle one holds."""

from __future__ import annotations

from benchmarks.load import Load, Server
from benchmarks.measure import Figure, Goal, at_most, figure
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
    pids = {"worker": worker.pid, "Redis": setting.redis.pid}
    try:
        server = Server(setting.server.name, worker.port, pids, tokens=tokens, listen="/v1/events")
        load = _idle(bench, server)
    finally:
        worker.kill()
    cpu = load.open_cpu_s
    split = " + ".join(f"{name} {used * 1e6 / load.streams:.0f}" for name, used in cpu.items())
    count = f"{load.streams:,} streams, {sizes.people} people in {sizes.rooms} rooms"
    return [
        _memory(load, at_most(2.5), count),
        figure("streams opened", load.streams / load.open_s, "/s", None, "64 at a time, to each one's `hello`"),
        figure("streams opened: CPU a stream", sum(cpu.values()) * 1e6 / load.streams, "µs", None, split),
        *bench.beside(lambda peer: [_memory(load := _idle(bench, peer), None, f"{load.streams:,} streams")]),
    ]


def _idle(bench: Bench, server: Server) -> Load:
    """Open streams that get nothing, after some that warm the server up."""
    sizes = bench.sizes
    bench.generator.run(server, room="idle", streams=2 * sizes.people)
    streams = min(sizes.idle_streams, server.most_streams)
    return bench.generator.run(server, room="idle", streams=streams, idle_s=0 if sizes.small else SETTLE_S)


def _memory(load: Load, goal: Goal | None, note: str) -> Figure:
    """Of the server's processes; what Redis holds is not by the stream."""
    kb = sum(grown for name, grown in load.pss_kb.items() if name != "Redis")
    return figure("an idle stream: memory of the server (Pss)", kb / load.streams, "KB", goal, note)
