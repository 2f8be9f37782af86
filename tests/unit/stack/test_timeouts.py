"""The time-outs of clients, workers, containers, balancers and the group of machines fit each other, in the files that
set them, and docs/operations.md has the same numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dchat_server.drain import notice_of

ROOT = Path(__file__).parents[3]
TERRAFORM = ROOT / "terraform"
HAPROXY, COMPOSE, STACK = "deploy/haproxy/haproxy.cfg", "docker-compose.yml", "terraform/timeouts.tf"
CONFIG, CONNECTION = "dchat_server/config.py", "dchat_client/connection.py"
WEB = "dchat_server/web/lib/"
PLACES: dict[str, list[tuple[str, str]]] = {
    "ping_s": [(CONFIG, r"    ping_interval_s: .*\n.*default=([\d.]+)")],
    "client_silence_s": [
        ("dchat_client/session.py", r"idle_timeout_s: float = ([\d.]+)"),
        (WEB + "session.js", r"idleTimeoutS = ([\d.]+)"),
    ],
    "haproxy_silence_s": [(HAPROXY, r"timeout client (\d+)s"), (HAPROXY, r"timeout server (\d+)s")],
    "haproxy_keep_alive_s": [(HAPROXY, r"timeout http-keep-alive (\d+)s")],
    "keep_alive_s": [("dchat_server/app.py", r"^KEEP_ALIVE_S = ([\d.]+)$")],
    "log_deadline_s": [("dchat_server/adapters/redis_nodes.py", r"^DEADLINE_S = ([\d.]+)$")],
    "archive_wait_s": [("dchat_server/adapters/redis_nodes.py", r"^ARCHIVE_S = ([\d.]+)$")],
    "client_request_s": [
        (CONNECTION, r" timeout_s: float = ([\d.]+)"),
        (WEB + "connection.js", r"timeoutS = ([\d.]+)"),
    ],
    "client_patience_s": [
        (CONNECTION, r"patience_s: float = ([\d.]+)"),
        (WEB + "connection.js", r"patienceS = ([\d.]+)"),
    ],
    "haproxy_check_s": [(HAPROXY, r"default-server inter ([\d.]+)s ")],
    "haproxy_recheck_s": [(HAPROXY, r" fastinter (\d+)ms ")],
    "zookeeper_session_s": [(CONFIG, r"    zookeeper_session_s: .*\n.*default=([\d.]+)")],
    "notice_s": [("dchat_server/drain.py", r"^LONGEST_NOTICE_S = ([\d.]+)$")],
    "return_s": [("dchat_server/drain.py", r"^SPREAD_MS = (\d+)$")],
    "drain_s": [(CONFIG, r"    drain_s: .*\n.*\n +default=([\d.]+)")],
    "last_words_s": [("dchat_server/supervisor.py", r"^LAST_WORDS_S = ([\d.]+)$")],
    "stop_grace_s": [
        (COMPOSE, r"^x-worker: (?:.*\n)*?  stop_grace_period: (\d+)s"),
        (COMPOSE, r"^  small:\n(?:.*\n)*?    stop_grace_period: (\d+)s"),
    ],
}
"""Where each stands outside of timeouts.tf, which names its own."""
MILLISECONDS = ("haproxy_recheck_s", "return_s")
IN_TERRAFORM = 11


def text(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def numbers() -> dict[str, dict[str, float]]:
    """name → what each place says it is, in seconds."""
    found: dict[str, dict[str, float]] = {}
    for name, places in PLACES.items():
        for path, pattern in places:
            match = re.search(pattern, text(path), re.M)
            assert match is not None, f"{path} does not set {name}"
            value = next(float(group) for group in match.groups() if group) / (1000 if name in MILLISECONDS else 1)
            found.setdefault(name, {})[f"{path} {pattern}"] = value
    for name, number in re.findall(r"^ +(\w+_s) += (\d+)", text(STACK), re.M):
        found.setdefault(name, {})[STACK] = float(number)
    return found


NUMBERS = numbers()
T = {name: next(iter(values.values())) for name, values in NUMBERS.items()}
GONE_S = T["drain_s"] + T["last_words_s"]
"""After so long a worker that was told to end has ended."""


def test_each_is_the_same_wherever_it_stands() -> None:
    assert {name: values for name, values in NUMBERS.items() if len(set(values.values())) > 1} == {}
    assert sum(STACK in values for values in NUMBERS.values()) == IN_TERRAFORM


def test_a_quiet_stream_outlives_the_balancers() -> None:
    # Three pings may be late before a balancer thinks that nobody is there.
    assert T["ping_s"] * 4 < min(T["idle_s"], T["haproxy_silence_s"])


def test_a_client_bears_a_ping_that_is_missing_and_not_two() -> None:
    assert 2 * T["ping_s"] < T["client_silence_s"] < 3 * T["ping_s"]


def test_balancers_give_a_connection_up_before_the_worker_does() -> None:
    # The other way round a request could be sent on a connection that is just being closed: a 502.
    assert max(T["idle_s"], T["haproxy_silence_s"], T["haproxy_keep_alive_s"]) < T["keep_alive_s"]


def test_a_client_hears_what_is_wrong_before_it_gives_up() -> None:
    assert (
        max(T["log_deadline_s"], T["archive_wait_s"]) < T["client_request_s"] < min(T["idle_s"], T["haproxy_silence_s"])
    )


def test_a_client_tries_again_also_when_its_first_try_took_all_its_time() -> None:
    assert T["client_request_s"] < T["client_patience_s"]


def test_haproxy_has_heard_of_a_drain_before_streams_are_refused() -> None:
    fall = int(re.search(r"default-server .* fall (\d+) ", text(HAPROXY))[1])  # type: ignore[index]
    heard_s = T["haproxy_check_s"] + (fall - 1) * T["haproxy_recheck_s"]
    assert notice_of(T["drain_s"]) == T["notice_s"]
    assert 2 * heard_s < T["notice_s"]  # a question may take a while to be answered


def test_the_ensembles_grant_the_session_that_workers_ask_for() -> None:
    (tick_ms,) = re.findall(r"^tickTime=(\d+)$", text("terraform/modules/ensemble/files/zoo.cfg.tftpl"), re.M)
    assert "tickTime" not in text(COMPOSE)  # the image's own is the same
    assert int(tick_ms) == 2000
    assert 2 * int(tick_ms) / 1000 <= T["zookeeper_session_s"] <= 20 * int(tick_ms) / 1000


def test_nobody_kills_a_worker_that_still_drains() -> None:
    assert GONE_S < T["container_stop_s"] < T["unit_stop_s"]
    assert T["stop_grace_s"] > GONE_S
    assert "STOPSIGNAL SIGTERM" in text("Dockerfile")


def test_readers_are_gone_before_the_balancer_cuts_them_off() -> None:
    noticed_s = T["lifecycle_poll_s"] + T["settle_s"]
    assert noticed_s + GONE_S <= T["deregistration_s"]


def test_the_group_waits_longer_than_everything_that_it_waits_for() -> None:
    longest_s = T["lifecycle_poll_s"] + T["settle_s"] + T["unit_stop_s"]
    assert longest_s + T["deregistration_s"] < T["lifecycle_hook_s"]


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
        ("modules/workers/main.tf", "default_instance_warmup = var.timeouts.warmup_s"),
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
def test_each_number_of_terraform_is_used_where_it_counts(path: str, line: str) -> None:
    lines = (TERRAFORM / path).read_text("utf-8").splitlines()
    assert line in [re.sub(r" +", " ", each.strip()) for each in lines]


def test_compose_leaves_these_settings_of_the_workers_alone() -> None:
    for name in ("DCHAT_DRAIN_S", "DCHAT_PING_INTERVAL_S", "DCHAT_ZOOKEEPER_SESSION_S"):
        assert f"{name}:" not in text(COMPOSE)


def test_the_table_in_the_documents_has_these_numbers_and_the_files_they_stand_in() -> None:
    rows = re.findall(r"^\| `(\w+_s)` \| ([\d.]+) \| [^|]+ \| ([^|]+) \|", text("docs/operations.md"), re.M)
    assert {name: float(number) for name, number, _ in rows} == T
    named = {name: set(re.findall(r"`([\w./-]+\.\w+)`", where)) for name, _, where in rows}
    assert named == {name: {place.split(" ")[0] for place in values} for name, values in NUMBERS.items()}
