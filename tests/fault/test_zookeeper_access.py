"""Getting at an ensemble that does not let everybody in: digest ACLs, SASL, TLS; and what must not get out."""

from __future__ import annotations

import asyncio
import gc
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from structlog.testing import capture_logs

from dchat_server.adapters.zookeeper import ZooKeeperLeadership
from dchat_server.adapters.zookeeper_client import Access
from dchat_server.ports_cluster import Member
from tests.harness.processes import eventually, free_port
from tests.harness.zookeeper import Ensemble, ensemble, shared_ensemble

SESSION_S = 2.0


@pytest.fixture(scope="module")
def single() -> Iterator[Ensemble]:
    with shared_ensemble(1) as zookeeper:
        yield zookeeper


@asynccontextmanager
async def worker(access: Access, name: str = "a") -> AsyncIterator[ZooKeeperLeadership]:
    """A worker that stands for election."""
    port = ZooKeeperLeadership(access)

    async def read() -> None:
        async for term in port.terms():
            await term.over()

    reader = asyncio.create_task(read())
    try:
        await port.start(Member(name, f"{name}:1", "1", 1000, 0))
        yield port
    finally:
        await port.stop()
        await reader


async def leads(port: ZooKeeperLeadership, name: str = "a") -> None:
    await eventually(lambda: port.leader is not None and port.leader.worker == name, "it leads")
    await eventually(lambda: [member.worker for member in port.members or ()] == [name], "it is a member")


async def as_stranger(hosts: str, ask: Callable[[Any], Any], digest: str | None = None) -> Any:
    """What a client without our login, or with another, gets."""

    def run() -> Any:
        client = KazooClient(hosts, auth_data=[("digest", digest)] if digest else None)
        client.start(timeout=30)
        try:
            return ask(client)
        finally:
            client.stop()
            client.close()

    return await asyncio.to_thread(run)


@pytest.mark.parametrize("login", [None, "dchat:guess"])
async def test_with_a_digest_login_what_workers_write_is_theirs_alone(
    single: Ensemble, tmp_path: Path, login: str | None
) -> None:
    access = Access(f"{single.hosts}/{tmp_path.name}", SESSION_S, digest="dchat:hunter2")
    async with worker(access) as port:
        await leads(port)
        attempts: list[Callable[[Any], Any]] = [
            lambda client: client.get(f"{access.root}/workers/a"),
            lambda client: client.get_children(f"{access.root}/election"),
            lambda client: client.create(f"{access.root}/election/0000000000000000-", b"me", sequence=True),
            lambda client: client.delete(f"{access.root}/workers/a"),
            lambda client: client.create(f"{access.root}/workers/b", b"{}"),
        ]
        for attempt in attempts:
            with pytest.raises(NoAuthError):
                await as_stranger(single.hosts, attempt, login)
        async with worker(access, "b") as other:
            await eventually(lambda: other.leader is not None and other.leader.worker == "a", "b sees who leads")


async def test_with_a_wrong_login_a_worker_says_so_and_waits(single: Ensemble, tmp_path: Path) -> None:
    hosts = f"{single.hosts}/{tmp_path.name}"
    async with worker(Access(hosts, SESSION_S, digest="dchat:hunter2")) as port:
        await leads(port)
        with capture_logs() as lines:
            async with worker(Access(hosts, SESSION_S, digest="dchat:wrong"), "b") as other:
                await eventually(lambda: any("NoAuth" in str(line.get("error")) for line in lines), "it says so")
                assert other.leader is None
        assert not [line for line in lines if "wrong" in str(line)]
        assert port.leader is not None
        assert port.leader.worker == "a"


