"""Pages of history: at the head of a room and deep in it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.load import WrongResult
from benchmarks.machine import CpuClock
from benchmarks.measure import Figure, figure
from benchmarks.people import text_of
from benchmarks.suite import Bench

PAGE = 50


def pages(bench: Bench) -> list[Figure]:
    """Pages of 50 messages of a long room, one request at a time."""
    person, room, sizes = bench.setting.person, bench.new_room(), bench.sizes
    before = person.head(room)
    person.fill(room, (text_of(number) for number in range(sizes.history)))
    chance = random.Random(7)
    first, last = before + 1, before + sizes.history
    deep = [chance.randrange(first + PAGE, last) for _ in range(sizes.pages)]
    found: list[Figure] = []
    for what, ends in (("at the head", [None] * sizes.pages), ("deep inside", deep)):
        clock, times, answers = CpuClock(bench.setting.pids), [], []
        for end in ends:
            path = f"/v1/rooms/{room}/messages?limit={PAGE}" + (f"&before={end}" if end else "")
            start = time.perf_counter()
            answers.append(person.raw("GET", path))
            times.append((time.perf_counter() - start) * 1000)
        used = clock.used()
        for end, answer in zip(ends, answers, strict=True):
            check_page(json.loads(answer), first, end or last + 1, last)
        split = " + ".join(f"{name} {cpu * 1e6 / len(ends):.0f}" for name, cpu in used.items())
        name = f"page of 50 {what} of {sizes.history:,}"
        found += [
            figure(f"{name}, p50", quantile(times, 0.5), "ms"),
            figure(f"{name}, p99", quantile(times, 0.99), "ms"),
            figure(f"{name}: CPU", sum(used.values()) * 1e6 / len(ends), "µs", None, split),
        ]
    return found


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
