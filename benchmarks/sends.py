"""Sending: how many a worker takes, and what one costs beside an HTTP request that does nothing."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from benchmarks.load import Load, WrongResult
from benchmarks.machine import CpuClock
from benchmarks.measure import Figure, Goal, at_least, figure
from benchmarks.people import BATCH, Connection, text_of
from benchmarks.setting import Process, free_port
from benchmarks.suite import Bench

BATCHERS = 4
SLICES = 4
"""Sends and the peer take turns: what else the machine does then falls on both."""


def sends(bench: Bench) -> list[Figure]:
    """64 and 8 sends in flight, one stream listening; the empty POST in turns with them."""
    port = free_port()
    peer = bench.setting.start_peer("empty_post", [sys.executable, "-m", "benchmarks.empty_post", str(port)], port)
    try:
        found = _in_flight(bench, peer, 64, bench.sizes.sends, at_least(8000))
        return found + _in_flight(bench, peer, 8, bench.sizes.sends // 2, None)
    finally:
        peer.kill()


def _in_flight(bench: Bench, peer: Process, in_flight: int, messages: int, goal: Goal | None) -> list[Figure]:
    each = messages // SLICES
    loads, empty = [], []
    for _ in range(SLICES):
        loads.append(_sends(bench, in_flight, each))
        pids = {"peer": peer.pid}
        empty.append(bench.generator.run(peer.port, [], pids, room="r", senders=in_flight, messages=each, empty=True))
    what = f"send, {in_flight} in flight"
    worker, redis = (_cpu_us(loads, name) for name in ("worker", "Redis"))
    p50, p99 = (median(load.answer_us[part] for load in loads) / 1000 for part in ("p50", "p99"))
    rate = sum(load.sent for load in loads) / sum(load.seconds for load in loads)
    bare = _cpu_us(empty, "peer")
    return [
        figure(f"{what}: sends", rate, "/s", goal, f"answered p50 {p50:.1f} ms, p99 {p99:.1f} ms"),
        figure(f"{what}: CPU a send", worker + redis, "µs", None, f"worker {worker:.1f} + Redis {redis:.1f}"),
        figure(f"{what}: CPU of an empty aiohttp POST", bare, "µs", None, "empty_post.py"),
        figure(f"{what}: D-Chat's worker over the empty POST", worker / bare, "×"),
    ]


def _cpu_us(loads: list[Load], process: str) -> float:
    """CPU microseconds of a process, a send."""
    return sum(load.cpu_s[process] for load in loads) * 1e6 / sum(load.sent for load in loads)


def _sends(bench: Bench, in_flight: int, messages: int) -> Load:
    person, room = bench.setting.person, bench.new_room()
    return bench.generator.run(
        bench.setting.worker.port,
        [person.token],
        bench.setting.pids,
        room=room,
        first=person.head(room) + 1,
        streams=1,
        senders=in_flight,
        messages=messages,
    )


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
        figure("batches of 500, 4 connections: messages", sent / seconds, "/s"),
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
