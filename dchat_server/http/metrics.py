"""What Prometheus is told of the cluster: who leads, how far the archive is, what fails. Read off the parts' own
figures when somebody scrapes; a part that is not there has no metric.

What only a leader knows (`dchat_compaction_lag_seconds`, …) is told by the worker that leads and by no other. So a rule
takes `max(…)` over the workers, and an absent value means that nobody leads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from dchat_server.ports_cluster import Leadership

ELECTION_STATES = ("connected", "suspended", "lost", "local")
LEADER_STATES = ("following", "raising", "leading", "no_archive", "no_log", "fenced")
COMPACTION_STATES = ("ok", "waiting", "starting", "archive_unavailable", "log_unavailable", "stuck_rooms")
RETENTION_STATES = ("ok", "waiting", "clock", "archive_unavailable", "log_unavailable")

Facts = Callable[[], Mapping[str, Any]]


class Watch(Protocol):
    """Times of one kind of read; `adapters.metered_archive.Watch` is one."""

    bounds_s: Sequence[float]
    seconds: float
    errors: int

    def up_to(self, bounds_s: Sequence[float]) -> list[tuple[str, float]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Where the figures come from; None where a worker has no such part."""

    leadership: Leadership | None = None
    leader: Facts | None = None
    """`Leader.facts`."""
    compaction: Facts | None = None
    """`Compactor.facts`."""
    people: Facts | None = None
    """`Keeper.facts`."""
    restore: Facts | None = None
    """`Walk.facts`."""
    retention: Facts | None = None
    """`Retention.facts`."""
    restored_rooms: Callable[[], int] | None = None
    """Rooms this worker brought back on first touch."""
    reads: Mapping[str, Watch] | None = None
    """`MeteredArchive.watches`."""
    rebalanced: Callable[[], int] | None = None
    dashboards: Callable[[], int] | None = None
    loop_lag_s: Callable[[], float] | None = None
    traces: Callable[[], Mapping[str, int]] | None = None
    """`Tracing.facts`."""


