"""A real Prometheus scrapes real workers by the project's own configuration: what it is asked has answers, and alarms
ring when something breaks, and stop when it is mended."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Iterator

import aiohttp
import pytest
import pytest_asyncio
import yaml

from tests.harness.crowd import Reader, stop_all
from tests.harness.people import house
from tests.harness.processes import ROOT, Running, eventually, free_port, new_folder
from tests.harness.prometheus import Prometheus
from tests.harness.redis import RedisServer
from tests.harness.workers import Workers

DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "dchat.json").read_text("utf-8"))
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text("utf-8"))["groups"][0]["rules"]
OWN = re.compile(r"\b(?:dchat|process)_[a-z_]+|\bup\b")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer(aof="everysec") as server:
        yield server


@pytest.fixture(scope="module")
def crew(redis: RedisServer) -> Iterator[Workers]:
    with Workers(redis.url, 3, DCHAT_COMPACT_INTERVAL_S="0.2", DCHAT_COMPACT_KEEP="0") as workers:
        yield workers


@pytest.fixture(scope="module")
def balancer(crew: Workers) -> Iterator[str]:
    """The address at which the balancer of compose tells its own metrics."""
    text = (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text("utf-8")
    chat, health = free_port(), free_port()
    text = text.replace("bind :8080", f"bind 127.0.0.1:{chat}").replace("bind :8404", f"bind 127.0.0.1:{health}")
    text = text.replace("maxconn 20000", "maxconn 2000")  # no more than this machine has descriptors for
    for number, worker in enumerate(crew, 1):
        text = text.replace(f"worker{number}:5000", f"127.0.0.1:{worker.port}")
    folder = new_folder()
    (folder / "haproxy.cfg").write_text(text, "utf-8")
    found = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    assert found is not None
    with Running("haproxy", [found, "-db", "-f", str(folder / "haproxy.cfg")], folder):
        yield f"127.0.0.1:{health}"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def prometheus(crew: Workers, balancer: str) -> Iterator[Prometheus]:
    targets = {"dchat": [worker.url.removeprefix("http://") for worker in crew], "balancer": [balancer]}
    with Prometheus(targets) as server:
        yield server


UNSURE = {
    *("DChatSendsRefused", "DChatLeadershipFlaps", "DChatDutyFailing", "DChatArchiveReadsFail"),  # of the last minutes
    *("DChatLoopHeldUp", "DChatSendingSlow", "DChatDeliverySlow"),  # the machine of the tests may be busy
}
"""Alarms that may ring here while nothing is broken."""


@pytest_asyncio.fixture
async def calm(crew: Workers, prometheus: Prometheus) -> Prometheus:
    """Prometheus, once it has seen that all is well."""
    crew.revive()
    well = "count(up == 1) == 4 and sum(dchat_leader) == 1 and min(dchat_log_reader_alive) == 1"
    await eventually(lambda: asyncio.to_thread(prometheus.query, well), "all is well", every_s=0.1)
    await eventually(lambda: not prometheus.firing() - UNSURE, "no alarm rings", every_s=0.1)
    return prometheus


async def talk(crew: Workers, calm: Prometheus, http: aiohttp.ClientSession) -> None:
    """Two people talk until Prometheus has seen it and the archive holds some of it."""
    people, (room,) = await house(http, crew.urls, 2)
    readers = [Reader(people[1], worker=number).start() for number in range(3)]
    for reader in readers:
        await reader.live.wait()

    async def seen() -> bool:
        await people[0].send(room, "hello")
        rates = ("dchat_send_seconds_count", "dchat_delivery_seconds_count", "dchat_archived_messages_total")
        return all([await asyncio.to_thread(calm.query, f"sum(rate({name}[10s])) > 0") for name in rates])

    await eventually(seen, "Prometheus has seen people talk", every_s=0.1)
    await stop_all(readers)


def asked() -> list[tuple[str, str]]:
    """What the dashboard and the rules ask, by title."""
    panels = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [(title, expression.replace("$__rate_interval", "10s")) for title, expression in panels]


async def test_each_panel_has_data_and_each_rule_a_metric_that_workers_tell(
    crew: Workers, calm: Prometheus, http: aiohttp.ClientSession
) -> None:
    await talk(crew, calm, http)
    names = set(calm.ask("label/__name__/values"))
    rules = [(rule["name"], rule["query"]) for rule in calm.rules()]
    missing = {(title, name) for title, asks in [*asked(), *rules] for name in OWN.findall(asks) if name not in names}
    assert not missing
    for title, expression in asked():  # a scrape that came late leaves a hole for a moment
        await eventually(lambda asks=expression: calm.query(asks), f"the panel {title!r} has data", every_s=0.1)


async def test_all_rules_can_be_evaluated_and_none_rings_while_all_is_well(
    calm: Prometheus,
) -> None:
    def judged() -> bool:
        return all(rule["health"] != "unknown" for rule in calm.rules())

    await eventually(judged, "each rule was evaluated", every_s=0.1)
    assert not [rule for rule in calm.rules() if rule["health"] != "ok" or rule.get("lastError")]
    assert len(calm.rules()) == len(RULES)
    assert not calm.firing() - UNSURE


async def test_an_alarm_rings_when_a_worker_dies_and_stops_when_it_is_back(crew: Workers, calm: Prometheus) -> None:
    crew[2].kill()
    await eventually(lambda: "DChatWorkerDown" in calm.firing(), "the alarm rings", every_s=0.1)
    (alert,) = [each for each in calm.ask("alerts")["alerts"] if each["labels"]["alertname"] == "DChatWorkerDown"]
    assert alert["labels"]["instance"] == crew[2].url.removeprefix("http://")
    assert alert["annotations"]["summary"] == f"Worker {alert['labels']['instance']} does not answer"

    crew.revive()
    await eventually(lambda: "DChatWorkerDown" not in calm.firing(), "the alarm stops", every_s=0.1)


async def test_alarms_ring_when_redis_is_away_and_the_first_refused_send_is_one_of_them(
    redis: RedisServer, crew: Workers, calm: Prometheus, http: aiohttp.ClientSession
) -> None:
    (ada,), (room,) = await house(http, crew.urls, 1)
    redis.process.kill()
    answer = await ada.ask("POST", f"/v1/rooms/{room}/messages", {"text": "once"})
    assert answer.code == "backend_unavailable"
    expected = {"DChatLogUnreadable", "DChatSendsRefused"}
    await eventually(lambda: expected <= calm.firing(), "the alarms ring", every_s=0.1)

    redis.restart()
    await eventually(lambda: not calm.firing() - UNSURE, "the alarms stop", every_s=0.1)
