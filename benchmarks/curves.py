"""What grows with the number of streams and of sends in flight: the curves of the picture, D-Chat's and the peers'."""

from __future__ import annotations

from benchmarks.load import Load, Server
from benchmarks.measure import Figure, figure
from benchmarks.suite import Bench

COST, RATE = "CPU a delivery", "deliveries"
"""The charts of the picture that these points are for."""
IN_FLIGHT = 64
LEAST_MESSAGES, ROUNDS = 10, 2
"""In all, and for each sender."""


def curves(bench: Bench) -> list[Figure]:
    """Fan-out to ever more streams with 64 sends in flight, and to 1,000 with ever more of them."""
    sizes = bench.sizes

    def measure(server: Server) -> list[Figure]:
        counts = [streams for streams in sizes.streams_curve if streams <= server.most_streams]
        found: list[Figure] = []
        for streams in counts:
            load = _load(bench, server, streams, IN_FLIGHT)
            cost = f"fan-out to {streams:,} streams, 64 sends in flight: CPU a delivery"
            found.append(figure(cost, load.delivery_cpu_us, "µs", None, load.split(load.delivered)))
            bench.point(COST, server.name, streams, load.delivery_cpu_us)
            if streams == sizes.fanout_streams:
                bench.point(RATE, server.name, IN_FLIGHT, load.delivered / load.seconds)
        for in_flight in sizes.senders_curve:
            load = _load(bench, server, sizes.fanout_streams, in_flight)
            bench.point(RATE, server.name, in_flight, load.delivered / load.seconds)
        return found

    return bench.side_by_side(measure)


def _load(bench: Bench, server: Server, streams: int, in_flight: int) -> Load:
    # Few in flight are slow, and a moment of them says as much.
    deliveries = bench.sizes.curve_deliveries * in_flight // IN_FLIGHT
    messages = max(LEAST_MESSAGES, ROUNDS * in_flight, deliveries // streams)
    return bench.load(server, streams=streams, senders=in_flight, messages=messages)
