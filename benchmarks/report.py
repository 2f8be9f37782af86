"""What a run found, as a table for people, as JSON, and as a chapter of docs/performance.md."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Figure, number

DOCS = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- figures: python -m benchmarks --write-docs -->", "<!-- end of figures -->"


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

    @property
    def missed(self) -> list[Figure]:
        return [each for each in self.figures if each.verdict == "MISSED"]

    def table(self) -> str:
        """Lines for a terminal."""
        rows = [("", "measured", "", "goal", "", "")]
        rows += [
            (each.what, number(each.value), each.unit, str(each.goal or ""), each.verdict, each.spread or each.note)
            for each in self.figures
        ]
        widths = [max(len(row[at]) for row in rows) for at in range(5)]
        lines = []
        for what, value, unit, goal, verdict, rest in rows:
            line = f"{what:<{widths[0]}}  {value:>{widths[1]}} {unit:<{widths[2]}}  {goal:>{widths[3]}}"
            lines.append(f"{line}  {verdict:<{widths[4]}}  {rest}".rstrip())
        return "\n".join(lines)

    def circumstances(self) -> list[str]:
        """One line each: when, where, how."""
        lines = [f"{name}: {text}" for name, text in self.machine.items()]
        lines += [f"load generator: {self.generator}", f"load: {self.load}"]
        return [f"date: {self.date}", f"command: {self.command}, {self.rounds} round{'s'[: self.rounds > 1]}", *lines]

    def json(self) -> str:
        figures = [
            {
                "what": each.what,
                "unit": each.unit,
                "value": each.value,
                "values": each.values,
                "goal": None if each.goal is None else {"value": each.goal.value, "least": each.goal.least},
                "met": None if each.goal is None else each.verdict == "met",
                "note": each.note,
            }
            for each in self.figures
        ]
        about = {"date": self.date, "command": self.command, "rounds": self.rounds, "machine": self.machine}
        about |= {"generator": self.generator, "load": self.load}
        return json.dumps({**about, "figures": figures}, indent=2, ensure_ascii=False) + "\n"

    def chapter(self) -> str:
        """Markdown between the marks of docs/performance.md."""
        lines = ["", *(f"- {line}" for line in self.circumstances()), ""]
        lines += ["| what | median | smallest to largest | goal | | |", "| --- | ---: | --- | --- | --- | --- |"]
        lines += [
            f"| {each.what} | {number(each.value)} {each.unit} | {each.spread} | {each.goal or ''} | {each.verdict} "
            f"| {each.note} |"
            for each in self.figures
        ]
        return "\n".join([*lines, "", ""])


def write_docs(report: Report, file: Path = DOCS) -> None:
    """Put the report between the marks. Raises ValueError when they are not there."""
    text = file.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} has no place for figures: {BEGIN} … {END}")
    file.write_text(f"{before}{begin}\n{report.chapter()}{end}{after}", "utf-8")


def wrapped(lines: Sequence[str]) -> str:
    return "\n".join(textwrap.fill(line, 110, subsequent_indent="  ") for line in lines)