class ClusterMetrics(Collector):
    """The metrics of `figures`, labelled with this worker's name."""

    def __init__(self, worker: str, figures: Figures) -> None:
        self._worker, self._of = worker, figures

    def collect(self) -> Iterator[Metric]:
        yield from self._small()
        if self._of.leadership is not None:
            yield from self._election(self._of.leadership)
        if self._of.leader is not None:
            yield from self._leader(self._of.leader())
        leads = self._of.leader is None or self._of.leader()["state"] == "leading"
        if self._of.compaction is not None:
            yield from self._compaction(self._of.compaction(), leads)
        if self._of.people is not None:
            yield from self._people(self._of.people(), leads)
        if self._of.restore is not None:
            yield from self._restore(self._of.restore(), leads)
        if self._of.retention is not None:
            yield from self._retention(self._of.retention())
        if self._of.reads is not None:
            yield from self._reads(self._of.reads)

    def _small(self) -> Iterator[Metric]:
        of = self._of
        if of.loop_lag_s is not None:
            yield self._gauge(
                "loop_lag_seconds", "How late the event loop was at most in the last second.", of.loop_lag_s()
            )
        if of.dashboards is not None:
            yield self._gauge("dashboards", "Open streams of /v1/cluster/events.", of.dashboards())
        if of.rebalanced is not None:
            yield self._counter(
                "rebalanced_streams", "Streams that workers were asked to send elsewhere.", of.rebalanced()
            )
        if of.traces is not None:
            spans = CounterMetricFamily(
                "dchat_trace_spans", "Spans, by what became of them.", labels=["worker", "outcome"]
            )
            for outcome, count in of.traces().items():
                spans.add_metric([self._worker, outcome], float(count))
            yield spans
        if of.restored_rooms is not None:
            yield self._counter("restored_rooms", "Rooms brought back from the archive.", of.restored_rooms())

    def _election(self, leadership: Leadership) -> Iterator[Metric]:
        yield self._state("election_state", "The worker's standing with ZooKeeper.", ELECTION_STATES, leadership.state)
        yield self._gauge("leader_known", "1 while the worker knows who leads.", leadership.leader is not None)
        if leadership.members is not None:
            yield self._gauge("workers", "Workers that the election knows.", len(leadership.members))

    def _leader(self, facts: Mapping[str, Any]) -> Iterator[Metric]:
        yield self._gauge("leader", "1 while this worker leads.", facts["state"] == "leading")
        yield self._state("leader_state", "How far this worker has come as the leader.", LEADER_STATES, facts["state"])
        yield self._gauge(
            "leader_fence", "The fence of this worker's present term; 0 when it has none.", facts["fence"]
        )
        yield self._counter("leader_terms", "Terms of this worker.", facts["terms"])
        yield self._counter("fence_refusals", "Writes refused because a later term had begun.", facts["refusals"])
        running = GaugeMetricFamily("dchat_duty_running", "1 while the duty runs.", labels=["worker", "duty"])
        stuck = GaugeMetricFamily("dchat_duty_stuck", "1 when it did not end with its term.", labels=["worker", "duty"])
        failures = CounterMetricFamily("dchat_duty_failures", "How often the duty failed.", labels=["worker", "duty"])
        for name, duty in facts["duties"].items():
            running.add_metric([self._worker, name], float(duty["running"]))
            stuck.add_metric([self._worker, name], float(duty["stuck"]))
            failures.add_metric([self._worker, name], float(duty["failures"]))
        yield from (running, stuck, failures)

    def _compaction(self, report: Mapping[str, Any], leads: bool) -> Iterator[Metric]:
        yield self._state("compaction_state", "What compaction does or waits for.", COMPACTION_STATES, report["state"])
        if leads:
            yield self._gauge(
                "compaction_lag_messages", "Events that are known not to be archived yet.", report["lag_messages"]
            )
            yield self._gauge(
                "compaction_lag_seconds", "Age of the oldest event that is not archived.", report["lag_s"]
            )
            yield self._gauge("compaction_rooms_dirty", "Rooms that have such events.", report["rooms_dirty"])
            yield self._gauge("compaction_rooms_stuck", "Rooms that cannot be archived.", report["rooms_stuck"])
            yield self._gauge(
                "compaction_last_round_timestamp_seconds", "When the last round ended.", report["round_at"] / 1000
            )
        done = report["archived"]
        yield self._counter("archived_events", "Events this worker archived.", done["events"])
        yield self._counter("archived_messages", "Messages among them.", done["messages"])
        yield self._counter("archive_commits", "Commits of rooms.", done["commits"])
        yield self._counter("compaction_conflicts", "Commits that found the room changed.", report["conflicts"])
        yield self._counter("compaction_unclear", "Times that archive or log did not answer.", report["unclear"])
        yield self._counter("archive_write_units", "DynamoDB write units used.", report["write_units"])
        buckets = [(str(float(each["up_to"] or "inf")), each["chunks"]) for each in report["chunk_sizes"]]
        yield self._histogram(
            "archive_chunk_bytes", "Packed sizes of chunks that were written.", {}, buckets, done["chunk_bytes"]
        )

    def _people(self, facts: Mapping[str, Any], leads: bool) -> Iterator[Metric]:
        if leads:
            yield self._gauge("people_unsaved", "People whose record waits to be saved.", facts["waiting"])
        yield self._counter("people_saved", "Records of people that were saved.", facts["saved"])

    def _restore(self, facts: Mapping[str, Any], leads: bool) -> Iterator[Metric]:
        if leads:
            yield self._gauge("shards_behind", "Shards that lost data and do not have it back.", len(facts["behind"]))
        brought = CounterMetricFamily(
            "dchat_walk_restored", "Rooms and people brought back by the leader.", labels=["worker", "kind"]
        )
        for kind in ("rooms", "users"):
            brought.add_metric([self._worker, kind], float(facts[kind]))
        yield brought

    def _retention(self, report: Mapping[str, Any]) -> Iterator[Metric]:
        yield self._state("retention_state", "What retention does or waits for.", RETENTION_STATES, report["state"])
        yield self._counter("expired_events", "Events dropped because of their age.", report["expired_events"])
        yield self._counter("expired_chunks", "Chunks dropped because of their age.", report["expired_chunks"])

    def _reads(self, reads: Mapping[str, Watch]) -> Iterator[Metric]:
        family = HistogramMetricFamily(
            "dchat_archive_read_seconds", "Time the archive took to answer.", labels=["worker", "call"]
        )
        errors = CounterMetricFamily(
            "dchat_archive_read_errors", "Reads the archive did not answer.", labels=["worker", "call"]
        )
        for call, watch in reads.items():
            family.add_metric([self._worker, call], watch.up_to(watch.bounds_s), watch.seconds)
            errors.add_metric([self._worker, call], watch.errors)
        yield from (family, errors)

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(f"dchat_{name}", text, labels=["worker"])
        family.add_metric([self._worker], float(value))
        return family

    def _counter(self, name: str, text: str, value: float) -> Metric:
        family = CounterMetricFamily(f"dchat_{name}", text, labels=["worker"])
        family.add_metric([self._worker], float(value))
        return family

    def _state(self, name: str, text: str, states: Sequence[str], present: str) -> Metric:
        """One series a state, 1 for the present one."""
        family = GaugeMetricFamily(f"dchat_{name}", text, labels=["worker", "state"])
        for state in dict.fromkeys((*states, present)):
            family.add_metric([self._worker, state], float(state == present))
        return family

    def _histogram(
        self, name: str, text: str, labels: Mapping[str, str], buckets: Sequence[tuple[str, int]], total: float
    ) -> Metric:
        family = HistogramMetricFamily(f"dchat_{name}", text, labels=["worker", *labels])
        family.add_metric([self._worker, *labels.values()], _rising(buckets), total)
        return family


def _rising(buckets: Any) -> list[tuple[str, float]]:
    """Counts of each bucket as Prometheus wants them: of all that are not larger."""
    rows, total = [], 0
    for bound, count in buckets:
        total += count
        rows.append(("+Inf" if bound == "inf" else bound, float(total)))
    return rows
