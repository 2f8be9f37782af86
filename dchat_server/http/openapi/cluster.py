"""The operations on the cluster as a whole, for its administrators, and what they answer."""

from __future__ import annotations

import json

from dchat_server.dashboards import IN_SHORT, MOST
from dchat_server.http.openapi.build import (
    Json,
    Operation,
    body,
    flag,
    listed,
    maybe,
    moment,
    obj,
    operation,
    path,
    ref,
    reply,
    text,
    whole,
    with_headers,
    word,
)

TAG = "Cluster"

_ARCHIVE_STATES = {
    "ok": "it is being filled",
    "starting": "a new leader has not looked around yet",
    "archive_unavailable": "the archive does not answer: all rooms wait",
    "log_unavailable": "the message log does not answer the leader: all rooms wait",
    "restoring": "the message log lost data, which is being brought back",
    "people_unsaved": "accounts or read markers could not be saved lately",
    "duty_failing": "a duty of the leader fails, see `duties`",
    "stuck_rooms": "some rooms cannot be archived, see `stuck`; the others go on",
    "no_leader": "nobody leads, so nothing is archived",
    "no_archive": "a worker was elected, and cannot lead before the archive answers",
    "no_log": "a worker was elected, and cannot lead before the message log answers",
    "fenced": "the election gives lower epochs than the archive has seen: ZooKeeper was wiped",
    "silent": "there is a leader, which has not reported for 5 s",
    "unknown": "the leader's report cannot be read",
}
_EPOCH = whole(
    "Rises with every change of leadership, and is the fence of what the leader writes. May be larger than 2^53.",
    0,
    2**63 - 1,
)
_EXAMPLE_LEADER = {"worker": "host-71-2f0a", "epoch": 4294967311}
_EXAMPLE_WORKER = {
    "worker": "host-71-2f0a",
    "address": "10.0.0.7:5000",
    "version": "0.2.0",
    "started_at": "2026-11-23T06:00:00.000Z",
    "uptime_s": 360.5,
    "alive": True,
    "member": True,
    "streams": 812,
    "draining": False,
    "log_reader_alive": True,
    "messages": 9120,
    "deliveries": 730011,
    "messages_per_s": 25.0,
    "deliveries_per_s": 2031.0,
    "errors_per_s": 0.0,
    "send_p99_ms": 8.1,
    "loop_lag_ms": 1.2,
    "memory_bytes": 71303168,
    "leading": "leading",
    "heard_ms": 412,
}
_EXAMPLE_PARTS = {
    "log": {"kind": "redis", "state": "ok"},
    "election": {"kind": "zookeeper", "state": "connected"},
    "archive": {"kind": "dynamodb", "state": "ok"},
}
_EXAMPLE_LATENCY = {
    "window_s": 10,
    "send_ms": {"p50": 1.2, "p95": 3.0, "p99": 8.1, "count": 250},
    "delivery_ms": {"p50": 1.4, "p95": 3.6, "p99": 9.0, "count": 212},
}
_EXAMPLE = {
    "at": "2026-11-23T06:06:00.250Z",
    "worker": "host-71-2f0a",
    "leader": _EXAMPLE_LEADER,
    "election": {"state": "connected"},
    "workers": [_EXAMPLE_WORKER],
    "log": {"state": "ok", "shards": [{"shard": 0, "epoch": 1795413600, "head": 9120}]},
    "archive": {
        "state": "ok",
        "as_of": "2026-11-23T06:05:59.900Z",
        "lag_messages": 40,
        "lag_s": 3.1,
        "rooms_dirty": 2,
        "rooms_stuck": 0,
        "people_waiting": 0,
        "shards_behind": [],
        "slowest": [{"room": "lobby", "watermark": 9080, "head": 9120, "lag": 40, "lag_s": 3.1}],
        "stuck": [],
        "archived": {"events": 9080, "messages": 9001, "chunks": 46, "chunk_bytes": 310400, "commits": 41},
        "write_units": 0,
        "last_error": None,
        "duties": [{"duty": "compactor", "running": True, "failures": 0, "stuck": False, "last_error": None}],
    },
    "parts": _EXAMPLE_PARTS,
    "latency": _EXAMPLE_LATENCY,
    "refused": {"rate_limited": 3.0},
    "errors": [],
}
_STATS = {
    "type": "stats",
    "time": "2026-11-23T06:06:00.250Z",
    "messages_per_s": 25.0,
    "deliveries_per_s": 2031.0,
    "errors_per_s": 0.0,
    "refused_per_s": 3.0,
    "refused": {"rate_limited": 3.0},
    "latency": _EXAMPLE_LATENCY,
    "streams": 812,
    "workers": [{name: _EXAMPLE_WORKER[name] for name in IN_SHORT}],
    "leader": _EXAMPLE_LEADER,
    "election": "connected",
    "log": "ok",
    "archive": "ok",
    "lag": {"messages": 40, "seconds": 3.1},
    "parts": _EXAMPLE_PARTS,
    "errors": [],
}

