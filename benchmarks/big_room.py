"""A room of a million messages: filled, archived, read everywhere, and read again after everything was stopped.

It runs the server as it comes, with a Redis of its own and an archive in SQLite, in a folder that goes afterwards.

Exit codes: 0 all pages were right and the same bytes after the restart, 1 not, 2 the command was wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.chatter import LINES, Chatter
from benchmarks.history import PAGE, check_text_page, quantile
from benchmarks.load import WrongResult
from benchmarks.people import Connection, Person, Refused
from benchmarks.report import say, wrapped
from benchmarks.setting import SETTINGS, NoServer, Process, free_port

ROOM = "big"
PAGES = 30
"""At each place, one behind the other."""
LONGEST_S = 3600
_STEP = 10_000


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks big-room", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000, metavar="N", help="how many; 1,000,000 without")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="where to make the data folder; it needs 1 GB")
    opt = parser.parse_args(argv)
    if opt.messages < 4 * PAGES * PAGE:
        parser.error(f"--messages must be {4 * PAGES * PAGE} or more")
    before = machine.load()
    try:
        with tempfile.TemporaryDirectory(prefix="dchat-big-room-", dir=opt.folder) as folder:
            lines = _BigRoom(Path(folder), opt.messages).run()
    except (NoServer, WrongResult, Refused) as error:
        print(f"\n{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    print("\n".join(lines), end="\n\n")
    about = machine.describe("its own")
    print(wrapped([f"{name}: {text}" for name, text in about.items()]))
    print(wrapped([f"load: {before} before, {machine.load()} after"]))
    return 0


class _BigRoom:
    """One run. What it finds are lines for people."""

    def __init__(self, folder: Path, messages: int) -> None:
        self._folder, self._data, self._lines = folder, folder / "data", [f"A room of {messages:,} messages", ""]
        self._texts = list(Chatter(LINES, ROOM).texts(messages))
        self._first = 0

    def run(self) -> list[str]:
        server = self._start("first start")
        try:
            person = Person(server.port)  # the first account administers
            self._fill(person)
            self._archive(person)
            self._sizes(server)
            pages = self._read(person, "")
            self._verify(person)
            token = person.token
            person.close()
            self._stop(server)
            server = self._start("started again")
            again = Connection(server.port, token)
            cold = self._read(again, ", after the restart")
            if cold != pages:
                raise WrongResult("after the restart the pages are not the same bytes")
            self._note("the same bytes", f"all {sum(map(len, pages.values()))} pages")
            self._sizes(server)
            self._verify(again)
            again.close()
        finally:
            server.kill()
        return self._lines

    # --- the server -----------------------------------------------------------------------------------------------

    def _start(self, what: str) -> Process:
        port = free_port()
        env = {**SETTINGS, "DCHAT_DATA_DIR": str(self._data), "DCHAT_PORT": str(port)}
        begun = time.perf_counter()
        server = Process("server", [sys.executable, "-m", "dchat_server"], self._folder, port, **env)
        server.until(server.is_ready)
        self._note(what, f"ready after {time.perf_counter() - begun:.2f} s")
        return server

    def _stop(self, server: Process) -> None:
        begun = time.perf_counter()
        server.stop()
        self._note("everything stopped", f"in {time.perf_counter() - begun:.2f} s")

    def _sizes(self, server: Process) -> None:
        archive = sum(file.stat().st_size for file in self._data.glob("archive.sqlite3*"))
        redis = sum(file.stat().st_size for file in (self._data / "redis").rglob("*") if file.is_file())
        self._note("on disk", f"archive {archive / 1e6:.0f} MB, Redis {redis / 1e6:.0f} MB")
        own = machine.pss_kb(server.pid) / 1024
        others = sum(machine.pss_kb(pid) for pid in machine.children(server.pid)) / 1024
        self._note("in memory", f"worker {own:.0f} MB, Redis {others:.0f} MB")

    # --- what is done ---------------------------------------------------------------------------------------------

    def _fill(self, person: Person) -> None:
        person.create(ROOM)
        self._first = person.head(ROOM) + 1
        begun, total = time.perf_counter(), len(self._texts)
        for at in range(0, total, _STEP):
            person.fill(ROOM, self._texts[at : at + _STEP])
            say(f"{min(at + _STEP, total):,} of {total:,} messages sent")
        seconds = time.perf_counter() - begun
        self._note("sent", f"in {seconds:.1f} s, {total / seconds:,.0f}/s over one connection, in batches of 500")
        say(f"{total:,} messages sent")

    def _archive(self, person: Person) -> None:
        """Wait until the leader is through."""
        begun = time.perf_counter()
        while True:
            found = person.ask("GET", f"/v1/cluster/rooms/{ROOM}")["room"]
            archived = (found["archive"] or {}).get("watermark", 0)
            say(f"{archived:,} of {found['head']:,} events archived")
            if archived == found["head"]:
                break
            if time.perf_counter() - begun > LONGEST_S:
                raise WrongResult(f"the room was not archived: {found}")
            time.sleep(0.2)
        self._note("archived", f"{time.perf_counter() - begun:.1f} s after the last message")

    def _read(self, reader: Connection, when: str) -> dict[str, list[bytes]]:
        """Pages at each place, as they came."""
        pages = {}
        for place, side, seqs in self._places():
            times, answers = [], []
            for seq in seqs:
                begun = time.perf_counter()
                answers.append(reader.raw("GET", f"/v1/rooms/{ROOM}/messages?limit={PAGE}&{side}={seq}"))
                times.append((time.perf_counter() - begun) * 1000)
            for seq, answer in zip(seqs, answers, strict=True):
                check_text_page(json.loads(answer), self._texts, self._first, side, seq)
            pages[place] = answers
            shown = f"first {times[0]:.1f} ms, p50 {quantile(times, 0.5):.1f} ms, p99 {quantile(times, 0.99):.1f} ms"
            self._note(f"pages of {PAGE} {place}{when}", f"{shown} ({len(times)} pages)")
        return pages

    def _places(self) -> Iterator[tuple[str, str, list[int]]]:
        first, end = self._first, self._first + len(self._texts)
        middle = first + len(self._texts) // 2
        yield "at the head", "before", [end - PAGE * at for at in range(PAGES)]
        yield "in the middle", "before", [middle - PAGE * at for at in range(PAGES)]
        yield "at the start", "after", [first - 1 + PAGE * at for at in range(PAGES)]

    def _verify(self, reader: Connection) -> None:
        """Have the server walk the room."""
        begun = time.perf_counter()
        lines = reader.raw("POST", f"/v1/cluster/rooms/{ROOM}/verify").splitlines()
        found: dict[str, Any] = json.loads(lines[-1])
        if found.get("type") != "result" or not found["ok"] or found["messages"] != len(self._texts):
            raise WrongResult(f"the room is not whole: {found}")
        self._note("verified dense", f"in {time.perf_counter() - begun:.1f} s: {found['events']:,} events in "
                   f"{found['chunks']:,} chunks of {found['bytes'] / found['chunks']:,.0f} bytes")  # fmt: skip

    def _note(self, what: str, text: str) -> None:
        self._lines.append(f"{what:<46} {text}")
        say(f"{what}: {text}")
