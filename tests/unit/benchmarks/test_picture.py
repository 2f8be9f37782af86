"""The picture of a run and the table beside the peers: what was measured is in them, where it belongs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.measure import Figure, Point, at_least, at_most, figure, number, over
from benchmarks.peers import PEERS
from benchmarks.picture import SERVERS, decades, draw, steps
from benchmarks.report import BEGIN, END, Report, write_docs

POINTS = [
    *(
        Point("CPU a delivery", who, x, y)
        for who, x, y in (("D-Chat", 100, 1), ("D-Chat", 10_000, 0.5), ("NATS", 100, 2))
    ),
    Point("latency", "D-Chat", "p50", 0.8),
    Point("latency", "D-Chat", "max", 0),
]


def report(**more: object) -> Report:
    figures = [
        figure("rate", 3e6, "/s", at_least(1_000_000)),
        Figure("rate", "/s", [1.5e6], who="NATS"),
        figure("own", 7, "µs"),
    ]
    peers = {"Nchan": "apt-get install it", "NATS": "2.9"}
    return Report("today", "bench", {"CPU": "some"}, "c", 1, "0", figures, peers, {"Nchan"}, points=POINTS, **more)  # type: ignore[arg-type]


def test_the_picture_has_a_line_for_each_server_that_was_measured_and_says_when_and_where() -> None:
    svg = draw(POINTS, "today · a < machine")
    root = ElementTree.fromstring(svg)
    words = ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"D-Chat", "NATS", "streams in the room", "today · a < machine", "not measured"} <= set(words)
    assert "Nchan" not in words
    lines = re.findall(r'<path class="line( ours)?" stroke="var\(--s(\d)\)" d="M([^"]*)"', svg)
    assert [(SERVERS[int(number)], path.count("L") + 1) for _, number, path in lines] == [
        ("NATS", 1), ("D-Chat", 2), ("D-Chat", 2),
    ]  # fmt: skip
    assert "prefers-color-scheme:dark" in svg


def test_several_rounds_are_one_line_through_their_medians() -> None:
    rounds = [Point("deliveries", "D-Chat", x, y) for y in (1000, 9000, 2000) for x in (1, 10)]
    ours = re.compile(r'<path class="line ours".*')
    assert ours.findall(draw(rounds, "")) == ours.findall(draw([p for p in rounds if p.y == 2000] + rounds[:4], ""))
    assert len(ours.findall(draw(rounds, ""))) == 1
    assert ours.findall(draw(rounds, "")) != ours.findall(draw(rounds[:4], ""))


def test_axes_go_around_all_values() -> None:
    assert decades([3, 40]) == [1, 10, 100]
    assert decades([1]) == [1, 10]
    assert decades([0])[0] > 0
    assert steps([3, 37]) == [0, 10, 20, 30, 40]
    assert steps([0.93]) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert steps([0])[0] == 0


def test_every_peer_has_its_place_in_the_legend() -> None:
    assert ("D-Chat", *(peer.name for peer in PEERS)) == SERVERS


def test_the_table_names_who_is_not_here_and_what_to_type() -> None:
    found = report(failed=["NATS: lost 3"])
    assert found.comparison() == [
        ["side by side", "", "D-Chat", "Nchan", "NATS"],
        ["rate", "/s", "3.00 M", "not here", "1.50 M"],
    ]
    assert "Nchan: not here: apt-get install it" in found.side_by_side()
    assert "did not count: NATS: lost 3" in found.side_by_side()
    assert "1.50 M" not in found.table()


def test_ratios_are_of_the_same_run_and_a_peer_that_was_not_measured_meets_no_goal() -> None:
    nats, nchan = over(report().figures, "rate", {"NATS": at_least(1), "Nchan": at_least(15)})
    assert (nats.what, nats.value, nats.verdict) == ("rate, D-Chat over NATS", 2, "met")
    assert (nchan.verdict, number(nchan.value)) == ("not measured", "–")
    worse = over(report().figures, "rate", {"NATS": at_most(0.9)})[0]
    assert worse.verdict == "MISSED"


def test_document_picture_and_data_are_of_one_run(tmp_path: Path) -> None:
    file = tmp_path / "performance.md"
    file.write_text(f"{BEGIN}\n{END}\n")
    write_docs(report(), file)
    assert "| rate | /s | 3.00 M | not here | 1.50 M |" in file.read_text()
    assert "](images/performance.svg)" in file.read_text()
    assert (tmp_path / "images" / "performance.svg").read_text() == report().picture()
    data = json.loads((tmp_path / "performance.json").read_text())
    assert data["date"] == "today"
    assert ["CPU a delivery", "NATS", 100, 2] in data["points"]
    assert {(each["what"], each["who"]) for each in data["figures"]} == {
        ("rate", "D-Chat"),
        ("rate", "NATS"),
        ("own", "D-Chat"),
    }
