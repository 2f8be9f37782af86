"""Runs the load generator and takes its word only when it found no fault.

c/generator.c is compiled once a run, into the run's folder. Where there is no C compiler generator.py does the same
with less force: it then is what limits the fan-out figures, and the report says so. It speaks with D-Chat only.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SOURCES = {
    "generator": ("generator", "options", "connections", "checks", "http", "lines", "rooms", "socketio", "proc"),
    "bare": ("bare",),
}
"""Program → its files in `c/`."""
TIMEOUT_S = 300


class WrongResult(Exception):
    """Something was lost, doubled, out of order or not what was sent."""


@dataclass(frozen=True)
class Server:
    """Whom the generator speaks to, and how. In the paths `{room}` stands for the room."""

    name: str
    port: int
    pids: Mapping[str, int]
    """Every process that its work is done by, by name: what they use is what the server uses."""
    dialect: str = "dchat"
    tokens: Sequence[str] = ()
    listen: str = "/v1/events?rooms={room}"
    send: str = "/v1/rooms/{room}/messages"
    listen_ports: Sequence[int] = ()
    """Where streams are opened, in turn, if not at `port`."""
    answers: bool = True
    """Sends are answered."""
    share: float = 1
    """How much of a load's messages it is given: all would take the slower ones minutes."""
    most_streams: int = 100_000
    opening: int = 64
    """Streams that may be opening at a time."""


@dataclass(frozen=True)
class Load:
    """What the generator counted. Times in seconds or microseconds, memory in KB, as named."""

    streams: int
    sent: int
    delivered: int
    seconds: float
    """From the first send to the last delivery and answer."""
    open_s: float
    """From the first stream's connect to the last one's `hello`."""
    cpu_s: dict[str, float]
    """Within `seconds`, by process."""
    open_cpu_s: dict[str, float]
    pss_kb: dict[str, float]
    """What opening the streams added, by process."""
    delivery_us: dict[str, int]
    """From send to receipt: p50, p90, p99, max."""
    answer_us: dict[str, int]
    own_cpu_s: float

    @property
    def cpu_us(self) -> float:
        """CPU of all processes, microseconds a message sent."""
        return sum(self.cpu_s.values()) * 1e6 / self.sent

    @property
    def delivery_cpu_us(self) -> float:
        """CPU of all processes, microseconds a delivery."""
        return sum(self.cpu_s.values()) * 1e6 / self.delivered

    def split(self, unit: int) -> str:
        """CPU microseconds of each process, a `unit` of work."""
        return " + ".join(f"{name} {used * 1e6 / unit:.1f}" for name, used in self.cpu_s.items())


@dataclass(frozen=True)
class Rooms:
    """Many rooms for one load: `name`-0, `name`-1, … Each begins with the same seq. Messages go over all of them in
    turn, and a stream listens to `watched` of them that no other listens to.

    They belong to the server's tokens in turn, and only the generator in C knows what to do with them.
    """

    name: str
    many: int
    watched: int = 1


class Generator:
    """The load generator for one run; its figures name it."""

    def __init__(self, folder: Path, *, compiler: str | None = None, c: bool = True) -> None:
        self.folder = folder
        self.compiler = (compiler or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")) if c else None
        self._command = [sys.executable, "-m", "benchmarks.generator"]
        self.name = "generator.py (no C compiler here: the generator limits the fan-out figures)"
        if self.compiler:
            self._command = [str(self.build("generator"))]
            self.name = "generator.c"

    def build(self, name: str) -> Path:
        """A program of `c/`, compiled at most once."""
        assert self.compiler is not None
        program = self.folder / name
        if program.exists():
            return program
        sources = [str(HERE / "c" / f"{source}.c") for source in SOURCES[name]]
        subprocess.run([self.compiler, "-O2", "-o", str(program), *sources], check=True, timeout=60)
        return program

    def run(
        self,
        server: Server,
        *,
        room: str | Rooms = "",
        first: int = 1,
        streams: int = 0,
        senders: int = 0,
        messages: int = 0,
        rate: float = 0,
        size: int = 200,
        idle_s: int = 0,
        stall_s: int = 15,
        settle_ms: int = 300,
    ) -> Load:
        """Open `streams`, send `messages` of `size` bytes with `senders` requests in flight (or `rate` a second).

        `first` is the seq the room's next message must have, where the server tells one. Between the last stream's
        opening and the first send the server has `settle_ms` to come to rest. When nothing comes for `stall_s`, what
        is missing is lost. Raises WrongResult.
        """
        words: list[object] = []
        if isinstance(room, Rooms):
            words += ["-M", room.many, "-W", room.watched, "-R", room.name]
            room = "*"  # the generator fills it in
        else:
            words += ["-R", room]
        if server.listen_ports:
            words += ["-L", ",".join(map(str, server.listen_ports))]
        words += ["-P", server.port, "-d", server.dialect, "-f", first, "-c", streams, "-k", senders]
        words += [
            "-n",
            messages,
            "-b",
            size,
            "-r",
            rate,
            "-a",
            server.opening,
            "-I",
            idle_s,
            "-S",
            stall_s,
            "-w",
            settle_ms,
        ]
        words += ["-s", server.listen.format(room=room), "-p", server.send.format(room=room)]
        words += ["-i", ",".join(map(str, server.pids.values()))]
        if server.tokens:
            (self.folder / "tokens").write_text("".join(f"{token}\n" for token in server.tokens))
            words += ["-T", self.folder / "tokens"]
        command = [*self._command, *map(str, words)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, cwd=HERE.parent, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise WrongResult(f"the load took longer than {TIMEOUT_S} s") from error
        if done.returncode == 2 or not done.stdout.startswith("{"):
            raise WrongResult(f"the load generator gave up: {done.stderr.strip() or done.stdout}")
        found = json.loads(done.stdout)
        if found["faults"]:
            raise WrongResult(faults(found, done.stderr))
        return _load(found, list(server.pids))


def faults(found: Mapping[str, Any], said: str) -> str:
    """What a run found wrong, in words."""
    kinds = ("refused", "out_of_order", "wrong", "interrupted", "closed")
    words = [f"{found[kind]} {kind.replace('_', ' ')}" for kind in kinds if found[kind]]
    if found["delivered"] != found["expected"]:
        words.append(f"{found['delivered']} of {found['expected']} deliveries")
    if found["acked"] != found["sent"]:
        words.append(f"{found['acked']} of {found['sent']} sends answered")
    return "; ".join([", ".join(words), *filter(None, [said.strip()])])


def _load(found: Mapping[str, Any], names: Sequence[str]) -> Load:
    def each(key: str) -> dict[str, float]:
        return dict(zip(names, found[key], strict=True))

    grown = {name: after - each("pss_idle_kb")[name] for name, after in each("pss_open_kb").items()}
    return Load(
        streams=found["streams"],
        sent=found["sent"],
        delivered=found["delivered"],
        seconds=found["seconds"],
        open_s=found["open_s"],
        cpu_s=each("cpu_s"),
        open_cpu_s=each("open_cpu_s"),
        pss_kb=grown,
        delivery_us=found["delivery_us"],
        answer_us=found["answer_us"],
        own_cpu_s=found["own_cpu_s"],
    )
