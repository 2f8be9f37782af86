"""Alarms, their runbooks, the Grafana dashboard and the compose file name things that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text("utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "dchat.json").read_text("utf-8"))
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SUFFIXES = ("_bucket", "_sum", "_count")


def documented() -> set[str]:
    """The metrics that docs/operations.md lists; a test of the server holds that list to what `/metrics` tells."""
    return set(re.findall(r"\bdchat_[a-z_]+", (ROOT / "docs" / "operations.md").read_text("utf-8")))


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\bdchat_[a-z_]+", expression))


def expressions() -> list[tuple[str, str]]:
    found = [(rule["alert"], rule["expr"]) for rule in RULES]
    return found + [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]


@pytest.mark.parametrize(("name", "expression"), expressions())
def test_what_is_asked_of_prometheus_is_told_by_workers(name: str, expression: str) -> None:
    known = documented() | {f"{metric}{suffix}" for metric in documented() for suffix in SUFFIXES}
    assert metrics_in(expression) <= known


def test_each_alarm_has_its_runbook_and_each_runbook_its_alarm() -> None:
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbooks.md").read_text("utf-8"), re.M)
    assert headings == [rule["alert"] for rule in RULES]
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_each_alarm_is_explained_to_operators_with_what_it_asks() -> None:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    table = text[text.index("### What to alarm on") : text.index("### All metrics")]
    told = set(re.findall(r"[a-z_]+(?:\{[^}`]+\})?", table))
    for rule in RULES:
        asked = set(re.findall(r"(?:dchat|process)_[a-z_]+|up\{[^}]+\}", rule["expr"]))
        assert {name for name in asked if name not in told and not any(each.startswith(name) for each in told)} == set()


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells


def workers() -> list[dict[str, Any]]:
    return [service for name, service in COMPOSE["services"].items() if name.startswith("worker")]


def test_compose_sets_only_what_the_server_knows() -> None:
    table = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    known = set(re.findall(r"`(DCHAT_[A-Z0-9_]+)`", table))
    for service in (*workers(), COMPOSE["services"]["small"], COMPOSE["services"]["table"]):
        assert {name for name in service["environment"] if name.startswith("DCHAT_")} <= known


def test_prometheus_scrapes_each_worker_by_itself() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
    (targets,) = [
        each["static_configs"][0]["targets"] for each in config["scrape_configs"] if each["job_name"] == "dchat"
    ]
    assert sorted(targets) == sorted(f"{name}:5000" for name in COMPOSE["services"] if name.startswith("worker"))


def test_a_container_is_stopped_only_after_its_worker_has_drained() -> None:
    drain_s = 12
    assert "| `DCHAT_DRAIN_S` | `--drain-s SECONDS` | 12 |" in (ROOT / "docs" / "configuration.md").read_text("utf-8")
    for service in workers():
        assert int(service["stop_grace_period"].removesuffix("s")) >= drain_s + 3


def test_nothing_is_published_to_other_machines_and_nothing_runs_with_rights_it_does_not_need() -> None:
    for name, service in COMPOSE["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert not service.get("privileged"), name
    for service in (*workers(), COMPOSE["services"]["small"]):
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


def test_the_balancer_holds_nothing_back_and_outlasts_the_silence_between_pings() -> None:
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text("utf-8")
    assert "option http-no-delay" in text
    assert "balance leastconn" in text
    assert "option httpchk GET /readyz" in text
    for kind in ("client", "server"):
        (seconds,) = re.findall(rf"timeout {kind} (\d+)s", text)
        assert int(seconds) > 2 * 15
