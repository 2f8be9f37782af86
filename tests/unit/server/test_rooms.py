from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from dchat_server.errors import ChatError
from dchat_server.rooms import Rooms
from tests.fakes import MemoryCluster, MemoryNodes, MemoryRoomLog, MemoryRoomStore
from tests.one_worker import Here as Served
from tests.one_worker import one_worker


class Here:
    def __init__(self) -> None:
        nodes = MemoryNodes(MemoryCluster())
        self.log, self.store = MemoryRoomLog(nodes), MemoryRoomStore(nodes)
        self.rooms = Rooms(self.store, self.log)

    async def begin(self, kind: str = "public") -> Here:
        """`hall`: own is its owner, mod a moderator, mem and other members, rdr a reader; out is outside."""
        roles = {"own": "owner", "mod": "moderator", "mem": "member", "other": "member", "rdr": "reader"}
        await self.store.create("hall", kind, "own", roles, topic="old", display_name="Hall")
        return self

    async def role(self, user: str) -> str | None:
        return (await self.store.role(user, "hall"))[1]


async def refusal(work: object) -> str | None:
    """The code of a refusal, None when there was none."""
    try:
        await work  # type: ignore[misc]
    except ChatError as error:
        return error.code
    return None


@pytest.mark.parametrize("name", ["", "UP", "a b", "x" * 33, "dm-" + "0" * 24, "../x"])
async def test_names_no_room_may_have(name: str) -> None:
    assert await refusal(Here().rooms.create("ada", name, "public", "", "")) == "invalid_request"


async def test_a_room_belongs_to_who_made_it() -> None:
    here = Here()
    await here.rooms.create("ada", "hall", "private", "t", "Hall")
    standing = await here.rooms.standing("ada", "hall")
    assert (standing.role, standing.room.topic, standing.unread) == ("owner", "t", 0)
    assert await refusal(here.rooms.create("bob", "hall", "public", "", "")) == "room_taken"


async def test_a_private_room_is_as_good_as_none_to_others() -> None:
    here = await Here().begin("private")
    for work in (
        here.rooms.seat("out", "hall"),
        here.rooms.check_readable("out", "hall"),
        here.rooms.standing("out", "hall"),
        here.rooms.members("out", "hall"),
        here.rooms.update("out", True, "hall", {"topic": "x"}),
        here.rooms.put_member("out", True, "hall", "out", None),
        here.rooms.remove_member("out", True, "hall", "mem"),
        here.rooms.mark_read("out", "hall", 1, False),
    ):
        assert await refusal(work) == "room_not_found"
    assert await here.rooms.visible("out", after="", limit=10) == ([], None)


async def test_the_same_people_always_have_the_same_conversation() -> None:
    here = Here()
    name, new = await here.rooms.direct("ada", ["bob", "cat"])
    assert new
    assert await here.rooms.direct("cat", ["ada", "bob", "ada"]) == (name, False)
    assert (await here.rooms.direct("ada", ["bob"]))[0] != name
    assert await here.rooms.dm_users(name) == ["ada", "bob", "cat"]
    assert (await here.rooms.direct("ada", ["ada"]))[1]
    for work in (
        here.rooms.put_member("ada", False, name, "dan", None),
        here.rooms.remove_member("ada", False, name, "ada"),
        here.rooms.update("ada", False, name, {"archived": "1"}),
    ):
        assert await refusal(work) == "forbidden"
    await here.rooms.update("bob", False, name, {"topic": "lunch"})
    assert await refusal(here.rooms.direct("ada", [f"user{number}" for number in range(16)])) == "invalid_request"


JOIN = {
    # (actor, role) joining themselves → what comes of it
    ("out", None): None,
    ("out", "member"): None,
    ("out", "reader"): None,
    ("out", "moderator"): "forbidden",
    ("out", "owner"): "forbidden",
}


@pytest.mark.parametrize(("actor", "role"), JOIN)
async def test_one_joins_as_member_or_reader(actor: str, role: str | None) -> None:
    here = await Here().begin()
    assert await refusal(here.rooms.put_member(actor, False, "hall", actor, role)) == JOIN[actor, role]
    assert await here.role(actor) == (None if JOIN[actor, role] else role or "member")


