"""From one send to many streams: how many deliveries, what one costs, how long it takes. Beside the peers."""

from __future__ import annotations

from benchmarks.load import Server
from benchmarks.measure import Figure, at_least, at_most, figure
from benchmarks.suite import Bench

SATURATED = "fan-out, 64 sends in flight: deliveries"
PACED = "fan-out, 20 messages/s: CPU a delivery"
P50, P99 = "send → delivery at 200/s, p50", "send → delivery at 200/s, p99"


def saturated(bench: Bench) -> list[Figure]:
    """1,000 streams in one room, 64 sends in flight."""
    sizes = bench.sizes

    def measure(server: Server) -> list[Figure]:
        load = bench.load(server, streams=sizes.fanout_streams, senders=64, messages=sizes.fanout_messages)
        split = load.split(load.delivered)
        own = load.own_cpu_s * 1e6 / load.delivered
        return [
            figure(SATURATED, load.delivered / load.seconds, "/s", None, bench.generator.name),
            figure("fan-out, 64 sends in flight: CPU a delivery", load.delivery_cpu_us, "µs", at_most(0.5), split),
            figure("fan-out, 64 sends in flight: CPU of the generator a delivery", own, "µs", None,
                   "shares the machine"),
        ]  # fmt: skip

    found = bench.side_by_side(measure)
    ahead = dict.fromkeys(("socket.io", "ngIRCd", "NATS"), at_least(1))
    return found + bench.over(found, SATURATED, {"Nchan": at_least(15), **ahead})


def paced(bench: Bench) -> list[Figure]:
    """1,000 streams in one room, 20 messages a second: every message is a write to every stream."""
    sizes = bench.sizes

    def measure(server: Server) -> list[Figure]:
        load = bench.load(
            server, streams=sizes.fanout_streams, senders=4, messages=sizes.paced_messages, rate=sizes.paced_rate
        )
        return [figure(PACED, load.delivery_cpu_us, "µs", None, load.split(load.delivered))]

    found = bench.side_by_side(measure)
    return found + bench.over(found, PACED, {"Nchan": at_most(0.9), "bare loop": at_most(1.3)})


def latency(bench: Bench) -> list[Figure]:
    """One stream, 200 messages a second: from the send to the delivery."""
    sizes = bench.sizes

    def measure(server: Server) -> list[Figure]:
        load = bench.load(server, streams=1, senders=4, messages=sizes.latency_messages, rate=sizes.latency_rate)
        for part, us in load.delivery_us.items():
            bench.point("latency", server.name, part, us / 1000)
        slowest = f"slowest {load.delivery_us['max'] / 1000:.1f} ms"
        return [
            figure(P50, load.delivery_us["p50"] / 1000, "ms"),
            figure(P99, load.delivery_us["p99"] / 1000, "ms", None, slowest),
        ]

    found = bench.side_by_side(measure)
    return found + bench.over(found, P50, {"Nchan": at_most(1)}) + bench.over(found, P99, {"Nchan": at_most(1)})
