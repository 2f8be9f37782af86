"""What is kept of growth: docs/growth.json, and made of it the chapter of docs/performance.md and the picture.

Each curve is kept by itself with its circumstances, so that one may be taken anew without the others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, Goal, Point
from benchmarks.picture import Chart, Picture, draw
from benchmarks.report import DOCS, Report, row, worth, write_between

PICTURE = "images/growth.svg"
BEGIN, END = "<!-- growth: python -m benchmarks growth --write-docs -->", "<!-- end of growth -->"
LINES = (
    "worker", "Redis", "worker + Redis", "worker, paced", "Redis, paced", "worker + Redis, paced", "the busiest master",
)  # fmt: skip
GROWTH = Picture(
    "How D-Chat's cost grows",
    "CPU and memory over streams, rooms, workers, a person's rooms and Redis Cluster masters:",
    LINES,
    (
        Chart("streams", "CPU a delivery", "streams in the room", "µs"),
        Chart("stream memory", "memory of the worker a stream", "streams in the room", "KB", even="y"),
        Chart("rooms", "CPU a send, over rooms", "rooms", "µs, 64 sends in flight", even="y"),
        Chart("workers", "CPU a send: Redis, each other worker", "workers on one Redis", "µs", even="xy"),
        Chart("memberships", "memory of an idle stream", "rooms of the person", "KB", even="xy"),
        Chart("opening", "CPU to open a stream", "rooms of the person", "µs", even="xy"),
        Chart("masters", "CPU a send, Redis Cluster", "masters", "µs, 64 sends in flight", even="xy"),
    ),
)
Kept = dict[str, dict[str, Any]]
"""Curve → `Report.json`."""


def keep(reports: Mapping[str, Report], docs: Path = DOCS) -> None:
    """Put these curves beside those that are kept, and write document and picture anew.

    Raises ValueError when the document has no place for them.
    """
    file = docs.parent / "growth.json"
    kept: Kept = json.loads(file.read_text("utf-8")) if file.exists() else {}
    kept |= {name: json.loads(report.json()) for name, report in reports.items()}
    write_between(docs, BEGIN, END, chapter(kept))
    file.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", "utf-8")
    (docs.parent / PICTURE).parent.mkdir(exist_ok=True)
    (docs.parent / PICTURE).write_text(picture(kept), "utf-8")


def picture(kept: Kept) -> str:
    points = [Point(*point) for curve in kept.values() for point in curve["points"]]
    newest = _newest(kept)
    about = [newest["date"], newest["machine"]["CPU"], newest["machine"]["system"], "python -m benchmarks growth"]
    return draw(points, " · ".join(about), GROWTH)


def chapter(kept: Kept) -> str:
    """Markdown: the circumstances, the picture, and a table for each curve."""
    lines = [f"- {name}: {text}" for name, text in _newest(kept)["machine"].items() if name != "commit"]
    lines += ["", f"![CPU and memory over streams, rooms, workers, memberships and masters]({PICTURE})", ""]
    for name, curve in kept.items():
        taken = f"`python -m benchmarks growth {name}`, {curve['date']}, commit {curve['machine']['commit']}"
        lines += [f"**{name}** · {taken}; load: {curve['load']}", ""]
        lines += [row(["what", "median", "goal", "", ""]), row(["---", "---:", "---", "---", "---"])]
        for each in map(_figure, curve["figures"]):
            lines.append(row([each.what, worth(each), str(each.goal or ""), each.verdict, each.note]))
        lines.append("")
    return "\n".join(["", *lines, ""])


def _newest(kept: Kept) -> dict[str, Any]:
    return max(kept.values(), key=lambda curve: str(curve["date"]))


def _figure(kept: dict[str, Any]) -> Figure:
    return Figure(kept["what"], kept["unit"], kept["values"], kept["goal"] and Goal(**kept["goal"]), kept["note"])
