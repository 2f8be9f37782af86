"""`python -m benchmarks`: measure, and print a table with the goals.

Exit codes: 0 measured (a goal that was missed is no error: machines differ), 1 something received was wrong or nothing
could be measured, 2 the command was wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import big_room, machine, profile
from benchmarks.growth import command as growth
from benchmarks.load import Generator, WrongResult
from benchmarks.measure import SMALL, Figure, Sizes, merge
from benchmarks.peers import PEERS, Peer, socketio
from benchmarks.peers.peer import program
from benchmarks.people import Refused
from benchmarks.report import Report, say, wrapped, write_docs
from benchmarks.setting import NoServer, Setting
from benchmarks.suite import SUITE, Bench, run

APART = {"big-room": big_room.main, "growth": growth.main, "profile": profile.main}
"""Commands of their own, which take minutes: not of those that run when nothing is named."""


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    machine.raise_open_files()
    if words[:1] and words[0] in APART:
        return APART[words[0]](words[1:])
    opt = _options(words)
    names = opt.names or list(SUITE)
    before, others = machine.load(), machine.Others()
    try:
        with Setting() as setting:
            generator = Generator(setting.folder, c=not opt.python_generator)
            bench = Bench(setting, generator, SMALL if opt.small else Sizes(), _peers(opt))
            rounds: list[list[Figure]] = []
            for number in range(opt.rounds):
                figures: list[Figure] = []
                for name in names:
                    say(f"{name} … " if opt.rounds == 1 else f"{name} ({number + 1} of {opt.rounds}) … ")
                    figures += run(name, bench)
                rounds.append(figures)
            say("")
            about = machine.describe(setting.binary.name)
            peers = {peer.name: bench.absent.get(peer.name) or peer.version() for peer in bench.peers}
    except (NoServer, WrongResult, Refused) as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    busy = others.cores()
    report = Report(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command=" ".join(["python -m benchmarks", *words]),
        machine=about,
        generator=generator.name,
        rounds=opt.rounds,
        load=f"{before} before, {machine.load()} after; other programs used {busy:.1f} cores meanwhile",
        figures=merge(rounds),
        peers=peers,
        absent=bench.absent,
        failed=bench.failed,
        points=bench.points,
    )
    if opt.small:
        for each in report.figures:  # goals are for the whole amount of work
            each.goal = None
    print(*filter(None, [report.table(), report.side_by_side(), wrapped(report.circumstances())]), sep="\n\n")
    if busy > machine.CALM_CORES:
        print(f"\n{machine.NOT_CALM}")
    if opt.json:
        opt.json.write_text(report.json(), "utf-8")
    if opt.write_docs or not (opt.names or opt.small or opt.no_docs or opt.no_peers):
        write_docs(report)
    return 1 if bench.failed else 0


def _peers(opt: argparse.Namespace) -> Sequence[Peer]:
    """Who is measured beside D-Chat. A whole run fetches what npm has to give; what Debian has is only named."""
    if opt.no_peers:
        return ()
    if not opt.small and program("npm") and not socketio.installed():
        say("fetching socket.io from npm … ")
        try:
            socketio.install()
        except NoServer as error:
            print(f"\n{error}", file=sys.stderr)
    return PEERS


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"which; all without: {', '.join(SUITE)}. Apart from them: {', '.join(APART)}",
    )
    parser.add_argument(
        "--small", action="store_true", help="do little, to see that it works; its figures mean nothing"
    )
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="measure N times, show the median")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument(
        "--write-docs", action="store_true", help="put the figures into docs/performance.md, as a whole run does"
    )
    parser.add_argument("--no-docs", action="store_true", help="and a whole run does not")
    parser.add_argument("--no-peers", action="store_true", help="measure D-Chat alone")
    parser.add_argument("--python-generator", action="store_true", help="the load generator that needs no C compiler")
    opt = parser.parse_args(argv)
    if unknown := [name for name in opt.names if name not in SUITE]:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(SUITE)}")
    if opt.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return opt


if __name__ == "__main__":
    sys.exit(main())
