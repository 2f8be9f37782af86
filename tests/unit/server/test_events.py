"""`GET /v1/events` in its three forms, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from dchat_server import wire
from dchat_server.cursor import Cursor
from dchat_server.model import Position
from tests.one_worker import Here, one_worker


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Here]:
    async with one_worker() as here:
        await here.room("hall", "ada", "bob")
        await here.room("den", "ada", kind="private")
        await here.caught_up()
        yield here


def say(here: Here, text: str = "hi", room: str = "hall") -> None:
    here.cluster.append(room, "message", wire.fields(sender="ada", text=text))


class Lines:
    """An NDJSON stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            line = await self.response.content.readline()
        assert line.endswith(b"\n"), "the stream ended"
        told: dict[str, Any] = json.loads(line)
        return told


async def lines(here: Here, user: str = "ada", headers: dict[str, str] | None = None, **params: Any) -> Lines:
    headers = {"Authorization": f"Bearer {user}", "Accept": "application/x-ndjson", **(headers or {})}
    response = await here.http.get(f"http://127.0.0.1:{here.port}/v1/events", params=params, headers=headers)
    assert response.status == 200, await response.text()
    assert response.content_type == "application/x-ndjson"
    here.closers.append(response.close)
    return Lines(response)


async def poll(here: Here, user: str = "ada", seconds: int = 0, **params: Any) -> tuple[list[dict[str, Any]], str]:
    status, told = await here.call("GET", "/v1/events", user, params={"poll": seconds, **params})
    assert status == 200, told
    return told["events"], told["cursor"]


# --- lines ----------------------------------------------------------------------------------------------------------


async def test_a_stream_begins_with_hello_and_goes_on_from_now(here: Here) -> None:
    say(here, "old")
    await here.caught_up()
    stream = await lines(here)
    hello = await stream.next()
    assert (hello["type"], hello["worker"], hello["protocol"], hello["rooms"]) == ("hello", "w1", 1, ["den", "hall"])
    assert hello["time"].endswith("Z")
    assert Cursor.decode(hello["cursor"]) == here.worker.hub.cursor.snapshot()
    say(here, "new")
    told = await stream.next()
    assert (told["type"], told["text"]) == ("message", "new")
    assert Cursor.decode(told["cursor"]) == here.worker.hub.cursor.snapshot()


@pytest.mark.parametrize("how", ["header", "query", "both"])
async def test_a_cursor_goes_on_where_it_was_taken(here: Here, how: str) -> None:
    stream = await lines(here)
    cursor = (await stream.next())["cursor"]
    stream.response.close()
    for number in range(3):
        say(here, str(number))
    await here.caught_up()
    headers = {} if how == "query" else {"Last-Event-ID": cursor}
    params = {} if how == "header" else {"cursor": cursor if how == "query" else "nonsense"}
    stream = await lines(here, headers=headers, **params)
    assert (await stream.next())["cursor"] == cursor
    assert [(await stream.next())["text"] for _ in range(3)] == ["0", "1", "2"]
    assert await stream.next() == {"type": "resumed", "replayed": 3, "cursor": here.worker.hub.cursor.encode().decode()}


@pytest.mark.parametrize("cursor", ["nonsense", "AQ", "AQ%0a", "é" * 9, "x" * 3000])
async def test_what_is_no_cursor_is_answered_with_a_gap(here: Here, cursor: str) -> None:
    stream = await lines(here, cursor=cursor)
    hello, gap, resumed = await stream.next(), await stream.next(), await stream.next()
    assert hello["cursor"] == cursor  # whoever gets no further comes back to the gap
    assert [event["type"] for event in (hello, gap, resumed)] == ["hello", "gap", "resumed"]
    assert gap["refetch"] is True
    assert sorted((each["room"], each["from"], each["to"]) for each in gap["rooms"]) == [("den", 1, 2), ("hall", 1, 3)]
    say(here)
    assert (await stream.next())["type"] == "message"


async def test_a_cursor_of_another_cluster_is_answered_with_a_gap(here: Here) -> None:
    for positions in ([Position(1000, 1)], [Position(77, 5)] * 4, [Position(2**40, 2**50)] * 4):
        stream = await lines(here, cursor=Cursor(tuple(positions)).encode())
        assert [(await stream.next())["type"] for _ in range(2)] == ["hello", "gap"]
        stream.response.close()


async def test_only_the_rooms_that_were_asked_for(here: Here) -> None:
    stream = await lines(here, rooms="den")
    assert (await stream.next())["rooms"] == ["den"]
    say(here)
    say(here, "secret", "den")
    assert (await stream.next())["room"] == "den"


async def test_a_public_room_may_be_watched_by_anybody(here: Here) -> None:
    stream = await lines(here, "eve", rooms="hall,hall")
    assert (await stream.next())["rooms"] == ["hall"]
    say(here)
    assert (await stream.next())["text"] == "hi"


