"""The fleet of docker-compose.yml starts in order, keeps within bounds, and keeps its data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ENDS_BY_ITSELF = {"table"}
BUILT_HERE = {name for name, service in SERVICES.items() if "build" in service}
"""Their health check is the image's own."""

MIB = {"M": 1, "G": 1024}


def mebibytes(text: str) -> int:
    amount, unit = re.fullmatch(r"(\d+)([MG])", text).groups()  # type: ignore[union-attr]
    return int(amount) * MIB[unit]


def limit_mib(service: str) -> int:
    return mebibytes(SERVICES[service]["deploy"]["resources"]["limits"]["memory"])


def volumes(service: str) -> Iterator[tuple[str, str]]:
    """The service's named volumes, with the place of each."""
    for volume in SERVICES[service].get("volumes", ()):
        source, place = volume.split(":")[:2]
        if not source.startswith("."):
            yield source, place


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ENDS_BY_ITSELF))
def test_what_goes_on_running_says_how_it_is_and_comes_back_and_keeps_within_bounds(name: str) -> None:
    service = SERVICES[name]
    assert "healthcheck" in service or name in BUILT_HERE
    assert service["restart"] == "unless-stopped"
    limits = service["deploy"]["resources"]["limits"]
    assert 0 < float(limits["cpus"]) <= 1
    assert limit_mib(name) <= 512


@pytest.mark.parametrize("name", sorted(ENDS_BY_ITSELF))
def test_what_is_to_end_is_tried_again_only_when_it_failed_and_not_for_ever(name: str) -> None:
    assert re.fullmatch(r"on-failure:\d+", SERVICES[name]["restart"])


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_log_does_not_fill_the_disk(name: str) -> None:
    assert SERVICES[name]["logging"]["options"].keys() >= {"max-size", "max-file"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_nothing_starts_before_what_it_needs_is_well(name: str) -> None:
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        ends = needed in ENDS_BY_ITSELF
        assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy"), needed


def test_workers_wait_for_everything_they_keep_nothing_without() -> None:
    for name in ("worker1", "worker2", "worker3"):
        assert SERVICES[name]["depends_on"].keys() == {"redis", "zookeeper1", "zookeeper2", "zookeeper3", "table"}
        assert f"server {name} " in (ROOT / "deploy/haproxy/haproxy.cfg").read_text("utf-8")
    assert SERVICES["balancer"]["depends_on"].keys() == {"worker1", "worker2", "worker3"}


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - BUILT_HERE))
def test_each_image_of_others_is_pinned_to_a_version(name: str) -> None:
    tag = SERVICES[name]["image"].rsplit(":", 1)[1]
    assert re.match(r"v?\d+\.\d+", tag), tag


@pytest.mark.parametrize("name", ["redis", "dynamodb", "zookeeper1", "zookeeper2", "zookeeper3", "prometheus", "small"])
def test_what_has_data_keeps_it_when_its_container_goes(name: str) -> None:
    kept = list(volumes(name))
    assert kept
    assert {volume for volume, _ in kept} <= COMPOSE["volumes"].keys()
    for other in SERVICES.keys() - {name}:
        assert not {volume for volume, _ in kept} & {volume for volume, _ in volumes(other)}, other


def test_redis_refuses_before_it_is_killed() -> None:
    script = (ROOT / "deploy/redis/start.sh").read_text("utf-8")
    (most,) = re.findall(r"--maxmemory (\d+)mb", script)
    # Its append-only file is written anew by a copy of itself, of which half the pages may differ.
    assert int(most) * 1.5 <= limit_mib("redis")
    assert "--maxmemory-policy noeviction" in script


def test_a_zookeepers_heap_fits_into_its_container() -> None:
    (heap,) = re.findall(r"-Xmx(\d+)m", SERVICES["zookeeper1"]["environment"]["JVMFLAGS"])
    assert int(heap) * 2 <= limit_mib("zookeeper1")
