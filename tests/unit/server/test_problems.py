from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import pytest_asyncio
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from dchat_server.errors import FAILURES, ChatError
from dchat_server.http.problems import problem_of, problem_response, problems
from dchat_server.http.worker import WORKER
from dchat_server.logs import Ration, request_id

Client = TestClient[Any, Any]


@pytest.fixture
def worker() -> SimpleNamespace:
    return SimpleNamespace(refused=Counter(), draining=False, told_refusals=Ration(2))


@pytest_asyncio.fixture
async def client(worker: SimpleNamespace) -> AsyncIterator[Client]:
    async def fail(request: web.Request) -> web.StreamResponse:
        raise ChatError(request.match_info["code"], "Because.", room="hall")

    async def crash(request: web.Request) -> web.StreamResponse:
        raise RuntimeError("the password is hunter2")

    async def fine(request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok")

    app = web.Application(middlewares=[problems])
    app[WORKER] = worker  # type: ignore[misc]
    app.add_routes([web.get("/fail/{code}", fail), web.get("/crash", crash), web.get("/fine", fine)])
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize("code", FAILURES)
async def test_every_failure_is_a_problem_of_its_own(client: Client, worker: SimpleNamespace, code: str) -> None:
    row = FAILURES[code]
    response = await client.get(f"/fail/{code}")
    assert response.status == row.status
    assert response.content_type == "application/problem+json"
    assert orjson.loads(await response.read()) == {
        "type": f"/docs/errors#{code}",
        "title": row.title,
        "status": row.status,
        "detail": "Because.",
        "code": code,
        "room": "hall",
    }
    assert ("Retry-After" in response.headers) == (row.status in (429, 503))
    assert ("WWW-Authenticate" in response.headers) == (row.status == 401)
    assert worker.refused == {code: 1}


@pytest.mark.parametrize(("seconds", "header"), [(0.1, "1"), (1.0, "1"), (1.2, "2"), (3600, "3600"), (0, "1")])
def test_retry_after_is_whole_seconds_and_never_too_few(seconds: float, header: str) -> None:
    response = problem_response(ChatError("rate_limited", retry_after_s=seconds))
    assert response.headers["Retry-After"] == header


async def test_our_own_mistake_tells_nothing_and_is_logged(client: Client, worker: SimpleNamespace) -> None:
    with structlog.testing.capture_logs() as logged:
        response = await client.get("/crash")
    assert response.status == 500
    text = await response.text()
    assert orjson.loads(text)["code"] == "internal"
    assert "hunter2" not in text
    assert [entry["event"] for entry in logged] == ["request_failed"]
    assert worker.refused == {"internal": 1}


async def test_what_aiohttp_refuses_is_a_problem_too(client: Client) -> None:
    response = await client.get("/nowhere")
    assert (response.status, orjson.loads(await response.read())["code"]) == (404, "not_found")
    response = await client.post("/fine")
    assert (response.status, orjson.loads(await response.read())["code"]) == (405, "method_not_allowed")
    assert "GET" in response.headers["Allow"]


async def test_what_succeeds_is_left_alone(client: Client) -> None:
    response = await client.get("/fine")
    assert (response.status, await response.text()) == (200, "ok")
    assert response.headers.get("Connection") != "close"


async def test_a_worker_that_is_going_keeps_no_connection(client: Client, worker: SimpleNamespace) -> None:
    worker.draining = True
    for path in ("/fine", "/fail/forbidden", "/nowhere"):
        response = await client.get(path)
        assert response.headers["Connection"] == "close"


@pytest.mark.parametrize("code", FAILURES)
def test_a_failure_of_the_servers_own_names_its_request_and_no_other_does(code: str) -> None:
    token = request_id.set("r-12345")
    try:
        told = problem_of(ChatError(code))
    finally:
        request_id.reset(token)
    assert told.get("request_id") == ("r-12345" if FAILURES[code].status >= 500 else None)


async def test_refusals_of_the_servers_own_are_logged_but_not_all_of_an_outage(
    client: Client, worker: SimpleNamespace
) -> None:
    now = [7.0]
    worker.told_refusals = Ration(2, clock=lambda: now[0])
    with structlog.testing.capture_logs() as logged:
        await client.get("/fail/room_not_found")
        for _ in range(5):
            await client.get("/fail/backend_unavailable")
        now[0] = 8.0
        await client.get("/fail/archive_unavailable")
    told = [(entry["event"], entry["code"], entry["path"], entry.get("unlogged")) for entry in logged]
    first = ("request_refused", "backend_unavailable", "/fail/backend_unavailable", None)
    assert told == [first, first, ("request_refused", "archive_unavailable", "/fail/archive_unavailable", 3)]
    assert worker.refused["backend_unavailable"] == 5