async def test_who_is_let_in_follows_at_once_and_who_is_let_go_hears_nothing_more(here: Here) -> None:
    stream = await lines(here, "eve")
    assert (await stream.next())["rooms"] == []
    say(here, "before", "den")
    await here.store.set_member("den", "ada", "eve", "invite", "member")
    say(here, "inside", "den")
    assert [(await stream.next())["type"] for _ in range(2)] == ["member", "message"]
    await here.store.set_member("den", "ada", "eve", "kick", "")
    say(here, "after", "den")
    told = await stream.next()
    assert (told["type"], told["role"]) == ("member", None)
    await here.caught_up()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await stream.next()


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"rooms": "nowhere"}, 404, "room_not_found"),
        ({"rooms": "den"}, 404, "room_not_found"),
        ({"rooms": "hall,den"}, 404, "room_not_found"),
        ({"rooms": "HALL"}, 404, "room_not_found"),
        ({"rooms": ","}, 400, "invalid_request"),
        ({"rooms": ",".join(f"r{number}" for number in range(201))}, 400, "invalid_request"),
        ({"since": "yesterday"}, 400, "invalid_request"),
        ({"since": "10y"}, 400, "invalid_request"),
        ({"poll": "-1"}, 400, "invalid_request"),
        ({"poll": "61"}, 400, "invalid_request"),
    ],
)
async def test_what_cannot_be_streamed_is_refused_before_it_starts(
    here: Here, params: dict[str, str], status: int, code: str
) -> None:
    told, problem = await here.call("GET", "/v1/events", "eve", params=params)
    assert (told, problem["code"]) == (status, code)
    assert here.worker.hub.count == 0


async def test_hidden_rooms_and_unknown_ones_are_refused_alike(here: Here) -> None:
    hidden = await here.call("GET", "/v1/events", "eve", params={"rooms": "den"})
    unknown = await here.call("GET", "/v1/events", "eve", params={"rooms": "dan"})
    assert json.dumps(hidden).replace("den", "dan") == json.dumps(unknown)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, "text/event-stream"),
        ("*/*", "text/event-stream"),
        ("text/*", "text/event-stream"),
        ("text/event-stream", "text/event-stream"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("text/html, application/X-NDJSON;q=0.9", "application/x-ndjson"),
    ],
)
async def test_the_form_is_what_is_accepted(here: Here, accept: str | None, kind: str) -> None:
    headers = {"Authorization": "Bearer ada"} | ({"Accept": accept} if accept else {})
    skip = () if accept else ("Accept",)
    url = f"http://127.0.0.1:{here.port}/v1/events"
    async with here.http.get(url, headers=headers, skip_auto_headers=skip) as response:
        assert (response.status, response.content_type) == (200, kind)


async def test_another_form_is_refused(here: Here) -> None:
    status, problem = await here.call("GET", "/v1/events", headers={"Accept": "application/json"})
    assert (status, problem["code"]) == (406, "not_acceptable")


async def test_a_ticket_opens_a_stream_from_any_page(here: Here) -> None:
    url = f"http://127.0.0.1:{here.port}/v1/events"
    async with here.http.get(url, params={"ticket": "ticket of ada"}) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "*"
    async with here.http.get(url, headers={"Authorization": "Bearer ada"}) as response:
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_nobody_is_let_in_without_a_token(here: Here) -> None:
    assert (await here.call("GET", "/v1/events", None))[0] == 401


async def test_a_worker_that_is_going_takes_streams_until_it_sends_its_own_away(here: Here) -> None:
    here.worker.draining = True  # a balancer may not have heard of it yet, and an EventSource gives up at a 503
    assert (await here.call("GET", "/v1/events?poll=0"))[0] == 200
    here.worker.refuses_streams = True
    status, problem = await here.call("GET", "/v1/events")
    assert (status, problem["code"]) == (503, "draining")


async def test_a_worker_whose_reader_is_down_takes_no_stream(here: Here) -> None:
    here.worker.pump._down.add(0)
    status, problem = await here.call("GET", "/v1/events")
    assert (status, problem["code"]) == (503, "backend_unavailable")
    here.worker.pump._down.clear()


async def test_a_worker_takes_so_many_streams_and_no_more(here: Here) -> None:
    here.worker.max_streams = 2
    streams = [await lines(here), await lines(here)]
    status, problem = await here.call("GET", "/v1/events")
    assert (status, problem["code"]) == (503, "overloaded")
    streams[0].response.close()
    await here.until(lambda: here.worker.hub.count == 1)
    await lines(here)


