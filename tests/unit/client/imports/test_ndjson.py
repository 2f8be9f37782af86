"""Our own export, read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dchat_client.exported import first_line, last_line
from dchat_client.imports.ndjson import NdjsonRoom
from dchat_client.imports.said import UnfitSource, rendered

FIRST = first_line({"room": "lobby", "kind": "public", "created_at": "2026-01-01T00:00:00.000Z"})
ROWS: list[dict[str, Any]] = [
    {"id": "lobby:2", "room": "lobby", "seq": 2, "ts": "2026-11-23T06:04:00.123Z", "sender": "ada", "text": "hi"},
    {"room": "lobby", "seq": 3, "ts": "2026-11-23T06:05:00.123Z", "sender": "bob", "text": "yo", "reply_to": 2},
    {"room": "lobby", "seq": 4, "ts": "2026-11-23T06:06:00.123Z", "sender": "bob", "deleted": True},
    {
        "seq": 5,
        "ts": "2026-11-23T06:07:00.123Z",
        "sender": "ada",
        "text": "new",
        "edited_at": "2026-11-23T06:08:00.123Z",
        "reactions": [{"emoji": "🎉", "count": 2, "users": ["ada", "bob"]}],
    },
]


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_messages_come_back_with_what_became_of_them(tmp_path: Path) -> None:
    source = NdjsonRoom(write(tmp_path / "x", FIRST, *ROWS, last_line(4, 5)))
    said = list(source)
    assert [rendered(each) for each in said] == [
        "[2026-11-23 06:04:00Z] ada: hi",
        "[2026-11-23 06:05:00Z] bob: yo",
        "[2026-11-23 06:07:00Z] ada: new\n(edited) (🎉 ada, bob)",
    ]
    assert [each.answers for each in said] == [None, said[0].key, None]
    assert (source.left_out, source.is_whole, source.remarks()) == (1, True, [])
    assert source.done == source.total
    assert source.facts["room"] == "lobby"


def test_rooms_of_the_same_name_on_other_servers_have_other_keys(tmp_path: Path) -> None:
    other = FIRST | {"created_at": "2025-01-01T00:00:00.000Z"}
    keys = {next(iter(NdjsonRoom(write(tmp_path / "x", first, *ROWS)))).key for first in (FIRST, other)}
    assert len(keys) == 2


def test_a_torn_last_line_ends_the_file_and_is_remarked(tmp_path: Path) -> None:
    path = write(tmp_path / "x", FIRST, *ROWS[:2])
    path.write_bytes(path.read_bytes()[:-9])
    source = NdjsonRoom(path)
    assert [said.text for said in source] == ["hi"]
    assert "does not say that it is whole" in source.remarks()[0]


def test_history_without_a_first_line_and_without_a_last_line_end_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x", *ROWS)
    path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    assert [said.text for said in NdjsonRoom(path)] == ["hi", "yo", "new"]


def test_what_is_no_export_is_said_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for raw in ("", "hello\n", "[1]\n", json.dumps({**FIRST, "version": 9}) + "\n"):
        path.write_text(raw)
        with pytest.raises(UnfitSource):
            NdjsonRoom(path)
    path.write_text(json.dumps(FIRST) + "\nnonsense\n{}\n")
    with pytest.raises(UnfitSource, match="line 2"):
        list(NdjsonRoom(path))
