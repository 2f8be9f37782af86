"""dchat admin: leader, workers, lag, drain, step-down, verify."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dchat_client.address import segment
from dchat_client.cli.bar import bar, span
from dchat_client.cli.face import Face
from dchat_client.cli.program import FAILED
from dchat_client.cli.rooms import write_table
from dchat_client.errors import ChatError, NotFound, from_problem
from dchat_client.terminal import clean

if TYPE_CHECKING:
    from dchat_client.connection import Connection

_T = TypeVar("_T")

LOOK_S = 0.5
STEP_DOWN_S = 30.0

# What stalls the archive, and what to do about it. docs/operations.md has a row for each.
_STALLS = {
    "no_leader": "nobody leads. Is ZooKeeper there, with a quorum? Is any worker running?",
    "silent": "the leader does not report. Look at its log; dchat admin step-down has another one lead.",
    "unknown": "the message log cannot be asked, so nobody knows.",
    "archive_unavailable": "the archive does not answer. Nothing is lost: the message log keeps what is not archived.",
    "log_unavailable": "the message log does not answer the leader.",
    "no_archive": "a leader was elected, but the archive does not answer it.",
    "no_log": "a leader was elected, but the message log does not answer it.",
    "fenced": "ZooKeeper was wiped, or is another one. See docs/leadership.md.",
    "stuck_rooms": "some rooms cannot be archived; the others go on. dchat admin verify ROOM looks closer.",
    "restoring": "the message log lost data, which is being brought back.",
    "people_unsaved": "accounts or read markers could not be saved lately. Look at the leader's log.",
    "duty_failing": "a duty of the leader fails. Look at its log.",
}
_PASSING = ("ok", "starting", "restoring")

_JSON = click.option("--json", "as_json", is_flag=True, help="Print it as a line of JSON.")


@click.group("admin")
def admin_command() -> None:
    """Look after the server, as one of its administrators.

    \b
    dchat admin workers               who is there, and how busy
    dchat admin leader                who leads
    dchat admin lag                   how far the archive is behind
    dchat admin drain WORKER          send a worker's streams elsewhere
    dchat admin step-down             have another worker lead
    dchat admin verify ROOM           prove that a room is whole
    """


@admin_command.command("leader")
@_JSON
@click.pass_context
def leader_command(ctx: click.Context, as_json: bool) -> None:
    """Print who leads, its epoch and how the election stands. Ends with 1 when nobody does."""
    face: Face = ctx.obj
    cluster = _ask(face, _cluster)
    leader = cluster.get("leader")
    state = _text(_part(cluster, "election").get("state"))
    if as_json:
        face.json({"leader": leader, "election": cluster.get("election")})
    elif isinstance(leader, dict):
        write_table(face, ["LEADER", "EPOCH", "ELECTION"], [[_text(leader["worker"]), _text(leader["epoch"]), state]])
    if not isinstance(leader, dict):
        if not as_json:
            face.error(f"nobody leads, or nobody can say who (election: {clean(state)})", "dchat admin lag tells more.")
        ctx.exit(FAILED)


@admin_command.command("workers")
@_JSON
@click.pass_obj
def workers_command(face: Face, as_json: bool) -> None:
    """List the workers: id, address, version, state, time running, streams, messages and deliveries a second, how late
    its loop is, memory. A * stands at the leader.
    """
    cluster = _ask(face, _cluster)
    workers = _rows(cluster, "workers")
    if as_json:
        for worker in workers:
            face.json(worker)
        return
    leader = _part(cluster, "leader").get("worker")
    head = ["", "WORKER", "ADDRESS", "VERSION", "STATE", "UP", "STREAMS", "MSG/S", "DELIV/S", "LATE", "MEMORY"]
    write_table(face, head, [_worker_row(worker, leader) for worker in workers])
    _say_errors(face, cluster)


@admin_command.command("lag")
@click.argument("room", required=False)
@_JSON
@click.pass_context
def lag_command(ctx: click.Context, room: str | None, as_json: bool) -> None:
    """Print how far the archive is behind the message log; with ROOM, where that room stands.

    Ends with 1 when archiving stands still, and says why.
    """
    face: Face = ctx.obj
    if room is not None:
        _room_lag(face, room, as_json)
        return
    cluster = _ask(face, _cluster)
    archive = _part(cluster, "archive")
    state = _text(archive.get("state"))
    if as_json:
        face.json(archive)
    else:
        cells = [state, *(_text(archive.get(name)) for name in ("lag_messages", "rooms_dirty", "rooms_stuck"))]
        cells.insert(2, _span(archive.get("lag_s")))
        write_table(face, ["ARCHIVE", "EVENTS", "AGE", "ROOMS", "STUCK"], [cells])
        slow = [
            [_text(row.get("room")), _text(row.get("lag")), _span(row.get("lag_s"))]
            for row in _rows(archive, "slowest")
        ]
        if slow and face.is_terminal:
            face.data("")
            write_table(face, ["ROOM", "EVENTS", "AGE"], slow)
        for row in _rows(archive, "stuck"):
            face.say(f"{_shown(row.get('room'))} is stuck: {_shown(row.get('detail'))} ({_shown(row.get('reason'))})")
        error = _part(archive, "last_error")
        if error and state != "ok":
            face.say(f"Last error, {_shown(error.get('at'))}: {_shown(error.get('detail'))}")
        _say_errors(face, cluster)
    if state not in _PASSING:
        if not as_json:
            face.error(f"archiving: {_STALLS.get(state, clean(state))}")
        ctx.exit(FAILED)


@admin_command.command("drain")
@click.argument("worker")
@click.option("--undo", is_flag=True, help="Have it take streams again.")
@click.option(
    "--wait",
    "wait_s",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600),
    default=60.0,
    help="How long to watch it [60].",
)
@click.pass_context
def drain_command(ctx: click.Context, worker: str, undo: bool, wait_s: float) -> None:
    """Have WORKER take no more streams and send its own elsewhere, and wait until it has none.

    It goes on answering requests, is not ready (/readyz) and does not lead, until it is stopped or taken back with
    --undo. The first letters of its id are enough when no other worker's begins with them.
    """
    face: Face = ctx.obj

    async def work(connection: Connection) -> bool:
        name = _one_worker(await _cluster(connection), worker)
        body = {"worker": name, "undo": undo}
        await connection.request("POST", "/v1/cluster/drain", body=body, repeatable=True)
        face.say(f"{clean(name)} was told to {'take streams again' if undo else 'drain'}.")
        if wait_s == 0:
            return True

        def done(cluster: dict[str, Any]) -> bool:
            rows = [row for row in _rows(cluster, "workers") if row.get("worker") == name]
            if not rows:
                return True  # it was stopped meanwhile
            if not undo:
                face.progress(f"{clean(name)}: {_text(rows[0].get('streams'))} streams")
            idle = undo or rows[0].get("streams") == 0
            return rows[0].get("draining") == (not undo) and idle

        return await _until(connection, done, wait_s)

    if not _ask(face, work):
        face.error(
            f"{clean(worker)} has not {'come back' if undo else 'drained'} within {wait_s:g} s",
            "dchat admin workers shows how far it is; the order may be given again.",
        )
        ctx.exit(FAILED)
    if wait_s:
        face.say("It takes streams again." if undo else "It has no streams any more and can be stopped.")


@admin_command.command("step-down")
@click.pass_context
def step_down_command(ctx: click.Context) -> None:
    """Have the leader give up its term, and wait for the next one. Where it is alone, it leads again itself."""
    face: Face = ctx.obj

    async def work(connection: Connection) -> tuple[dict[str, Any], dict[str, Any] | None]:
        told = await connection.request("POST", "/v1/cluster/step-down", repeatable=True)
        before, after = _part(told, "leader"), None

        def done(cluster: dict[str, Any]) -> bool:
            nonlocal after
            leader = cluster.get("leader")
            after = leader if isinstance(leader, dict) and leader.get("epoch") != before.get("epoch") else None
            return after is not None

        face.say(f"{_shown(before.get('worker'))} was told to step down.")
        await _until(connection, done, STEP_DOWN_S)
        return before, after

    _, after = _ask(face, work)
    if after is None:
        face.error(f"nobody else leads after {STEP_DOWN_S:g} s", "dchat admin leader shows who does.")
        ctx.exit(FAILED)
    face.say(f"{_shown(after.get('worker'))} leads now, in epoch {_shown(after.get('epoch'))}.")


@admin_command.command("verify")
@click.argument("room")
@_JSON
@click.pass_context
def verify_command(ctx: click.Context, room: str, as_json: bool) -> None:
    """Walk ROOM through archive and message log and prove that each of its events is there once.

    Reads everything and changes nothing; some seconds for a hundred thousand messages. Ends with 1 when the room is not
    whole.
    """
    face: Face = ctx.obj

    async def work(connection: Connection) -> dict[str, Any] | None:
        async for line in connection.lines("POST", f"/v1/cluster/rooms/{segment(room)}/verify"):
            if line.get("type") == "progress":
                face.progress(_bar(line))
            elif line.get("type") == "error":
                problem = _part(line, "error")
                raise from_problem(int(problem.get("status") or 503), problem)
            elif line.get("type") == "result":
                return line
        return None

    found = _ask(face, work)
    if found is None:
        face.error(
            f"{clean(room)} was not verified to its end: the answer broke off", "Try again; a repeat does no harm."
        )
        ctx.exit(FAILED)
    if as_json:
        face.json({name: value for name, value in found.items() if name != "type"})
    elif found.get("ok") is True:
        kept = f"seq {_text(found.get('floor'))} to {_text(found.get('head'))}"
        where = f"{_text(found.get('chunks'))} chunks and {_text(found.get('from_log'))} events of the log"
        face.data(f"{clean(room)} is whole: {_text(found.get('events'))} events, {kept}, in {where}.")
    else:
        for problem in found.get("problems") or []:
            face.data(clean(str(problem)))
    if found.get("ok") is not True:
        if not as_json:
            face.error(
                f"{clean(room)} is not whole", "Keep the leader's log; docs/operations.md, Watching it, says more."
            )
        ctx.exit(FAILED)


# Asking


def _ask(face: Face, work: Callable[[Connection], Coroutine[Any, Any, _T]]) -> _T:
    """Return what `work` does; who may not is told who may."""
    with _administrators_only():
        return face.run(work)


@contextmanager
def _administrators_only() -> Iterator[None]:
    try:
        yield
    except ChatError as error:
        if error.code in ("forbidden", "insufficient_scope"):
            error.next_step = "Sign in as an administrator of the server, or with a token of theirs: dchat login"
        raise


async def _cluster(connection: Connection) -> dict[str, Any]:
    return await connection.request("GET", "/v1/cluster")


async def _until(connection: Connection, done: Callable[[dict[str, Any]], bool], wait_s: float) -> bool:
    """Look at the cluster until `done` says so; False when it has not in time."""
    import asyncio

    give_up_at = time.monotonic() + wait_s
    while not done(await _cluster(connection)):
        if time.monotonic() > give_up_at:
            return False
        await asyncio.sleep(LOOK_S)
    return True


def _one_worker(cluster: dict[str, Any], text: str) -> str:
    """Return the id that `text` is or begins. Raises NotFound, UsageError."""
    names = [str(row.get("worker")) for row in _rows(cluster, "workers")]
    found = [name for name in names if name == text] or [name for name in names if name.startswith(text)]
    if not found or not text:
        raise NotFound(f"no worker is called {clean(text)}", code="worker_not_found", status=404)
    if len(found) > 1:
        raise click.UsageError(f"{clean(text)} may be {' or '.join(map(clean, found))}; give more of it.")
    return found[0]


# Showing


def _room_lag(face: Face, room: str, as_json: bool) -> None:
    async def work(connection: Connection) -> dict[str, Any]:
        return await connection.request("GET", f"/v1/cluster/rooms/{segment(room)}")

    found = _part(_ask(face, work), "room")
    if as_json:
        face.json(found)
        return
    log, archive = _part(found, "log"), _part(found, "archive")
    cells = [found.get("room"), found.get("head"), archive.get("watermark"), found.get("lag"), archive.get("floor")]
    epoch = log.get("epoch")
    write_table(face, ["ROOM", "HEAD", "ARCHIVED", "LAG", "FLOOR", "EPOCH"], [[*map(_text, cells), _text(epoch)]])
    _say_errors(face, found)


def _worker_row(worker: dict[str, Any], leader: Any) -> list[str]:
    state = {True: "alive", False: "silent", None: "?"}.get(worker.get("alive"), "?")
    if worker.get("alive") and worker.get("draining"):
        state = "draining"
    elif worker.get("alive") and worker.get("log_reader_alive") is False:
        state = "degraded"
    late = worker.get("loop_lag_ms")
    memory = worker.get("memory_bytes")
    return [
        "*" if worker.get("worker") == leader else "",
        *(_text(worker.get(name)) for name in ("worker", "address", "version")),
        state,
        _span(worker.get("uptime_s")),
        *(_text(worker.get(name)) for name in ("streams", "messages_per_s", "deliveries_per_s")),
        f"{late:.0f} ms" if isinstance(late, int | float) else "?",
        f"{memory / (1 << 20):.0f} MiB" if isinstance(memory, int | float) else "?",
    ]


def _say_errors(face: Face, told: dict[str, Any]) -> None:
    for error in _rows(told, "errors"):
        face.say(f"Not known ({_shown(error.get('part'))}): {_shown(error.get('detail'))}")


def _bar(progress: dict[str, Any]) -> str:
    seq, head = int(progress.get("seq") or 0), max(1, int(progress.get("head") or 0))
    return f"{bar(seq, head)}  {seq} of {head}"


def _span(seconds: Any) -> str:
    return span(seconds) if isinstance(seconds, int | float) else "?"


def _text(value: Any) -> str:
    return "?" if value is None else str(value)


def _shown(value: Any) -> str:
    return clean(_text(value))


def _part(told: dict[str, Any], name: str) -> dict[str, Any]:
    value = told.get(name)
    return value if isinstance(value, dict) else {}


def _rows(told: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = told.get(name)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
