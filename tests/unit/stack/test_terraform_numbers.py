"""The time-outs of worker, container, unit, balancer and group fit each other, in the files that set them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dchat_server.app import KEEP_ALIVE_S
from dchat_server.config import Config
from dchat_server.drain import SPREAD_MS
from dchat_server.supervisor import LAST_WORDS_S

ROOT = Path(__file__).parents[3]
TERRAFORM = ROOT / "terraform"


def text(path: str) -> str:
    return (TERRAFORM / path).read_text("utf-8")


def timeouts() -> dict[str, int]:
    """The numbers of timeouts.tf, by name."""
    return {name: int(number) for name, number in re.findall(r"^ +(\w+_s) += (\d+)", text("timeouts.tf"), re.M)}


T = timeouts()


def test_there_are_the_numbers_this_test_is_about() -> None:
    assert len(T) == 11


def test_a_quiet_stream_outlives_the_balancer() -> None:
    # Three pings may be late before the balancer thinks that nobody is there.
    assert T["ping_s"] * 4 < T["idle_s"]


def test_the_balancer_gives_a_connection_up_before_the_worker_does() -> None:
    # The other way round a request could be sent on a connection that is just being closed: a 502.
    assert T["idle_s"] < KEEP_ALIVE_S


def test_the_worker_is_told_what_it_assumes_by_itself() -> None:
    assert (T["ping_s"], T["drain_s"]) == (Config().ping_interval_s, Config().drain_s)


def test_nobody_kills_a_worker_that_still_drains() -> None:
    gone_s = T["drain_s"] + LAST_WORDS_S
    assert gone_s < T["container_stop_s"] < T["unit_stop_s"]


def test_readers_are_gone_before_the_balancer_cuts_them_off() -> None:
    noticed_s = T["lifecycle_poll_s"] + T["settle_s"]
    assert noticed_s + T["drain_s"] + LAST_WORDS_S <= T["deregistration_s"]


def test_the_group_waits_longer_than_everything_that_it_waits_for() -> None:
    longest_s = T["lifecycle_poll_s"] + T["settle_s"] + T["unit_stop_s"]
    assert longest_s + T["deregistration_s"] < T["lifecycle_hook_s"]


def test_a_dead_worker_is_found_before_its_readers_are_told_to_come_back() -> None:
    # Two failures take it out of the balancer; clients try again for longer than that.
    assert T["health_every_s"] * 2 + SPREAD_MS / 1000 < T["deregistration_s"]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("main.tf", "idle_timeout_s = local.timeouts.idle_s"),
        ("main.tf", "deregistration_s = local.timeouts.deregistration_s"),
        ("main.tf", "health_every_s = local.timeouts.health_every_s"),
        ("main.tf", "timeouts = local.timeouts"),
        ("modules/balancer/main.tf", "idle_timeout = var.idle_timeout_s"),
        ("modules/balancer/main.tf", "deregistration_delay = var.deregistration_s"),
        ("modules/balancer/main.tf", "interval = var.health_every_s"),
        ("modules/workers/main.tf", "heartbeat_timeout = var.timeouts.lifecycle_hook_s"),
        ("modules/workers/main.tf", "DCHAT_PING_INTERVAL_S = tostring(var.timeouts.ping_s)"),
        ("modules/workers/main.tf", "DCHAT_DRAIN_S = tostring(var.timeouts.drain_s)"),
        ("modules/workers/main.tf", '"POLL_S=${var.timeouts.lifecycle_poll_s}",'),
        ("modules/workers/main.tf", '"SETTLE_S=${var.timeouts.settle_s}",'),
        ("modules/workers/files/dchat.service.tftpl", "ExecStop=/usr/bin/docker stop --time ${container_stop_s} dchat"),
        ("modules/workers/files/dchat.service.tftpl", "TimeoutStopSec=${unit_stop_s}"),
        ("modules/workers/files/lifecycle.sh", 'sleep "$POLL_S"'),
        ("modules/workers/files/lifecycle.sh", 'sleep "$SETTLE_S"'),
    ],
)
def test_each_number_is_used_where_it_counts(path: str, line: str) -> None:
    assert line in [re.sub(r" +", " ", each.strip()) for each in text(path).splitlines()]


def test_the_table_in_the_documents_has_these_numbers() -> None:
    document = (ROOT / "docs" / "aws.md").read_text("utf-8")
    table = {name: int(number) for name, number in re.findall(r"^\| `(\w+_s)` \| (\d+) \|", document, re.M)}
    assert table == {**T, "keep_alive_s": KEEP_ALIVE_S}
