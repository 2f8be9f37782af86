"""The metrics of the cluster: made of what the parts really tell, named as Prometheus wants them, and written down."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from dchat_server.adapters.metered_archive import MeteredArchive
from dchat_server.compactor import Compactor
from dchat_server.errors import ArchiveUnavailable
from dchat_server.http.metrics import ClusterMetrics, Figures
from dchat_server.keeper import Keeper
from dchat_server.leader import Leader as Leading
from dchat_server.ports_archive import Archive, Chunk
from dchat_server.ports_cluster import Leader, Member
from dchat_server.restore import Walk
from dchat_server.retention import Retention
from tests.cluster_fakes import FakeLeadership

NOBODY: Any = None
"""Stands for parts that are not asked here."""


class SmallArchive:
    """An archive with one chunk, or none that answers."""

    down = False

    def __getattr__(self, name: str) -> Any:
        async def read(*_: Any) -> list[Chunk]:
            if self.down:
                raise ArchiveUnavailable
            return []

        return read

    async def write_units(self) -> float:
        return 7.5


class Parts:
    """One of each part, as the worker has them."""

    def __init__(self) -> None:
        self.leadership = FakeLeadership(Leader("w1", 7), [Member("w1", "", "1", 1, 0)])
        self.compactor = Compactor(NOBODY, NOBODY, interval_s=1, keep=1)
        self.leader = Leading(self.leadership, NOBODY, NOBODY, [self.compactor])
        self.small = SmallArchive()
        self.archive = MeteredArchive(cast(Archive, self.small))
        self.figures = Figures(
            leadership=self.leadership,
            leader=self.leader.facts,
            compaction=self.compactor.facts,
            people=Keeper(NOBODY, NOBODY, NOBODY).facts,
            restore=Walk(NOBODY, NOBODY, NOBODY, NOBODY).facts,
            retention=Retention(NOBODY, NOBODY, days=1, keep=1).facts,
            restored_rooms=lambda: 3,
            reads=self.archive.watches,
            rebalanced=lambda: 40,
            dashboards=lambda: 2,
            loop_lag_s=lambda: 0.25,
        )

    def samples(self) -> dict[str, float]:
        """name{labels without the worker} → value."""
        registry = CollectorRegistry()
        registry.register(ClusterMetrics("w1", self.figures))
        found = {}
        for family in text_string_to_metric_families(generate_latest(registry).decode()):
            assert family.documentation, family.name
            for sample in family.samples:
                labels = ",".join(f"{name}={value}" for name, value in sample.labels.items() if name != "worker")
                assert sample.labels["worker"] == "w1"
                found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
        return found


@pytest.fixture
def parts() -> Parts:
    return Parts()


def leads(parts: Parts, **told: Any) -> None:
    """Have the worker lead, and its compactor tell this."""
    parts.leader._state = "leading"
    report = parts.compactor.facts()
    parts.figures = Figures(
        **{name: getattr(parts.figures, name) for name in Figures.__slots__}
        | {"compaction": lambda: {**report, **told}}
    )


def test_only_the_worker_that_leads_tells_what_only_a_leader_knows(parts: Parts) -> None:
    before = parts.samples()
    assert before["dchat_leader"] == 0
    assert before["dchat_leader_state{state=following}"] == 1
    assert before["dchat_compaction_state{state=waiting}"] == 1
    assert "dchat_compaction_lag_seconds" not in before
    leads(parts, state="stuck_rooms", lag_messages=40, lag_s=3.5, rooms_stuck=2)
    after = parts.samples()
    assert (after["dchat_leader"], after["dchat_compaction_lag_seconds"], after["dchat_compaction_lag_messages"]) == (
        *(1, 3.5, 40),
    )
    assert after["dchat_compaction_rooms_stuck"] == 2
    states = {name: value for name, value in after.items() if name.startswith("dchat_compaction_state{")}
    assert [name for name, value in states.items() if value] == ["dchat_compaction_state{state=stuck_rooms}"]
    assert after["dchat_shards_behind"] == 0


def test_what_zookeeper_says_is_told(parts: Parts) -> None:
    told = parts.samples()
    assert (told["dchat_election_state{state=connected}"], told["dchat_workers"], told["dchat_leader_known"]) == (
        1,
        1,
        1,
    )
    parts.leadership.state, parts.leadership.leader, parts.leadership.members = "suspended", None, None
    told = parts.samples()
    assert (told["dchat_election_state{state=connected}"], told["dchat_election_state{state=suspended}"]) == (0, 1)
    assert "dchat_workers" not in told
    assert told["dchat_leader_known"] == 0


def test_chunk_sizes_are_a_histogram(parts: Parts) -> None:
    sizes = [{"up_to": 512, "chunks": 3}, {"up_to": 1024, "chunks": 0}, {"up_to": None, "chunks": 1}]
    archived = {"events": 9, "messages": 8, "chunks": 4, "chunk_bytes": 70_000, "commits": 2}
    leads(parts, chunk_sizes=sizes, archived=archived)
    told = parts.samples()
    assert [told[f"dchat_archive_chunk_bytes_bucket{{le={bound}}}"] for bound in ("512.0", "1024.0", "+Inf")] == [
        3,
        3,
        4,
    ]
    assert (told["dchat_archive_chunk_bytes_sum"], told["dchat_archive_chunk_bytes_count"]) == (70_000, 4)
    assert (told["dchat_archived_events_total"], told["dchat_archive_commits_total"]) == (9, 2)


async def test_reads_of_the_archive_are_timed_and_their_failures_counted(parts: Parts) -> None:
    assert await parts.archive.chunks("lobby", 1, 8) == []
    parts.small.down = True
    for _ in range(2):
        with pytest.raises(ArchiveUnavailable):
            await parts.archive.chunks("lobby", 1, 8)
    assert await parts.archive.write_units() == 7.5
    told = parts.samples()
    assert told["dchat_archive_read_seconds_count{call=chunks}"] == 3
    assert told["dchat_archive_read_seconds_bucket{call=chunks,le=+Inf}"] == 3
    assert told["dchat_archive_read_errors_total{call=chunks}"] == 2
    assert told["dchat_archive_read_errors_total{call=rooms}"] == 0


def test_a_read_is_counted_where_it_belongs() -> None:
    watch = MeteredArchive(cast(Archive, SmallArchive())).watches["rooms"]
    for seconds in (0.0, 0.001, 0.0011, 99.0):
        watch.note(seconds)
    assert (watch.counts[0], watch.counts[1], watch.counts[-1], watch.seconds) == (2, 1, 1, pytest.approx(99.0021))


def test_a_worker_without_these_parts_has_none_of_these_metrics() -> None:
    assert list(ClusterMetrics("w1", Figures()).collect()) == []


def test_every_metric_is_in_the_documents(parts: Parts) -> None:
    leads(parts)
    named = {re.sub(r"\{.*", "", name) for name in parts.samples()}
    named = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in named}
    text = (Path(__file__).parents[3] / "docs/operations.md").read_text("utf-8")
    assert [name for name in sorted(named) if f"`{name}" not in text] == []
