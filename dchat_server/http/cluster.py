"""The cluster over HTTP: what operators see and ask for. For administrators: addresses are shown, and private rooms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson
import structlog
from aiohttp import hdrs, web

from dchat_server import wire
from dchat_server.dashboards import Dashboard
from dchat_server.errors import BackendUnavailable, ChatError
from dchat_server.http.auth import COOKIE, principal_of
from dchat_server.http.body import answer, read_object, text_field
from dchat_server.http.messages import room_of
from dchat_server.http.parts import ACCOUNTS, CLUSTER, DASHBOARDS, INSPECTOR
from dchat_server.http.problems import problem_of
from dchat_server.http.takeover import bound_kernel_buffers
from dchat_server.principals import Principal

VERIFY_S = 3600.0
PATIENCE_S = 20.0
"""How long the client of a verification may take nothing: nobody else can have one meanwhile."""

ASK_S = 1.5
SEEN_S = 3600.0
MOST_SEEN = 100
SEEN: web.AppKey[dict[str, tuple[Principal, float]]] = web.AppKey("seen", dict)
"""Administrators who looked at the cluster, by the digest of their token, and when."""

log = structlog.get_logger("dchat.http")


async def administrator(request: web.Request, scope: str) -> Principal:
    """Who sent the request, when that is an administrator. Raises ChatError as `principal_of`, and forbidden."""
    who = await principal_of(request, scope=scope)
    if not who.admin:
        raise ChatError("forbidden", "Only administrators see the cluster.")
    return who


async def viewer(request: web.Request, *, ticket: bool = False) -> Principal:
    """An administrator who wants to look. A token of theirs to read with is enough: the screen on the wall need not
    hold one that can do more.

    Operators need to look when Redis, which knows the tokens, is away. So one that looked within `SEEN_S` is believed
    when Redis does not answer within `ASK_S`, unless this worker has heard that the token was revoked.
    """
    seen, place, now = request.app[SEEN], _place(request), time.monotonic()
    try:
        async with asyncio.timeout(ASK_S):
            who = await principal_of(request, scope="read", ticket=ticket)
    except (BackendUnavailable, TimeoutError):
        before = seen.get(place) if place else None
        if before is None or before[1] < now - SEEN_S:
            raise BackendUnavailable from None
        who = before[0]
        ended = who.expires_at is not None and who.expires_at <= time.time() * 1000
        if ended or request.app[ACCOUNTS].is_revoked(who.digest):
            raise ChatError("unauthorized") from None
        return who
    seen.pop(place, None)
    if not who.admin:
        raise ChatError("forbidden", "Only administrators see the cluster.")
    if place:
        seen[place] = who, now
    if len(seen) > MOST_SEEN:
        del seen[next(iter(seen))]
    return who


def _place(request: web.Request) -> str:
    """What stands for the request's token, which itself is kept nowhere; "" without one: a ticket is good once."""
    header = request.headers.get(hdrs.AUTHORIZATION)
    token = request.cookies.get(COOKIE, "") if header is None else header.partition(" ")[2].strip()
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest() if token else ""


async def get_cluster(request: web.Request) -> web.StreamResponse:
    """GET /v1/cluster"""
    await viewer(request)
    return answer(await request.app[CLUSTER].snapshot(), headers={"Cache-Control": "no-store"})


async def get_cluster_events(request: web.Request) -> web.StreamResponse:
    """GET /v1/cluster/events"""
    who = await viewer(request, ticket=True)
    dashboards, transport = request.app[DASHBOARDS], request.transport

    def cut() -> None:
        if transport is not None:  # whoever writes to a client that does not read waits for ever
            transport.abort()

    dashboard = Dashboard(who.user, who.digest, who.expires_at, cut)
    try:
        await dashboards.open(dashboard)
        if transport is not None:
            bound_kernel_buffers(transport)
        headers = {
            "Content-Type": f"{wire.SSE}; charset=utf-8",
            "Cache-Control": "no-cache, no-transform",
            "X-Accel-Buffering": "no",
        }
        if "ticket" in request.query:
            headers["Access-Control-Allow-Origin"] = "*"
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        while data := await dashboard.take():
            await response.write(data)
        return response
    finally:
        dashboards.drop(dashboard)


async def post_drain(request: web.Request) -> web.StreamResponse:
    """POST /v1/cluster/drain"""
    await administrator(request, "admin")
    body = await read_object(request)
    worker = text_field(body, "worker", max_chars=128, min_chars=1, required=True) or ""
    undo = body.get("undo", False)
    if not isinstance(undo, bool):
        raise ChatError("invalid_request", "`undo` must be true or false.")
    cluster = request.app[CLUSTER]
    known = await cluster.knows(worker)
    if known is None:
        raise BackendUnavailable
    if not known:
        raise ChatError("worker_not_found")
    await cluster.board.tell("drain", {"worker": worker, "undo": undo})
    log.warning("drain_ordered", target=worker, undo=undo)
    return answer({"worker": worker, "draining": not undo}, 202)


async def post_step_down(request: web.Request) -> web.StreamResponse:
    """POST /v1/cluster/step-down"""
    await administrator(request, "admin")
    cluster = request.app[CLUSTER]
    leader = await cluster.leader()
    if leader is None:
        raise ChatError("no_leader")
    told = {"worker": leader.worker, "epoch": leader.fence}
    await cluster.board.tell("step_down", told)
    log.warning("step_down_ordered", target=leader.worker, epoch=leader.fence)
    return answer({"leader": told}, 202)


async def get_cluster_room(request: web.Request) -> web.StreamResponse:
    """GET /v1/cluster/rooms/{room}"""
    await administrator(request, "admin")
    found = await request.app[INSPECTOR].room(room_of(request))
    return answer({"room": found}, headers={"Cache-Control": "no-store"})


async def post_verify(request: web.Request) -> web.StreamResponse:
    """POST /v1/cluster/rooms/{room}/verify: lines of JSON, how far it is and then what was found."""
    await administrator(request, "admin")
    room, inspector = room_of(request), request.app[INSPECTOR]
    await inspector.room(room)  # what cannot be looked at is refused before there is a head
    async with inspector.verifying() as verify:
        response = web.StreamResponse(headers={"Content-Type": wire.NDJSON, "Cache-Control": "no-store"})
        response.headers["X-Accel-Buffering"] = "no"
        await response.prepare(request)

        async def line(kind: str, facts: Mapping[str, Any]) -> None:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await response.write(orjson.dumps({"type": kind, **facts}) + b"\n")
            except TimeoutError:
                raise ConnectionResetError("the client does not read") from None

        try:
            async with asyncio.timeout(VERIFY_S):
                found = await verify(room, lambda progress: line("progress", progress))
            await line("result", found)
        except ChatError as error:
            await line("error", {"error": problem_of(error)})
        except TimeoutError:
            late = BackendUnavailable(f"The room could not be verified within {VERIFY_S:.0f} s.")
            await line("error", {"error": problem_of(late)})
        return response
