"""`python -m benchmarks profile`: in which functions a worker spends its time, for each kind of load.

py-spy looks at the worker some hundred times a second while it works; what waits is not counted. What is shown is a
function's own time, and that with all that it calls; system calls and C code belong to who called them. The
loads check what they receive like all benchmarks, but their figures mean nothing here: being looked at takes time.

Exit codes: 0 measured, 1 something received was wrong or could not be looked at, 2 the command was wrong.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import Generator, WrongResult
from benchmarks.measure import SMALL, Sizes
from benchmarks.people import Refused
from benchmarks.report import say
from benchmarks.setting import NoServer, Setting
from benchmarks.suite import Bench, run

LOOKS_A_SECOND = 400
LINES = 15
_LINE = re.compile(r":\d+\)$")


class Cost(NamedTuple):
    """A function, and the shares of all looks in which the worker was in it, or in something that it had called."""

    function: str
    own: float
    total: float


def _sends(in_flight: int) -> Callable[[Bench], object]:
    def load(bench: Bench) -> object:
        messages = bench.sizes.sends * 2
        return bench.load(bench.setting.server, streams=1, senders=in_flight, messages=messages)

    return load


def _of(name: str) -> Callable[[Bench], object]:
    return lambda bench: run(name, bench)


LOADS: dict[str, Callable[[Bench], object]] = {
    "send-64": _sends(64),
    "send-8": _sends(8),
    **{name: _of(name) for name in ("batch", "fanout", "paced", "latency", "streams", "resume", "pages")},
}


def main(argv: Sequence[str]) -> int:
    opt = _options(argv)
    try:
        with Setting() as setting:
            bench = Bench(setting, Generator(setting.folder), SMALL if opt.small else Sizes())
            for name in opt.loads or LOADS:
                say(f"{name} … ")
                file = setting.folder / f"{name}.stacks"
                with looked_at(setting.worker.pid, file):
                    LOADS[name](bench)
                say("")
                looks, costs = costs_of(file.read_text("utf-8").splitlines())
                print(f"**{name}**, {looks:,} looks\n")
                print(*table(costs[: opt.lines]), "", sep="\n")
    except (NoServer, WrongResult, Refused) as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def looked_at(pid: int, file: Path) -> Iterator[None]:
    """Have `file` tell afterwards where the process was meanwhile. Raises NoServer."""
    beside = Path(sys.executable).with_name("py-spy")
    program = str(beside) if beside.exists() else shutil.which("py-spy")
    if program is None:
        raise NoServer(f"There is no py-spy: {sys.executable} -m pip install py-spy")
    words = ["record", "--pid", str(pid), "--rate", str(LOOKS_A_SECOND), "--nonblocking", "--format", "raw"]
    spy = subprocess.Popen(
        [program, *words, "--output", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        yield
    finally:
        spy.send_signal(signal.SIGINT)  # it writes what it has
        _, said = spy.communicate()
    if not file.exists():
        raise NoServer(f"py-spy could not look at the worker (it may need root):\n{said[-1000:]}")


def costs_of(stacks: Iterable[str]) -> tuple[int, list[Cost]]:
    """How many looks there were, and the functions by their own time. A line is `outer (file:line);…;inner (file:line)
    count`."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        frames = [_LINE.sub(")", frame) for frame in stack.split(";")]
        own[frames[-1]] += int(count)
        for frame in set(frames):
            total[frame] += int(count)
    looks = own.total()
    return looks, [Cost(frame, many / looks, total[frame] / looks) for frame, many in own.most_common()]


def table(costs: Iterable[Cost]) -> Iterator[str]:
    """As Markdown."""
    yield from ("| own | with what it calls | |", "| ---: | ---: | --- |")
    for function, own, total in costs:
        yield f"| {own:.1%} | {total:.0%} | `{function}` |"


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks profile", description=__doc__)
    parser.add_argument("loads", nargs="*", metavar="LOAD", help=f"which; all without: {', '.join(LOADS)}")
    parser.add_argument("--lines", type=int, default=LINES, metavar="N", help="functions to show of each")
    parser.add_argument("--small", action="store_true", help="do little, to see that it works")
    opt = parser.parse_args(argv)
    if unknown := [name for name in opt.loads if name not in LOADS]:
        parser.error(f"there is no load {', '.join(unknown)}; there are {', '.join(LOADS)}")
    return opt
