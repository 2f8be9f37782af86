"""The benchmarks in the order they run, and what each of them is given."""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import Callable

from benchmarks.load import Generator
from benchmarks.measure import Figure, Sizes
from benchmarks.setting import Setting
from dchat_server.model import shard_of

SUITE = {
    "fanout": "fanout.saturated",
    "paced": "fanout.paced",
    "latency": "fanout.latency",
    "send": "sends.sends",
    "batch": "sends.batches",
    "streams": "streams.streams",
    "resume": "replay.resume",
    "pages": "history.pages",
    "deep": "deep.deep",
    "compaction": "compaction.compaction",
    "units": "compaction.write_units",
    "beside": "compaction.beside",
    "start": "start.start",
    "wire": "wire.wire",
}
"""Name on the command line → where it is."""

SHARDS = 16
"""What a server has when nobody says otherwise."""
_numbers = itertools.count(1)


class Bench:
    """A running setting, the load generator, and how much to do."""

    def __init__(self, setting: Setting, generator: Generator, sizes: Sizes) -> None:
        self.setting, self.generator, self.sizes = setting, generator, sizes

    def number(self) -> int:
        """A number nobody else has."""
        return next(_numbers)

    def new_room(self) -> str:
        """A public room; `setting.person` owns it."""
        return self.setting.person.create(f"b{os.getpid()}-{self.number()}")

    def new_rooms(self, many: int, fits: Callable[[int, int], bool]) -> list[str]:
        """Rooms whose shards `fits(shard, position in the list)`."""
        rooms: list[str] = []
        while len(rooms) < many:
            name = f"b{os.getpid()}-{self.number()}"
            if fits(shard_of(name, SHARDS), len(rooms)):
                rooms.append(self.setting.person.create(name))
        return rooms


def run(name: str, bench: Bench) -> list[Figure]:
    """The figures of one benchmark. Raises WrongResult when what it received was not right."""
    module, _, function = SUITE[name].partition(".")
    figures: list[Figure] = getattr(importlib.import_module(f"benchmarks.{module}"), function)(bench)
    return figures