async def test_an_account_has_so_many_streams_and_no_more() -> None:
    async with one_worker(streams_per_user=2) as here:
        streams = [await lines(here), await lines(here)]
        status, problem = await here.call("GET", "/v1/events")
        assert (status, problem["code"]) == (429, "too_many_streams")
        await lines(here, "bob")
        streams[0].response.close()
        await here.until(lambda: here.slots._counts.get("ada") == 1)
        stream = await lines(here)
        assert (await stream.next())["type"] == "hello"
        assert (await here.call("GET", "/v1/events", params={"rooms": "nowhere"}))[0] == 429


async def test_a_stream_that_is_refused_gives_its_place_back() -> None:
    async with one_worker(streams_per_user=1) as here:
        for _ in range(3):
            assert (await here.call("GET", "/v1/events", params={"rooms": "nowhere"}))[0] == 404
        await poll(here)
        await lines(here)


# --- since ----------------------------------------------------------------------------------------------------------


async def test_a_stream_may_begin_in_the_past(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = here.cluster.now_ms
    for number in range(5):
        here.cluster.now_ms = begin + 60_000 * (number + 1) - 1
        say(here, str(number))
    await here.caught_up()
    monkeypatch.setattr("dchat_server.http.events.time.time", lambda: (begin + 300_000) / 1000)
    for since, texts in (
        ("150s", ["2", "3", "4"]),
        ("1m", ["3", "4"]),
        ("0s", ["4"]),
        ("1h", ["0", "1", "2", "3", "4"]),
    ):
        stream = await lines(here, since=since, rooms="hall")
        await stream.next()
        told = []
        while (event := await stream.next())["type"] != "resumed":
            told += [event["text"]] if event["type"] == "message" else []
        assert told == texts, since
        stream.response.close()


# --- poll -----------------------------------------------------------------------------------------------------------


async def test_a_poll_gives_a_cursor_at_once_and_then_what_came_since(here: Here) -> None:
    events, cursor = await poll(here)
    assert events == []
    say(here, "one")
    say(here, "two", "den")
    await here.caught_up()
    events, cursor = await poll(here, cursor=cursor)
    assert sorted(event["text"] for event in events) == ["one", "two"]
    assert not any("cursor" in event for event in events)
    assert await poll(here, cursor=cursor) == ([], cursor)


async def test_a_poll_waits_for_something_to_tell(here: Here) -> None:
    _, cursor = await poll(here)
    waiting = asyncio.create_task(poll(here, seconds=10, cursor=cursor))
    await here.until(lambda: here.worker.hub.count == 1)
    await asyncio.sleep(0.02)
    assert not waiting.done()
    say(here, "now")
    events, cursor = await waiting
    assert [event["text"] for event in events] == ["now"]
    assert Cursor.decode(cursor) == here.worker.hub.cursor.snapshot()
    assert here.worker.hub.count == 0


async def test_a_poll_waits_no_longer_than_it_said_and_its_cursor_moved(here: Here) -> None:
    _, cursor = await poll(here, "bob")
    say(here, "not for bob", "den")
    await here.caught_up()
    events, later = await poll(here, "bob", seconds=1, cursor=cursor)
    assert events == []
    assert later != cursor


async def test_a_poll_that_finds_a_place_nobody_knows_says_so(here: Here) -> None:
    events, cursor = await poll(here, seconds=5, cursor="nonsense")
    assert [event["type"] for event in events] == ["gap"]
    assert await poll(here, cursor=cursor) == ([], cursor)


async def test_polls_in_a_row_tell_everything_once(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dchat_server.http.events.POLL_EVENTS", 10)
    monkeypatch.setattr("dchat_server.attach.PAGE", 4)
    _, cursor = await poll(here)
    for number in range(60):
        say(here, str(number), ("hall", "den")[number % 3 == 0])
    await here.caught_up()
    told: list[str] = []
    rounds = 0
    while len(told) < 60:
        events, cursor = await poll(here, cursor=cursor)
        assert 0 < len(events) < 20
        told += [event["text"] for event in events]
        rounds += 1
    assert sorted(told, key=int) == [str(number) for number in range(60)]
    assert rounds > 3
    assert await poll(here, cursor=cursor) == ([], cursor)


async def test_a_client_that_leaves_its_poll_leaves_nothing_behind(here: Here) -> None:
    waiting = asyncio.create_task(poll(here, seconds=30))
    await here.until(lambda: here.worker.hub.count == 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await here.until(lambda: here.worker.hub.count == 0)


# --- sync -----------------------------------------------------------------------------------------------------------


async def test_the_stream_goes_on_from_the_snapshot_without_a_hole(here: Here) -> None:
    say(here, "in the snapshot")
    await here.caught_up()
    status, sync = await here.call("GET", "/v1/sync")
    assert status == 200
    heads = {room["room"]: room["head"] for room in sync["rooms"]}
    assert heads == {"hall": 4, "den": 2}
    say(here, "behind it")
    stream = await lines(here, cursor=sync["cursor"])
    await stream.next()
    told = await stream.next()
    assert (told["text"], told["seq"]) == ("behind it", heads["hall"] + 1)