@pytest.mark.parametrize("role", ["member", "reader", "moderator", "owner"])
@pytest.mark.parametrize("actor", ["own", "mod", "mem", "rdr", "out"])
async def test_who_may_invite_as_what(actor: str, role: str) -> None:
    here = await Here().begin()
    allowed = {
        "own": {"member", "reader", "moderator", "owner"},
        "mod": {"member", "reader", "moderator"},
        "mem": {"member"},
    }
    code = await refusal(here.rooms.put_member(actor, False, "hall", "eve", role))
    assert (code is None) == (role in allowed.get(actor, set()))
    assert code in (None, "forbidden", "not_a_member")
    assert await here.role("eve") == (None if code else role)


@pytest.mark.parametrize("role", ["member", "reader", "moderator", "owner"])
@pytest.mark.parametrize("user", ["own", "mod", "mem"])
@pytest.mark.parametrize("actor", ["own", "mod", "mem", "rdr", "out"])
async def test_who_may_give_which_role_to_whom(actor: str, user: str, role: str) -> None:
    here = await Here().begin()
    before = await here.role(user)
    code = await refusal(here.rooms.put_member(actor, False, "hall", user, role))
    if role == before:
        assert code is None  # nothing is changed, so nothing is refused
    elif "owner" in (role, before):
        assert (code is None) == (actor == "own")
    else:
        assert (code is None) == (actor in ("own", "mod"))
    assert await here.role(user) == (before if code else role)


@pytest.mark.parametrize("user", ["own", "mod", "mem", "rdr", "out"])
@pytest.mark.parametrize("actor", ["own", "mod", "mem", "rdr", "out"])
async def test_who_may_make_whom_leave(actor: str, user: str) -> None:
    here = await Here().begin()
    code = await refusal(here.rooms.remove_member(actor, False, "hall", user))
    if actor == user:
        assert code is None
    elif user == "own":
        assert code in ("forbidden", "not_a_member")
    else:
        assert (code is None) == (actor in ("own", "mod"))
    assert (await here.role(user) is None) == (code is None or user == "out")


async def test_a_server_administrator_may_do_it_all_in_public_rooms() -> None:
    here = await Here().begin()
    await here.rooms.put_member("out", True, "hall", "mem", "moderator")
    await here.rooms.put_member("out", True, "hall", "eve", "owner")
    await here.rooms.remove_member("out", True, "hall", "own")
    await here.rooms.update("out", True, "hall", {"archived": "1"})
    assert (await here.store.members("hall"))["eve"] == "owner"


async def test_no_room_is_left_without_an_owner() -> None:
    here = await Here().begin()
    for heir in ("mod", "mem", "other", "rdr"):
        owner = next(user for user, role in (await here.store.members("hall")).items() if role == "owner")
        await here.rooms.remove_member(owner, False, "hall", owner)
        assert await here.role(heir) == "owner"
    await here.rooms.remove_member("rdr", False, "hall", "rdr")
    assert await here.store.members("hall") == {}


@pytest.mark.parametrize(
    ("actor", "changes", "code"),
    [
        ("own", {"topic": "x"}, None),
        ("mod", {"topic": "x", "display_name": "y"}, None),
        ("mem", {"topic": "x"}, "forbidden"),
        ("out", {"topic": "x"}, "not_a_member"),
        ("own", {"archived": "1"}, None),
        ("mod", {"archived": "1"}, "forbidden"),
        ("own", {"retention": "30"}, None),
        ("mod", {"retention": "30"}, "forbidden"),
        ("own", {"topic": "old"}, None),
        ("mem", {"topic": "old"}, "forbidden"),
    ],
)
async def test_who_may_change_a_room(actor: str, changes: dict[str, str], code: str | None) -> None:
    here = await Here().begin()
    before = len(await here.log.read("hall", 0, 100))
    assert await refusal(here.rooms.update(actor, False, "hall", changes)) == code
    changed = code is None and changes != {"topic": "old"}
    assert len(await here.log.read("hall", 0, 100)) == before + changed


