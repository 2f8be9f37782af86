"""Private means private, on every worker, at every moment; a token that is revoked is dead everywhere."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import orjson

from tests.harness.crowd import NETWORK, Reader, Writer, caught_up, run_of, stop_all
from tests.harness.people import Person, crowd, house
from tests.harness.processes import eventually
from tests.harness.workers import Workers


def raw(reader: Reader) -> bytes:
    """Everything a reader received, as one text to look for a word in."""
    return b"\n".join(
        [getattr(entry, "data", b"") for entry in reader.record.entries]
        + [orjson.dumps(event) for _, event in reader.notes]
    )


async def test_who_is_not_a_member_receives_no_byte_of_a_private_room(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    (ada, ben, eve, mallory), (den,) = await house(http, workers.urls, 4, kind="private")
    for person in (eve, mallory):
        await ada.ask("DELETE", f"/v1/rooms/{den}/members/{person.name}")
    lobby = await ada.create()
    for person in (ben, eve, mallory):
        await person.join(lobby)
    _, before = await ada.sync()
    secret = "the treasure lies under the"
    early = await ada.send(den, f"{secret} oak")
    strangers = [
        Reader(person, forms=(form,), worker=worker, cursor=cursor, allowed=frozenset({lobby}), seed=worker).start()
        for person in (eve, mallory)
        for form in ("sse", "ndjson", "poll")
        for worker in range(3)
        for cursor in (None, before)
    ]
    insider = Reader(ben, cursor=before).start()
    # Typing is told to whoever is there, and to nobody later.
    await asyncio.gather(*(reader.live.wait() for reader in [insider, *strangers] if reader.forms != ("poll",)))
    for number in range(20):
        await ada.must("POST", f"/v1/rooms/{den}/typing")
        await ada.send(den, f"{secret} beech {number}")
        await ada.send(lobby, f"nothing to see here {number}")
    await ada.must("PATCH", f"/v1/rooms/{den}/messages/{early['seq']}", {"text": f"{secret} birch"})
    await ada.must("PUT", f"/v1/rooms/{den}/messages/{early['seq']}/reactions/🤫", {})
    await ada.must("PATCH", f"/v1/rooms/{den}", {"topic": secret})
    end = await ada.send(lobby, "the end")
    await caught_up(strangers, {lobby: end["seq"]})
    await caught_up([insider], {den: await ada.head(den), lobby: end["seq"]})
    await stop_all([*strangers, insider])
    assert raw(insider).count(secret.encode()) >= 22
    assert b'"type":"typing"' in raw(insider)
    for reader in strangers:
        assert reader.texts(lobby)[-1] == "the end"
        assert secret.encode() not in raw(reader)
        assert den.encode() not in raw(reader).replace(orjson.dumps({"rooms": [den]}), b"")
    # Nothing else about it shows either: what is forbidden looks like what does not exist.
    for method, path, body in (
        ("GET", "/v1/rooms/{}", None),
        ("GET", "/v1/rooms/{}/messages", None),
        ("GET", "/v1/rooms/{}/messages/3", None),
        ("GET", "/v1/rooms/{}/messages/3/thread", None),
        ("GET", "/v1/rooms/{}/members", None),
        ("POST", "/v1/rooms/{}/messages", {"text": "let me in"}),
        ("PUT", "/v1/rooms/{}/members/me", {}),
        ("DELETE", "/v1/rooms/{}/members/me", None),
        ("PUT", "/v1/rooms/{}/read", {"seq": 1}),
        ("POST", "/v1/rooms/{}/typing", None),
        ("PATCH", "/v1/rooms/{}", {"topic": "mine"}),
        ("DELETE", "/v1/rooms/{}", None),
        ("GET", "/v1/events?rooms={}", None),
        ("PATCH", "/v1/rooms/{}/messages/3", {"text": "changed"}),
        ("DELETE", "/v1/rooms/{}/messages/3", None),
        ("PUT", "/v1/rooms/{}/messages/3/reactions/x", {}),
    ):
        there, nowhere = [await eve.ask(method, path.format(room), body) for room in (den, "no-such-room-anywhere")]
        seen = there.text.replace(den.encode(), b"?"), nowhere.text.replace(b"no-such-room-anywhere", b"?")
        assert (there.status, seen[0]) == (nowhere.status, seen[1]), f"{method} {path}"
        assert there.status == 404, f"{method} {path}: {there}"
    names = [room["room"] for room in (await eve.must("GET", "/v1/rooms?limit=200"))["rooms"]]
    assert den not in names
    assert den not in (await eve.sync())[0]


async def test_an_open_stream_follows_its_person_in_and_out_of_rooms_at_once(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    (ada, eve), (den,) = await house(http, workers.urls, 2, kind="private")
    await ada.must("DELETE", f"/v1/rooms/{den}/members/{eve.name}")
    lobby = await eve.create()
    readers = [Reader(eve, worker=worker, seed=worker).start() for worker in range(3)]
    await asyncio.gather(*(reader.live.wait() for reader in readers))
    for turn in range(3):
        await ada.send(den, f"secret {turn}")
        await ada.invite(den, eve.name)
        inside = await ada.send(den, f"welcome {turn}")
        await caught_up(readers, {den: inside["seq"]})
        await ada.must("DELETE", f"/v1/rooms/{den}/members/{eve.name}")
        for _ in range(5):
            await ada.send(den, f"secret {turn}, she is gone")
        still = await eve.send(lobby, f"hello? {turn}")
        await caught_up(readers, {lobby: still["seq"]})
    await stop_all(readers)
    for reader in readers:
        assert reader.texts(den) == [f"welcome {turn}" for turn in range(3)]
        assert b"secret" not in raw(reader)
        assert reader.texts(lobby) == [f"hello? {turn}" for turn in range(3)]
        assert reader.record.connections == 1
        kinds = [
            (event["type"], event.get("action"))
            for event in (orjson.loads(entry.data) for entry in reader.record.entries if hasattr(entry, "data"))
            if event["room"] == den
        ]
        assert kinds == [("member", "invite"), ("message", None), ("member", "kick")] * 3


async def test_who_was_removed_gets_nothing_more_whatever_worker_they_ask_and_whatever_cursor_they_have(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    (ada, ben, eve), (den,) = await house(http, workers.urls, 3, kind="private")
    heads, cursor = await eve.sync()
    writer = Writer(ada, den, pause_s=0.002).start()
    reader = Reader(eve, restless=(1, 60), forms=("sse", "ndjson", "poll"), cursor=cursor, starts=heads).start()
    insider = Reader(ben, cursor=cursor, starts=heads).start()
    await asyncio.sleep(1)
    await ada.must("DELETE", f"/v1/rooms/{den}/members/{eve.name}")
    removed_at = await ada.head(den)
    held = reader.cursor
    await asyncio.sleep(0.7)
    writer.stopped = True
    await asyncio.sleep(0.3)
    await reader.stop()
    late = [
        Reader(eve, forms=(form,), cursor=place, worker=worker).start()
        for worker in range(3)
        for form in ("sse", "ndjson", "poll")
        for place in (cursor, held)
    ]
    await asyncio.sleep(1.5)
    await stop_all(late)
    for each in late:
        assert each.record.connections > 0
        assert each.record.seqs(den) == []
    kick = next(
        entry.seq
        for entry in insider.record.entries
        if hasattr(entry, "data") and orjson.loads(entry.data).get("action") == "kick"
    )
    assert removed_at >= kick
    assert max(reader.record.seqs(den), default=0) <= kick
    found, _ = await run_of([writer], [insider], [den])
    assert found == []


async def test_a_named_stream_of_a_private_room_ends_its_words_when_its_person_is_removed(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    (ada, eve), (den,) = await house(http, workers.urls, 2, kind="private")
    lobby = await ada.create()
    readers = [Reader(eve, rooms=[den, lobby], worker=worker, seed=worker).start() for worker in range(3)]
    await asyncio.gather(*(reader.live.wait() for reader in readers))
    await ada.send(den, "with you")
    await ada.must("DELETE", f"/v1/rooms/{den}/members/{eve.name}")
    await ada.send(den, "without you")
    end = await ada.send(lobby, "the end")
    await caught_up(readers, {lobby: end["seq"]})
    await stop_all(readers)
    for reader in readers:
        assert reader.texts(den) == ["with you"]
        assert b"without" not in raw(reader)


async def test_a_revoked_token_loses_its_streams_and_its_rights_on_all_workers_within_seconds(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    (ada, ben), (room,) = await house(http, workers.urls, 2)
    made = await ada.must("POST", "/v1/tokens", {"name": "bot", "scopes": ["read", "write"]})
    bot = Person(http, workers.urls, ada.name, made["token"])
    doomed = [Reader(bot, worker=at % 3, forms=(("sse", "ndjson")[at % 2],), seed=at) for at in range(6)]
    for reader in doomed:
        reader.patience = False
        reader.start()
    staying = [Reader(ada, worker=at, seed=10 + at).start() for at in range(3)]
    await asyncio.gather(*(reader.live.wait() for reader in [*doomed, *staying]))
    for worker in range(3):  # every worker has it in memory
        await bot.must("GET", "/v1/me", worker=worker)
    began = time.monotonic()
    await ada.must("DELETE", f"/v1/tokens/{made['info']['id']}", worker=0)
    await asyncio.wait_for(asyncio.gather(*(reader.ended() for reader in doomed)), 30)
    took = time.monotonic() - began
    await ben.send(room, "she is gone")
    for reader in doomed:
        assert [event["reason"] for event in reader.told("auth_expired")] == ["revoked"]
        assert b"she is gone" not in raw(reader)
    for worker in range(3):
        answer = await bot.ask("GET", "/v1/me", worker=worker)
        assert (answer.status, answer.code) == (401, "unauthorized")
    end = await ben.send(room, "the end")
    await caught_up(staying, {room: end["seq"]})
    await stop_all(staying)
    assert all(reader.record.connections == 1 for reader in staying)
    print(f"all six streams closed after {took:.2f} s")
    assert took < 5


async def test_a_token_revoked_while_its_worker_cannot_hear_of_it_is_dead_when_it_can(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    """A worker that was frozen wakes with old memories; it must not act on them for longer than a few seconds."""
    (ada,), (room,) = await house(http, workers.urls, 1)
    made = await ada.must("POST", "/v1/tokens", {"name": "bot", "scopes": ["read"]})
    bot = Person(http, workers.urls, ada.name, made["token"])
    reader = Reader(bot, worker=2, idle_s=60)
    reader.patience = False
    reader.start()
    await reader.live.wait()
    frozen = workers[2].process
    assert frozen is not None
    frozen.freeze()
    try:
        await ada.must("DELETE", f"/v1/tokens/{made['info']['id']}", worker=0)
        await ada.must("POST", f"/v1/rooms/{room}/messages", {"text": "not for the bot"}, worker=1)
        await asyncio.sleep(1)
    finally:
        frozen.thaw()
    thawed = time.monotonic()
    await asyncio.wait_for(reader.ended(), 30)
    print(f"closed {time.monotonic() - thawed:.2f} s after the thaw")
    assert b"not for the bot" not in raw(reader)
    assert (await bot.ask("GET", "/v1/me", worker=2)).status == 401


async def test_a_logout_and_a_new_password_end_what_they_should(workers: Workers, http: aiohttp.ClientSession) -> None:
    (ada,) = await crowd(http, workers.urls, 1)
    login = {"username": ada.name, "password": "correct horse battery staple"}
    phone = Person(http, workers.urls, ada.name, (await ada.must("POST", "/v1/login", login))["token"])
    tablet = Person(http, workers.urls, ada.name, (await ada.must("POST", "/v1/login", login))["token"])
    readers = [Reader(person, worker=at) for at, person in enumerate((phone, tablet, ada))]
    for reader in readers:
        reader.patience = False
        reader.start()
    await asyncio.gather(*(reader.live.wait() for reader in readers))
    await phone.must("POST", "/v1/logout", worker=2)
    await asyncio.wait_for(readers[0].ended(), 30)
    change = {"password": "another horse entirely", "old_password": login["password"]}
    await ada.must("PATCH", "/v1/me", change, worker=1)
    await asyncio.wait_for(readers[1].ended(), 30)

    async def is_out(person: Person) -> bool:
        try:
            return (await person.ask("GET", "/v1/me")).status == 401
        except NETWORK:
            return False

    for person in (phone, tablet):
        await eventually(lambda person=person: is_out(person), "the old token is refused")
    await ada.must("GET", "/v1/me")
    assert readers[2].ends == []
    await readers[2].stop()
