"""What dashboards are told of a change, and what is kept for one that does not read. Streams: test_cluster_http.py."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from dchat_server.dashboards import IN_SHORT, MAX_WAITING, Dashboard, changes, stats_of


def seen(*workers: str, leader: str | None = None, board: bool = True, silent: tuple[str, ...] = ()) -> dict[str, Any]:
    rows = [{"worker": name, "alive": True, "address": name, "version": "1"} for name in workers]
    rows += [{"worker": name, "alive": False, "address": name, "version": "1"} for name in silent]
    errors = [] if board else [{"part": "board", "detail": "away"}]
    return {"workers": rows, "leader": leader and {"worker": leader, "epoch": 1}, "errors": errors}


def told(before: dict[str, Any] | None, now: dict[str, Any]) -> list[tuple[str, Any]]:
    events = [orjson.loads(frame.data) for frame in changes(before, now)]
    return [(event["type"], event.get("worker") or event.get("leader")) for event in events]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (None, seen("w1", leader="w1"), []),
        (seen("w1"), seen("w1"), []),
        (seen("w1"), seen("w1", "w2"), [("worker_joined", "w2")]),
        (seen("w1", "w2"), seen("w1"), [("worker_left", "w2")]),
        (seen("w1", "w2"), seen("w1", silent=("w2",)), [("worker_left", "w2")]),
        (seen("w1", silent=("w2",)), seen("w1", "w2"), [("worker_joined", "w2")]),
        (seen(leader="w1"), seen(leader="w2"), [("leader_changed", {"worker": "w2", "epoch": 1})]),
        (seen(leader="w1"), seen(), [("leader_changed", None)]),
        # Nobody came or went because the board was away for a moment.
        (seen("w1", "w2"), seen("w1", board=False), []),
        (seen("w1", board=False), seen("w1", "w2"), []),
    ],
)
def test_the_difference_is_told_and_nothing_that_is_not_known(
    before: dict[str, Any] | None, now: dict[str, Any], expected: list[tuple[str, Any]]
) -> None:
    assert told(before, now) == expected


async def test_one_that_does_not_read_is_cut_and_holds_no_bytes() -> None:
    cuts = 0

    def cut() -> None:
        nonlocal cuts
        cuts += 1

    dashboard = Dashboard("ada", "", None, cut)
    for _ in range(MAX_WAITING):
        dashboard.write(b"x")
    assert (cuts, dashboard.closed) == (0, False)
    for _ in range(3):
        dashboard.write(b"x")
    assert (cuts, dashboard.closed, await dashboard.take()) == (1, True, b"")


async def test_last_words_are_sent_before_the_end() -> None:
    dashboard = Dashboard("ada", "", None, lambda: None)
    dashboard.write(b"a")
    dashboard.write(b"b")
    dashboard.close()
    dashboard.write(b"c")
    assert await dashboard.take() == b"ab"
    assert await dashboard.take() == b""


def test_dead_workers_do_not_count_and_unknown_numbers_are_none() -> None:
    row = dict.fromkeys(IN_SHORT)
    rows = [
        {**row, "worker": "w1", "alive": True, "streams": 3, "messages_per_s": 1.25, "errors_per_s": 0.5},
        {**row, "worker": "w2", "alive": False, "streams": 9, "messages_per_s": 9.0, "errors_per_s": 9.0},
        {**row, "worker": "w3", "alive": None, "streams": 1},
    ]
    stats = stats_of(
        {
            "at": "",
            "workers": rows,
            "leader": None,
            "election": {"state": "local"},
            "log": {"state": "ok"},
            "archive": {"state": "ok", "lag_messages": 1, "lag_s": 2.0},
            "parts": {},
            "latency": {},
            "refused": {"rate_limited": 2.0, "not_found": 1.0, "internal": 0.5},
            "errors": [],
        }
    )
    assert (stats["streams"], stats["messages_per_s"], len(stats["workers"])) == (4, 1.2, 3)
    assert (stats["errors_per_s"], stats["refused_per_s"]) == (0.5, 3.0), "errors are the server's, refusals the rest"