async def test_an_archived_room_comes_back_and_changes_nothing_meanwhile() -> None:
    here = await Here().begin()
    await here.rooms.update("own", False, "hall", {"archived": "1"})
    assert await refusal(here.rooms.update("own", False, "hall", {"topic": "x"})) == "room_archived"
    assert await refusal(here.rooms.put_member("out", False, "hall", "out", None)) == "room_archived"
    await here.rooms.update("own", False, "hall", {"archived": "0"})
    await here.rooms.update("own", False, "hall", {"topic": "x"})
    actions = [event.body for event in await here.log.read("hall", 6, 100)]
    assert [b'"archive"' in actions[0], b'"unarchive"' in actions[1], b'"update"' in actions[2]] == [True] * 3


async def test_the_list_shows_ones_own_rooms_and_public_ones_in_pages() -> None:
    here = Here()
    for number in range(12):
        kind = "public" if number % 3 else "private"
        await here.rooms.create("ada" if number % 2 else "bob", f"room{number:02}", kind, "", "")
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page, after = await here.rooms.visible("ada", after=after, limit=5)
        assert len(page) <= 5
        found += [standing.room.name for standing in page]
    assert found == [f"room{number:02}" for number in range(12) if number % 3 or number % 2]
    mine, _ = await here.rooms.visible("ada", after="", limit=50, joined_only=True)
    assert [standing.room.name for standing in mine] == [f"room{number:02}" for number in range(1, 12, 2)]
    some, _ = await here.rooms.visible("ada", after="", limit=50, prefix="room1")
    assert [standing.room.name for standing in some] == ["room10", "room11"]


# --- over HTTP ------------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture
async def served() -> AsyncIterator[Served]:
    async with one_worker() as served:
        yield served


async def test_a_room_is_made_changed_archived_and_brought_back(served: Served) -> None:
    fields = {"room": "hall", "kind": "private", "topic": "t", "display_name": "Hall 🎉"}
    status, told = await served.call("POST", "/v1/rooms", json=fields)
    assert status == 201
    room = told["room"]
    assert room.pop("created_at").endswith("Z")
    counts = {"head": 2, "read": 0, "unread": 0, "mentions": 0, "members": 1}
    assert room == {**fields, **counts, "joined": True, "role": "owner", "archived": False}
    assert (await served.call("POST", "/v1/rooms", "bob", json=fields))[1]["code"] == "room_taken"
    status, told = await served.call("PATCH", "/v1/rooms/hall", json={"topic": "new"})
    assert (status, told["room"]["topic"], told["room"]["head"]) == (200, "new", 3)
    assert await served.call("DELETE", "/v1/rooms/hall") == (204, None)
    assert await served.call("DELETE", "/v1/rooms/hall") == (204, None)
    assert (await served.call("GET", "/v1/rooms/hall"))[1]["room"]["archived"] is True
    assert (await served.call("POST", "/v1/rooms/hall/messages", json={"text": "x"}))[1]["code"] == "room_archived"
    status, told = await served.call("PATCH", "/v1/rooms/hall", json={"archived": False})
    assert told["room"]["archived"] is False
    status, told = await served.call("PATCH", "/v1/rooms/hall", json={"retention_days": 0.5})
    assert (status, told["room"]["retention_days"]) == (200, 0.5)
    status, told = await served.call("PATCH", "/v1/rooms/hall", json={"retention_days": 0})
    assert "retention_days" not in told["room"]


@pytest.mark.parametrize("days", [-1, "30", True, 36_501, [1]])
async def test_a_retention_that_is_no_number_of_days_is_refused(served: Served, days: Any) -> None:
    await served.call("POST", "/v1/rooms", json={"room": "hall"})
    status, problem = await served.call("PATCH", "/v1/rooms/hall", json={"retention_days": days})
    assert (status, problem["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"room": 5},
        {"room": "UP"},
        {"room": "a", "kind": "dm"},
        {"room": "a", "kind": [1]},
        {"room": "a", "topic": 5},
    ],
)
async def test_a_room_of_the_wrong_form_is_not_made(served: Served, fields: dict[str, Any]) -> None:
    status, problem = await served.call("POST", "/v1/rooms", json=fields)
    assert (status, problem["code"]) == (400, "invalid_request")


