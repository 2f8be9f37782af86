"""Sending: how many a worker takes, and what one costs beside an HTTP request that does nothing."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from benchmarks.load import Load, Server, WrongResult
from benchmarks.machine import CpuClock
from benchmarks.measure import Figure, Goal, at_least, at_most, figure
from benchmarks.people import BATCH, Connection, text_of
from benchmarks.setting import free_port
from benchmarks.suite import Bench

BATCHERS = 4
GOALS: dict[int, tuple[Goal | None, Goal]] = {64: (at_least(15_000), at_most(60)), 8: (None, at_most(100))}
"""Sends in flight → sends a second, and CPU µs a send."""
GOALS_POST_US = 41.0
"""What an empty POST cost where the goals were set: on a slower machine they are held in its own empty POSTs, too."""
SLICES = 4
"""Sends and the peer take turns: what else the machine does then falls on both."""


def sends(bench: Bench) -> list[Figure]:
    """64 and 8 sends in flight, one stream listening: D-Chat in turns with the empty POST, and then the peers."""
    port = free_port()
    peer = bench.setting.start_peer("empty_post", [sys.executable, "-m", "benchmarks.empty_post", str(port)], port)
    empty = Server("empty POST", port, {"empty POST": peer.pid}, "plain")
    try:
        found, post_us = _in_turns(bench, empty, 64)
        found += _in_turns(bench, empty, 8, post_us)[0]
    finally:
        peer.kill()
    return found + bench.beside(lambda server: _peer(bench, server), lambda server: server.answers)


def _in_turns(bench: Bench, empty: Server, in_flight: int, post_us: float = 0.0) -> tuple[list[Figure], float]:
    """The figures, and what an empty POST costs here; `post_us` when that is known already, with more in flight."""
    each = _messages(bench, in_flight) // SLICES
    loads, bare = [], []
    for _ in range(SLICES):
        loads.append(bench.load(bench.setting.server, streams=1, senders=in_flight, messages=each))
        bare.append(bench.generator.run(empty, room="r", senders=in_flight, messages=each))
    what, cost = f"send, {in_flight} in flight", _cpu_us(bare, empty.name)
    post_us = post_us or cost
    figures = _figures(in_flight, loads)
    rate_goal, cost_goal = GOALS[in_flight]
    rate, used = (each.value for each in figures)
    figures += [
        figure(f"{what}: CPU of an empty aiohttp POST", cost, "µs", None, "empty_post.py"),
        figure(f"{what}: D-Chat's worker over the empty POST", _cpu_us(loads, "worker") / cost, "×"),
        figure(f"{what}: CPU a send, in empty POSTs", used / post_us, "×", at_most(cost_goal.value / GOALS_POST_US),
               f"{cost_goal} µs where one takes {GOALS_POST_US:.0f}"),
    ]  # fmt: skip
    if rate_goal is not None:
        most = at_most(1e6 / rate_goal.value / GOALS_POST_US)
        note = f"{rate_goal}/s where one takes {GOALS_POST_US:.0f} µs"
        figures.append(figure(f"{what}: time a send, in empty POSTs", 1e6 / rate / post_us, "×", most, note))
    return figures, post_us


def _peer(bench: Bench, server: Server) -> list[Figure]:
    found: list[Figure] = []
    for in_flight in GOALS:
        messages = _messages(bench, in_flight)
        found += _figures(in_flight, [bench.load(server, streams=1, senders=in_flight, messages=messages)])
    return found


def _messages(bench: Bench, in_flight: int) -> int:
    return bench.sizes.sends if in_flight == 64 else bench.sizes.sends // 2


def _figures(in_flight: int, loads: list[Load]) -> list[Figure]:
    what, (rate_goal, cost_goal) = f"send, {in_flight} in flight", GOALS[in_flight]
    used = {name: _cpu_us(loads, name) for name in loads[0].cpu_s}
    p50, p99 = (median(load.answer_us[part] for load in loads) / 1000 for part in ("p50", "p99"))
    rate = sum(load.sent for load in loads) / sum(load.seconds for load in loads)
    split = " + ".join(f"{name} {us:.1f}" for name, us in used.items())
    return [
        figure(f"{what}: sends", rate, "/s", rate_goal, f"answered p50 {p50:.1f} ms, p99 {p99:.1f} ms"),
        figure(f"{what}: CPU a send", sum(used.values()), "µs", cost_goal, split),
    ]


def _cpu_us(loads: list[Load], process: str) -> float:
    """CPU microseconds of a process, a send."""
    return sum(load.cpu_s[process] for load in loads) * 1e6 / sum(load.sent for load in loads)


def batches(bench: Bench) -> list[Figure]:
    """Batches of 500 messages over four connections, a room each."""
    worker, person = bench.setting.worker, bench.setting.person
    rooms = [bench.new_room() for _ in range(BATCHERS)]
    each = max(1, bench.sizes.batches // BATCHERS)
    heads = [person.head(room) for room in rooms]
    bodies = [
        b"".join(b'{"text":"%b"}\n' % text_of(number).encode() for number in range(at * BATCH, (at + 1) * BATCH))
        for at in range(each)
    ]

    def send(room: str) -> list[bytes]:
        connection = Connection(worker.port, person.token)
        path = f"/v1/rooms/{room}/messages"
        answers = [connection.raw("POST", path, body, "application/x-ndjson") for body in bodies]
        connection.close()
        return answers

    with ThreadPoolExecutor(BATCHERS) as threads:
        clock, start = CpuClock(bench.setting.pids), time.perf_counter()
        answers = list(threads.map(send, rooms))
        seconds, used = time.perf_counter() - start, clock.used()
    for room, head, parts in zip(rooms, heads, answers, strict=True):
        check_batches(room, head, parts)
        if person.head(room) != head + each * BATCH:
            raise WrongResult(f"{room} has {person.head(room) - head} messages, not {each * BATCH}")
    sent = BATCHERS * each * BATCH
    split = " + ".join(f"{name} {cpu * 1e6 / sent:.1f}" for name, cpu in used.items())
    return [
        figure("batches of 500, 4 connections: messages", sent / seconds, "/s", at_least(60_000)),
        figure("batches of 500, 4 connections: CPU a message", sum(used.values()) * 1e6 / sent, "µs", None, split),
    ]


def check_batches(room: str, head: int, parts: list[bytes]) -> None:
    """Every line was taken, in order, as it was sent."""
    lines = [json.loads(line) for part in parts for line in part.splitlines()]
    for number, line in enumerate(lines):
        message = line.get("message", {})
        told = line["status"], message.get("room"), message.get("seq"), message.get("text")
        if told != (201, room, head + 1 + number, text_of(number)):
            raise WrongResult(f"line {number} of a batch was answered {line}")
    if len(lines) != len(parts) * BATCH:
        raise WrongResult(f"{len(lines)} answers to {len(parts) * BATCH} lines")
