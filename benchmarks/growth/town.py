"""What is measured: a D-Chat of its own, with people and rooms, as many of each as a curve wants."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cluster import start_cluster
from benchmarks.load import Generator, Load, Rooms, Server
from benchmarks.measure import Point
from benchmarks.people import Person
from benchmarks.setting import Process, Site

IN_FLIGHT = 64
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Sizes:
    """How much is done. The defaults are for figures, `SMALL` is for correctness."""

    streams: tuple[int, ...] = (100, 300, 1000, 3000, 10_000, 18_000)
    deliveries: int = 1_500_000
    paced_streams: tuple[int, ...] = (100, 1000, 18_000)
    paced_deliveries_s: int = 20_000
    paced_s: float = 3
    rooms: tuple[int, ...] = (10, 100, 1000, 10_000, 100_000)
    sends: int = 20_000
    workers: tuple[int, ...] = (1, 2, 4, 8, 16)
    rate: int = 200
    """Sends a second to one worker: few enough that sixteen of them leave two cores time."""
    idle_s: float = 2
    memberships: tuple[int, ...] = (1, 20, 100, 500)
    people: int = 10
    idle_streams: int = 4000
    masters: tuple[int, ...] = (1, 2, 3)
    rounds: int = 2
    small: bool = field(default=False)


SMALL = Sizes(
    streams=(10, 20),
    deliveries=2000,
    paced_streams=(20,),
    paced_deliveries_s=2000,
    paced_s=0.1,
    rooms=(2, 8),
    sends=200,
    workers=(1, 2),
    idle_s=0.1,
    memberships=(1, 4),
    people=2,
    idle_streams=20,
    masters=(3,),
    rounds=1,
    small=True,
)


class Town:
    """One D-Chat: a Redis or the masters of a Redis Cluster, the workers on it, and some people."""

    def __init__(self, growth: Growth, *, masters: int = 0, people: int = 1) -> None:
        self._growth, self._site, self._data = growth, growth.site, growth.site.new_folder("town")
        self.redis = start_cluster(self._site, masters) if masters else [self._site.start_redis()]
        places = ",".join(f"127.0.0.1:{each.port}" for each in self.redis)
        self._url = f"redis+cluster://{places}" if masters else f"redis://{places}"
        self.workers: list[Process] = []
        self.have_workers(1)
        self.people = [Person(self.workers[0].port) for _ in range(people)]

    def have_workers(self, many: int) -> None:
        """Start or end some. The first one always stays."""
        for worker in self.workers[many:]:
            worker.stop()
        del self.workers[many:]
        begun = [self._start() for _ in range(many - len(self.workers))]
        for worker in begun:
            worker.until(worker.is_ready)
        self.workers += begun

    def _start(self) -> Process:
        # Archiving has its own benchmarks. Here it would go on beside the sends, the more so the more rooms there are.
        return self._site.start_on(self._url, Path(self._data), wait=False, DCHAT_COMPACT_INTERVAL_S="3600")

    def end(self) -> None:
        for process in (*self.workers, *self.redis):
            process.kill()

    @property
    def pids(self) -> dict[str, int]:
        """All processes: `worker`, which gets the sends, `worker 2`, …; `Redis`, or `master 1`, …"""
        workers = {f"worker {number}" if number > 1 else "worker": each for number, each in enumerate(self.workers, 1)}
        masters = {f"master {number}": each for number, each in enumerate(self.redis, 1)}
        servers = masters if len(self.redis) > 1 else {"Redis": self.redis[0]}
        return {name: each.pid for name, each in (workers | servers).items()}

    def server(self, **more: Any) -> Server:
        """As the load generator knows it; `more` are members of Server."""
        known = {"tokens": [each.token for each in self.people]}
        return Server("D-Chat", self.workers[0].port, self.pids, **(known | more))

    def create_one(self) -> str:
        """A public room that nobody has used, the first person's."""
        return self.people[0].create(f"g{next(_numbers)}")

    def create(self, many: int) -> tuple[Rooms, Load]:
        """Public rooms that nobody has used, which belong to the people in turn, and what it took to create them."""
        rooms = Rooms(f"g{next(_numbers)}", many)
        server = self.server(dialect="create", send="/v1/rooms")
        return rooms, self._growth.generator.run(server, room=rooms, senders=IN_FLIGHT, messages=many)

    def load(
        self, room: str, *, streams: int, messages: int, rate: float = 0, idle_s: int = 0, server: Server | None = None
    ) -> Load:
        """A load in one room that all people are in. Raises WrongResult."""
        return self._growth.generator.run(
            server or self.server(),
            room=room,
            first=self.people[0].head(room) + 1,
            streams=streams,
            senders=min(IN_FLIGHT, messages),
            messages=messages,
            rate=rate,
            idle_s=0 if self._growth.sizes.small else idle_s,
            settle_ms=10 if self._growth.sizes.small else 300,
        )

    def warm_up(self) -> None:
        """What a worker does only once, it does now. So does memory for what is on its way."""
        first = self.server(tokens=[self.people[0].token])
        self.load(self.create_one(), streams=4, messages=2000, server=first)


class Growth:
    """What a curve is given: where servers run, the load generator, and how much to do."""

    def __init__(self, site: Site, generator: Generator, sizes: Sizes) -> None:
        self.site, self.generator, self.sizes = site, generator, sizes
        self.points: list[Point] = []
        """For the picture."""
        self._shared: dict[tuple[int, int], Town] = {}

    def point(self, chart: str, who: str, x: float, y: float) -> None:
        self.points.append(Point(chart, who, x, y))

    @contextmanager
    def towns(self, places: Sequence[int], *, masters: int = 0, people: int = 1) -> Iterator[dict[int, Town]]:
        """A town for each place, side by side, warmed up; they end with the block.

        Where only correctness counts, one of a kind does for all places and curves.
        """
        if self.sizes.small:
            if (masters, people) not in self._shared:
                self._shared[masters, people] = Town(self, masters=masters, people=people)
            yield dict.fromkeys(places, self._shared[masters, people])
            return
        towns: dict[int, Town] = {}
        try:
            for place in places:
                towns[place] = Town(self, masters=masters, people=people)
                towns[place].warm_up()
            yield towns
        finally:
            for town in towns.values():
                town.end()

    @contextmanager
    def town(self, *, masters: int = 0) -> Iterator[Town]:
        """A single one."""
        with self.towns([0], masters=masters) as towns:
            yield towns[0]
