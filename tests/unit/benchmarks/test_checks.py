"""What the benchmarks check of answers they read themselves, and how figures become a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.history import check_page
from benchmarks.load import WrongResult
from benchmarks.measure import Figure, at_least, at_most, figure, merge, number
from benchmarks.people import BATCH, text_of
from benchmarks.replay import check_replay
from benchmarks.report import BEGIN, END, Report, write_docs
from benchmarks.sends import check_batches

TEXTS = [text_of(number) for number in range(3)]
HEADS = {"a": 4, "b": 0}


def replay(*events: tuple[str, int, str], replayed: int = 6) -> bytes:
    values: list[dict[str, Any]] = [{"type": "hello"}]
    values += [{"type": "message", "room": room, "seq": seq, "text": text} for room, seq, text in events]
    values.append({"type": "resumed", "replayed": replayed})
    return b"".join(b"event: x\ndata: %b\n\n" % json.dumps(value).encode() for value in values)


WHOLE = [(room, head + 1 + at, TEXTS[at]) for room, head in HEADS.items() for at in range(3)]


def test_a_replay_that_is_whole_passes() -> None:
    check_replay(replay(*WHOLE), HEADS, TEXTS)


@pytest.mark.parametrize(
    "data",
    [
        replay(*WHOLE[:-1]),
        replay(*WHOLE, WHOLE[-1]),
        replay(WHOLE[1], WHOLE[0], *WHOLE[2:]),
        replay(*WHOLE[:2], ("a", 7, TEXTS[0]), *WHOLE[3:]),
        replay(*WHOLE, replayed=5),
        replay(*WHOLE).replace(b"hello", b"gap"),
    ],
    ids=["a hole at the end", "a repeat", "another order", "another text", "counted wrong", "a gap"],
)
def test_a_replay_that_is_not_does_not(data: bytes) -> None:
    with pytest.raises(WrongResult):
        check_replay(data, HEADS, TEXTS)


def page(**changes: Any) -> dict[str, Any]:
    messages = [{"seq": seq, "text": text_of(seq - 3)} for seq in range(20, 70)]
    return {"messages": messages, "head": 100, "has_more": True, **changes}


def test_a_page_is_the_fifty_messages_before_its_end() -> None:
    check_page(page(), first=3, end=70, head=100)
    for wrong in (
        page(messages=page()["messages"][:-1]),
        page(messages=page()["messages"][::-1]),
        page(messages=[{"seq": seq, "text": "other"} for seq in range(20, 70)]),
        page(head=99),
        page(has_more=False),
    ):
        with pytest.raises(WrongResult):
            check_page(wrong, first=3, end=70, head=100)


def test_every_line_of_a_batch_is_checked() -> None:
    def line(number: int, **changes: Any) -> bytes:
        message = {"room": "r", "seq": 8 + number, "text": text_of(number), **changes}
        return json.dumps({"status": 201, "message": message}).encode()

    lines = [line(number) for number in range(BATCH)]
    check_batches("r", 7, [b"\n".join(lines) + b"\n"])
    for wrong in (lines[:-1], lines[::-1], [line(0, seq=9), *lines[1:]], [line(0, text="x"), *lines[1:]]):
        with pytest.raises(WrongResult):
            check_batches("r", 7, [b"\n".join(wrong)])


def test_a_goal_is_held_against_the_median_of_the_rounds() -> None:
    rounds = [[figure("rate", value, "/s", at_least(100)), figure("cost", value, "µs", at_most(1))]
              for value in (90, 120, 110)]  # fmt: skip
    rate, cost = merge(rounds)
    assert (rate.value, rate.verdict, rate.spread) == (110, "met", "90.0 to 120")
    assert (cost.value, cost.verdict) == (110, "MISSED")


def test_numbers_show_three_digits_that_count() -> None:
    shown = [number(value) for value in (0.126, 4, 12.34, 149.6, 8765.4, 12345.6, 2_345_678)]
    assert shown == ["0.13", "4.00", "12.3", "150", "8765", "12,346", "2.35 M"]


def report(figures: list[Figure]) -> Report:
    return Report("today", "python -m benchmarks", {"CPU": "some"}, "generator.c", 3, "0.1", figures)


def test_the_figures_in_the_document_are_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    file = tmp_path / "performance.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_docs(report([figure("rate", 12345, "/s", at_least(10_000), "why")]), file)
    text = file.read_text()
    assert "| rate | 12,345 /s |  | ≥ 10,000 | met | why |" in text
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text


def test_a_document_without_a_place_for_figures_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "performance.md"
    file.write_text("nothing")
    with pytest.raises(ValueError, match="no place for figures"):
        write_docs(report([]), file)