_LEADING = ("following", "raising", "leading", "no_archive", "no_log", "fenced")


def _number(description: str = "") -> Json:
    return {"type": ["number", "null"], "minimum": 0} | ({"description": description} if description else {})


def _known(schema: Json) -> Json:
    """The same, or null when it is not known."""
    return maybe(schema)


def schemas() -> Json:
    """What these operations answer, by name."""
    worker = {
        "worker": text("Its id: one process, never used again."),
        "address": _known(text("Where it listens.")),
        "version": _known(text("The server's version.")),
        "started_at": moment("When it started, by its own clock."),
        "uptime_s": _number("For how long it has been running."),
        "alive": _known(flag("It said something within 10 s; null when nobody can be heard.")),
        "member": _known(flag("The election knows it; null when no ensemble is used or none answers.")),
        "draining": _known(flag("It takes no streams.")),
        "log_reader_alive": _known(flag("It follows the message log.")),
        "streams": _known(whole("Open streams.")),
        "messages": _known(whole("Messages it has stored since it started.")),
        "deliveries": _known(whole("Events it has written to streams since it started.")),
        "messages_per_s": _number("Messages it stored, over the last second."),
        "deliveries_per_s": _number("Events it wrote to streams, over the last second."),
        "errors_per_s": _number("Problems with a status of 500 and more that it answered, over the last second."),
        "send_p99_ms": _number("Of the sends of the last 10 s, what 99 % did not exceed; null when there were none."),
        "loop_lag_ms": _number("How late its event loop was, at most, in the last second."),
        "memory_bytes": _known(whole("Memory it has resident.")),
        "leading": _known(word(*_LEADING, description="How far it has come as the leader.")),
        "heard_ms": _known(whole("How long ago it said all this.")),
    }
    leader = _known(ref("Leader") | {"description": "null: nobody leads, or nobody can say who."})
    problems = listed(ref("ClusterError"), "What could not be asked, and so is null here.")
    return {
        "Leader": obj("worker epoch", {"worker": text("The worker that leads."), "epoch": _EPOCH}),
        "ClusterError": obj("part detail", {"part": word("board", "election", "log", "archive"), "detail": text()}),
        "ClusterWorker": obj(" ".join(worker), worker),
        "Cluster": obj(
            "at worker leader election workers log archive parts latency refused errors",
            {
                "at": moment("When this was put together."),
                "worker": text("The worker that did."),
                "leader": leader,
                "election": obj("state", {"state": ref("ElectionState")}),
                "workers": listed(ref("ClusterWorker")),
                "log": obj(
                    "state shards",
                    {
                        "state": word("ok", "unavailable"),
                        "shards": listed(
                            obj("shard epoch head", {"shard": whole(), "epoch": whole(), "head": whole()}),
                            "How far this worker has read each shard's feed.",
                        ),
                    },
                ),
                "archive": ref("ArchiveStanding"),
                "parts": ref("Parts"),
                "latency": ref("Latency"),
                "refused": _refused(),
                "errors": problems,
            },
        ),
        "Parts": _parts(),
        "Latency": _latency(),
        "Percentiles": obj(
            "p50 p95 p99 count",
            {f"p{share}": {"type": "number", "description": f"{share} % took no longer."} for share in (50, 95, 99)}
            | {"count": whole("How many were measured.", 1)},
            "In ms, exact to a quarter of the value.",
        ),
        "ArchiveStanding": _archive_schema(),
        "ElectionState": word(
            *("connected", "suspended", "lost", "local"),
            description="`suspended`, `lost`: ZooKeeper does not answer or has no quorum. `local`: there is none.",
        ),
        **_room_schemas(),
        **_event_schemas(obj(" ".join(IN_SHORT), {name: worker[name] for name in IN_SHORT}), leader, problems),
    }


