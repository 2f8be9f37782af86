"""The one Redis user of deploy/redis/users.acl: workers can do all they do with it, and nothing else can be done."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import redis

from tests.harness.people import Person, new_name
from tests.harness.processes import ROOT, Running, eventually, free_port, new_folder, until
from tests.harness.redis import binary
from tests.harness.workers import Worker

PASSWORD = "a password of this test"


class Guarded:
    """A Redis that lets in nobody but that user."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        text = (ROOT / "deploy" / "redis" / "users.acl").read_text("utf-8")
        digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
        (folder / "users.acl").write_text(text.replace("DCHAT_REDIS_PASSWORD_SHA256", digest))
        command = [binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        command += ["--appendonly", "yes", "--aclfile", str(folder / "users.acl")]
        self.process = Running("redis", command, folder)
        until(self._answers, "Redis answers")

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, username="dchat", password=PASSWORD, socket_timeout=5)

    def _answers(self) -> bool:
        assert self.process.alive, self.process.log
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    folder = new_folder()
    server = Guarded(folder)
    try:
        yield server
    finally:
        server.process.kill()
        shutil.rmtree(folder, ignore_errors=True)


async def test_a_worker_does_all_its_work_as_that_user(guarded: Guarded, http: aiohttp.ClientSession) -> None:
    url = f"redis://dchat:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{guarded.port}/0"
    worker = Worker(url, DCHAT_COMPACT_INTERVAL_S="0.2", DCHAT_COMPACT_KEEP="2").start()
    try:
        ada, bob = [await Person(http, [worker.url], new_name(stem)).register() for stem in ("ada", "bob")]
        room = await ada.create()
        await bob.join(room)
        for number in range(10):
            await bob.send(room, f"@{ada.name} {number}", client_id=str(number))
        await ada.must("PUT", f"/v1/rooms/{room}/read", {"seq": 12})
        await ada.must("PUT", f"/v1/rooms/{room}/messages/12/reactions/👍")
        await bob.must("PATCH", f"/v1/rooms/{room}/messages/11", {"text": "edited"})
        await bob.must("DELETE", f"/v1/rooms/{room}/messages/10")
        await bob.must("POST", f"/v1/rooms/{room}/typing")
        await eventually(lambda: worker.metric("dchat_archived_events_total") >= 12, "the room is archived and trimmed")
        assert len(await ada.history(room)) == 10
        assert (await ada.must("GET", "/v1/cluster"))["archive"]["last_error"] is None
        assert "NOPERM" not in worker.log
    finally:
        worker.close()


FORBIDDEN = """FLUSHALL; FLUSHDB; KEYS *; CONFIG GET *; SHUTDOWN NOSAVE; ACL LIST; REPLICAOF NO ONE; SCRIPT FLUSH;
MONITOR; SAVE; CLIENT KILL ID 1; SET other 1; PUBLISH x y"""


@pytest.mark.parametrize("command", [command.strip() for command in FORBIDDEN.split(";")])
def test_that_user_can_do_nothing_to_the_server_or_to_others_keys(guarded: Guarded, command: str) -> None:
    with guarded.client() as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split())


def test_nobody_comes_in_without_a_password(guarded: Guarded) -> None:
    with redis.Redis(port=guarded.port, socket_timeout=5) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
