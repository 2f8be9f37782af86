"""Starting: from the command to the first request that is served."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from benchmarks.measure import Figure, at_most, figure
from benchmarks.setting import Process
from benchmarks.suite import Bench


def start(bench: Bench) -> list[Figure]:
    """A worker on a Redis that runs; a server with a Redis of its own, in a new folder and in one it knows."""
    setting = bench.setting
    folders = [setting.folder / f"data{bench.number()}" for _ in range(bench.sizes.starts)]
    worker = [_time(lambda: setting.start_worker(wait=False)) for _ in folders]
    new = [_time(lambda folder=folder: setting.start_embedded(folder)) for folder in folders]
    again = [_time(lambda folder=folder: setting.start_embedded(folder)) for folder in folders]
    return [
        figure("start to ready, on a shared Redis", statistics.median(worker), "s", at_most(1)),
        figure("start to ready, with a Redis of its own, new folder", statistics.median(new), "s", at_most(1)),
        figure("start to ready, with a Redis of its own, again", statistics.median(again), "s", at_most(1)),
    ]


def _time(begin: Callable[[], Process]) -> float:
    """Seconds until `/readyz` says so; the process is ended after that."""
    begun = time.perf_counter()
    process = begin()
    process.until(process.is_ready, every_s=0.002)
    seconds = time.perf_counter() - begun
    process.stop()
    return seconds
