"""The benchmarks in the order they run, and what each of them is given."""

from __future__ import annotations

import importlib
import itertools
import os
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from benchmarks.load import Generator, Load, Server, WrongResult
from benchmarks.measure import Figure, Goal, Point, Sizes, over
from benchmarks.peers import Peer
from benchmarks.setting import NoServer, Setting
from dchat_server.model import shard_of

SUITE = {
    "fanout": "fanout.saturated",
    "paced": "fanout.paced",
    "latency": "fanout.latency",
    "curves": "curves.curves",
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
COMPILER = "a C compiler, for the load generator: apt-get install gcc"
_numbers = itertools.count(1)


class Bench:
    """A running setting, the load generator, the peers that are here, and how much to do."""

    def __init__(self, setting: Setting, generator: Generator, sizes: Sizes, peers: Iterable[Peer] = ()) -> None:
        self.setting, self.generator, self.sizes = setting, generator, sizes
        self.peers = list(peers)
        compiler = "" if generator.compiler else COMPILER
        hints = {peer.name: peer.missing(generator) or compiler for peer in self.peers}
        self.absent = {name: hint for name, hint in hints.items() if hint}
        """Peers that are not here, and what to type."""
        self.failed: list[str] = []
        """What peers did wrong: it counts for nothing, and is told."""
        self.points: list[Point] = []
        """For the picture."""

    def point(self, chart: str, who: str, x: float | str, y: float) -> None:
        self.points.append(Point(chart, who, x, y))

    def side_by_side(self, measure: Callable[[Server], list[Figure]]) -> list[Figure]:
        """What `measure` finds with D-Chat, and then with each of the peers, started for it."""
        return measure(self.setting.server) + self.beside(measure)

    def beside(
        self, measure: Callable[[Server], list[Figure]], only: Callable[[Server], bool] = lambda server: True
    ) -> list[Figure]:
        """The same with the peers alone, or with `only` some."""
        found: list[Figure] = []
        for peer in (each for each in self.peers if each.name not in self.absent):
            try:
                with peer.running(self.setting, self.generator) as server:
                    if only(server):
                        found += [replace(each, who=peer.name, goal=None) for each in measure(server)]
            except (WrongResult, NoServer) as error:
                self.failed.append(textwrap.shorten(f"{peer.name}: {error}", 300))
        return found

    def over(self, figures: Iterable[Figure], what: str, goals: Mapping[str, Goal]) -> list[Figure]:
        """D-Chat over each of these peers, if this run has peers at all."""
        names = [peer.name for peer in self.peers]
        return over(figures, what, {name: goal for name, goal in goals.items() if name in names})

    def load(self, server: Server, *, streams: int, senders: int, messages: int, rate: float = 0) -> Load:
        """A load in a room that nobody used before. Raises WrongResult."""
        room, first = f"b{self.number()}", 1
        if server.name == self.setting.server.name:
            room = self.new_room()
            first = self.setting.person.head(room) + 1
        if not rate and not self.sizes.small:
            messages = max(senders, round(messages * server.share))
        return self.generator.run(
            server,
            room=room,
            first=first,
            streams=min(streams, server.most_streams),
            senders=senders,
            messages=messages,
            rate=rate,
            settle_ms=10 if self.sizes.small else 300,
        )

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