def _parts() -> Json:
    """What the cluster stands on: kinds as the answering worker is configured, states as elsewhere in the answer."""
    kinds = {
        "log": (word("embedded", "redis", "redis cluster", "sentinel"), word("ok", "unavailable")),
        "election": (word("file", "zookeeper"), ref("ElectionState")),
        "archive": (word("sqlite", "dynamodb"), word(*_ARCHIVE_STATES)),
    }
    parts = {part: obj("kind state", {"kind": kind, "state": state}) for part, (kind, state) in kinds.items()}
    return obj(" ".join(parts), parts, "What the cluster stands on, and how each part is.")


def _latency() -> Json:
    members = {
        "window_s": {"type": "number", "description": "Measured over so many seconds up to now."},
        "send_ms": _known(
            ref("Percentiles")
            | {"description": "From a message's request to its answer, where it was stored; batches are not measured."}
        ),
        "delivery_ms": _known(
            ref("Percentiles")
            | {
                "description": "From a message's request to when the worker that took it had given it to its own "
                "streams; of one message in 10 ms on each worker."
            }
        ),
    }
    return obj(" ".join(members), members, "Of all workers together; null: nothing was measured.")


def _refused() -> Json:
    return {
        "type": "object",
        "description": "Problems that all workers answered, a second, by `code`; only those that there were.",
        "additionalProperties": {"type": "number"},
    }


def _archive_schema() -> Json:
    states = "; ".join(f"`{state}`: {meaning}" for state, meaning in _ARCHIVE_STATES.items())
    slow = {
        "room": ref("Name"),
        "watermark": _known(whole("Everything up to this seq is archived.")),
        "head": _known(whole("The room's newest seq.")),
        "lag": whole("Events between the two."),
        "lag_s": _number("The age of the oldest of them, in seconds."),
    }
    stuck = {
        "room": ref("Name"),
        "reason": text("In a word."),
        "detail": text("In a sentence."),
        "since": moment("When it began."),
    }
    totals = ("events", "messages", "chunks", "chunk_bytes", "commits")
    error = {"at": ref("Time"), "detail": text()}
    duty = {
        "duty": text("Its name."),
        "running": flag(),
        "failures": whole("How often it failed and was started again."),
        "stuck": flag("It did not end with an earlier term."),
        "last_error": _known(obj("at detail", {"at": ref("Time"), "detail": text()})),
    }
    members = {
        "state": word(*_ARCHIVE_STATES, description=f"{states}."),
        "as_of": _known(moment("When the leader reported this.")),
        "lag_messages": _known(whole("Events of rooms that are being worked that are not archived yet.")),
        "lag_s": _number("The age of the oldest event that is not archived, in seconds."),
        "rooms_dirty": _known(whole("Rooms that have such events.")),
        "rooms_stuck": _known(whole("Rooms that cannot go on by themselves.")),
        "people_waiting": _known(whole("People whose record is to be saved.")),
        "shards_behind": _known(listed(whole(), "Shards of the message log that lost data and do not have it back.")),
        "slowest": listed(obj(" ".join(slow), slow), "Rooms that wait longest."),
        "stuck": listed(obj(" ".join(stuck), stuck), "Rooms that cannot go on, and why."),
        "archived": _known(obj(" ".join(totals), {name: whole() for name in totals}, "Since the leader started.")),
        "write_units": _number("DynamoDB's write units the leader has used since it started; 0 with SQLite."),
        "last_error": _known(obj(" ".join(error), error, "The last thing that went wrong.")),
        "duties": listed(obj(" ".join(duty), duty), "What the leader does, and how it goes."),
    }
    return obj(" ".join(members), members, "As the leader reports it once a second.")


