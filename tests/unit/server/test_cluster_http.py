"""The cluster over HTTP: who may look, what is shown and in which form, what is asked for, and dashboards' streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from jsonschema_rs import Draft202012Validator

from dchat_server.errors import ArchiveUnavailable
from dchat_server.http.openapi import document
from dchat_server.ports_archive import RoomRecord
from dchat_server.ports_cluster import Leader
from dchat_server.ports_hot import HotRoom
from tests.one_worker import Here, one_worker

LOG = HotRoom("lobby", head=120, watermark=90, floor=1, epochs=((3, 1), (5, 60)), facts={"kind": "public"})
VERDICT = {
    "ok": True,
    "floor": 1,
    "watermark": 100,
    "head": 120,
    "events": 120,
    "messages": 90,
    "chunks": 2,
    "bytes": 900,
    "from_log": 20,
    "hole": None,
    "epochs": [[3, 1], [5, 60]],
    "roster_at": 80,
    "problems": [],
}
RECORD = RoomRecord("lobby", version=4, watermark=100, floor=1, messages=80, ts=1_764_000_000_000, tail=90)


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Here]:
    async with one_worker() as here:
        here.names.admins = {"ada"}
        here.rooms.found = VERDICT
        await here.until(lambda: "w1" in here.board.facts)
        yield here


def fits(name: str, value: Any) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document()["components"]}
    Draft202012Validator(schema, validate_formats=True).validate(value)


@asynccontextmanager
async def watching(here: Here, user: str = "ada", query: str = "") -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The events of a dashboard's stream."""
    headers = {} if query else {"Authorization": f"Bearer {user}"}
    async with here.http.get(f"http://127.0.0.1:{here.port}/v1/cluster/events{query}", headers=headers) as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert response.headers["Cache-Control"] == "no-cache, no-transform"

        async def events() -> AsyncIterator[dict[str, Any]]:
            async for line in response.content:
                if line.startswith(b"data: "):
                    event = json.loads(line[6:])
                    fits("ClusterEvent", event)
                    yield event

        yield events()