async def test_members_come_and_go(served: Served) -> None:
    await served.room("hall", "ada")
    await served.room("den", "ada", kind="private")
    assert await served.call("PUT", "/v1/rooms/hall/members/me", "bob") == (
        200,
        {"member": {"user": "bob", "role": "member"}},
    )
    assert (await served.call("PUT", "/v1/rooms/den/members/me", "bob"))[1]["code"] == "room_not_found"
    assert (await served.call("PUT", "/v1/rooms/den/members/nobody"))[1]["code"] == "user_not_found"
    assert (await served.call("PUT", "/v1/rooms/hall/members/bob", json={"role": "king"}))[1][
        "code"
    ] == "invalid_request"
    _, told = await served.call("PUT", "/v1/rooms/hall/members/bob", json={"role": "moderator"})
    assert told["member"] == {"user": "bob", "role": "moderator"}
    await served.call("PUT", "/v1/rooms/hall/members/cat")
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        _, page = await served.call("GET", "/v1/rooms/hall/members", "eve", params={"limit": 2, "cursor": cursor})
        found += [f"{each['user']} {each['role']}" for each in page["members"]]
        cursor = page["next"]
    assert found == ["ada owner", "bob moderator", "cat member"]
    assert await served.call("DELETE", "/v1/rooms/hall/members/cat", "bob") == (204, None)
    assert await served.call("DELETE", "/v1/rooms/hall/members/me", "bob") == (204, None)
    assert (await served.call("GET", "/v1/rooms/hall"))[1]["room"]["members"] == 1


async def test_conversations_over_http(served: Served) -> None:
    status, told = await served.call("POST", "/v1/dms", json={"users": ["bob"]})
    assert (status, told["room"]["kind"], told["room"]["users"]) == (201, "dm", ["ada", "bob"])
    status, again = await served.call("POST", "/v1/dms", "bob", json={"users": ["ada"]})
    assert (status, again["room"]["room"]) == (200, told["room"]["room"])
    assert (await served.call("GET", f"/v1/rooms/{told['room']['room']}", "eve"))[0] == 404
    assert (await served.call("POST", "/v1/dms", json={"users": ["nobody"]}))[1]["code"] == "user_not_found"
    for wrong in ({}, {"users": []}, {"users": "bob"}, {"users": [5]}, {"users": ["a"] * 17}):
        assert (await served.call("POST", "/v1/dms", json=wrong))[1]["code"] == "invalid_request"


async def test_the_list_of_rooms_over_http(served: Served) -> None:
    for number in range(7):
        await served.room(f"room{number}", "ada", kind="public" if number % 2 else "private")
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        _, page = await served.call("GET", "/v1/rooms", "bob", params={"limit": 2, "cursor": cursor})
        found += [room["room"] for room in page["rooms"]]
        cursor = page["next"]
    assert found == ["room1", "room3", "room5"]
    _, page = await served.call("GET", "/v1/rooms", params={"joined": 1, "query": "ROOM"})
    assert len(page["rooms"]) == 7
    assert (await served.call("GET", "/v1/rooms", "bob", params={"joined": 1}))[1]["rooms"] == []
    for wrong in ("nonsense", "bjpVUA", "!", "é"):
        status, problem = await served.call("GET", "/v1/rooms", params={"cursor": wrong})
        assert (status, problem["code"]) == (400, "bad_cursor")


async def test_members_are_shown_with_who_is_there(served: Served) -> None:
    await served.room("porch", "ada", "bob")

    async def presence() -> dict[str, str]:
        _, told = await served.call("GET", "/v1/rooms/porch/members")
        return {each["user"]: each["presence"] for each in told["members"]}

    assert await presence() == {"ada": "offline", "bob": "offline"}
    headers = {"Authorization": "Bearer bob"}
    async with served.http.get(f"http://127.0.0.1:{served.port}/v1/events", headers=headers) as stream:
        await stream.content.readline()
        assert await presence() == {"ada": "offline", "bob": "online"}
        stream.close()
    async with asyncio.timeout(10):
        while await presence() != {"ada": "offline", "bob": "offline"}:
            await asyncio.sleep(0.01)
