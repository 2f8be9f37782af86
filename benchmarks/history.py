"""Pages of history: at the head of a room and deep in it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.load import WrongResult
from benchmarks.machine import CpuClock
from benchmarks.measure import Figure, at_most, figure
from benchmarks.people import text_of
from benchmarks.suite import Bench

PAGE = 50


def pages(bench: Bench) -> list[Figure]:
    """Pages of 50 messages, one request at a time: at the head of a small room and of a large one, and deep in that."""
    sizes = bench.sizes
    small, large = _filled(bench, sizes.small_history), _filled(bench, sizes.history)
    ways: list[tuple[str, Room, list[int | None]]] = [
        (f"page of 50 at the head of {small.messages:,}", small, [None] * sizes.pages),
        (f"page of 50 at the head of {large.messages:,}", large, [None] * sizes.pages),
        (f"page of 50 deep inside of {large.messages:,}", large, large.places(sizes.pages)),
    ]
    found: list[Figure] = []
    costs: list[float] = []
    for what, room, ends in ways:
        clock, times, answers = CpuClock(bench.setting.pids), [], []
        for end in ends:
            path = f"/v1/rooms/{room.name}/messages?limit={PAGE}" + (f"&before={end}" if end else "")
            start = time.perf_counter()
            answers.append(bench.setting.person.raw("GET", path))
            times.append((time.perf_counter() - start) * 1000)
        used = clock.used()
        for end, answer in zip(ends, answers, strict=True):
            check_page(json.loads(answer), room.first, end or room.last + 1, room.last)
        split = " + ".join(f"{name} {cpu * 1e6 / len(ends):.0f}" for name, cpu in used.items())
        costs.append(sum(used.values()) * 1e6 / len(ends))
        found += [
            figure(f"{what}, p50", quantile(times, 0.5), "ms"),
            figure(f"{what}, p99", quantile(times, 0.99), "ms"),
            figure(f"{what}: CPU", costs[-1], "µs", None, split),
        ]
    return [
        *found,
        figure("page of 50 at the head: CPU, large room over small", costs[1] / costs[0], "×", at_most(1.2)),
    ]


@dataclass(frozen=True)
class Room:
    """A room whose last `messages` are `text_of` 0, 1, 2 …"""

    name: str
    first: int
    messages: int

    @property
    def last(self) -> int:
        return self.first + self.messages - 1

    def places(self, many: int) -> list[int | None]:
        """Seqs with a page before them, the same ones each time."""
        chance = random.Random(7)
        return [chance.randrange(self.first + PAGE, self.last) for _ in range(many)]


def _filled(bench: Bench, messages: int) -> Room:
    person, name = bench.setting.person, bench.new_room()
    first = person.head(name) + 1
    person.fill(name, (text_of(number) for number in range(messages)))
    return Room(name, first, messages)


def check_page(page: dict[str, Any], first: int, end: int, head: int) -> None:
    """The `PAGE` messages before `end`, as they were sent. Raises WrongResult."""
    expected = [(seq, text_of(seq - first)) for seq in range(max(first, end - PAGE), end)]
    got = [(message["seq"], message["text"]) for message in page["messages"]]
    if got != expected or page["head"] != head or page["has_more"] is not True:
        raise WrongResult(f"the page before {end} has {[seq for seq, _ in got]}, head {page['head']}")


def check_text_page(page: dict[str, Any], texts: Sequence[str], first: int, side: str, seq: int) -> None:
    """The `PAGE` messages before or after `seq`, or around it, as they were sent. Raises WrongResult."""
    start = {"before": seq - PAGE, "after": seq + 1, "around": seq - PAGE // 2}[side]
    expected = [(each, texts[each - first]) for each in range(start, start + PAGE)]
    got = [(message["seq"], message["text"]) for message in page["messages"]]
    if got != expected:
        raise WrongResult(f"the page {side} {seq} has {[each for each, _ in got]}")


def quantile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
