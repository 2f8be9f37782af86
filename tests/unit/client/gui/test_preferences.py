from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dchat_client.gui.preferences import Preferences


def test_what_was_kept_is_there_next_time(tmp_path: Path) -> None:
    path = tmp_path / "gui" / "default.json"
    known = Preferences(
        geometry="900x600+10+20",
        sash=210,
        zoom=1.2,
        theme="dark",
    )
    assert known.save(path)
    assert Preferences.load(path) == known
    assert path.stat().st_mode & 0o077 == 0


def test_a_first_start_is_without_a_file(tmp_path: Path) -> None:
    assert Preferences.load(tmp_path / "none.json") == Preferences()


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "\x00", "[" * 100_000])
def test_a_damaged_file_is_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    assert Preferences.load(path) == Preferences()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("geometry", "900x600; exec rm"),
        ("geometry", 5),
        ("sash", -1),
        ("sash", True),
        ("zoom", 100),
        ("zoom", "big"),
        ("theme", "pink"),
        ("unheard_of", 1),
    ],
)
def test_a_bad_value_is_left_out_and_the_others_hold(tmp_path: Path, name: str, value: object) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"theme": "dark", "sash": 200, name: value}))
    found = Preferences.load(path)
    good = Preferences(theme="dark", sash=200)
    assert found == (replace(good, **{name: getattr(Preferences(), name)}) if name in ("theme", "sash") else good)


def test_a_folder_that_cannot_be_written_to_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not Preferences().save(tmp_path / "file" / "p.json")
