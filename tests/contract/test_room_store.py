"""What every RoomStore must do: in memory, on Redis, on Valkey, on a Redis Cluster."""

from __future__ import annotations

import asyncio
import random

import pytest

from dchat_server import wire
from dchat_server.errors import ChatError
from dchat_server.ports import Marker, RoomStore
from tests.contract.servers import Place, Ports, create, draft
from tests.property.unread import ROOMS, TEXTS, USERS, Driver

CHANGE = wire.fields(sender="ada", action="update", kind="public", topic="t", display_name="d")


async def refusal(work: object) -> str:
    with pytest.raises(ChatError) as caught:
        await work  # type: ignore[misc]
    return caught.value.code


async def bodies(ports: Ports, room: str) -> list[tuple[str, dict[str, object]]]:
    return [(event.type, wire.body_fields(event)) for event in await ports.log.read(room, 0, 100)]


# --- rooms ----------------------------------------------------------------------------------------------------------


async def test_a_new_room_begins_with_its_creation_and_its_first_members(ports: Ports) -> None:
    created = await ports.store.create(
        "hall", "public", "ada", {"ada": "owner", "bob": "member"}, topic="Talk\n🎉", display_name="The Hall"
    )
    assert created
    assert await bodies(ports, "hall") == [
        (
            "room",
            {"sender": "ada", "action": "create", "kind": "public", "topic": "Talk\n🎉", "display_name": "The Hall"},
        ),
        ("member", {"sender": "ada", "user": "ada", "action": "join", "role": "owner"}),
        ("member", {"sender": "ada", "user": "bob", "action": "invite", "role": "member"}),
    ]
    (seat,) = await ports.store.seats("bob", ["hall"])
    assert seat is not None
    room = seat.room
    assert (room.name, room.kind, room.topic, room.display_name) == ("hall", "public", "Talk\n🎉", "The Hall")
    assert (room.head, room.messages, room.members, room.archived, seat.role) == (3, 0, 2, False, "member")
    assert await ports.store.joined("ada") == await ports.store.joined("bob") == ["hall"]


async def test_a_name_that_is_taken_stays_with_who_has_it(place: Place) -> None:
    workers = [await place.worker() for _ in range(2)]
    people = [f"user{number}" for number in range(20)]
    made = await asyncio.gather(
        *(
            workers[at % 2].store.create("hall", "private", user, {user: "owner"}, topic=user, display_name="")
            for at, user in enumerate(people)
        )
    )
    assert made.count(True) == 1
    winner = people[made.index(True)]
    assert await workers[0].store.members("hall") == {winner: "owner"}
    for user in people:
        assert await workers[1].store.joined(user) == (["hall"] if user == winner else [])


async def test_a_change_of_the_room_is_an_event_of_its_own(ports: Ports) -> None:
    await create(ports.store, "hall", "ada", "bob")
    await ports.store.update("hall", "ada", False, ("owner",), {"topic": "t", "display_name": "d"}, CHANGE)
    (seat,) = await ports.store.seats("ada", ["hall"])
    assert seat is not None
    assert (seat.room.topic, seat.room.display_name, seat.room.head) == ("t", "d", 4)
    assert (await bodies(ports, "hall"))[-1] == ("room", wire.body_fields((await ports.log.read("hall", 3, 1))[0]))


async def test_who_may_change_a_room(ports: Ports) -> None:
    store = ports.store
    await create(store, "hall", "ada", "bob")
    await create(store, "den", "ada", kind="private")
    assert await refusal(store.update("nowhere", "ada", False, ("owner",), {}, CHANGE)) == "room_not_found"
    assert await refusal(store.update("den", "eve", False, ("owner",), {}, CHANGE)) == "room_not_found"
    assert await refusal(store.update("den", "eve", True, ("owner",), {}, CHANGE)) == "room_not_found"
    assert await refusal(store.update("hall", "eve", False, ("owner",), {}, CHANGE)) == "not_a_member"
    assert await refusal(store.update("hall", "bob", False, ("owner",), {}, CHANGE)) == "forbidden"
    await store.update("hall", "eve", True, ("owner",), {"topic": "by an administrator"}, CHANGE)
    assert len(await ports.log.read("hall", 0, 100)) == 4


async def test_public_rooms_are_listed_in_pages_by_name(ports: Ports) -> None:
    names = sorted([f"room{number:02}" for number in range(25)] + ["alpha", "zulu", "room", "room.x", "room-y"])
    for name in names:
        await create(ports.store, name, "ada")
    await create(ports.store, "hidden", "ada", kind="private")
    found: list[str] = []
    while page := await ports.store.public_rooms(found[-1] if found else "", 7):
        assert len(page) <= 7
        found += page
    assert found == names
    assert await ports.store.public_rooms("", 100, "room1") == [f"room1{number}" for number in range(10)]
    assert await ports.store.public_rooms("room15", 100, "room1") == [f"room1{number}" for number in range(6, 10)]
    assert await ports.store.public_rooms("zzz", 100, "room1") == []
    assert await ports.store.public_rooms("alpha", 3, "room") == ["room", "room-y", "room.x"]


