"""The stack of deploy/tls: its own certificates, its own settings, and real servers that take nothing without TLS."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import redis
import yaml
import yarl

from tests.harness.people import Person, new_name
from tests.harness.processes import ROOT, Running, free_port, new_folder, until
from tests.harness.redis import ComposeRedis
from tests.harness.workers import Worker
from tests.harness.zookeeper import Ensemble, shared_ensemble

TLS = ROOT / "deploy" / "tls"
COMPOSE = yaml.safe_load((TLS / "docker-compose.tls.yml").read_text("utf-8"))
PASSWORD = "a-password-of-this-test"


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """What deploy/tls/make.sh makes, the second time over its own: certificates are renewed, authorities stay."""
    folder = new_folder()
    subprocess.run([TLS / "make.sh", folder / "made"], check=True, capture_output=True)
    before = (folder / "made" / "redis" / "part.crt").read_bytes()
    authority = (folder / "made" / "ca.crt").read_bytes()
    subprocess.run([TLS / "make.sh", folder / "made"], check=True, capture_output=True)
    assert (folder / "made" / "redis" / "part.crt").read_bytes() != before
    assert (folder / "made" / "ca.crt").read_bytes() == authority
    yield folder / "made"
    shutil.rmtree(folder, ignore_errors=True)


class SecretRedis:
    """Redis as the compose file starts it."""

    def __init__(self, made: Path) -> None:
        self.ca = made / "redis" / "ca.crt"
        _, _, *words = COMPOSE["services"]["redis"]["command"]
        at = words.index("--tls-port") + 1
        assert words[at] == "6379"
        self.port = free_port()
        words[at] = str(self.port)
        self.server = ComposeRedis()
        self.server.start(PASSWORD, *(word.replace("/tls/", f"{made}/redis/") for word in words))
        until(self._answers, "Redis answers")

    def client(self, **more: Any) -> redis.Redis:
        given = {"username": "dchat", "password": PASSWORD, "ssl": True, "ssl_ca_certs": str(self.ca), **more}
        return redis.Redis(port=self.port, socket_timeout=5, **given)

    def _answers(self) -> bool:
        assert self.server.process.alive, self.server.process.log
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@pytest.fixture(scope="module")
def secret_redis(made: Path) -> Iterator[SecretRedis]:
    made_redis = SecretRedis(made)
    yield made_redis
    made_redis.server.close()


@pytest.fixture(scope="module")
def zookeeper(made: Path) -> Iterator[tuple[Ensemble, int]]:
    """One node with the lines that the compose file adds, and its port with TLS."""
    port = free_port()
    lines = COMPOSE["x-zookeeper-tls"]["ZOO_CFG_EXTRA"]
    assert "secureClientPort=2281" in lines
    lines = lines.replace("=2281", f"={port}\nsecureClientPortAddress=127.0.0.1").replace(
        "/tls/", f"{made}/zookeeper1/"
    )
    with shared_ensemble(1, settings=lines.split()) as ensemble:
        yield ensemble, port


def settings(made: Path, redis_port: int, zookeeper_port: int, authority: str = "ca.crt") -> dict[str, str]:
    """The worker's settings of the compose file, for this machine."""
    found = dict(COMPOSE["x-worker-tls"]["environment"])
    for name, text in found.items():
        text = text.replace("${DCHAT_REDIS_PASSWORD:?run deploy/secrets.sh first}", PASSWORD)
        text = text.replace("${DCHAT_ZOOKEEPER_PASSWORD:?run deploy/secrets.sh first}", PASSWORD)
        text = text.replace("@redis:6379", f"@127.0.0.1:{redis_port}")
        found[name] = text.replace("/tls/ca.crt", str(made / authority))
        found[name] = found[name].replace("/tls/", f"{made}/worker/")
    return {**found, "DCHAT_ZOOKEEPER": f"127.0.0.1:{zookeeper_port}"}


@pytest.fixture(scope="module")
def stranger(made: Path, secret_redis: SecretRedis, zookeeper: tuple[Ensemble, int]) -> Iterator[Worker]:
    """A worker that trusts another authority. It takes its time to say so, while others are tested."""
    worker = Worker(None, **settings(made, secret_redis.port, zookeeper[1], authority="nodes-ca.crt"))
    worker.start(wait=False)
    yield worker
    worker.close()


