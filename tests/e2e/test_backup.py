"""A backup of a stack in use, put into an empty one of another kind: all that was acknowledged before is there."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dchat_server.backup_file import parts, person_from, room_from
from tests.harness.dynamodb import MotoServer
from tests.harness.people import PASSWORD, Person, new_name
from tests.harness.processes import ROOT, eventually, new_folder, plain_environment
from tests.harness.redis import RedisServer
from tests.harness.workers import Worker, Workers

SETTINGS = {"DCHAT_COMPACT_INTERVAL_S": "2", "DCHAT_COMPACT_KEEP": "5"}
TABLE = "restored"


@pytest.fixture
def folder() -> Iterator[Path]:
    path = new_folder()
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def dchat_server(*words: str, **settings: str) -> tuple[int, str]:
    """Exit code, and what was said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dchat_server", *words),
        env=plain_environment(**settings),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


class Chat:
    """Ada, who came first, Ben and Cid, in rooms with some of everything; and Cid never stops writing."""

    def __init__(self, http: aiohttp.ClientSession, urls: list[str]) -> None:
        self.ada, self.ben, self.cid = (Person(http, urls, new_name(stem)) for stem in ("ada", "ben", "cid"))
        self.said: list[tuple[int, str]] = []
        """(seq, text) of what Cid wrote and was acknowledged."""

    async def furnish(self) -> None:
        ada, ben, cid = self.ada, self.ben, self.cid
        for person in (ada, ben, cid):
            await person.register()
        self.open, self.den, self.busy = await ada.create(), await ada.create(kind="private"), await cid.create()
        direct = await ada.must("POST", "/v1/dms", {"users": [ben.name]})
        self.direct = direct["room"]["room"]
        await ada.invite(self.den, ben.name)
        await asyncio.gather(ben.join(self.open), cid.join(self.open), ada.join(self.busy))
        await ada.must("PUT", f"/v1/rooms/{self.open}/members/{ben.name}", {"role": "moderator"})
        await ada.must("PATCH", f"/v1/rooms/{self.open}", {"topic": "Whatever comes to mind"})
        for room in (self.open, self.den, self.direct):
            sent = [await ada.send(room, f"{number} @{ben.name} Grüße", client_id=f"{number}") for number in range(12)]
            path = f"/v1/rooms/{room}/messages"
            await ada.must("PATCH", f"{path}/{sent[1]['seq']}", {"text": "better"})
            assert (await ada.ask("DELETE", f"{path}/{sent[2]['seq']}")).status == 204
            await ben.must("PUT", f"{path}/{sent[3]['seq']}/reactions/%F0%9F%91%8D")
            await ada.send(room, "an answer", reply_to=sent[4]["seq"])
            await ben.must("PUT", f"/v1/rooms/{room}/read", {"seq": sent[6]["seq"]})
        await cid.must("PATCH", "/v1/me", {"display_name": "Cid the Third"})

    async def write(self) -> None:
        """Until cancelled."""
        for number in range(100_000):
            text = f"cid's {number}"
            self.said.append(((await self.cid.send(self.busy, text))["seq"], text))

    @property
    def quiet(self) -> list[str]:
        return [self.open, self.den, self.direct]

    async def seen(self, who: Chat) -> dict[str, Any]:
        """All that `who` (these people, at some stack) see: answers, byte for byte, but for what is of now."""
        found: dict[str, Any] = {}
        for room in self.quiet:
            path = f"/v1/rooms/{room}"
            found[room] = (await who.ben.ask("GET", f"{path}/messages?limit=200")).text
            members = (await who.ben.must("GET", f"{path}/members"))["members"]
            found[f"members of {room}"] = [{**member, "presence": None} for member in members]
            found[f"facts of {room}"] = (await who.ben.must("GET", path))["room"]
        for person in (who.ada, who.ben, who.cid):
            found[person.name] = await person.must("GET", "/v1/me")
            rooms = (await person.must("GET", "/v1/sync"))["rooms"]
            # How busy's counts stand depends on the moment.
            found[f"rooms of {person.name}"] = [room for room in rooms if room["room"] != self.busy]
        return found

    def at(self, urls: list[str]) -> Chat:
        """The same people, with their tokens, at another stack."""
        there = Chat(self.ada.http, urls)
        there.ada, there.ben, there.cid = (
            Person(each.http, urls, each.name, each.token) for each in (self.ada, self.ben, self.cid)
        )
        return there