async def test_rooms_that_do_not_exist_have_no_seat_and_no_role(ports: Ports) -> None:
    await create(ports.store, "hall", "ada")
    seats = await ports.store.seats("bob", ["nowhere", "hall", "den"])
    assert [seat.room.name if seat else None for seat in seats] == [None, "hall", None]
    assert seats[1] is not None
    assert seats[1].role is None
    assert await ports.store.seats("bob", []) == []
    assert await ports.store.role("ada", "hall") == ("owner", "public")[::-1]
    assert await ports.store.role("bob", "hall") == ("public", None)
    assert await ports.store.role("ada", "nowhere") == (None, None)
    assert await ports.store.members("nowhere") == {}
    assert await ports.store.joined("nobody") == []


async def test_who_may_say_that_they_are_writing_and_nothing_of_it_is_kept(ports: Ports) -> None:
    store = ports.store
    await create(store, "hall", "ada", "bob")
    await create(store, "den", "ada", kind="private")
    await store.set_member("hall", "ada", "bob", "role", "reader", actor_roles=("owner",), user_roles=())
    heads = [seat.room.head for seat in await store.seats("ada", ["hall", "den"]) if seat is not None]
    for body in (b"", b'{"type":"typing"}'):
        await store.typing("hall", "ada", body)
        await store.typing("den", "ada", body)
        assert await refusal(store.typing("nowhere", "ada", body)) == "room_not_found"
        assert await refusal(store.typing("den", "eve", body)) == "room_not_found"
        assert await refusal(store.typing("hall", "eve", body)) == "not_a_member"
        assert await refusal(store.typing("hall", "bob", body)) == "read_only"
    assert [seat.room.head for seat in await store.seats("ada", ["hall", "den"]) if seat is not None] == heads
    await store.update("hall", "ada", False, ("owner",), {"archived": "1"}, CHANGE)
    assert await refusal(store.typing("hall", "ada", b"")) == "room_archived"


# --- members --------------------------------------------------------------------------------------------------------


async def test_coming_and_going(ports: Ports) -> None:
    store = ports.store
    await create(store, "hall", "ada")
    assert await store.set_member("hall", "bob", "bob", "join", "member") == "ok"
    assert await store.set_member("hall", "bob", "bob", "join", "member") == "unchanged"
    assert await store.members("hall") == {"ada": "owner", "bob": "member"}
    assert await store.joined("bob") == ["hall"]
    assert await store.set_member("hall", "bob", "bob", "leave", "") == "ok"
    assert await store.set_member("hall", "bob", "bob", "leave", "") == "unchanged"
    assert await store.members("hall") == {"ada": "owner"}
    assert await store.joined("bob") == []
    assert [body.get("role") for _, body in await bodies(ports, "hall")][2:] == ["member", None]


async def test_who_may_let_in_and_let_go(ports: Ports) -> None:
    store = ports.store
    await create(store, "hall", "ada", "bob", "cat")
    await create(store, "den", "ada", kind="private")
    moderators = ("owner", "moderator")
    assert await refusal(store.set_member("nowhere", "ada", "dan", "invite", "member")) == "room_not_found"
    assert await refusal(store.set_member("den", "eve", "eve", "join", "member")) == "room_not_found"
    invite = store.set_member("hall", "eve", "dan", "invite", "member", actor_roles=moderators)
    assert await refusal(invite) == "not_a_member"
    kick = store.set_member("hall", "bob", "cat", "kick", "", actor_roles=moderators)
    assert await refusal(kick) == "forbidden"
    over = store.set_member("hall", "ada", "bob", "kick", "", actor_roles=moderators, user_roles=("reader",))
    assert await refusal(over) == "forbidden"
    assert await store.set_member("hall", "eve", "bob", "kick", "", admin=True, actor_roles=moderators) == "ok"
    assert await store.set_member("hall", "ada", "dan", "invite", "reader", actor_roles=moderators) == "ok"
    assert await store.members("hall") == {"ada": "owner", "cat": "member", "dan": "reader"}
    assert len(await ports.log.read("hall", 0, 100)) == 6


