"""A worker that signs in by an AWS role, to a cluster by TLS, with just the rights that terraform/ gives it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.harness.crowd import Reader
from tests.harness.people import house, web
from tests.harness.processes import eventually, free_port, until
from tests.harness.redis import RedisServer
from tests.harness.workers import Worker

LOG = Path(__file__).parents[2] / "terraform" / "modules" / "log" / "main.tf"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key in one file, of a server on 127.0.0.1 that vouches for itself."""
    folder = tmp_path_factory.mktemp("tls")
    file = folder / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=log"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(file), "-out", str(folder / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    with file.open("a") as both:
        both.write((folder / "cert.pem").read_text())
    return file


@pytest.fixture(scope="module")
def log(certificate: Path) -> Iterator[tuple[RedisServer, int]]:
    """A cluster of one server, and its TLS port. Any password will do: what AWS checks is not checked here."""
    port = free_port()
    options = ["--tls-port", str(port), "--tls-cert-file", str(certificate), "--tls-key-file", str(certificate)]
    options += ["--tls-ca-cert-file", str(certificate), "--tls-auth-clients", "no"]
    options += ["--tls-cluster", "yes", "--cluster-enabled", "yes", "--cluster-port", str(free_port())]
    with RedisServer(options=tuple(options)) as server:
        server.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until(lambda: "cluster_state:ok" in server.ask("CLUSTER", "INFO"), "the cluster is up")
        (rights,) = re.findall(r'^ +rights += "(.+)"$', LOG.read_text("utf-8"), re.M)
        server.ask("ACL", "SETUSER", "chat-worker", "nopass", *rights.split())
        yield server, port


@pytest.fixture(scope="module")
def worker(log: tuple[RedisServer, int], certificate: Path) -> Iterator[Worker]:
    where = f"iam=elasticache:eu-central-1:chat-log&ssl_ca_certs={certificate}"
    url = f"rediss+cluster://chat-worker@127.0.0.1:{log[1]}?{where}"
    keys = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "none", "DCHAT_ACK": "memory"}
    worker = Worker(url, **keys)
    try:
        yield worker.start()
    finally:
        worker.close()


async def test_it_does_all_its_work_with_just_these_rights(worker: Worker, log: tuple[RedisServer, int]) -> None:
    async with web() as http:
        (ada, bob), (room,) = await house(http, [worker.url], people=2)
        sent = await ada.send(room, "hello")
        await ada.must("PATCH", f"/v1/rooms/{room}/messages/{sent['seq']}", {"text": "hello!"})
        await bob.must("PUT", f"/v1/rooms/{room}/read", {"seq": sent["seq"]})
        assert [message["text"] for message in await bob.history(room)] == ["hello!"]

    # The leader of this machine has been through all of its duties with them, too.
    until(lambda: worker.leads, "the worker leads")
    until(lambda: worker.metric("dchat_compaction_lag_messages") == 0, "it has archived")
    refused = [line for line in worker.log.splitlines() if "NOPERM" in line or "NoPermission" in line]
    assert refused == []
    users = log[0].ask("CLIENT", "LIST")
    assert "user=chat-worker" in users


async def test_connections_that_end_as_they_do_after_twelve_hours_are_signed_anew_and_nothing_is_missed(
    worker: Worker, log: tuple[RedisServer, int]
) -> None:
    async with web() as http:
        (ada, bob), (room,) = await house(http, [worker.url], people=2)
        heads, cursor = await bob.sync()
        reader = Reader(bob, cursor=cursor, starts=heads).start()
        await eventually(reader.live.is_set, "the stream is open")
        sent: list[int] = []

        async def says(text: str) -> None:
            async def stored() -> bool:  # 503 while the connections are made anew; the key makes a repeat safe
                answer = await ada.ask("POST", f"/v1/rooms/{room}/messages", {"text": text, "client_id": text})
                if answer.status in (200, 201):
                    sent.append(answer.json["message"]["seq"])
                return answer.status in (200, 201)

            await eventually(stored, f"{text!r} is stored", every_s=0.1)

        for number in range(4):
            await says(f"message {number}")
            assert log[0].ask("CLIENT", "KILL", "USER", "chat-worker") > 0
        await says("the last")
        await eventually(lambda: reader.has(room, sent[-1]), "the last one has come")
        await reader.stop()
        assert reader.texts(room) == ["message 0", "message 1", "message 2", "message 3", "the last"]
        assert reader.told("gap") == []


@pytest.mark.parametrize("command", ["FLUSHALL", "KEYS *", "CONFIG GET *", "SHUTDOWN", "GET other"])
def test_whoever_has_its_password_cannot_do_damage(log: tuple[RedisServer, int], command: str) -> None:
    client = redis.Redis(port=log[0].port, username="chat-worker", password="any", protocol=2)
    with client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split())
