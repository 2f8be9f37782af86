"""The ensemble as terraform/ sets it up: its zoo.cfg, with the secrets that its script makes, on three addresses."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dchat_server.adapters.zookeeper_client import Access, Session, ZooKeeperTrouble
from tests.harness.processes import Running, eventually, new_folder
from tests.harness.zookeeper import CLASSES, java_binary

TERRAFORM = Path(__file__).parents[2] / "terraform"
FILES = TERRAFORM / "modules" / "ensemble" / "files"
PLACES = (1, 2, 3)
# kazoo leaves the socket of a handshake that failed to the collector, and its thread dies of a refused login.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@dataclasses.dataclass
class Stack:
    """Three servers, and what a worker's machine has of the secrets."""

    servers: dict[int, Running]
    hosts: str
    secrets: dict[str, str]
    folder: Path

    def access(self, **other: str | None) -> Access:
        mine: dict[str, str | None] = {"sasl": f"dchat:{self.secrets['password']}"}
        for name, key in (("ca", "ca"), ("cert", "worker_cert"), ("key", "worker_key")):
            path = self.folder / name
            path.write_text(self.secrets[key])
            mine[name] = str(path)
        return Access(self.hosts, 10.0, **{**mine, **other})  # type: ignore[arg-type]


def make_secrets(folder: Path, addresses: dict[int, str]) -> dict[str, str]:
    servers = [f"zk-{place}.chat.internal={address}" for place, address in addresses.items()]
    # Servers check where others come from, and whatever its address, this machine calls itself from here.
    servers.append("localhost=127.0.0.1")
    subprocess.run([TERRAFORM / "scripts" / "zookeeper-secrets.sh", folder, *servers], check=True, capture_output=True)
    secrets: dict[str, str] = json.loads((folder / "secrets.tfvars.json").read_text())["zookeeper_secrets"]
    return secrets


def zoo_cfg(addresses: dict[int, str], place: int, folder: Path) -> str:
    """The template, filled in, with the paths of this test in the place of the container's."""
    text = (FILES / "zoo.cfg.tftpl").read_text("utf-8").replace("${tls_port}", "2281")
    loop = re.search(r"%\{ for place, name in names ~\}\n(.+\n)%\{ endfor ~\}\n", text)
    assert loop is not None
    peers = (loop[1].replace("${place}", str(each)).replace("${name}", name) for each, name in addresses.items())
    text = text.replace(loop[0], "".join(peers))
    for inside in ("/tls", "/data", "/datalog"):
        text = re.sub(rf"={inside}(?=$|/)", f"={folder}{inside}", text, flags=re.M)
    # On its own machine a server may listen on all addresses; here they share one.
    return f"{text}secureClientPortAddress={addresses[place]}\n"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    folder = new_folder()
    # Ports are fixed, so addresses of this machine that nobody else listens on.
    net = f"127.{77 + os.getpid() % 100}.{os.getpid() // 100 % 250}"
    addresses = {place: f"{net}.{place + 1}" for place in PLACES}
    secrets = make_secrets(folder, addresses)
    servers: dict[int, Running] = {}
    try:
        for place in PLACES:
            home = folder / str(place)
            for name in ("tls", "data", "datalog"):
                (home / name).mkdir(parents=True)
            (home / "zoo.cfg").write_text(zoo_cfg(addresses, place, home))
            (home / "data" / "myid").write_text(str(place))
            (home / "tls" / "ca.pem").write_text(secrets["ca"])
            (home / "tls" / "server.pem").write_text(secrets["server"])
            (home / "jaas.conf").write_text(
                "Server { org.apache.zookeeper.server.auth.DigestLoginModule required "
                f'user_dchat="{secrets["password"]}"; }};'
            )
            command = [java_binary(), "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
            command += [f"-Djava.security.auth.login.config={home / 'jaas.conf'}", "-cp", ":".join(CLASSES)]
            command += ["org.apache.zookeeper.server.quorum.QuorumPeerMain", str(home / "zoo.cfg")]
            servers[place] = Running(f"zookeeper{place}", command, home)
        yield Stack(servers, ",".join(f"{each}:2281" for each in addresses.values()) + "/chat", secrets, folder)
    finally:
        for server in servers.values():
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)


async def leads_somewhere(access: Access) -> None:
    """Write and read a node of the workers'. Raises ZooKeeperTrouble."""
    session = Session(access, lambda: None)
    try:
        await session.open()
        await session.ensure(f"{access.root}/election")
        path, _ = await session.create(f"{access.root}/election/it-", b"me", sequence=True)
        assert (await session.get(path)).data == b"me"
    finally:
        await session.close(5)
        gc.collect()  # see pytestmark: here, and not in whatever test comes next


async def test_workers_come_in_and_go_on_without_one_of_the_three(stack: Stack) -> None:
    async def in_time() -> bool:
        try:
            await leads_somewhere(stack.access())
        except ZooKeeperTrouble:
            for server in stack.servers.values():
                assert server.alive, server.log
            return False
        return True

    for _ in range(6):  # the first ones may be early
        if await in_time():
            break
    else:
        pytest.fail(stack.servers[1].log)
    stack.servers[3].kill()
    await eventually(lambda: not stack.servers[3].alive, "it is gone")
    await leads_somewhere(stack.access())


@pytest.mark.parametrize(
    "lacking",
    [{"sasl": "dchat:guess"}, {"sasl": None}, {"cert": None, "key": None}],
    ids=["password", "login", "certificate"],
)
async def test_nobody_comes_in_who_lacks(stack: Stack, lacking: dict[str, str | None]) -> None:
    with capture_logs(), pytest.raises(ZooKeeperTrouble):
        await leads_somewhere(dataclasses.replace(stack.access(**lacking), session_s=1.0))
