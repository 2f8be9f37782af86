"""Curves of growth: how places are compared, and what is kept of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.growth.record import BEGIN, END, keep
from benchmarks.growth.turns import in_turns, medians, ratio, through
from benchmarks.measure import Point, at_most, figure
from benchmarks.report import Report


def test_places_are_measured_there_and_back_so_that_a_machine_that_slows_down_bends_no_curve() -> None:
    clock = iter(range(100))
    found = in_turns((1, 2, 4), lambda many: many * (50 + next(clock)), 2)
    assert {many: len(there) for many, there in found.items()} == {1: 4, 2: 4, 4: 4}
    curve = medians(found, float)
    assert (curve[4] / curve[1], ratio(found, float, 4, 1)) == (pytest.approx(4, rel=0.05), pytest.approx(4, rel=0.05))


def test_a_line_goes_through_what_lies_on_it() -> None:
    line = through({1: 13.0, 2: 16.0, 16: 58.0})
    assert (round(line.start, 9), round(line.slope, 9), round(line.at(100), 9)) == (10, 3, 310)


def report(date: str, cost: float) -> Report:
    figures = [figure("a send", cost, "µs", at_most(5), "worker + Redis")]
    points = [Point("rooms", "Redis", 10, cost), Point("rooms", "Redis", 100, 2 * cost)]
    machine = {"CPU": "some", "system": "Linux", "commit": "abc"}
    return Report(date, "growth", machine, "c", 1, "calm", figures, points=points)


def test_a_curve_is_taken_anew_beside_the_others_and_each_has_its_date(tmp_path: Path) -> None:
    docs = tmp_path / "performance.md"
    docs.write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    keep({"rooms": report("2026-01-01", 4), "workers": report("2026-01-01", 3)}, docs)
    keep({"rooms": report("2026-02-02", 7)}, docs)
    text = docs.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "**rooms** · `python -m benchmarks growth rooms`, 2026-02-02" in text
    assert "**workers** · `python -m benchmarks growth workers`, 2026-01-01" in text
    assert "| a send | 7.00 µs | ≤ 5.00 | MISSED |" in text
    assert "| a send | 3.00 µs | ≤ 5.00 | met |" in text
    kept = json.loads((tmp_path / "growth.json").read_text())
    assert {name: curve["date"] for name, curve in kept.items()} == {"rooms": "2026-02-02", "workers": "2026-01-01"}
    assert "2026-02-02" in (tmp_path / "images" / "growth.svg").read_text()
