"""What people read of the checks: a line when each ends, what failed at length, and a table of all."""

from __future__ import annotations

from collections.abc import Sequence

from tests.stack.check import Result, Verdict

LONGEST_LINES = 200
"""How much of a tool's output is shown: its end, where the reason is."""


def progress(result: Result, done: int, of: int) -> str:
    return f"[{done}/{of}] {result.name}: {result.verdict} ({result.seconds:.1f} s)"


def failure(result: Result) -> str:
    lines = result.detail.rstrip().splitlines()[-LONGEST_LINES:]
    return "\n".join([f"\n== {result.name} failed: {result.said}", *(f"   {line}" for line in lines)])


def table(results: Sequence[Result]) -> str:
    """All results by name, and the next step of each that was not possible."""
    rows = [("check", "result", "")]
    for result in sorted(results, key=lambda result: result.name):
        rows.append((result.name, result.verdict, result.said))
        if result.verdict is Verdict.ABSENT:
            rows.append(("", "", f"→ {result.detail}"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"{name:{widths[0]}}  {verdict:{widths[1]}}  {said}".rstrip() for name, verdict, said in rows]
    lines.insert(1, "-" * (sum(widths) + 2))
    return "\n".join(["", *lines])