async def test_a_backup_under_load_becomes_the_same_chat_in_an_empty_stack_on_dynamodb(
    http: aiohttp.ClientSession, folder: Path
) -> None:
    file = folder / "chat.backup"
    with RedisServer(aof="everysec") as redis, Workers(redis.url, 1, **SETTINGS) as workers:
        chat = Chat(http, workers.urls)
        await chat.furnish()
        writing = asyncio.create_task(chat.write())
        await eventually(lambda: len(chat.said) >= 30, "Cid writes")
        acknowledged = list(chat.said)
        settings = {"DCHAT_REDIS_URL": redis.url, "DCHAT_DATA_DIR": str(workers[0].folder / "data")}
        code, said = await dchat_server("backup", str(file), **settings)
        assert code == 0, said
        assert "everything acknowledged before" in said
        assert len(chat.said) > len(acknowledged) + 10, "nobody had to wait meanwhile"
        writing.cancel()
        before = await chat.seen(chat)
    assert file.stat().st_mode & 0o777 == 0o600
    with MotoServer() as moto, RedisServer() as fresh:
        moto.make_table(TABLE)
        dynamo = {"DCHAT_DYNAMODB_TABLE": TABLE, "DCHAT_DYNAMODB_ENDPOINT": moto.endpoint}
        code, said = await dchat_server("restore", str(file), DCHAT_REDIS_URL=fresh.url, **dynamo)
        assert code == 0, said
        copy = folder / "copy.backup"
        code, said = await dchat_server("backup", str(copy), "--archived", DCHAT_REDIS_URL=fresh.url, **dynamo)
        assert (code, contents(copy)) == (0, contents(file)), said
        worker = Worker(fresh.url, **dynamo, **SETTINGS).start()
        try:
            await compare(chat, before, acknowledged, worker.url)
            code, said = await dchat_server("restore", str(file), DCHAT_REDIS_URL=fresh.url, **dynamo)
            assert (code, "belongs with an archive already" in said) == (1, True)
        finally:
            worker.close()


async def compare(chat: Chat, before: dict[str, Any], acknowledged: list[tuple[int, str]], url: str) -> None:
    """What is at `url` is what was there before, and works."""
    there = chat.at([url])
    assert await chat.seen(there) == before
    history = {message["seq"]: message["text"] for message in await there.ada.history(chat.busy)}
    assert acknowledged == [(seq, history.get(seq)) for seq, _ in acknowledged]
    assert set(history.items()) <= set(chat.said)
    first, last = min(history), max(history)
    assert len(history) == last - first + 1, "without holes"
    # Old passwords, old roles, and on it goes where it was.
    answer = await there.ben.must("POST", "/v1/login", {"username": there.ben.name, "password": PASSWORD})
    assert answer["token"]
    assert (await there.cid.ask("GET", f"/v1/rooms/{chat.den}")).status == 404
    assert (await there.ben.ask("GET", "/v1/cluster")).status == 403
    assert (await there.ada.ask("GET", "/v1/cluster")).status == 200
    message = await there.ben.send(chat.open, "and on")
    heads = [room["head"] for room in before[f"rooms of {there.ben.name}"] if room["room"] == chat.open]
    assert [message["seq"] - 1] == heads
    again = await there.ada.ask(
        "POST", f"/v1/rooms/{chat.den}/messages", {"text": f"5 @{there.ben.name} Grüße", "client_id": "5"}
    )
    assert again.status == 200, "what was sent before is known by its client_id"


def contents(file: Path) -> list[Any]:
    """What a backup holds, whoever packed it: people, rooms and chunks, but for what counts an archive's own steps."""
    found: list[Any] = []
    for kind, body in parts(file):
        if kind in (b"U", b"F"):
            shard, person = person_from(body)
            found.append((kind, person.user, shard, person))
        elif kind == b"R":
            shard, record, _ = room_from(body)
            room = record.room
            facts = (record.floor, record.watermark, record.messages, record.epochs, dict(record.facts))
            found.append((kind, room, shard, facts))
        elif kind in (b"P", b"C"):
            found.append((kind, room, 0, body))
    return sorted(found, key=lambda each: each[:2])
