"""Sending: how many a worker takes, and what one costs beside an HTTP request that does nothing."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.load import Load, WrongResult
from benchmarks.machine import CpuClock
from benchmarks.measure import Figure, at_least, figure
from benchmarks.people import BATCH, Connection, text_of
from benchmarks.setting import free_port
from benchmarks.suite import Bench

BATCHERS = 4


def sends(bench: Bench) -> list[Figure]:
    """64 and 8 sends in flight, one stream listening; the empty POST in between."""
    found: list[Figure] = []
    for in_flight, messages in ((64, bench.sizes.sends), (8, bench.sizes.sends // 2)):
        load, empty = _sends(bench, in_flight, messages), _empty_posts(bench, in_flight, messages)
        what = f"send, {in_flight} in flight"
        found += [
            figure(f"{what}: sends", load.sent / load.seconds, "/s", at_least(8000) if in_flight == 64 else None,
                   f"answered p50 {load.answer_us['p50'] / 1000:.1f} ms, p99 {load.answer_us['p99'] / 1000:.1f} ms"),
            figure(f"{what}: CPU a send, worker", load.cpu_s["worker"] * 1e6 / load.sent, "µs"),
            figure(f"{what}: CPU a send, Redis", load.cpu_s["Redis"] * 1e6 / load.sent, "µs"),
            figure(f"{what}: CPU a send, both", load.cpu_us, "µs"),
            figure(f"{what}: CPU of an empty aiohttp POST", empty.cpu_us, "µs", None, "empty_post.py"),
        ]  # fmt: skip
    return found


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


def _empty_posts(bench: Bench, in_flight: int, messages: int) -> Load:
    port = free_port()
    peer = bench.setting.start_peer("empty_post", [sys.executable, "-m", "benchmarks.empty_post", str(port)], port)
    try:
        return bench.generator.run(
            port, [], {"peer": peer.pid}, room="r", senders=in_flight, messages=messages, empty=True
        )
    finally:
        peer.kill()


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
