"""`python -m benchmarks growth`: how cost grows with streams, rooms, workers, memberships and Redis Cluster masters.

D-Chat alone, and all that is received is checked. All of it takes some ten minutes.

Exit codes: 0 measured, 1 something received was wrong or nothing could be measured, 2 the command was wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine
from benchmarks.growth.masters import masters
from benchmarks.growth.memberships import memberships
from benchmarks.growth.record import keep
from benchmarks.growth.rooms import rooms
from benchmarks.growth.streams import streams
from benchmarks.growth.town import SMALL, Growth, Sizes
from benchmarks.growth.workers import workers
from benchmarks.load import Generator, WrongResult
from benchmarks.measure import Figure
from benchmarks.people import Refused
from benchmarks.report import Report, say, wrapped
from benchmarks.setting import NoServer, Site
from benchmarks.suite import COMPILER

CURVES: dict[str, Callable[[Growth], list[Figure]]] = {
    "streams": streams,
    "rooms": rooms,
    "workers": workers,
    "memberships": memberships,
    "masters": masters,
}


def main(argv: Sequence[str]) -> int:
    opt = _options(argv)
    reports: dict[str, Report] = {}
    try:
        with Site() as site:
            generator = Generator(site.folder)
            if not generator.compiler:
                raise NoServer(f"This needs {COMPILER}")
            growth = Growth(site, generator, SMALL if opt.small else Sizes())
            for name in opt.curves or CURVES:
                say(f"{name} … ")
                reports[name] = _measure(name, growth)
                say("")
                print(f"{name}\n\n{reports[name].table()}\n")
    except (NoServer, WrongResult, Refused) as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(wrapped(reports[name].circumstances()))
    if opt.json:
        opt.json.write_text(json.dumps({name: json.loads(each.json()) for name, each in reports.items()}), "utf-8")
    if opt.write_docs:
        keep(reports)
    return 0


def _measure(name: str, growth: Growth) -> Report:
    before, others = machine.load(), machine.Others()
    growth.points = []
    figures = CURVES[name](growth)
    busy = others.cores()
    for each in figures if growth.sizes.small else ():  # goals are for the whole amount of work
        each.goal = None
    return Report(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=f"python -m benchmarks growth {name}",
        machine=machine.describe(growth.site.binary.name),
        generator=growth.generator.name,
        rounds=1,
        load=f"{before} before, {machine.load()} after; other programs used {busy:.1f} cores meanwhile",
        figures=figures,
        points=growth.points,
    )


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("curves", nargs="*", metavar="CURVE", help=f"which; all without: {', '.join(CURVES)}")
    parser.add_argument(
        "--small", action="store_true", help="do little, to see that it works; its figures mean nothing"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="put these curves into docs/performance.md, growth.json and the picture",
    )
    opt = parser.parse_args(argv)
    if unknown := [name for name in opt.curves if name not in CURVES]:
        parser.error(f"there is no curve {', '.join(unknown)}; there are {', '.join(CURVES)}")
    return opt
