"""The cluster as operators see it, `GET /v1/cluster`, put together from what each part said. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dchat_server.latency import WINDOW_S, merged, summary_ms
from dchat_server.model import iso
from dchat_server.ports_cluster import Leader, Leadership, Member

FRESH_S = 5.0
"""A leader's report that is older says nothing about now."""
STALLED = ("fenced", "no_archive", "no_log")
"""A worker was elected and cannot lead; see `leader.Leader.state`."""


@dataclass(slots=True)
class Heard:
    """What the board said; `error` when it did not."""

    board: Mapping[str, Mapping[str, Any]] | None = None
    report: Mapping[str, Any] | None = None
    error: str = ""


def leader_of(leadership: Leadership, report: Mapping[str, Any] | None) -> Leader | None:
    """Who leads. Where the election cannot say (there is none, or it is out of reach), whoever reports as leader."""
    leader = leadership.leader
    if leader is None and leadership.state != "connected" and report and report["age_ms"] < FRESH_S * 1000:
        return Leader(str(report["worker"]), int(report["epoch"]))
    return leader


def picture(
    *,
    now_ms: int,
    me: Member,
    mine: Mapping[str, Any],
    leadership: Leadership,
    heard: Heard,
    heads: Sequence[tuple[int, int]],
    log_alive: bool,
    kinds: Mapping[str, str],
) -> dict[str, Any]:
    """The answer of `GET /v1/cluster`."""
    errors = []
    if heard.error:
        errors.append({"part": "board", "detail": heard.error})
    if leadership.state in ("suspended", "lost"):
        errors.append({"part": "election", "detail": "ZooKeeper does not answer this worker, or has no quorum."})
    if not log_alive:
        errors.append({"part": "log", "detail": "This worker cannot read the message log."})
    leader = leader_of(leadership, heard.report)
    report = heard.report
    said = {**(heard.board or {}), me.worker: mine}
    workers = _workers(said, leadership.members, heard.board is not None, now_ms)
    archive = _archive(leader, report, heard, [row["leading"] for row in workers if row["alive"] is not False])
    log_state = "ok" if log_alive else "unavailable"
    states = {"log": log_state, "election": leadership.state, "archive": archive["state"]}
    return {
        "at": iso(now_ms),
        "worker": me.worker,
        "leader": None if leader is None else {"worker": leader.worker, "epoch": leader.fence},
        "election": {"state": leadership.state},
        "workers": workers,
        "log": {
            "state": log_state,
            "shards": [{"shard": at, "epoch": epoch, "head": head} for at, (epoch, head) in enumerate(heads)],
        },
        "archive": archive,
        "parts": {part: {"kind": kinds[part], "state": state} for part, state in states.items()},
        "latency": _latency(said.values()),
        "refused": _refused(said.values()),
        "errors": errors,
    }


def _workers(
    said: Mapping[str, Mapping[str, Any]],
    members: Sequence[Member] | None,
    heard: bool,
    now_ms: int,
) -> list[dict[str, Any]]:
    there = {member.worker: member for member in members or ()}
    rows = []
    for worker in sorted(said.keys() | there.keys()):
        member, facts = there.get(worker), said.get(worker)
        # Who speaks is alive, whatever ZooKeeper thinks of its session; who is silent is not, unless nobody is heard.
        alive: bool | None = facts is not None
        if facts is None and not heard:
            alive = None
        known: Mapping[str, Any] = facts or {}
        started_at = int(known.get("started_at") or (member.started_at if member else now_ms))
        rows.append(
            {
                "worker": worker,
                "address": known.get("address") or (member.address if member else None),
                "version": known.get("version") or (member.version if member else None),
                "started_at": iso(started_at),
                "uptime_s": known.get("uptime_s", round(max(0, now_ms - started_at) / 1000, 1)),
                "alive": alive,
                "member": None if members is None else member is not None,
                "streams": known.get("streams", member.streams if member else None),
                **{name: known.get(name) for name in _TOLD},
                "heard_ms": known.get("age_ms"),
            }
        )
    return rows


_TOLD = (
    *("draining", "log_reader_alive", "messages", "deliveries", "messages_per_s", "deliveries_per_s"),
    *("errors_per_s", "send_p99_ms", "loop_lag_ms", "memory_bytes", "leading"),
)


def _latency(said: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """How long things took on all workers together: of their histograms' sum, as percentiles have none."""
    told = list(said)
    return {"window_s": WINDOW_S} | {
        f"{what}_ms": summary_ms(merged(facts.get(what, ()) for facts in told)) for what in ("send", "delivery")
    }


def _refused(said: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Problems that all workers answer a second, by code."""
    total: Counter[str] = Counter()
    for facts in said:
        total.update(facts.get("refused", {}))
    return {code: round(rate, 2) for code, rate in sorted(total.items()) if rate}


def _archive(
    leader: Leader | None, report: Mapping[str, Any] | None, heard: Heard, leading: Iterable[str]
) -> dict[str, Any]:
    """What the leader says of the archive, and what to make of its silence. `leading` is how far each worker that is
    there has come as the leader."""
    report = report or {}
    told = report.get("archive") or {}
    fresh = bool(report) and report["age_ms"] < FRESH_S * 1000
    stalled = [state for state in leading if state in STALLED]
    if heard.error:
        state = "unknown"
    elif stalled:
        state = stalled[0]
    elif leader is None:
        state = "no_leader"
    elif fresh and report["epoch"] == leader.fence:
        state = _reported(report)
    else:
        state = "silent"
    error, restore = told.get("last_error"), report.get("restore") or {}
    return {
        "state": state,
        "as_of": iso(int(report["at"])) if report else None,
        "lag_messages": told.get("lag_messages"),
        "lag_s": told.get("lag_s"),
        "rooms_dirty": told.get("rooms_dirty"),
        "rooms_stuck": told.get("rooms_stuck"),
        "people_waiting": (report.get("people") or {}).get("waiting"),
        "shards_behind": restore.get("behind"),
        "slowest": [{name: row.get(name) for name in _ROOM} for row in told.get("slowest", ())],
        "stuck": [{**row, "since": iso(row["since"])} for row in told.get("stuck", ())],
        "archived": told.get("archived"),
        "write_units": told.get("write_units"),
        "last_error": {"at": iso(told["last_error_at"]), "detail": error} if error else None,
        "duties": [_duty(name, duty) for name, duty in _duties(report).items()],
    }


_ROOM = ("room", "watermark", "head", "lag", "lag_s")


def _reported(report: Mapping[str, Any]) -> str:
    """The leader's report in a word: the worst that it says."""
    if any(duty["stuck"] or (duty["failures"] and not duty["running"]) for duty in _duties(report).values()):
        return "duty_failing"
    state = (report.get("archive") or {}).get("state", "waiting")
    if state != "ok":
        return "starting" if state == "waiting" else str(state)
    if (report.get("restore") or {}).get("behind"):
        return "restoring"
    if (report.get("people") or {}).get("state", "ok") != "ok":
        return "people_unsaved"
    return "ok"


def _duties(report: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    duties: Mapping[str, Mapping[str, Any]] = (report.get("leader") or {}).get("duties") or {}
    return duties


def _duty(name: str, duty: Mapping[str, Any]) -> dict[str, Any]:
    failed = {"at": iso(duty["at"]), "detail": duty["error"]} if duty["error"] else None
    return {**{key: duty[key] for key in ("running", "failures", "stuck")}, "duty": name, "last_error": failed}
