"""Three real workers as an administrator sees them: who is there, who leads, dashboards, draining, `dchat admin`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.harness.people import Person, new_name
from tests.harness.processes import eventually
from tests.harness.redis import RedisServer
from tests.harness.workers import Workers


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def crew(redis: RedisServer) -> Iterator[Workers]:
    with Workers(redis.url, 3, DCHAT_COMPACT_INTERVAL_S="0.5") as workers:
        yield workers


@pytest.fixture(scope="module")
def token() -> list[str]:
    """The administrator's, once there is one."""
    return []


@pytest_asyncio.fixture
async def ada(crew: Workers, http: aiohttp.ClientSession, token: list[str]) -> Person:
    """The first account, and so the administrator."""
    crew.revive()  # here, not in a thread: a process ends with the thread that started it
    person = Person(http, crew.urls, "ada", *token)
    if not token:
        await person.register()
        token.append(person.token)
    return person


async def seen(ada: Person, worker: int = 0) -> dict[str, Any]:
    told = await ada.must("GET", "/v1/cluster", worker=worker)
    assert isinstance(told, dict)
    return told


def alive(told: dict[str, Any]) -> set[str]:
    return {row["worker"] for row in told["workers"] if row["alive"]}


async def ids(ada: Person) -> list[str]:
    """The workers' ids, in their order."""
    return [(await ada.must("GET", "/readyz", worker=number))["worker"] for number in range(3)]


