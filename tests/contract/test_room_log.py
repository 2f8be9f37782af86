"""What every RoomLog must do: in memory, on Redis, on Valkey, on a Redis Cluster."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from dchat_server import wire
from dchat_server.errors import ChatError
from dchat_server.model import Sent
from dchat_server.ports import Amendment, RoomLog, RoomStore
from tests.contract.servers import Place, Ports, create, draft


async def refusal(work: object) -> str:
    with pytest.raises(ChatError) as caught:
        await work  # type: ignore[misc]
    return caught.value.code


async def texts(log: RoomLog, room: str) -> list[str]:
    return [wire.body_fields(event)["text"] for event in await log.read(room, 0, 1000) if event.type == "message"]


# --- sending --------------------------------------------------------------------------------------------------------


async def test_sends_of_several_workers_get_dense_places_and_each_sender_keeps_their_order(place: Place) -> None:
    workers = [await place.worker() for _ in range(2)]
    rooms = ["hall", "yard", "attic"]
    for room in rooms:
        await create(workers[0].store, room, "ada", "bob", "cat")

    async def sender(worker: Ports, user: str) -> list[Sent]:
        return [await worker.log.send(room, draft(user, f"{user} {number}")) for number in range(15) for room in rooms]

    sent = await asyncio.gather(
        *(sender(worker, user) for worker, user in zip(workers * 2, ("ada", "bob", "cat"), strict=False))
    )
    for room in rooms:
        events = await workers[1].log.read(room, 0, 1000)
        assert [event.seq for event in events] == list(range(1, 4 + 45 + 1))
        assert [event.messages for event in events if event.type == "message"] == list(range(1, 46))
        assert [event.offset for event in events] == sorted({event.offset for event in events})
        assert [event.ts for event in events] == sorted(event.ts for event in events)
        here = {place.seq for answers in sent for place in answers if place.room == room}
        assert here == {event.seq for event in events if event.type == "message"}
        said = await texts(workers[0].log, room)
        for user in ("ada", "bob", "cat"):
            assert [text for text in said if text.startswith(user)] == [f"{user} {number}" for number in range(15)]


async def test_sends_that_wait_for_nothing_keep_their_order(ports: Ports) -> None:
    await create(ports.store, "hall", "ada")
    sent = await asyncio.gather(*(ports.log.send("hall", draft("ada", str(number))) for number in range(700)))
    assert [place.seq for place in sent] == list(range(3, 703))
    assert await texts(ports.log, "hall") == [str(number) for number in range(700)]


async def test_what_was_written_comes_back_byte_for_byte(ports: Ports) -> None:
    await create(ports.store, "hall", "ada")
    hostile = ["\0\r\n\u2028 end", "🎉 " * 4000, "-", "*", "}", '"', "\x1b[2J\u202e", "%s {0} \\", "x" * 16384]
    for number, text in enumerate(hostile):
        await ports.log.send("hall", draft("ada", text, client_id=f"\u2028{number} *"))
    assert await texts(ports.log, "hall") == hostile


async def test_forty_repeats_at_once_are_one_message(place: Place) -> None:
    workers = [await place.worker() for _ in range(2)]
    await create(workers[0].store, "hall", "ada")
    sent = await asyncio.gather(*(workers[n % 2].log.send("hall", draft("ada", "once", "k")) for n in range(40)))
    assert len({(each.seq, each.epoch, each.ts) for each in sent}) == 1
    assert [each.repeated for each in sent].count(False) == 1
    assert await texts(workers[0].log, "hall") == ["once"]


async def test_a_key_is_one_senders_in_one_room(ports: Ports) -> None:
    await create(ports.store, "hall", "ada", "bob")
    await create(ports.store, "yard", "ada")
    first = await ports.log.send("hall", draft("ada", "one", "k"))
    assert (await ports.log.send("hall", draft("bob", "two", "k"))).seq == first.seq + 1
    assert (await ports.log.send("yard", draft("ada", "three", "k"))).repeated is False
    assert await refusal(ports.log.send("hall", draft("ada", "another", "k"))) == "idempotency_conflict"
    assert await texts(ports.log, "hall") == ["one", "two"]


async def test_sends_without_a_key_are_never_taken_for_repeats(ports: Ports) -> None:
    await create(ports.store, "hall", "ada")
    sent = await asyncio.gather(*(ports.log.send("hall", draft("ada", "same")) for _ in range(20)))
    assert len({each.seq for each in sent}) == 20


async def test_refusals_in_their_order_and_none_of_them_leaves_a_trace(ports: Ports) -> None:
    store, log = ports.store, ports.log
    await create(store, "hall", "ada", "bob")
    await create(store, "den", "ada", "bob", kind="private")
    kept = await log.send("hall", draft("bob", "kept", "k"))
    assert await refusal(log.send("nowhere", draft("ada", "x"))) == "room_not_found"
    assert await refusal(log.send("den", draft("eve", "x"))) == "room_not_found"
    assert await refusal(log.send("hall", draft("eve", "x"))) == "not_a_member"
    await store.set_member("hall", "ada", "bob", "role", "reader")
    before = len(await log.read("hall", 0, 100))
    assert await refusal(log.send("hall", draft("bob", "x"))) == "read_only"
    assert await refusal(log.send("hall", draft("bob", "other", "k"))) == "idempotency_conflict"
    again = await log.send("hall", draft("bob", "kept", "k"))
    assert (again.seq, again.repeated) == (kept.seq, True)
    await store.update("hall", "ada", False, ("owner",), {"archived": "1"}, wire.fields(sender="ada", action="archive"))
    assert await refusal(log.send("hall", draft("ada", "x"))) == "room_archived"
    assert (await log.send("hall", draft("bob", "kept", "k"))).repeated
    assert len(await log.read("hall", 0, 100)) == before + 1


async def test_a_batch_answers_line_by_line_in_order(ports: Ports) -> None:
    await create(ports.store, "hall", "ada")
    await ports.log.send("hall", draft("ada", "first", "k1"))
    drafts = [draft("ada", "a"), draft("ada", "first", "k1"), draft("ada", "clash", "k1"), draft("ada", "b", "k2")]
    answers = await ports.log.send_many("hall", [*drafts, draft("ada", "b", "k2")])
    told = [answer.code if isinstance(answer, ChatError) else (answer.seq, answer.repeated) for answer in answers]
    assert told == [(4, False), (3, True), "idempotency_conflict", (5, False), (5, True)]
    assert await texts(ports.log, "hall") == ["first", "a", "b"]


async def test_a_batch_of_256_stays_together(place: Place) -> None:
    workers = [await place.worker() for _ in range(2)]
    await create(workers[0].store, "hall", "ada", "bob")
    batches = [
        worker.log.send_many("hall", [draft(user, str(number)) for number in range(256)])
        for worker, user in zip(workers, ("ada", "bob"), strict=True)
    ]
    for answers in await asyncio.gather(*batches):
        seqs = [answer.seq for answer in answers if isinstance(answer, Sent)]
        assert seqs == list(range(seqs[0], seqs[0] + 256))


# --- changing -------------------------------------------------------------------------------------------------------


async def present(log: RoomLog, room: str, seq: int) -> dict[str, object]:
    events = await log.read(room, seq - 1, 1)
    return wire.message_object((await log.present(events))[0])


async def test_an_edit_a_reaction_and_a_deletion_show_in_the_message_and_in_the_log(ports: Ports) -> None:
    log = ports.log
    await create(ports.store, "hall", "ada", "bob")
    seq = (await log.send("hall", draft("ada", "one"))).seq
    assert await log.amend("hall", "ada", Amendment("edit", seq, "two\n\0"))
    assert await log.amend("hall", "bob", Amendment("add", seq, "👍🏽"))
    assert await log.amend("hall", "ada", Amendment("add", seq, "👍🏽"))
    assert await log.amend("hall", "ada", Amendment("add", seq, ":ok:"))
    shown = await present(log, "hall", seq)
    assert (shown["text"], shown["sender"], "edited_at" in shown) == ("two\n\0", "ada", True)
    assert shown["reactions"] == [
        {"emoji": "👍🏽", "count": 2, "users": ["bob", "ada"]},
        {"emoji": ":ok:", "count": 1, "users": ["ada"]},
    ]
    assert await log.amend("hall", "bob", Amendment("remove", seq, "👍🏽"))
    assert await log.amend("hall", "ada", Amendment("delete", seq))
    assert (await present(log, "hall", seq))["deleted"] is True
    events = await log.read("hall", seq, 100)
    assert [event.type for event in events] == ["edit", *["reaction"] * 4, "delete"]
    assert [event.seq for event in events] == list(range(seq + 1, seq + 7))
    assert [event.messages for event in events] == [1] * 6


async def test_doing_it_again_changes_nothing(ports: Ports) -> None:
    log = ports.log
    await create(ports.store, "hall", "ada", "bob")
    seq = (await log.send("hall", draft("ada", "one"))).seq
    assert not await log.amend("hall", "bob", Amendment("remove", seq, "x"))
    assert await log.amend("hall", "bob", Amendment("add", seq, "x"))
    assert not await log.amend("hall", "bob", Amendment("add", seq, "x"))
    assert await log.amend("hall", "bob", Amendment("remove", seq, "x"))
    assert not await log.amend("hall", "bob", Amendment("remove", seq, "x"))
    assert await log.amend("hall", "ada", Amendment("delete", seq))
    assert not await log.amend("hall", "ada", Amendment("delete", seq))
    assert len(await log.read("hall", seq, 100)) == 3


async def test_forty_equal_reactions_at_once_are_one(place: Place) -> None:
    workers = [await place.worker() for _ in range(2)]
    await create(workers[0].store, "hall", "ada")
    seq = (await workers[0].log.send("hall", draft("ada", "one"))).seq
    reactions = (workers[n % 2].log.amend("hall", "ada", Amendment("add", seq, "x")) for n in range(40))
    assert (await asyncio.gather(*reactions)).count(True) == 1


async def test_a_deleted_message_takes_no_change(ports: Ports) -> None:
    log = ports.log
    await create(ports.store, "hall", "ada")
    seq = (await log.send("hall", draft("ada", "one"))).seq
    await log.amend("hall", "ada", Amendment("add", seq, "x"))
    await log.amend("hall", "ada", Amendment("delete", seq))
    for amendment in (Amendment("edit", seq, "two"), Amendment("add", seq, "y"), Amendment("remove", seq, "x")):
        assert await refusal(log.amend("hall", "ada", amendment)) == "message_deleted"
    assert "reactions" not in await present(log, "hall", seq)


async def test_who_may_change_a_message(ports: Ports) -> None:
    log, store = ports.log, ports.store
    await create(store, "hall", "ada", "bob")
    await create(store, "den", "ada", kind="private")
    seq = (await log.send("hall", draft("bob", "one"))).seq
    moderators = ("owner", "moderator")
    assert await refusal(log.amend("nowhere", "ada", Amendment("add", 1, "x"))) == "room_not_found"
    assert await refusal(log.amend("den", "eve", Amendment("add", 1, "x"))) == "room_not_found"
    assert await refusal(log.amend("hall", "eve", Amendment("add", seq, "x"))) == "not_a_member"
    assert await refusal(log.amend("hall", "bob", Amendment("delete", seq, others=moderators))) == "forbidden"
    assert await log.amend("hall", "ada", Amendment("delete", seq, others=moderators))
    other = (await log.send("hall", draft("bob", "two"))).seq
    await store.set_member("hall", "ada", "bob", "role", "reader")
    assert await refusal(log.amend("hall", "bob", Amendment("edit", other, "x"))) == "read_only"
    await store.update("hall", "ada", False, ("owner",), {"archived": "1"}, wire.fields(sender="ada", action="archive"))
    assert await refusal(log.amend("hall", "ada", Amendment("add", other, "x"))) == "room_archived"


# --- reading --------------------------------------------------------------------------------------------------------


async def test_reading_either_way_from_any_place(ports: Ports) -> None:
    log = ports.log
    await create(ports.store, "hall", "ada")
    await log.send_many("hall", [draft("ada", str(number)) for number in range(20)])
    for at in range(26):
        assert [event.seq for event in await log.read("hall", at, 5)] == list(range(at + 1, 23))[:5]
        assert [event.seq for event in await log.read_back("hall", at, 5)] == list(range(min(at, 23) - 1, 0, -1))[:5]
    assert [event.seq for event in await log.read_back("hall", None, 3)] == [22, 21, 20]
    assert [event.seq for event in await log.read("hall", -1, 2)] == [1, 2]
    assert await log.read("hall", 22, 100) == []


async def test_a_room_nobody_made_reads_as_empty(ports: Ports) -> None:
    assert await ports.log.read("nowhere", 0, 10) == []
    assert await ports.log.read_back("nowhere", None, 10) == []
    assert await ports.log.read_back("nowhere", 5, 10) == []
    assert await ports.log.locate("nowhere", offset=0) == (0, 0, 0)
    assert await ports.log.present([]) == []


async def test_a_log_goes_on_through_epochs_without_a_seam(place: Place) -> None:
    ports = await place.worker()
    await create(ports.store, "hall", "ada")
    for number in range(5):
        await ports.log.send_many("hall", [draft("ada", f"{number} {each}") for each in range(3)])
        await place.new_epoch("hall")
    events = await ports.log.read("hall", 0, 100)
    assert [event.seq for event in events] == list(range(1, 18))
    assert len({event.epoch for event in events}) == 5
    assert [event.epoch for event in events] == sorted(event.epoch for event in events)
    assert (await ports.log.read_back("hall", None, 100))[::-1] == events
    for at in range(18):
        assert await ports.log.read("hall", at, 4) == events[at : at + 4]
        assert await ports.log.read_back("hall", at, 4) == events[max(0, at - 5) : max(0, at - 1)][::-1]


async def test_locating_finds_what_a_linear_scan_finds(place: Place) -> None:
    ports = await place.worker()
    chance = random.Random(11)
    rooms = ["hall", "yard", "den", "attic"]  # some share a shard, so offsets have holes
    for room in rooms:
        await create(ports.store, room, "ada")
    for _ in range(25):
        room = chance.choice(rooms)
        await ports.log.send_many(room, [draft("ada", "x") for _ in range(chance.randrange(1, 6))])
        if chance.random() < 0.3:
            await place.new_epoch(chance.choice(rooms))
        await asyncio.sleep(0.002)
    epochs: list[int] = []
    for room in rooms:
        events = await ports.log.read(room, 0, 1000)
        epochs.append(len({event.epoch for event in events}))
        for offset in range(events[-1].offset + 2):
            first = next((event.seq for event in events if event.offset > offset), len(events) + 1)
            assert await ports.log.locate(room, offset=offset) == (first, len(events), 0)
        for ts in sorted({event.ts + step for event in events for step in (-1, 0, 1)}):
            first = next((event.seq for event in events if event.ts >= ts), len(events) + 1)
            assert await ports.log.locate(room, since_ms=ts) == (first, len(events), 0)
    assert max(epochs) > 2


async def test_the_state_of_many_messages_comes_at_once(ports: Ports) -> None:
    log = ports.log
    await create(ports.store, "hall", "ada")
    await log.send_many("hall", [draft("ada", str(number)) for number in range(30)])
    await log.amend("hall", "ada", Amendment("edit", 5, "five"))
    await log.amend("hall", "ada", Amendment("delete", 9))
    await log.amend("hall", "ada", Amendment("add", 12, "x"))
    events = [event for event in await log.read("hall", 0, 100) if event.type == "message"]
    messages = await log.present(events)
    assert [message.event.seq for message in messages] == list(range(3, 33))
    assert [message.event.seq for message in messages if message.deleted] == [9]
    assert [message.event.seq for message in messages if message.edited_at is not None] == [5]
    assert [message.event.seq for message in messages if message.reactions] == [12]


async def test_a_time_never_runs_backwards_in_a_room(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = await place.worker()
    await create(ports.store, "hall", "ada")
    now = time.time
    for hours in (0, 2, -2, 0):
        monkeypatch.setattr(time, "time", lambda hours=hours: now() + 3600 * hours)
        await ports.log.send("hall", draft("ada", "x"))
    stamps = [event.ts for event in await ports.log.read("hall", 0, 100)]
    assert stamps == sorted(stamps)


async def count(store: RoomStore, user: str, room: str, after: int) -> tuple[int, int]:
    return (await store.count_since(user, {room: after}))[room]


async def test_mentions_are_counted_for_members_until_the_message_no_longer_has_them(ports: Ports) -> None:
    log, store = ports.log, ports.store
    await create(store, "hall", "ada", "bob")
    one = (await log.send("hall", draft("ada", "@bob @eve", mentions=("bob", "eve")))).seq
    two = (await log.send("hall", draft("ada", "@bob", mentions=("bob",)))).seq
    assert await count(store, "bob", "hall", 0) == (0, 2)
    assert await count(store, "bob", "hall", one) == (0, 1)
    assert await count(store, "eve", "hall", 0) == (0, 0)
    await log.amend("hall", "ada", Amendment("edit", two, "nobody", former=("bob",)))
    assert await count(store, "bob", "hall", 0) == (0, 1)
    await log.amend("hall", "ada", Amendment("edit", two, "@bob", mentions=("bob",)))
    assert await count(store, "bob", "hall", 0) == (0, 2)
    await log.amend("hall", "ada", Amendment("delete", two, mentions=("bob",)))
    assert await count(store, "bob", "hall", 0) == (1, 1)