def _room_schemas() -> Json:
    log = {
        "head": whole("The room's newest seq."),
        "watermark": whole("What the log knows to be archived."),
        "floor": whole("The first seq that is kept anywhere.", 1),
        "epoch": _known(whole("The epoch it was last written under.")),
    }
    archive = {
        "version": whole("How often its record changed."),
        "watermark": whole("Everything up to this seq is archived."),
        "floor": whole("The first seq still kept.", 1),
        "messages": whole("Messages up to the watermark."),
        "last_at": _known(moment("When the event at the watermark happened.")),
        "tail": whole("The first seq of the last chunk."),
        "roster_at": whole("The seq at which the stored roster was right."),
    }
    progress = {
        "seq": whole("Everything up to this seq was looked at."),
        "head": whole("The room's newest seq."),
        "events": whole("Events that were seen."),
    }
    result = {
        "ok": flag("The room is whole."),
        "floor": whole("The first seq that is kept."),
        "watermark": whole("Everything up to this seq is archived."),
        "head": whole("The room's newest seq."),
        "events": whole("Events that were seen."),
        "messages": whole("Messages among them."),
        "chunks": whole("Chunks that were read."),
        "bytes": whole("Their packed size."),
        "from_log": whole("Events that were read in the message log."),
        "hole": _known(whole("The first seq that is nowhere.")),
        "epochs": listed(listed(whole()), "The epochs met, each with its first seq."),
        "roster_at": whole("The seq at which the stored list of people was right."),
        "problems": listed(text(), "What was found, in sentences; 20 at most."),
    }
    line = (
        obj(" ".join(["type", *progress]), {"type": word("progress")} | progress, "How far it is."),
        obj(" ".join(["type", *result]), {"type": word("result")} | result, "Last: what was found."),
        obj("type error", {"type": word("error"), "error": ref("Problem")}, "Last: it could not be done."),
    )
    return {
        "RoomPositions": obj(
            "room head log archive lag errors",
            {
                "room": ref("Name"),
                "head": _known(whole("The room's newest seq.")),
                "log": _known(obj(" ".join(log), log, "null: the log does not have the room, or does not answer.")),
                "archive": _known(obj(" ".join(archive), archive, "null: nothing is archived, or it does not answer.")),
                "lag": _known(whole("Events that are not archived yet.")),
                "errors": listed(ref("ClusterError")),
            },
        ),
        "VerifyLine": {"oneOf": list(line)},
    }


def _event_schemas(row: Json, leader: Json, problems: Json) -> Json:
    def event(kind: str, required: str, members: Json, description: str) -> Json:
        return obj(f"type {required}".strip(), {"type": word(kind)} | members, description)

    worker = text("The worker's id.")
    return {
        "ClusterEvent": {
            "description": "What the stream for dashboards carries. Pass over types you do not know.",
            "oneOf": [
                event(
                    "hello",
                    "worker protocol time",
                    {"worker": worker, "protocol": {"type": "integer", "const": 1}, "time": ref("Time")},
                    "First on every stream.",
                ),
                event(
                    "stats",
                    " ".join(name for name in _STATS if name != "type"),
                    {
                        "time": ref("Time"),
                        "messages_per_s": {"type": "number"},
                        "deliveries_per_s": {"type": "number"},
                        "errors_per_s": {"type": "number", "description": "Problems with a status of 500 and more."},
                        "refused_per_s": {"type": "number", "description": "All other problems."},
                        "refused": _refused(),
                        "latency": ref("Latency"),
                        "streams": {"type": "number"},
                        "workers": listed(row),
                        "leader": leader,
                        "election": ref("ElectionState"),
                        "log": word("ok", "unavailable"),
                        "archive": word(*_ARCHIVE_STATES),
                        "lag": obj("messages seconds", {"messages": _known(whole()), "seconds": _number()}),
                        "parts": ref("Parts"),
                        "errors": problems,
                    },
                    "Once a second.",
                ),
                event(
                    "worker_joined",
                    "worker address version",
                    {"worker": worker, "address": _known(text()), "version": _known(text())},
                    "A worker is there that was not.",
                ),
                event(
                    "worker_left",
                    "worker address",
                    {"worker": worker, "address": _known(text())},
                    "A worker stopped, or has said nothing for 10 s.",
                ),
                event("leader_changed", "leader before", {"leader": leader, "before": leader}, "Another term."),
                event("ping", "time", {"time": ref("Time")}, "Every 15 s."),
                ref("ReconnectEvent"),
                ref("AuthExpiredEvent"),
            ],
        }
    }