async def test_a_role_changes_and_is_no_way_in(ports: Ports) -> None:
    store = ports.store
    await create(store, "hall", "ada", "bob")
    assert await store.set_member("hall", "ada", "bob", "role", "moderator") == "ok"
    assert await store.set_member("hall", "ada", "bob", "role", "moderator") == "unchanged"
    assert await store.set_member("hall", "ada", "eve", "role", "moderator") == "unchanged"
    assert await store.members("hall") == {"ada": "owner", "bob": "moderator"}


async def test_nobody_comes_into_an_archived_room_and_anybody_may_go(ports: Ports) -> None:
    store = ports.store
    await create(store, "hall", "ada", "bob")
    await store.update("hall", "ada", False, ("owner",), {"archived": "1"}, CHANGE)
    assert await refusal(store.set_member("hall", "eve", "eve", "join", "member")) == "room_archived"
    assert await store.set_member("hall", "bob", "bob", "leave", "") == "ok"


async def test_however_coming_and_going_overlap_ones_list_names_every_room_one_is_in(place: Place) -> None:
    """It is what a stream begins with: a room that is missing there would be silent."""
    workers = [await place.worker() for _ in range(4)]
    rooms = ["hall", "yard", "den"]
    for room in rooms:
        await create(workers[0].store, room, "ada")
    chance = random.Random(5)

    async def move(store: RoomStore, seed: int) -> None:
        mine = random.Random(seed)
        for _ in range(25):
            action = mine.choice(["join", "leave"])
            await store.set_member(mine.choice(rooms), "bob", "bob", action, "member" if action == "join" else "")

    for _ in range(4):
        await asyncio.gather(*(move(worker.store, chance.randrange(1000)) for worker in workers * 2))
        inside = [room for room in rooms if "bob" in await workers[0].store.members(room)]
        assert await workers[1].store.joined("bob") == sorted(inside)


# --- reading --------------------------------------------------------------------------------------------------------


async def test_a_marker_moves_forward_and_back_only_on_purpose(ports: Ports) -> None:
    store = ports.store
    assert await store.markers("ada", ["hall", "yard"]) == [None, None]
    assert await store.mark("ada", "hall", Marker(5, 3, 9, False), b"{}") == Marker(5, 3, 9, False)
    assert await store.mark("ada", "hall", Marker(4, 2, 9, False), b"{}") == Marker(5, 3, 9, False)
    assert await store.mark("ada", "hall", Marker(2, 1, 9, True), b"{}") == Marker(2, 1, 9, True)
    assert await store.mark("ada", "yard", Marker(1, 1, 1, False), b"{}") == Marker(1, 1, 1, False)
    assert await store.markers("ada", ["yard", "hall", "den"]) == [Marker(1, 1, 1, False), Marker(2, 1, 9, True), None]
    assert await store.markers("bob", ["hall"]) == [None]
    assert await store.markers("ada", []) == []


async def test_who_went_back_and_reads_on_has_not_read_their_own_later_messages_again(ports: Ports) -> None:
    """One at 20, wrote at 18, went back to 5, and has now read up to 10: not up to 18."""
    store = ports.store
    await store.mark("ada", "hall", Marker(5, 5, 20, True), b"{}")
    assert await store.mark("ada", "hall", Marker(10, 10, 22, False), b"{}") == Marker(10, 10, 20, True)
    assert await store.mark("ada", "hall", Marker(20, 20, 25, False), b"{}") == Marker(20, 20, 25, False)


async def test_ones_last_message_is_remembered(ports: Ports) -> None:
    await create(ports.store, "hall", "ada", "bob")
    await ports.log.send_many("hall", [draft("ada", "1"), draft("bob", "2"), draft("ada", "3"), draft("bob", "4")])
    for user, posted in (("ada", (6, 3)), ("bob", (7, 4)), ("eve", (0, 0))):
        (seat,) = await ports.store.seats(user, ["hall"])
        assert seat is not None
        assert seat.posted == posted


async def test_unread_counts_are_those_of_a_plain_list(ports: Ports) -> None:
    """The same as tests/property/test_server_unread.py, with fewer examples, on every adapter."""
    chance = random.Random(23)
    driver = Driver(ports.log, ports.store)
    await driver.begin()
    for number in range(160):
        user, room, which = chance.choice(USERS), chance.choice(ROOMS), chance.randrange(60)
        match chance.choice(["say", "say", "say", "edit", "delete", "react", "read", "read", "come", "go"]):
            case "say":
                await driver.say(user, room, chance.choice(TEXTS))
            case "edit":
                await driver.edit(user, room, which, chance.choice(TEXTS))
            case "delete":
                await driver.delete(user, room, which)
            case "react":
                await driver.react(user, room, which)
            case "read":
                await driver.read(user, room, which, chance.random() < 0.4)
            case "come":
                await driver.come(user, room)
            case "go":
                await driver.go(user, room)
        if number % 4 == 0:
            await driver.check()
