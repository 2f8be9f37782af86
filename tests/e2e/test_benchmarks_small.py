"""Every benchmark runs and receives what it must. Small, and judged by nothing else: not by how fast it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks.growth.command import CURVES
from benchmarks.growth.record import GROWTH
from benchmarks.peers import PEERS
from benchmarks.suite import SUITE
from tests.harness.processes import until

ROOT = Path(__file__).resolve().parents[2]


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


def test_all_benchmarks_run_small_and_find_nothing_wrong(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = run("--small", "--no-peers", "--json", file)
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    found = {figure["what"]: figure["value"] for figure in report["figures"]}
    for what in found:
        assert what in done.stdout
    for part in ("64 sends in flight", "20 messages/s", "200/s", "fan-out to 20 streams", "send, 8", "batches",
                 "idle stream", "streams opened", "resume from memory", "log of one room", "page of 50 at the head of",
                 "large room over small", "start to ready", "pipeline", "SQLite: page of 50 in the middle",
                 "DynamoDB (5 ms): page of 50 across the seam", "DynamoDB (5 ms): one message",
                 "DynamoDB (5 ms): resume from the archive", "compaction into SQLite", "compaction into DynamoDB",
                 "the same guarantee", "a quiet room", "beside compaction"):  # fmt: skip
        assert any(part in what for what in found), part
    assert all(value >= 0 for what, value in found.items() if "memory of the server" not in what)
    assert report["machine"]["CPU"]


def test_each_peer_that_is_here_is_measured_and_the_others_are_named_with_what_to_type(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    done = run("fanout", "send", "streams", "--small", "--json", file)
    assert done.returncode == 0, done.stderr or done.stdout
    report = json.loads(file.read_text())
    assert report["failed"] == []
    assert list(report["peers"]) == [peer.name for peer in PEERS]
    for name, about in report["peers"].items():
        measured = {figure["what"] for figure in report["figures"] if figure["who"] == name}
        if name in report["absent"]:
            assert f"{name}: not here: {about}" in done.stdout
            assert not measured
        else:
            assert "fan-out, 64 sends in flight: deliveries" in measured
            assert "an idle stream: memory of the server (Pss)" in measured
            assert ("send, 8 in flight: CPU a send" in measured) == (name in ("Nchan", "socket.io", "bare loop"))


def test_a_run_that_is_killed_leaves_no_server_behind() -> None:
    """Nchan's nginx has workers of its own, and ngIRCd is another user's when root runs this."""
    program = """
import os, signal
from contextlib import ExitStack
from benchmarks.load import Generator
from benchmarks.peers import PEERS
from benchmarks.setting import Setting

with Setting() as setting, ExitStack() as running:
    generator = Generator(setting.folder)
    servers = [running.enter_context(peer.running(setting, generator)) for peer in PEERS if not peer.missing(generator)]
    print(*[pid for server in [setting.server, *servers] for pid in server.pids.values()], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with tempfile.TemporaryDirectory() as folder:  # what is killed does not tidy up
        Path(folder).chmod(0o755)
        command, env = [sys.executable, "-c", program], {**os.environ, "TMPDIR": folder}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False)
        pids = done.stdout.split()
        assert len(pids) >= 2, done.stderr
        until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()], "the end of all servers")


def test_a_big_room_is_the_same_after_a_restart_however_small_it_is() -> None:
    done = run("big-room", "--messages", "6000")
    assert done.returncode == 0, done.stderr
    for part in ("6,000 messages", "verified dense", "pages of 50 in the middle, after the restart", "the same bytes"):
        assert part in done.stdout, part


def test_all_curves_of_growth_run_small_and_find_nothing_wrong(tmp_path: Path) -> None:
    file = tmp_path / "growth.json"
    done = run("growth", "--small", "--json", file)
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert list(found) == list(CURVES)
    whats = {figure["what"] for curve in found.values() for figure in curve["figures"]}
    for part in ("streams in a room, paced", "8 rooms over 2", "a room: memory of Redis", "each other worker a send",
                 "100 workers, 200 sends/s", "nobody says anything", "4 rooms: CPU to open a stream",
                 "a cluster of 3 masters: CPU of Redis a send, the busiest"):  # fmt: skip
        assert any(part in what for what in whats), part
    assert all(what in done.stdout for what in whats)
    points = [point for curve in found.values() for point in curve["points"]]
    for chart in GROWTH.charts:
        lines = {who for of, who, *_ in points if of == chart.of}
        assert lines, chart.of
        assert lines <= set(GROWTH.lines)


def test_the_fan_out_also_runs_without_a_c_compiler(tmp_path: Path) -> None:
    done = run("fanout", "--small", "--python-generator")
    assert done.returncode == 0, done.stderr
    assert "no C compiler" in done.stdout


def test_an_unknown_curve_is_told_with_those_there_are() -> None:
    done = run("growth", "nonsense")
    assert done.returncode == 2
    assert all(name in done.stderr for name in CURVES)
    assert all(f"\n| `growth {name}` |" in (ROOT / "benchmarks" / "README.md").read_text() for name in CURVES)


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    done = run("nonsense")
    assert done.returncode == 2
    assert all(name in done.stderr for name in SUITE)


@pytest.mark.parametrize("name", SUITE)
def test_every_name_of_the_suite_is_a_benchmark_and_is_listed(name: str) -> None:
    module, _, function = SUITE[name].partition(".")
    assert f"def {function}(" in (ROOT / "benchmarks" / f"{module}.py").read_text()
    assert f"\n| `{name}` |" in (ROOT / "benchmarks" / "README.md").read_text()