def operations() -> list[Operation]:
    """All of this part."""
    room = path("room", ref("Name"), "The room's name.", "lobby")
    worker = text("The worker's id.", minLength=1, maxLength=128)
    return [
        operation(
            "GET",
            "/v1/cluster",
            "cluster",
            TAG,
            "Who is there, who leads, and how far everything is",
            "For administrators, any of whose tokens will do. Answers within two seconds, whatever is away: what it "
            "does not know is null, and `errors` says why.",
            answers={200: reply("The cluster.", ref("Cluster"), _EXAMPLE, ["Cache-Control"])},
            errors="forbidden",
        ),
        operation(
            "GET",
            "/v1/cluster/events",
            "clusterEvents",
            TAG,
            "The same once a second, as it changes",
            "Server-sent events for dashboards of administrators: `hello`, then `stats` once a second, with "
            "`worker_joined`, `worker_left` and `leader_changed` in between. There is no cursor: who comes back gets "
            f"the present at once. A worker serves {MOST} of these; one that does not keep up is closed.",
            ticket=True,
            answers={200: with_headers(_stream(), ["Cache-Control", "X-Accel-Buffering"])},
            errors="forbidden overloaded draining",
        ),
        operation(
            "POST",
            "/v1/cluster/drain",
            "drain",
            TAG,
            "Ask a worker to take no more streams",
            "The worker stops being ready and leaves the election; seconds later, when balancers have heard of it, "
            "it takes no more streams and sends its own to the others in waves, within 10 s. "
            "It goes on answering requests until it is stopped, or until `undo`. 202 says that it was told; "
            "`GET /v1/cluster` shows it `draining` and its streams going down. May be repeated.",
            scope="admin",
            takes=body(
                obj("worker", {"worker": worker, "undo": flag("Take streams again.", default=False)}),
                {"worker": "host-71-2f0a"},
            ),
            answers={
                202: reply(
                    "It was told.",
                    obj("worker draining", {"worker": text(), "draining": flag("What it was told.")}),
                    {"worker": "host-71-2f0a", "draining": True},
                )
            },
            errors="forbidden worker_not_found",
        ),
        operation(
            "POST",
            "/v1/cluster/step-down",
            "stepDown",
            TAG,
            "Ask the leader to give up its term",
            "Another worker leads next; the same one again where there is no other. Asked twice in one term, it "
            "happens once.",
            scope="admin",
            answers={
                202: reply("It was told.", obj("leader", {"leader": ref("Leader")}), {"leader": _EXAMPLE_LEADER}),
            },
            errors="forbidden no_leader",
        ),
        operation(
            "GET",
            "/v1/cluster/rooms/{room}",
            "roomPositions",
            TAG,
            "How far a room is archived",
            "Its positions in the log and in the archive, of any room, and nothing of what was said there.",
            scope="admin",
            parameters=[room],
            answers={
                200: reply(
                    "The room.",
                    obj("room", {"room": ref("RoomPositions")}),
                    {
                        "room": {
                            "room": "lobby",
                            "head": 9120,
                            "log": {"head": 9120, "watermark": 9080, "floor": 1, "epoch": 1795413600},
                            "archive": {
                                "version": 46,
                                "watermark": 9080,
                                "floor": 1,
                                "messages": 9001,
                                "last_at": "2026-11-23T06:05:57.000Z",
                                "tail": 9001,
                                "roster_at": 8800,
                            },
                            "lag": 40,
                            "errors": [],
                        }
                    },
                    ["Cache-Control"],
                )
            },
            errors="forbidden room_not_found archive_unavailable",
        ),
        operation(
            "POST",
            "/v1/cluster/rooms/{room}/verify",
            "verifyRoom",
            TAG,
            "Prove that a room is whole",
            "Walks the room through archive and log and checks that each seq is there once. Lines of JSON: how far it "
            "is, and at the end what it found. Changes nothing. A worker verifies one room at a time.",
            scope="admin",
            parameters=[room],
            answers={200: with_headers(_lines(), ["Cache-Control", "X-Accel-Buffering"])},
            errors="forbidden room_not_found archive_unavailable overloaded",
        ),
    ]


def _stream() -> Json:
    hello = '{"type":"hello","worker":"host-71-2f0a","protocol":1,"time":"2026-11-23T06:06:00.250Z"}'
    return {
        "description": "The stream.",
        "content": {
            "text/event-stream": {
                "schema": text("Server-sent events; the JSON of each `data:` line is a `ClusterEvent`."),
                "x-line-schema": ref("ClusterEvent"),
                "example": f"event: hello\ndata: {hello}\n\nevent: stats\ndata: {json.dumps(_STATS)}\n\n",
            }
        },
    }


def _lines() -> Json:
    return {
        "description": "How far it is, then what was found.",
        "content": {
            "application/x-ndjson": {
                "schema": text("One `VerifyLine` a line."),
                "x-line-schema": ref("VerifyLine"),
                "example": json.dumps({"type": "progress", "seq": 5000, "head": 9120, "events": 5000}) + "\n",
            }
        },
    }