async def the(events: AsyncIterator[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The next event of a kind."""
    async with asyncio.timeout(10):
        async for event in events:
            if event["type"] == kind:
                return event
    raise AssertionError(f"the stream ended without {kind}")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/cluster"),
        ("GET", "/v1/cluster/events"),
        ("POST", "/v1/cluster/drain"),
        ("POST", "/v1/cluster/step-down"),
        ("GET", "/v1/cluster/rooms/lobby"),
        ("POST", "/v1/cluster/rooms/lobby/verify"),
    ],
)
async def test_only_administrators_are_answered(here: Here, method: str, path: str) -> None:
    assert (await here.call(method, path, "bob"))[0] == 403
    assert (await here.call(method, path, None))[0] == 401
    assert here.board.told == []


async def test_the_cluster_is_shown_in_the_documented_form(here: Here) -> None:
    await here.board.post("w2", {"streams": 3, "address": "10.0.0.2:5000", "messages_per_s": 1.5})
    status, told = await here.call("GET", "/v1/cluster")
    assert status == 200
    fits("Cluster", told)
    assert told["leader"] == {"worker": "w1", "epoch": 7}
    assert [(row["worker"], row["alive"], row["member"]) for row in told["workers"]] == [
        ("w1", True, True),
        ("w2", True, False),
    ]
    assert len(told["log"]["shards"]) == 4
    assert told["archive"]["state"] == "silent"
    assert told["errors"] == []


async def test_what_is_away_is_told_as_unknown(here: Here) -> None:
    here.board.down, here.leadership.leader, here.leadership.members = True, None, None
    here.leadership.state = "suspended"
    status, told = await here.call("GET", "/v1/cluster")
    assert status == 200
    fits("Cluster", told)
    assert (told["leader"], told["archive"]["state"]) == (None, "unknown")
    assert [error["part"] for error in told["errors"]] == ["board", "election"]
    assert [row["worker"] for row in told["workers"]] == ["w1"]


async def test_who_looked_before_may_look_while_nobody_can_say_who_is_who(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dchat_server.http.cluster.ASK_S", 0.05)
    here.names.admins.add("bob")
    assert (await here.call("GET", "/v1/cluster"))[0] == 200
    here.names.unknown, here.board.down = asyncio.Event(), True
    status, told = await here.call("GET", "/v1/cluster")
    assert (status, told["errors"][0]["part"]) == (200, "board")
    assert (await here.call("GET", "/v1/cluster", "bob"))[1]["code"] == "backend_unavailable"
    async with watching(here) as events:
        assert (await the(events, "stats"))["errors"]
    here.names.unknown.set()  # what they asked for is answered: it is away
    assert (await here.call("GET", "/v1/cluster"))[0] == 200
    for path, body in (("drain", {"worker": "w1"}), ("step-down", None)):  # to look, not to order
        assert (await here.call("POST", f"/v1/cluster/{path}", json=body))[1]["code"] == "backend_unavailable"
    here.names.revoked.add("digest of ada")
    assert (await here.call("GET", "/v1/cluster"))[1]["code"] == "unauthorized"


async def test_a_ticket_is_good_once_also_when_nobody_can_say_who_is_who(here: Here) -> None:
    async with watching(here, query="?ticket=ticket of ada") as events:
        await the(events, "stats")
    here.names.unknown = asyncio.Event()
    async with asyncio.timeout(10):  # one that is taken gives a stream, which does not end
        for ticket in ("ticket of ada", "anything"):
            told = await here.call("GET", f"/v1/cluster/events?ticket={ticket}", None)
            assert told[1]["code"] == "backend_unavailable"


async def test_who_looked_long_ago_or_is_no_administrator_any_more_is_not_believed(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await here.call("GET", "/v1/cluster"))[0] == 200
    here.names.admins.clear()
    assert (await here.call("GET", "/v1/cluster"))[0] == 403
    here.names.unknown = asyncio.Event()
    here.names.unknown.set()
    assert (await here.call("GET", "/v1/cluster"))[1]["code"] == "backend_unavailable"
    here.names.unknown, here.names.admins = None, {"ada"}
    assert (await here.call("GET", "/v1/cluster"))[0] == 200
    here.names.unknown = asyncio.Event()
    here.names.unknown.set()
    monkeypatch.setattr("dchat_server.http.cluster.SEEN_S", -1.0)
    assert (await here.call("GET", "/v1/cluster"))[1]["code"] == "backend_unavailable"


async def test_a_worker_is_drained_and_taken_back(here: Here) -> None:
    await here.room("lobby", "ada")
    url = f"http://127.0.0.1:{here.port}/v1/events"
    async with here.http.get(url, headers={"Authorization": "Bearer ada"}) as stream:
        await here.until(lambda: here.worker.hub.count)
        assert await here.call("POST", "/v1/cluster/drain", json={"worker": "w1"}) == (
            202,
            {"worker": "w1", "draining": True},
        )
        assert b"event: reconnect" in await stream.read()
    assert (await here.call("GET", "/v1/events"))[1]["code"] == "draining"
    async with here.http.get(f"http://127.0.0.1:{here.port}/readyz") as response:
        assert response.status == 503
    assert (await here.call("POST", "/v1/rooms/lobby/messages", json={"text": "still served"}))[0] == 201
    assert not here.leadership.stands
    await here.call("POST", "/v1/cluster/drain", json={"worker": "w1", "undo": True})
    await here.until(lambda: not here.worker.draining)
    assert here.leadership.stands
    async with here.http.get(url, headers={"Authorization": "Bearer ada"}) as stream:
        await asyncio.sleep(0.7)  # longer than a drained worker waits before it looks for newcomers
        assert here.worker.hub.count == 1


async def test_nobody_is_drained_whom_nobody_knows(here: Here) -> None:
    assert (await here.call("POST", "/v1/cluster/drain", json={"worker": "w9"}))[1]["code"] == "worker_not_found"
    here.board.down = True
    assert (await here.call("POST", "/v1/cluster/drain", json={"worker": "w9"}))[1]["code"] == "backend_unavailable"
    for body in ({}, {"worker": ""}, {"worker": 3}, {"worker": "w1", "undo": 1}):
        assert (await here.call("POST", "/v1/cluster/drain", json=body))[1]["code"] == "invalid_request"
    assert here.board.told == []


async def test_the_leader_steps_down_once_for_the_term_it_was_asked_in(here: Here) -> None:
    status, told = await here.call("POST", "/v1/cluster/step-down")
    assert (status, told) == (202, {"leader": {"worker": "w1", "epoch": 7}})
    await here.until(lambda: here.leadership.stepped_down == 1)
    here.leadership.leader = Leader("w1", 8)
    await here.board.tell("step_down", {"worker": "w1", "epoch": 7})  # a repeat that comes late
    await here.caught_up()
    assert here.leadership.stepped_down == 1
    here.leadership.leader = None
    assert (await here.call("POST", "/v1/cluster/step-down"))[1]["code"] == "no_leader"


async def test_a_room_is_told_by_its_positions_and_never_by_its_content(here: Here) -> None:
    here.rooms.hot["lobby"], here.rooms.records["lobby"] = LOG, RECORD
    status, told = await here.call("GET", "/v1/cluster/rooms/lobby")
    assert status == 200
    fits("RoomPositions", told["room"])
    assert (told["room"]["head"], told["room"]["archive"]["watermark"], told["room"]["lag"]) == (120, 100, 20)
    here.rooms.down = {"archive"}
    told = (await here.call("GET", "/v1/cluster/rooms/lobby"))[1]["room"]
    fits("RoomPositions", told)
    assert (told["head"], told["archive"], told["lag"], told["errors"][0]["part"]) == (120, None, None, "archive")
    here.rooms.down = {"archive", "log"}
    assert (await here.call("GET", "/v1/cluster/rooms/lobby"))[1]["code"] == "backend_unavailable"
    here.rooms.down = set()
    for name in ("nowhere", "UPPER"):
        assert (await here.call("GET", f"/v1/cluster/rooms/{name}"))[1]["code"] == "room_not_found"


async def verified(here: Here, room: str = "lobby") -> list[dict[str, Any]]:
    url = f"http://127.0.0.1:{here.port}/v1/cluster/rooms/{room}/verify"
    async with here.http.post(url, headers={"Authorization": "Bearer ada"}) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in (await response.read()).splitlines()]
    for line in lines:
        fits("VerifyLine", line)
    return lines


async def test_a_verification_tells_how_far_it_is_and_what_it_found(here: Here) -> None:
    here.rooms.hot["lobby"] = LOG
    here.rooms.steps = [{"seq": 50, "head": 120, "events": 50}]
    here.rooms.found = {**VERDICT, "ok": False, "hole": 7, "problems": ["Seq 7 is missing."]}
    lines = await verified(here)
    assert [line["type"] for line in lines] == ["progress", "result"]
    assert lines[-1]["problems"] == ["Seq 7 is missing."]
    here.rooms.found = ArchiveUnavailable()
    assert (await verified(here))[-1]["error"]["code"] == "archive_unavailable"
    assert (await here.call("POST", "/v1/cluster/rooms/nowhere/verify"))[1]["code"] == "room_not_found"


async def test_one_room_is_verified_at_a_time_and_a_client_that_goes_makes_way(here: Here) -> None:
    here.rooms.hot["lobby"] = LOG
    here.rooms.steps = [{"seq": 1, "head": 120, "events": 1}]
    here.rooms.waits = asyncio.Event()
    url = f"http://127.0.0.1:{here.port}/v1/cluster/rooms/lobby/verify"
    async with here.http.post(url, headers={"Authorization": "Bearer ada"}) as response:
        await response.content.readline()
        assert (await here.call("POST", "/v1/cluster/rooms/lobby/verify"))[1]["code"] == "overloaded"
        response.close()
    here.rooms.waits.set()
    async with asyncio.timeout(10):
        while (await here.call("GET", "/v1/cluster"))[0] != 200 or here.server.connections[1:]:
            await asyncio.sleep(0.01)
    assert (await verified(here))[-1]["type"] == "result"


async def test_a_dashboard_gets_hello_stats_every_second_and_pings(here: Here) -> None:
    async with watching(here) as events:
        first, second = await anext(events), await anext(events)
        assert (first["type"], first["worker"]) == ("hello", "w1")
        assert (second["type"], second["leader"]) == ("stats", {"worker": "w1", "epoch": 7})
        assert second["workers"][0]["worker"] == "w1"
        await the(events, "stats")
        await the(events, "ping")


async def test_sends_deliveries_and_refusals_are_on_the_wall(here: Here) -> None:
    await here.room("hall", "ada")
    lines = {"Authorization": "Bearer ada", "Accept": "application/x-ndjson"}
    async with (
        watching(here) as events,
        here.http.get(f"http://127.0.0.1:{here.port}/v1/events", headers=lines) as stream,
    ):
        await stream.content.readline()
        for _ in range(3):
            assert (await here.call("POST", "/v1/rooms/hall/messages", json={"text": "hi"}))[0] == 201
            await asyncio.sleep(0.02)  # one in 10 ms is followed to its delivery
        assert (await here.call("POST", "/v1/rooms/none/messages", json={"text": "hi"}))[0] == 404
        assert (await here.call("POST", "/v1/rooms/hall/messages", json={"text": ""}))[0] == 400
        assert (await here.call("GET", "/nowhere"))[0] == 404
        wanted, refused = {"room_not_found", "invalid_request", "not_found"}, dict[str, float]()
        stats = await the(events, "stats")
        async with asyncio.timeout(60):
            while (stats["latency"]["send_ms"] or {}).get("count") != 3 or refused.keys() != wanted:
                stats = await the(events, "stats")
                refused |= stats["refused"]
                assert (stats["refused_per_s"] > 0) == bool(stats["refused"])
                assert stats["errors_per_s"] == 0
    assert 1 <= stats["latency"]["delivery_ms"]["count"] <= 3
    assert stats["workers"][0]["send_p99_ms"] > 0
    kinds = {part: each["kind"] for part, each in stats["parts"].items()}
    assert kinds == {"log": "embedded", "election": "file", "archive": "sqlite"}


async def test_dashboards_hear_who_comes_and_goes_and_who_leads(here: Here) -> None:
    async with watching(here) as events, watching(here) as others:
        for stream in (events, others):
            await the(stream, "stats")
        await here.until(lambda: here.dashboards.count == 2)
        await asyncio.sleep(0.1)
        await here.board.post("w2", {"address": "10.0.0.2:5000", "version": "1"})
        here.leadership.leader = Leader("w2", 9)
        for stream in (events, others):
            assert (await the(stream, "worker_joined"))["worker"] == "w2"
            changed = await the(stream, "leader_changed")
            assert (changed["leader"], changed["before"]["epoch"]) == ({"worker": "w2", "epoch": 9}, 7)
        await here.board.post("w2", {"left": True})
        assert (await the(events, "worker_left"))["worker"] == "w2"


async def test_a_dashboard_is_closed_when_its_token_is_revoked(here: Here) -> None:
    async with watching(here) as events:
        await the(events, "stats")
        here.names.revoked.add("digest of ada")
        assert (await the(events, "auth_expired"))["reason"] == "revoked"
        assert [event async for event in events] == []
    assert here.dashboards.count == 0


async def test_a_revocation_that_was_not_heard_of_is_asked_for_and_nothing_waits_for_the_answer(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dchat_server.dashboards.ASK_S", 0.05)
    monkeypatch.setattr(here.dashboards, "_is_revoked", lambda digest: False)
    answer: asyncio.Future[frozenset[str]] = asyncio.get_running_loop().create_future()
    asked = []

    async def dead_among(tokens: Any) -> frozenset[str]:
        asked.append(dict(tokens))
        return await answer

    monkeypatch.setattr(here.dashboards, "_dead_among", dead_among)
    async with watching(here) as events:
        await here.until(lambda: asked)
        for _ in range(5):
            await the(events, "stats")
        assert asked == [{"digest of ada": "ada"}]
        answer.set_result(frozenset({"digest of ada"}))
        assert (await the(events, "auth_expired"))["reason"] == "revoked"


async def test_a_dashboard_is_closed_when_its_token_ends(here: Here) -> None:
    here.names.expires_at = 1
    async with watching(here) as events:
        assert (await the(events, "auth_expired"))["reason"] == "expired"


async def test_an_event_source_on_another_site_opens_it_with_a_ticket(here: Here) -> None:
    async with watching(here, query="?ticket=ticket of ada") as events:
        await the(events, "stats")
    assert (await here.call("GET", "/v1/cluster/events?ticket=ticket of bob", None))[0] == 403


async def test_a_drained_worker_sends_dashboards_elsewhere_and_takes_none(here: Here) -> None:
    async with watching(here) as events:
        await the(events, "stats")
        here.worker.refuses_streams = True
        assert (await the(events, "reconnect"))["after_ms"] >= 100
        assert [event async for event in events] == []
    assert (await here.call("GET", "/v1/cluster/events"))[1]["code"] == "draining"


async def test_there_are_not_more_dashboards_than_a_worker_bears(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dchat_server.dashboards.MOST", 1)
    async with watching(here) as events:
        await the(events, "stats")
        assert (await here.call("GET", "/v1/cluster/events"))[1]["code"] == "overloaded"
    await here.until(lambda: here.dashboards.count == 0)


async def test_a_dashboard_that_does_not_read_is_cut_and_the_others_do_not_notice(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watching(here) as events:
        await the(events, "stats")
        _reader, writer = await asyncio.open_connection("127.0.0.1", here.port, limit=1024)
        writer.write(b"GET /v1/cluster/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada\r\n\r\n")
        await here.until(lambda: here.dashboards.count == 2)
        for number in range(400):  # rows enough that the kernel's buffers fill soon
            await here.board.post(f"w{number:05}", {"address": "10.0.0.2:5000", "version": "1" * 100})
        async with asyncio.timeout(60):
            while here.dashboards.count == 2:
                await the(events, "stats")
        assert here.dashboards.count == 1
        await the(events, "stats")
        writer.close()


async def test_a_worker_nobody_watches_asks_nobody(here: Here) -> None:
    asked = 0
    read = here.board.read

    async def counted() -> Any:
        nonlocal asked
        asked += 1
        return await read()

    here.board.read = counted  # type: ignore[method-assign]
    await asyncio.sleep(0.3)
    assert asked == 0
    async with watching(here) as events:
        await the(events, "stats")
    await here.until(lambda: here.dashboards.count == 0)
    await asyncio.sleep(0.15)
    before = asked
    await asyncio.sleep(0.3)
    assert (asked, before > 0) == (before, True)


async def test_a_head_request_opens_no_stream(here: Here) -> None:
    timeout = aiohttp.ClientTimeout(total=5)
    async with here.http.head(f"http://127.0.0.1:{here.port}/v1/cluster/events", timeout=timeout) as response:
        assert response.status == 405
