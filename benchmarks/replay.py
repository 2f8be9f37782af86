"""Resuming: how fast a stream gets what it missed, from a worker's memory and from the room logs."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from benchmarks.load import WrongResult
from benchmarks.machine import CpuClock
from benchmarks.measure import Figure, at_least, figure
from benchmarks.people import Person, text_of
from benchmarks.setting import Process
from benchmarks.suite import SHARDS, Bench

END = b"event: resumed\n"


def resume(bench: Bench) -> list[Figure]:
    """A stream that missed 10,000 events; which way they come depends on how many of one shard they are."""
    sizes = bench.sizes
    ways = (
        ("from memory, 16 rooms", bench.new_rooms(16, lambda shard, at: shard == at % SHARDS), sizes.missed),
        ("from the log of one room", [bench.new_room()], sizes.missed_in_logs),
        ("from the logs of 20 rooms", bench.new_rooms(20, lambda shard, at: shard == 7), sizes.missed_in_logs),
    )
    found: list[Figure] = []
    for what, rooms, missed in ways:
        rate, cpu, split = _resume(bench, rooms, missed)
        found += [
            figure(f"resume {what}: events", rate, "/s", at_least(50_000), f"{missed:,} missed"),
            figure(f"resume {what}: CPU an event", cpu, "µs", None, split),
        ]
    return found


def _resume(bench: Bench, rooms: list[str], missed: int) -> tuple[float, float, str]:
    person, worker = bench.setting.person, bench.setting.worker
    cursor = person.cursor()
    heads = {room: person.head(room) for room in rooms}
    texts = [text_of(number) for number in range(missed // len(rooms))]
    for room in rooms:
        person.fill(room, texts)
    time.sleep(0.2)  # the worker's reader has it all
    return replay(person, worker, bench.setting.pids, cursor, heads, texts)


def replay(
    person: Person,
    worker: Process,
    pids: Mapping[str, int],
    cursor: str,
    heads: Mapping[str, int],
    texts: Sequence[str],
) -> tuple[float, float, str]:
    """Open a stream of these rooms at the cursor and take in what it missed: `texts` in each room, behind its head of
    then. Events/s, CPU µs an event, and its split. Raises WrongResult."""
    rooms, total = list(heads), len(texts) * len(heads)
    request = (
        f"GET /v1/events?rooms={','.join(rooms)}&cursor={quote(cursor)} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {person.token}\r\nAccept: text/event-stream\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", worker.port), timeout=30) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        clock, start = CpuClock(pids), time.perf_counter()
        stream.sendall(request.encode())
        parts, tail = [], b""
        while END not in tail:
            part = stream.recv(1 << 18)
            if not part:
                raise WrongResult("the stream ended before it had resumed")
            parts.append(part)
            tail = tail[-len(END) :] + part
        seconds, used = time.perf_counter() - start, clock.used()
        while not tail.endswith(b"\n\n"):
            parts.append(part := stream.recv(1 << 16))
            tail = tail[-2:] + part
    check_replay(b"".join(parts), heads, texts)
    split = " + ".join(f"{name} {cpu * 1e6 / total:.1f}" for name, cpu in used.items())
    return total / seconds, sum(used.values()) * 1e6 / total, split


def check_replay(data: bytes, heads: Mapping[str, int], texts: Sequence[str]) -> None:
    """Each room's messages came once, in order and complete, and `resumed` counts them. Raises WrongResult."""
    got = dict.fromkeys(heads, 0)
    told = None
    for line in data.split(b"\n"):
        if not line.startswith(b"data: "):
            continue
        event = json.loads(line[6:])
        if event["type"] == "message":
            room = event["room"]
            at = got[room]
            if at >= len(texts) or (event["seq"], event["text"]) != (heads[room] + 1 + at, texts[at]):
                raise WrongResult(f"message {at + 1} of {room} came as {event}")
            got[room] += 1
        elif event["type"] == "resumed":
            told = event["replayed"]
        elif event["type"] != "hello":
            raise WrongResult(f"a replay brought {event}")
    if any(count != len(texts) for count in got.values()) or told != len(texts) * len(heads):
        raise WrongResult(f"{sum(got.values())} of {len(texts) * len(heads)} came, `resumed` says {told}")
