"""Which row of which line stands where."""

from __future__ import annotations

import random
from typing import Any

from dchat_client.transcript import Line, Sending
from dchat_client.tui.rows import Measure
from dchat_client.tui.sheet import Sheet, key_of


def line(seq: int, text: str = "x", **more: Any) -> Line:
    ts = f"2026-11-{1 + seq // 50 % 28:02d}T10:{seq % 60:02d}:00Z"
    return Line(**{"kind": "message", "seq": seq, "epoch": 1, "ts": ts, "sender": "bob", "text": text, **more})


def laid(lines: list[Line], unread_after: int | None = None) -> Sheet:
    def quoted(seq: int) -> tuple[str, str]:
        return next(((line.sender, line.text) for line in lines if line.seq == seq), ("", ""))

    sheet = Sheet("ada", Measure.of(60), quoted)
    sheet.lay(lines, unread_after)
    return sheet


def same(one: Sheet, other: Sheet) -> bool:
    return [block.rows for block in one.blocks] == [block.rows for block in other.blocks] and all(
        one.at(y) == other.at(y) for y in range(-1, other.height + 1)
    )


def test_every_row_belongs_to_its_line() -> None:
    sheet = laid([line(1), line(2, "a\nb\nc"), line(3)])
    assert sheet.height == 1 + 1 + 3 + 1
    assert [sheet.at(y) for y in range(7)] == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 0), None]
    assert [sheet.height_above(index) for index in range(4)] == [0, 2, 5, 6]
    assert sheet.index_of(2) == 1
    assert sheet.index_of(9) is None


def test_appending_is_the_same_as_laying_out_anew() -> None:
    rng = random.Random(7)
    lines: list[Line] = []
    sheet = laid(lines)
    for seq in range(1, 200):
        added = [line(seq, "word " * rng.randint(1, 30), reply_to=rng.choice([None, seq - 1, 1]))]
        lines += added
        sheet.append(lines, added)
    assert same(sheet, laid(lines))


def test_what_has_not_changed_keeps_its_rows() -> None:
    lines = [line(seq, reply_to=2 if seq == 5 else None) for seq in range(1, 7)]
    sheet = laid(lines)
    before = list(sheet.blocks)
    lines[1].text = "changed"
    lines[1].version += 1
    sheet.lay(lines, None)
    changed = [block.line.seq for block, old in zip(sheet.blocks, before, strict=True) if block is not old]
    assert changed == [2, 5], "the changed one, and the one that quotes it"


def test_the_line_above_what_is_new_stands_once_and_moves() -> None:
    lines = [line(seq) for seq in (3, 4, 6, 7)]

    def news(sheet: Sheet) -> list[int]:
        return [block.line.seq for block in sheet.blocks if block.around.is_first_unread]

    assert news(laid(lines, 4)) == [6]
    assert news(laid(lines, 5)) == [6]
    assert news(laid(lines, 2)) == [3]
    assert news(laid(lines, 1)) == [], "whether something unread stands further back is not known"
    assert news(laid(lines, None)) == []


def test_each_day_is_told_once() -> None:
    sheet = laid([line(seq) for seq in range(1, 120)])
    assert sum(block.around.day is not None for block in sheet.blocks) == 3


def test_a_pending_line_has_a_name_until_it_is_stored() -> None:
    pending = line(0, client_id="k", sending=Sending.PENDING)
    assert key_of(pending) == "k"
    assert laid([line(1), pending]).index_of("k") == 1
    assert key_of(line(5, client_id="k")) == 5
