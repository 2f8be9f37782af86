"""The one Redis user of deploy/redis/users.acl: workers can do all they do with it, and nothing else can be done."""

from __future__ import annotations

from collections.abc import Iterator

import aiohttp
import pytest
import redis

from tests.harness.people import Person, new_name
from tests.harness.processes import eventually, until
from tests.harness.redis import ComposeRedis
from tests.harness.workers import Worker

PASSWORD = "a password of this test"


@pytest.fixture(scope="module")
def guarded() -> Iterator[ComposeRedis]:
    server = ComposeRedis()
    server.start(PASSWORD)
    try:
        until(lambda: server.answers(PASSWORD), "Redis answers")
        yield server
    finally:
        server.close()


def url(server: ComposeRedis, password: str = PASSWORD) -> str:
    return f"redis://dchat:{password.replace(' ', '%20')}@127.0.0.1:{server.port}/0"


async def test_a_worker_does_all_its_work_as_that_user(guarded: ComposeRedis, http: aiohttp.ClientSession) -> None:
    worker = Worker(url(guarded), DCHAT_COMPACT_INTERVAL_S="0.2", DCHAT_COMPACT_KEEP="2").start()
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
def test_that_user_can_do_nothing_to_the_server_or_to_others_keys(guarded: ComposeRedis, command: str) -> None:
    with guarded.client(PASSWORD) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split())


def test_nobody_comes_in_without_a_password(guarded: ComposeRedis) -> None:
    with redis.Redis(port=guarded.port, socket_timeout=5) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


async def test_the_password_is_changed_step_by_step_and_everything_acknowledged_stays(
    http: aiohttp.ClientSession,
) -> None:
    """As docs/rotation.md says: both for a while, one worker after the other, then the new one alone."""
    server = ComposeRedis()
    server.start("old one")
    first, second = Worker(url(server, "old one"), 0), Worker(url(server, "new one"), 1)
    try:
        until(lambda: server.answers("old one"), "Redis answers")
        first.start()
        ada = await Person(http, [first.url], new_name()).register()
        room = await ada.create()
        sent = [await ada.send(room, "before")]
        server.stop()
        server.start("new one", before="old one")
        await eventually(lambda: first.status("/readyz") == 200, "the worker is back by itself, with the old password")
        sent.append(await ada.send(room, "with both"))
        second.start()
        there = Person(http, [second.url], ada.name, ada.token)
        sent.append(await there.send(room, "with the new one"))
        server.stop()
        server.start("new one")
        await eventually(lambda: second.status("/readyz") == 200, "the other is back, with the new one")
        sent.append(await there.send(room, "after"))
        assert [message["text"] for message in await there.history(room)] == [message["text"] for message in sent]
        # A worker that was forgotten says what is wrong, and does not serve.
        await eventually(lambda: first.status("/readyz") == 503, "a worker with the old password is not ready")
        assert (await ada.ask("POST", f"/v1/rooms/{room}/messages", {"text": "no"})).status == 503
        assert not server.answers("old one")
        await eventually(lambda: "refuses this server's credentials" in first.log, "it says why")
        for worker in (first, second):
            assert "old one" not in worker.log
            assert "new%20one" not in worker.log
    finally:
        first.close()
        second.close()
        server.close()
