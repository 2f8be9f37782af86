"""What a run found, as tables for people, as JSON, and as a chapter of docs/performance.md."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import Figure, Point, number
from benchmarks.picture import draw

DOCS = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
PICTURE = "images/performance.svg"
ALT = "CPU a delivery, deliveries a second and latency, D-Chat beside its peers"
BEGIN, END = "<!-- figures: python -m benchmarks --write-docs -->", "<!-- end of figures -->"


OURS = "D-Chat"


@dataclass
class Report:
    """The figures of a run and the circumstances."""

    date: str
    command: str
    machine: dict[str, str]
    generator: str
    rounds: int
    load: str
    """Load averages at the beginning and the end, and what others used meanwhile."""
    figures: list[Figure]
    peers: dict[str, str] = field(default_factory=dict)
    """Whom D-Chat was to be measured beside: their versions, or what to type to have them here."""
    absent: Collection[str] = ()
    """Those of them that are not here."""
    failed: list[str] = field(default_factory=list)
    """What peers did wrong."""
    points: list[Point] = field(default_factory=list)

    @property
    def ours(self) -> list[Figure]:
        return [each for each in self.figures if each.who == OURS]

    @property
    def missed(self) -> list[Figure]:
        return [each for each in self.figures if each.verdict == "MISSED"]

    def table(self) -> str:
        """Lines for a terminal: what D-Chat was measured at."""
        rows = [("", "measured", "", "goal", "", "")]
        rows += [
            (each.what, number(each.value), each.unit, str(each.goal or ""), each.verdict, each.spread or each.note)
            for each in self.ours
        ]
        widths = [max(len(row[at]) for row in rows) for at in range(5)]
        lines = []
        for what, value, unit, goal, verdict, rest in rows:
            line = f"{what:<{widths[0]}}  {value:>{widths[1]}} {unit:<{widths[2]}}  {goal:>{widths[3]}}"
            lines.append(f"{line}  {verdict:<{widths[4]}}  {rest}".rstrip())
        return "\n".join(lines)

    def comparison(self) -> list[list[str]]:
        """Rows of words, the first one their heads: a load each, and a server in each column. Empty: no peers."""
        servers = [OURS, *self.peers]
        loads = {each.what: each.unit for each in self.figures if each.who != OURS}
        values = {(each.what, each.who): number(each.value) for each in self.figures}
        if not self.peers or not loads:
            return []
        rows = [["side by side", "", *servers]]
        for what, unit in loads.items():
            cells = ["not here" if who in self.absent else values.get((what, who), "–") for who in servers]
            rows.append([what, unit, *cells])
        return rows

    def side_by_side(self) -> str:
        """The comparison for a terminal, and what there is to say of it; empty without peers."""
        rows = self.comparison()
        if not rows:
            return ""
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
        lines = [
            "  ".join(cell.ljust(width) if at < 2 else cell.rjust(width) for at, (cell, width) in cells).rstrip()
            for cells in (enumerate(zip(row, widths, strict=True)) for row in rows)
        ]
        return "\n".join([*lines, "", *map(wrapped_line, self.about_peers())])

    def about_peers(self) -> list[str]:
        """One line each: their versions, those that are not here, and what was wrong."""
        lines = [f"{name}: {'not here: ' if name in self.absent else ''}{about}" for name, about in self.peers.items()]
        return [*lines, *(f"did not count: {text}" for text in self.failed)]

    def circumstances(self) -> list[str]:
        """One line each: when, where, how."""
        lines = [f"{name}: {text}" for name, text in self.machine.items()]
        lines += [f"load generator: {self.generator}", f"load: {self.load}"]
        return [f"date: {self.date}", f"command: {self.command}, {self.rounds} round{'s'[: self.rounds > 1]}", *lines]

    def json(self) -> str:
        figures = [
            {
                "what": each.what,
                "who": each.who,
                "unit": each.unit,
                "value": each.value if each.values else None,
                "values": each.values,
                "goal": None if each.goal is None else {"value": each.goal.value, "least": each.goal.least},
                "met": each.verdict == "met" if each.goal and each.values else None,
                "note": each.note,
            }
            for each in self.figures
        ]
        about = {"date": self.date, "command": self.command, "rounds": self.rounds, "machine": self.machine}
        about |= {"generator": self.generator, "load": self.load}
        about |= {"peers": self.peers, "absent": list(self.absent), "failed": self.failed}
        points = [[each.chart, each.who, each.x, each.y] for each in self.points]
        return json.dumps({**about, "figures": figures, "points": points}, indent=2, ensure_ascii=False) + "\n"

    def picture(self) -> str:
        """The curves, as SVG."""
        about = [self.date, *(self.machine[key] for key in ("CPU", "system") if key in self.machine), self.command]
        return draw(self.points, " · ".join(about))

    def chapter(self) -> str:
        """Markdown between the marks of docs/performance.md."""
        lines = ["", *(f"- {line}" for line in self.circumstances()), ""]
        if self.points:
            lines += [f"![{ALT}]({PICTURE})", ""]
        rows = self.comparison()
        if rows:
            lines += [row(rows[0]), row(["---", "---", *["---:"] * (len(rows[0]) - 2)]), *map(row, rows[1:]), ""]
            lines += [*(f"- {line}" for line in self.about_peers()), ""]
        lines += [row(["what", "median", "smallest to largest", "goal", "", ""])]
        lines += [row(["---", "---:", "---", "---", "---", "---"])]
        for each in self.ours:
            lines.append(row([each.what, worth(each), each.spread, str(each.goal or ""), each.verdict, each.note]))
        return "\n".join([*lines, "", ""])


def worth(each: Figure) -> str:
    return f"{number(each.value)} {each.unit}"


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write_docs(report: Report, file: Path = DOCS) -> None:
    """Put the report between the marks, the picture among the images, and the data beside the document.

    Raises ValueError when the marks are not there.
    """
    write_between(file, BEGIN, END, report.chapter())
    file.with_suffix(".json").write_text(report.json(), "utf-8")
    if report.points:
        (file.parent / PICTURE).parent.mkdir(exist_ok=True)
        (file.parent / PICTURE).write_text(report.picture(), "utf-8")


def write_between(file: Path, begin: str, end: str, chapter: str) -> None:
    """Put a chapter between two marks of a document, instead of what is there. Raises ValueError without the marks."""
    before, begun, rest = file.read_text("utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not begun or not ended:
        raise ValueError(f"{file} has no place for figures: {begin} … {end}")
    file.write_text(f"{before}{begin}\n{chapter}{end}{after}", "utf-8")


def say(text: str) -> None:
    """Where a run is, on a terminal."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def wrapped(lines: Sequence[str]) -> str:
    return "\n".join(map(wrapped_line, lines))


def wrapped_line(line: str) -> str:
    return textwrap.fill(line, 110, subsequent_indent="  ")
