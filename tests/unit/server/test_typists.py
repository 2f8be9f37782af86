"""Who types is passed on at most so often, and who may not is told so each time. Order and who hears: test_hub.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from dchat_server.errors import ChatError
from dchat_server.typists import EACH_S, MOST, Typists
from tests.one_worker import Here, one_worker


class Store:
    """Notes what it is asked to tell; `refusal` is raised, `gate` waited for."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.looked = 0
        self.refusal = ""
        self.gate: asyncio.Event | None = None

    async def typing(self, room: str, user: str, body: bytes) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.refusal:
            raise ChatError(self.refusal)
        if body:
            self.told.append((user, room))
        else:
            self.looked += 1


class Stage:
    def __init__(self) -> None:
        self.now, self.store = 100.0, Store()
        self.typists = Typists(self.store, lambda: self.now)  # type: ignore[arg-type]


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_person_is_passed_on_once_in_three_seconds_and_room(stage: Stage) -> None:
    for _ in range(4):
        await stage.typists.tell("ada", "hall")
    await stage.typists.tell("ada", "den")
    await stage.typists.tell("bob", "hall")
    assert stage.store.told == [("ada", "hall"), ("ada", "den"), ("bob", "hall")]
    stage.now += EACH_S - 0.01
    await stage.typists.tell("ada", "hall")
    assert len(stage.store.told) == 3
    stage.now += 0.01
    await stage.typists.tell("ada", "hall")
    assert stage.store.told[3:] == [("ada", "hall")]


async def test_neither_a_person_in_many_rooms_nor_a_room_of_many_people_is_passed_on_without_end(stage: Stage) -> None:
    for number in range(MOST + 3):
        await stage.typists.tell("ada", f"room{number}")
    assert len(stage.store.told) == MOST
    for number in range(MOST + 3):
        await stage.typists.tell(f"user{number}", "hall")
    assert len(stage.store.told) == 2 * MOST
    assert stage.store.looked == 6, "whether they may is seen all the same"
    stage.now += EACH_S
    await stage.typists.tell("ada", "late")
    assert stage.store.told[-1] == ("ada", "late")
    assert (len(stage.typists._told), stage.typists._counts) == (1, {"@ada": 1, "late": 1}), "nothing older is kept"


async def test_who_may_not_is_told_so_each_time_also_beyond_the_bounds(stage: Stage) -> None:
    stage.store.refusal = "room_not_found"
    for _ in range(3):
        with pytest.raises(ChatError, match="room_not_found"):
            await stage.typists.tell("eve", "den")
    stage.store.refusal = ""
    for number in range(MOST):
        await stage.typists.tell(f"user{number}", "den")
    stage.store.refusal = "room_not_found"
    with pytest.raises(ChatError, match="room_not_found"):
        await stage.typists.tell("eve", "den")
    assert stage.typists._counts["@eve"] == 0


async def test_who_says_it_twice_at_once_gets_one_answer_twice(stage: Stage) -> None:
    stage.store.gate, stage.store.refusal = asyncio.Event(), "read_only"
    both = [asyncio.create_task(stage.typists.tell("ada", "hall")) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    stage.store.gate.set()
    for outcome in await asyncio.gather(*both, return_exceptions=True):
        assert isinstance(outcome, ChatError)
        assert outcome.code == "read_only"


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Here]:
    async with one_worker() as here:
        yield here


async def next_line(stream: Any) -> Any:
    async with asyncio.timeout(10):
        return json.loads(await stream.content.readline())


async def test_the_others_in_the_room_hear_it_and_nobody_else(here: Here) -> None:
    await here.room("den", "ada", "bob", kind="private")
    await here.room("hall", "ada", "bob", "cat")
    url = f"http://127.0.0.1:{here.port}/v1/events"

    def stream(user: str, query: str = "") -> Any:
        headers = {"Authorization": f"Bearer {user}", "Accept": "application/x-ndjson"}
        return here.http.get(url + query, headers=headers)

    async with stream("ada") as ada, stream("bob") as bob, stream("cat") as cat, stream("eve", "?rooms=hall") as eve:
        for each in (ada, bob, cat, eve):
            assert (await next_line(each))["type"] == "hello"
        cursor = (await here.call("GET", "/v1/sync"))[1]["cursor"]
        assert await here.call("POST", "/v1/rooms/den/typing") == (204, None)
        assert await here.call("POST", "/v1/rooms/den/typing") == (204, None)
        assert (await here.call("POST", "/v1/rooms/den/typing", "cat"))[1]["code"] == "room_not_found"
        assert (await here.call("POST", "/v1/rooms/hall/typing", "eve"))[1]["code"] == "not_a_member"
        assert (await here.call("POST", "/v1/rooms/hall/typing", None))[0] == 401
        assert (await here.call("POST", "/v1/rooms/hall/messages", "ada", json={"text": "end"}))[0] == 201
        heard = await next_line(bob)
        assert heard.keys() == {"type", "room", "sender", "until"}, "neither a seq nor a cursor"
        assert (heard["type"], heard["room"], heard["sender"]) == ("typing", "den", "ada")
        for each in (ada, bob, cat, eve):
            assert (await next_line(each))["text"] == "end", "told once, to the others in the room, and to nobody else"
    status, poll = await here.call("GET", f"/v1/events?poll=1&cursor={cursor}", "bob")
    assert status == 200
    assert [event["type"] for event in poll["events"]] == ["message"], "it is not told again later"
