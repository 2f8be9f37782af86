"""dchat admin: tables for people, lines for programs, exit codes, and what to do when something stands still."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dchat_client.cli import admin
from dchat_client.cli.bar import WIDTH
from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer


def worker(name: str, **facts: Any) -> dict[str, Any]:
    return {
        "worker": name,
        "address": "10.0.0.7:5000",
        "version": "0.2.0",
        "uptime_s": 7300.0,
        "alive": True,
        "draining": False,
        "streams": 12,
        "log_reader_alive": True,
        "messages_per_s": 2.5,
        "deliveries_per_s": 30.0,
        "loop_lag_ms": 1.4,
        "memory_bytes": 64 << 20,
        **facts,
    }


ARCHIVE = {
    "state": "ok",
    "lag_messages": 40,
    "lag_s": 3.14,
    "rooms_dirty": 2,
    "rooms_stuck": 0,
    "slowest": [],
    "stuck": [],
}


@pytest.fixture
def cluster(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the server says of its cluster; tests change it."""
    monkeypatch.setattr(admin, "LOOK_S", 0.01)
    server.cluster = {
        "leader": {"worker": "host-71-ab", "epoch": 9},
        "election": {"state": "connected"},
        "workers": [worker("host-71-ab"), worker("host-72-cd", alive=False, memory_bytes=None, loop_lag_ms=None)],
        "archive": dict(ARCHIVE),
        "errors": [],
    }
    return server.cluster


def test_who_is_no_administrator_is_told_what_to_do(dchat: Dchat) -> None:
    for args in (
        ["workers"],
        ["leader"],
        ["lag"],
        ["lag", "lobby"],
        ["drain", "w"],
        ["step-down"],
        ["verify", "lobby"],
    ):
        ran = dchat("admin", *args)
        assert (ran.code, "administrator" in ran.err, ran.out) == (1, True, ""), args


def test_the_leader_is_named_and_its_absence_is_a_failure(dchat: Dchat, cluster: dict[str, Any]) -> None:
    ran = dchat("admin", "leader")
    assert (ran.code, ran.out) == (0, "host-71-ab\t9\tconnected\n")
    assert json.loads(dchat("admin", "leader", "--json").out)["leader"]["epoch"] == 9
    cluster["leader"], cluster["election"] = None, {"state": "suspended"}
    ran = dchat("admin", "leader")
    assert (ran.code, ran.out, "suspended" in ran.err) == (1, "", True)
    ran = dchat("admin", "leader", "--json")
    assert (ran.code, json.loads(ran.out)["leader"]) == (1, None)


def test_workers_are_listed_with_the_leader_marked(dchat: Dchat, cluster: dict[str, Any]) -> None:
    rows = [line.split("\t") for line in dchat("admin", "workers").out.splitlines()]
    assert rows[0] == [
        *("*", "host-71-ab", "10.0.0.7:5000", "0.2.0", "alive", "2 h", "12", "2.5", "30.0", "1 ms", "64 MiB"),
    ]
    assert (rows[1][0], rows[1][4], rows[1][9:]) == ("", "silent", ["?", "?"])
    cluster["workers"] = [worker("a", draining=True), worker("b", log_reader_alive=False), worker("c", alive=None)]
    cluster["errors"] = [{"part": "board", "detail": "It is \x1b[2Jaway."}]
    ran = dchat("admin", "workers")
    assert [line.split("\t")[4] for line in ran.out.splitlines()] == ["draining", "degraded", "?"]
    assert "Not known (board): It is ␛[2Jaway." in ran.err
    assert [json.loads(line)["worker"] for line in dchat("admin", "workers", "--json").out.splitlines()] == [
        "a",
        "b",
        "c",
    ]


def test_lag_is_told_and_a_standstill_is_a_failure_with_words(dchat: Dchat, cluster: dict[str, Any]) -> None:
    ran = dchat("admin", "lag")
    assert (ran.code, ran.out) == (0, "ok\t40\t3.1 s\t2\t0\n")
    for state in admin._STALLS.keys() - set(admin._PASSING):
        cluster["archive"] = {**ARCHIVE, "state": state, "lag_s": None}
        ran = dchat("admin", "lag")
        assert (ran.code, "archiving: " in ran.err) == (1, True), state
        assert dchat("admin", "lag", "--json").code == 1
    cluster["archive"] = {
        **ARCHIVE,
        "state": "stuck_rooms",
        "stuck": [{"room": "den", "reason": "damaged", "detail": "no chunk"}],
        "last_error": {"at": "2026-11-23T06:00:00.000Z", "detail": "no chunk"},
    }
    err = dchat("admin", "lag").err
    assert "den is stuck: no chunk (damaged)" in err
    assert "Last error, 2026-11-23T06:00:00.000Z: no chunk" in err


def test_every_state_of_the_archive_has_its_words() -> None:
    # The client shares no code with the server, so it is the server's document that is asked.
    from dchat_server.http.openapi.cluster import _ARCHIVE_STATES

    assert admin._STALLS.keys() | set(admin._PASSING) == _ARCHIVE_STATES.keys()


def test_a_rooms_positions_are_shown(dchat: Dchat, server: FakeServer, cluster: dict[str, Any]) -> None:
    server.positions["lobby"] = {
        "room": "lobby",
        "head": 120,
        "log": {"head": 120, "epoch": 5},
        "archive": {"watermark": 100, "floor": 1},
        "lag": 20,
        "errors": [],
    }
    assert dchat("admin", "lag", "lobby").out == "lobby\t120\t100\t20\t1\t5\n"
    assert json.loads(dchat("admin", "lag", "lobby", "--json").out)["lag"] == 20
    server.positions["lobby"] |= {"archive": None, "lag": None, "errors": [{"part": "archive", "detail": "away"}]}
    ran = dchat("admin", "lag", "lobby")
    assert (ran.out, "Not known (archive): away" in ran.err) == ("lobby\t120\t?\t?\t?\t5\n", True)
    assert dchat("admin", "lag", "nowhere").code == 5


