"""From one send to many streams: how many deliveries, what one costs, how long it takes."""

from __future__ import annotations

from benchmarks.load import Load
from benchmarks.measure import Figure, at_least, at_most, figure
from benchmarks.setting import free_port
from benchmarks.suite import Bench


def saturated(bench: Bench) -> list[Figure]:
    """1,000 streams in one room, 64 sends in flight."""
    load = _fan_out(bench, senders=64, messages=bench.sizes.fanout_messages)
    rate = load.delivered / load.seconds
    return [
        figure("fan-out, 64 sends in flight: deliveries", rate, "/s", at_least(1_000_000), bench.generator.name),
        figure("fan-out, 64 sends in flight: CPU a delivery", load.delivery_cpu_us, "µs", None, "worker + Redis"),
        figure("fan-out, 64 sends in flight: CPU of the generator a delivery", load.own_cpu_s * 1e6 / load.delivered,
               "µs", None, "shares the machine"),
    ]  # fmt: skip


def paced(bench: Bench) -> list[Figure]:
    """1,000 streams in one room, 20 messages a second: every message is a write to every stream."""
    sizes = bench.sizes
    load = _fan_out(bench, senders=4, messages=sizes.paced_messages, rate=sizes.paced_rate)
    split = load.split(load.delivered)
    found = [figure("fan-out, 20 messages/s: CPU a delivery", load.delivery_cpu_us, "µs", at_most(12), split)]
    bare = _bare(bench)
    if bare is not None:
        found += [
            figure("the same, a bare loop of `send` in C", bare.delivery_cpu_us, "µs", None, "bare.c"),
            figure("D-Chat over the bare loop", load.delivery_cpu_us / bare.delivery_cpu_us, "×"),
        ]
    return found


def latency(bench: Bench) -> list[Figure]:
    """One stream, 200 messages a second: from the send to the delivery."""
    load = _fan_out(
        bench, streams=1, senders=4, messages=bench.sizes.latency_messages, rate=bench.sizes.latency_rate
    )  # fmt: skip
    return [
        figure("send → delivery at 200/s, p50", load.delivery_us["p50"] / 1000, "ms"),
        figure("send → delivery at 200/s, p99", load.delivery_us["p99"] / 1000, "ms", None,
               f"slowest {load.delivery_us['max'] / 1000:.1f} ms"),
    ]  # fmt: skip


def _fan_out(bench: Bench, *, senders: int, messages: int, rate: float = 0, streams: int = 0) -> Load:
    setting = bench.setting
    room = bench.new_room()
    first = setting.person.head(room) + 1
    return bench.generator.run(
        setting.worker.port,
        [setting.person.token],
        setting.pids,
        room=room,
        first=first,
        streams=streams or bench.sizes.fanout_streams,
        senders=senders,
        messages=messages,
        rate=rate,
    )


def _bare(bench: Bench) -> Load | None:
    """The paced fan-out over bare.c; None where it cannot be compiled."""
    if bench.generator.compiler is None:
        return None
    sizes, port = bench.sizes, free_port()
    peer = bench.setting.start_peer("bare", [str(bench.generator.build("bare")), str(port), "bare"], port)
    try:
        return bench.generator.run(
            port,
            [],
            {"bare": peer.pid},
            room="bare",
            streams=sizes.fanout_streams,
            senders=4,
            messages=sizes.paced_messages,
            rate=sizes.paced_rate,
        )
    finally:
        peer.kill()
