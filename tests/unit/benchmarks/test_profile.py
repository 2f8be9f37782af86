"""Where time went, from what a profiler saw."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import profile
from benchmarks.profile import Cost, costs_of, looked_at, table
from benchmarks.setting import NoServer
from tests.harness.processes import until


def test_time_is_a_functions_own_whatever_line_it_was_in_and_counts_once_for_each_that_called() -> None:
    looks, costs = costs_of(
        ["main (a.py:1);send (a.py:7) 30", "main (a.py:2);send (a.py:9) 20", "main (a.py:2) 10",
         "main (a.py:1);walk (b.py:1);walk (b.py:2) 40"]
    )  # fmt: skip
    assert looks == 100
    assert costs == [Cost("send (a.py)", 0.5, 0.5), Cost("walk (b.py)", 0.4, 0.4), Cost("main (a.py)", 0.1, 1.0)]
    assert list(table(costs))[2] == "| 50.0% | 50% | `send (a.py)` |"


def test_without_a_profiler_it_is_said_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(profile.shutil, "which", lambda name: None)
    with pytest.raises(NoServer, match="pip install py-spy"), looked_at(1, tmp_path / "stacks"):
        pass


def test_a_profiler_that_may_not_look_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spy = tmp_path / "py-spy"
    spy.write_text(f"#!/bin/sh\necho 'Permission denied: try sudo' >&2\ntouch '{tmp_path}/said'\nexit 1\n")
    spy.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(NoServer, match="try sudo"), looked_at(1, tmp_path / "stacks"):
        until((tmp_path / "said").exists, "it has said so")


def test_a_load_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        profile.main(["sned-64"])
    assert "there is no load sned-64" in capsys.readouterr().err