@asynccontextmanager
async def dashboard(ada: Person, worker: int) -> AsyncIterator[list[dict[str, Any]]]:
    """What a dashboard at this worker has been told; grows."""
    told: list[dict[str, Any]] = []

    async def read() -> None:
        url = ada.url(worker) + "/v1/cluster/events"
        async with ada.http.get(url, headers=ada.headers, timeout=aiohttp.ClientTimeout(total=None)) as response:
            assert response.status == 200
            async for line in response.content:
                if line.startswith(b"data: "):
                    told.append(json.loads(line[6:]))

    reading = asyncio.create_task(read())
    await eventually(lambda: any(event["type"] == "stats" for event in told), "the dashboard gets stats")
    try:
        yield told
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def admin(crew: Workers, ada: Person, *args: str, worker: int = 0) -> tuple[int, str, str]:
    """`dchat admin …` as a process: exit code and both outputs."""
    settings = {"DCHAT_URL": crew[worker].url, "DCHAT_TOKEN": ada.token, "DCHAT_KEYRING": "0"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dchat_client", "admin", *args),
        env={**os.environ, "HOME": str(crew[0].folder), "PYTHONPATH": str(Path(__file__).parents[2]), **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode or 0, out.decode(), err.decode()


async def test_every_worker_tells_the_same_of_all(crew: Workers, ada: Person) -> None:
    names = set(await ids(ada))

    async def same() -> bool:
        views = [await seen(ada, number) for number in range(3)]
        leaders = [view["leader"] and view["leader"]["worker"] for view in views]
        return len(set(leaders)) == 1 and leaders[0] in names and all(alive(view) == names for view in views)

    await eventually(same, "all workers see three workers and one leader", every_s=0.2)
    told = await seen(ada)
    assert told["errors"] == []
    assert {row["address"] for row in told["workers"]} >= {f"127.0.0.1:{worker.port}" for worker in crew}
    assert sum(worker.metric("dchat_leader") for worker in crew) == 1


async def test_what_was_said_is_archived_and_a_room_is_proved_whole(crew: Workers, ada: Person) -> None:
    room = await ada.create()
    for number in range(20):
        await ada.send(room, f"message {number}")

    async def archived() -> bool:
        found = await ada.must("GET", f"/v1/cluster/rooms/{room}")
        return bool(found["room"]["lag"] == 0 and found["room"]["head"] == 22)

    await eventually(archived, "the room is archived", every_s=0.1)

    async def told() -> bool:
        archive = (await seen(ada))["archive"]
        return bool(archive["state"] == "ok" and archive["archived"]["messages"] >= 20)

    await eventually(told, "the leader reports it", every_s=0.1)
    code, out, err = await admin(crew, ada, "verify", room)
    assert (code, f"{room} is whole: 22 events" in out) == (0, True), err
    assert "message" not in out + err
    assert (await admin(crew, ada, "lag"))[0] == 0


async def test_a_leader_that_dies_is_followed_and_dashboards_hear_of_both(crew: Workers, ada: Person) -> None:
    names = await ids(ada)
    await eventually(lambda: _leads(ada, names), "somebody leads", every_s=0.1)
    before = (await seen(ada))["leader"]
    going = names.index(before["worker"])
    async with dashboard(ada, (going + 1) % 3) as told, dashboard(ada, (going + 2) % 3) as others:
        await asyncio.to_thread(crew[going].kill)
        for events in (told, others):
            await eventually(
                lambda events=events: _leaders(events) and _leaders(events)[-1] not in (None, before["worker"]),
                "another worker leads",
            )
            left = {"type": "worker_left", "worker": before["worker"], "address": f"127.0.0.1:{crew[going].port}"}
            await eventually(lambda events=events, left=left: left in events, "the dead worker is missed")
        after = (await seen(ada, (going + 1) % 3))["leader"]
        assert after["epoch"] > before["epoch"]
        crew.revive()
        joined = (await ids(ada))[going]
        await eventually(lambda: any(each.get("worker") == joined for each in told[1:]), "the new worker is noticed")
        stats = [event for event in told if event["type"] == "stats"]
        assert max(len(event["workers"]) for event in stats) >= 3

    async def reaped() -> bool:
        return all(row["worker"] != before["worker"] for row in (await seen(ada))["workers"])

    await eventually(reaped, "the dead worker is taken down", every_s=0.2)


async def _leads(ada: Person, names: list[str]) -> bool:
    leader = (await seen(ada))["leader"]
    return leader is not None and leader["worker"] in names


def _leaders(events: list[dict[str, Any]]) -> list[str | None]:
    return [event["leader"] and event["leader"]["worker"] for event in events if event["type"] == "leader_changed"]


async def test_a_worker_is_drained_from_the_command_line_and_taken_back(crew: Workers, ada: Person) -> None:
    name = (await ids(ada))[1]
    reading = []
    for _ in range(30):
        response = await ada.http.get(
            crew[1].url + "/v1/events", headers=ada.headers, timeout=aiohttp.ClientTimeout(total=60)
        )
        reading.append(asyncio.create_task(response.read()))
    await eventually(lambda: crew[1].metric("dchat_streams") == 30, "the streams are open")
    async with dashboard(ada, 1) as told:
        code, _, err = await admin(crew, ada, "drain", name)
        assert (code, "can be stopped" in err) == (0, True), err
        assert all(b"event: reconnect\n" in data for data in await asyncio.gather(*reading))
        await eventually(lambda: told[-1]["type"] == "reconnect", "the dashboard is sent elsewhere")
    assert crew[1].status("/readyz") == 503
    assert (await ada.ask("GET", "/v1/events?poll=0", worker=1)).code == "draining"
    assert (await ada.ask("GET", "/v1/rooms", worker=1)).status == 200
    row = next(row for row in (await seen(ada))["workers"] if row["worker"] == name)
    assert (row["draining"], row["streams"], row["alive"]) == (True, 0, True)
    code, _, err = await admin(crew, ada, "drain", name, "--undo")
    assert code == 0, err
    assert crew[1].status("/readyz") == 200


async def test_the_leader_steps_down_and_another_leads(crew: Workers, ada: Person) -> None:
    names = await ids(ada)
    await eventually(lambda: _leads(ada, names), "somebody leads", every_s=0.1)
    before = (await seen(ada))["leader"]
    code, _, err = await admin(crew, ada, "step-down")
    assert (code, "leads now" in err) == (0, True), err
    after = (await seen(ada))["leader"]
    assert (after["worker"] != before["worker"], after["epoch"] > before["epoch"]) == (True, True)
    code, out, _ = await admin(crew, ada, "leader", "--json")
    assert (code, json.loads(out)["leader"]["epoch"]) == (0, after["epoch"])


async def test_somebody_who_is_no_administrator_sees_nothing_of_it(crew: Workers, ada: Person) -> None:
    bob = await Person(ada.http, crew.urls, new_name("bob")).register()
    assert (await bob.ask("GET", "/v1/cluster")).code == "forbidden"
    code, out, err = await admin(crew, bob, "workers")
    assert (code, out, "administrator" in err) == (1, "", True)


async def test_while_redis_is_frozen_administrators_are_answered_soon_and_told_what_is_not_known(
    crew: Workers, ada: Person, redis: RedisServer
) -> None:
    await seen(ada)  # so that this worker knows who asks
    async with dashboard(ada, 0) as told:
        redis.process.freeze()
        try:
            await asyncio.sleep(6)  # longer than tokens are believed without asking
            began = time.monotonic()
            found = await seen(ada)
            assert time.monotonic() - began < 5
            assert {"board", "log"} <= {error["part"] for error in found["errors"]}
            assert (found["archive"]["state"], found["log"]["state"]) == ("unknown", "unavailable")
            assert (await ada.ask("POST", "/v1/cluster/step-down", worker=0)).code == "backend_unavailable"
            assert [event["log"] for event in told if event["type"] == "stats"][-1] == "unavailable"
        finally:
            redis.process.thaw()

        async def whole() -> bool:
            return not (await seen(ada))["errors"]

        await eventually(whole, "everything is known again", every_s=0.2)