async def test_neither_login_nor_session_password_is_logged_even_when_debugging(
    single: Ensemble, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    caplog.set_level(1, "kazoo")
    access = Access(f"{single.hosts}/{tmp_path.name}", SESSION_S, digest="dchat:hunter2")
    with capture_logs() as lines:
        async with worker(access) as port:
            await leads(port)
            assert port._session is not None
            session = port._session._client.client_id
    logged = caplog.text + str(lines)
    assert "hunter2" not in logged + repr(access)
    assert session[1].hex() not in logged


async def test_a_session_shorter_than_asked_for_shortens_the_lease() -> None:
    async with (
        ensemble(1, settings=["maxSessionTimeout=1000"]) as zookeeper,
        worker(Access(zookeeper.hosts, 20)) as port,
    ):
        await leads(port)
        assert port._session is not None
        assert port._session.timeout_s == pytest.approx(1.0)
        assert port._election is not None
        term = port._election.term
        assert term is not None
        zookeeper.nodes[0].freeze()
        async with asyncio.timeout(5):
            await term.over()
        zookeeper.nodes[0].thaw()


JAAS = """
Server {
  org.apache.zookeeper.server.auth.DigestLoginModule required user_dchat="hunter2";
};
"""


async def test_sasl_lets_workers_in_and_keeps_others_from_their_nodes(tmp_path: Path) -> None:
    pytest.importorskip("puresasl")
    jaas = tmp_path / "jaas.conf"
    jaas.write_text(JAAS)
    provider = "authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider"
    java = [f"-Djava.security.auth.login.config={jaas}"]
    async with ensemble(1, settings=[provider], java=java) as zookeeper:
        async with worker(Access(zookeeper.hosts, SESSION_S, sasl="dchat:hunter2")) as port:
            await leads(port)
            with pytest.raises(NoAuthError):
                await as_stranger(zookeeper.hosts, lambda client: client.get("/dchat/workers/a"))
        with capture_logs() as lines:
            async with worker(Access(zookeeper.hosts, SESSION_S, sasl="dchat:wrong")) as port:
                await eventually(
                    lambda: [line for line in lines if line["event"] == "zookeeper_given_up"], "it says so"
                )
                assert port.leader is None


def run(folder: Path, command: str) -> None:
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """ca.pem; server.pem and client.pem with their keys inside; client.key and client.crt apart; other.pem, a CA that
    has signed nothing."""
    (tmp_path / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    for name in ("ca", "other"):
        run(tmp_path, f"openssl req -x509 {key} -keyout {name}.key -out {name}.pem -subj /CN={name}")
    for name in ("server", "client", "elsewhere"):
        run(tmp_path, f"openssl req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}".replace("-days 2", ""))
        names = "-extfile names" if name == "server" else ""
        sign = f"openssl x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 {names}"
        run(tmp_path, f"{sign} -out {name}.crt")
        (tmp_path / f"{name}.pem").write_text(
            (tmp_path / f"{name}.key").read_text() + (tmp_path / f"{name}.crt").read_text()
        )
    return tmp_path


def tls_settings(folder: Path, port: int, server: str = "server") -> list[str]:
    return [
        f"secureClientPort={port}",
        "secureClientPortAddress=127.0.0.1",
        "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
        f"ssl.keyStore.location={folder}/{server}.pem",
        "ssl.keyStore.type=PEM",
        f"ssl.trustStore.location={folder}/ca.pem",
        "ssl.trustStore.type=PEM",
    ]


# kazoo leaves the socket of a handshake that failed to the collector.
leaves_sockets = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@leaves_sockets
async def test_tls_with_certificates_on_both_sides(certificates: Path) -> None:
    port = free_port()
    ca, cert, key = (str(certificates / name) for name in ("ca.pem", "client.crt", "client.key"))
    async with ensemble(1, settings=tls_settings(certificates, port)):
        hosts = f"127.0.0.1:{port}"
        async with worker(Access(hosts, SESSION_S, ca=ca, cert=cert, key=key)) as leadership:
            await leads(leadership)
        for refused in (
            Access(hosts, SESSION_S, ca=ca),  # the server asks for a certificate
            Access(
                hosts, SESSION_S, ca=str(certificates / "other.pem"), cert=cert, key=key
            ),  # we do not know the server
            Access(hosts, SESSION_S),  # no TLS at all
        ):
            await never_in(refused)


@leaves_sockets
async def test_a_server_whose_certificate_bears_another_name_is_not_believed(certificates: Path) -> None:
    port = free_port()
    ca, cert, key = (str(certificates / name) for name in ("ca.pem", "client.crt", "client.key"))
    async with ensemble(1, settings=tls_settings(certificates, port, "elsewhere")):
        await never_in(Access(f"127.0.0.1:{port}", SESSION_S, ca=ca, cert=cert, key=key))


async def never_in(access: Access) -> None:
    with capture_logs() as lines:
        async with worker(access) as port:
            away = await eventually(lambda: [line for line in lines if line["event"] == "zookeeper_away"], "it says so")
            assert away[0]["error"]
            assert (port.state, port.leader, port.members) == ("lost", None, None)
    gc.collect()  # see leaves_sockets: here, and not in whatever test comes next