def test_a_worker_is_drained_by_the_first_letters_of_its_id(
    dchat: Dchat, server: FakeServer, cluster: dict[str, Any]
) -> None:
    asked = []

    def drained(kind: str, body: dict[str, Any]) -> None:
        asked.append((kind, body))
        cluster["workers"][0] |= {"draining": not body["undo"], "streams": 0 if not body["undo"] else 3}

    server.on_order = drained
    ran = dchat("admin", "drain", "host-71")
    assert (ran.code, "can be stopped" in ran.err) == (0, True)
    assert dchat("admin", "drain", "host-71-ab", "--undo").code == 0
    assert asked == [
        ("drain", {"worker": "host-71-ab", "undo": False}),
        ("drain", {"worker": "host-71-ab", "undo": True}),
    ]
    assert dchat("admin", "drain", "host-7").code == 2
    ran = dchat("admin", "drain", "nobody")
    assert (ran.code, "dchat admin workers lists them." in ran.err) == (5, True)
    assert len(asked) == 2


def test_a_drain_that_takes_too_long_ends_with_a_failure(dchat: Dchat, cluster: dict[str, Any]) -> None:
    ran = dchat("admin", "drain", "host-71", "--wait", "0.05")
    assert (ran.code, "has not drained within 0.05 s" in ran.err) == (1, True)
    assert dchat("admin", "drain", "host-71", "--wait", "0").code == 0


def test_a_worker_that_was_stopped_meanwhile_is_drained(
    dchat: Dchat, server: FakeServer, cluster: dict[str, Any]
) -> None:
    server.on_order = lambda kind, body: cluster["workers"].clear()
    assert dchat("admin", "drain", "host-71").code == 0


def test_stepping_down_waits_for_the_next_term(
    dchat: Dchat, server: FakeServer, cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin, "STEP_DOWN_S", 0.05)
    ran = dchat("admin", "step-down")
    assert (ran.code, "nobody else leads" in ran.err) == (1, True)
    server.on_order = lambda kind, body: cluster.update(leader={"worker": "host-72-cd", "epoch": 10})
    ran = dchat("admin", "step-down")
    assert (ran.code, "host-72-cd leads now, in epoch 10" in ran.err) == (0, True)
    cluster["leader"] = None
    ran = dchat("admin", "step-down")
    assert (ran.code, "dchat admin lag" in ran.err) == (1, True)


PROGRESS = {"type": "progress", "seq": 50, "head": 100, "events": 50}
WHOLE = {
    "type": "result",
    "ok": True,
    "floor": 1,
    "head": 100,
    "events": 100,
    "chunks": 1,
    "from_log": 20,
    "problems": [],
}


def test_a_whole_room_is_said_to_be_one(dchat: Dchat, server: FakeServer, cluster: dict[str, Any]) -> None:
    server.verdicts["lobby"] = [PROGRESS, WHOLE]
    ran = dchat("admin", "verify", "lobby")
    assert ran.code == 0
    assert ran.out == "lobby is whole: 100 events, seq 1 to 100, in 1 chunks and 20 events of the log.\n"
    assert "type" not in json.loads(dchat("admin", "verify", "lobby", "--json").out)


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        ([PROGRESS, {**WHOLE, "ok": False, "problems": ["Seq 7 is missing."]}], 1, "not whole"),
        ([PROGRESS], 1, "broke off"),
        ([{"type": "error", "error": {"status": 503, "code": "archive_unavailable", "detail": "away"}}], 3, "away"),
        ([{"type": "error", "error": {"status": 404, "code": "room_not_found", "detail": "gone"}}], 5, "gone"),
    ],
)
def test_a_room_that_is_not_whole_or_cannot_be_walked_is_a_failure(
    dchat: Dchat, server: FakeServer, cluster: dict[str, Any], lines: list[dict[str, Any]], code: int, words: str
) -> None:
    server.verdicts["lobby"] = lines
    ran = dchat("admin", "verify", "lobby")
    assert (ran.code, words in ran.err) == (code, True)
    if len(lines) == 2:
        assert ran.out == "Seq 7 is missing.\n"
        assert dchat("admin", "verify", "lobby", "--json").code == 1


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "?"),
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (10**6, "12 d"),
    ],
)
def test_times_are_told_as_people_say_them(seconds: float | None, shown: str) -> None:
    assert admin._span(seconds) == shown


def test_the_documents_name_every_command_and_option() -> None:
    text = (Path(__file__).parents[4] / "docs" / "cli.md").read_text("utf-8")
    for name, command in admin.admin_command.commands.items():
        assert f"dchat admin {name}" in text
        assert f"dchat admin {name}" in (admin.admin_command.help or "")
        for parameter in command.params:
            assert parameter.human_readable_name.upper() in text or max(parameter.opts, key=len) in text, parameter


def test_the_bar_is_full_at_the_end_and_never_more() -> None:
    assert admin._bar({"seq": 50, "head": 100}).startswith("[" + "#" * 15 + "." * 15 + "]  50%")
    for progress in ({"seq": 9, "head": 3}, {"seq": 3, "head": 3}):
        assert "#" * WIDTH + "] 100%" in admin._bar(progress)
    assert admin._bar({"seq": 0, "head": 0}).startswith("[.")