class Https:
    """HAProxy with the two files that the compose file gives it, before one worker."""

    def __init__(self, worker: Worker, made: Path) -> None:
        self.port, self.folder = free_port(), new_folder()
        base, tls = (ROOT / "deploy/haproxy/haproxy.cfg").read_text("utf-8"), (TLS / "https.cfg").read_text("utf-8")
        base = "".join(line for line in base.splitlines(True) if "server worker2" not in line and "worker3" not in line)
        for old, new in {
            " resolvers docker init-addr none": "",
            "maxconn 20000": "maxconn 1000",  # as many files as a test may open
            "worker1:5000": f"127.0.0.1:{worker.port}",
            ":8080": f"127.0.0.1:{free_port()}",
            ":8404": f"127.0.0.1:{free_port()}",
        }.items():
            base = base.replace(old, new)
        tls = tls.replace(":8443", f"127.0.0.1:{self.port}").replace("/tls/", f"{made}/balancer/")
        (self.folder / "a.cfg").write_text(base)
        (self.folder / "b.cfg").write_text(tls)
        found = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")
        assert found
        command = [found, "-db", "-f", str(self.folder / "a.cfg"), "-f", str(self.folder / "b.cfg")]
        self.process = Running("haproxy", command, self.folder)

    def listens(self) -> bool:
        assert self.process.alive, self.process.log
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


async def test_a_chat_with_tls_on_every_way_works_and_nothing_is_taken_without(
    made: Path,
    secret_redis: SecretRedis,
    zookeeper: tuple[Ensemble, int],
    stranger: Worker,
    http: aiohttp.ClientSession,
) -> None:
    _, port = zookeeper
    worker = Worker(None, DCHAT_TRUSTED_PROXIES="1", **settings(made, secret_redis.port, port)).start()
    front = Https(worker, made)
    trust = ssl.create_default_context(cafile=str(made / "ca.crt"))
    try:
        until(lambda: worker.leads, "it is elected, over TLS", every_s=0.2)
        url = f"https://localhost:{front.port}"
        ada, ben = (Person(http, [url], new_name(stem)) for stem in ("ada", "ben"))
        until(front.listens, "HAProxy listens")
        for person in (ada, ben):
            answer = await person.must(
                "POST", "/v1/register", {"username": person.name, "password": "correct horse battery"}, ssl=trust
            )
            person.token = answer["token"]
        room = new_name("room")
        await ada.must("POST", "/v1/rooms", {"room": room}, ssl=trust)
        await ben.must("PUT", f"/v1/rooms/{room}/members/me", {}, ssl=trust)
        await ben.must("POST", f"/v1/rooms/{room}/messages", {"text": "in secret"}, ssl=trust)
        found = await ada.must("GET", f"/v1/rooms/{room}/messages", ssl=trust)
        assert [message["text"] for message in found["messages"]] == ["in secret"]
        for path in ("/metrics", "/%6Detrics"):  # the second passes HAProxy's own rule
            async with http.get(yarl.URL(url + path, encoded=True), ssl=trust) as answer:
                assert answer.status == 404, path
        assert worker.status("/metrics") == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await ada.ask("GET", "/healthz")  # a stranger does not know this authority
        assert PASSWORD not in worker.log
    finally:
        front.process.kill()
        shutil.rmtree(front.folder, ignore_errors=True)
        worker.close()
    with secret_redis.client(ssl=False, ssl_ca_certs=None) as plain, pytest.raises(redis.ConnectionError):
        plain.ping()
    with secret_redis.client(username=None, password=None) as nobody, pytest.raises(redis.AuthenticationError):
        nobody.ping()


def test_a_worker_that_does_not_know_the_authority_says_so_and_does_not_serve(stranger: Worker) -> None:
    until(lambda: any("certificate verify failed" in line for line in waits(stranger)), "it says so")
    assert stranger.status("/readyz") != 200
    assert PASSWORD not in stranger.log


def waits(worker: Worker) -> list[str]:
    return [line for line in worker.log.splitlines() if '"event": "waiting_for_redis"' in line]


def test_the_keys_are_their_owners_alone_and_the_nodes_have_an_authority_of_their_own(made: Path) -> None:
    assert made.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in made.glob("*.key")} == {0}
    for name in ("ca.key", "nodes-ca.key"):
        assert not list(made.glob(f"*/{name}"))
    verify = ["openssl", "verify", "-CAfile", made / "nodes-ca.crt"]
    assert subprocess.run([*verify, made / "zookeeper1" / "node.crt"], capture_output=True).returncode == 0
    assert subprocess.run([*verify, made / "worker" / "part.crt"], capture_output=True).returncode != 0


def test_passwords_are_made_once_for_their_owner_only(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    shutil.copy(ROOT / "deploy" / "secrets.sh", tmp_path / "deploy")
    command = [tmp_path / "deploy" / "secrets.sh"]
    subprocess.run(command, check=True, capture_output=True)
    env = tmp_path / ".env"
    lines = dict(line.split("=") for line in env.read_text().split())
    assert set(lines) == {"DCHAT_REDIS_PASSWORD", "DCHAT_ZOOKEEPER_PASSWORD", "GRAFANA_PASSWORD"}
    assert len(set(lines.values())) == 3
    assert all(len(value) == 48 for value in lines.values())
    assert env.stat().st_mode & 0o777 == 0o600
    assert subprocess.run(command, capture_output=True).returncode == 1
    assert dict(line.split("=") for line in env.read_text().split()) == lines
