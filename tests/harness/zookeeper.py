"""A real ZooKeeper ensemble, whose nodes can be killed, frozen, started again and wiped.

    async with ensemble(3) as zk:
        client = KazooClient(zk.hosts)
        zk.leader.kill()
        await zk.ready()

Nodes start in some 0.3 s, three of them find a leader in about a second. Each takes 60 MB. They are tied to our life.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from kazoo.client import KazooClient

from tests.harness.processes import PATIENCE_S, Running, eventually, free_port, new_folder, until

JAR = Path("/usr/share/java/zookeeper.jar")
CLASSES = [str(JAR), *(f"/usr/share/java/{name}.jar" for name in ("netty-codec", "netty-resolver", "slf4j-simple"))]
"""What Debian lists for the server itself lacks the parts that TLS needs, and a log."""
TICK_MS = 200
"""Sessions may then be as short as 400 ms, and a node that is alone notices within about a second."""


class Node:
    """One server of an ensemble."""

    def __init__(self, number: int, folder: Path, settings: Sequence[str], java: Sequence[str], port: int) -> None:
        self.number, self.port = number, port
        self._folder, self._java = folder, java
        self._settings = settings
        self._data = folder / "data"
        folder.mkdir()
        self.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        return self.process.alive

    @property
    def log(self) -> str:
        return self.process.log

    @property
    def mode(self) -> str:
        """`leader`, `follower` or `standalone`; empty when it is down, frozen, or without a quorum."""
        # `ruok` would say imok without a quorum, too.
        for line in self.ask("srvr").splitlines():
            if line.startswith("Mode: "):
                return line.removeprefix("Mode: ")
        return ""

    def ask(self, word: str) -> str:
        """The answer to a four-letter word; empty when there is none within a second."""
        answer = b""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0) as connection:
            connection.sendall(word.encode())
            while part := connection.recv(65536):
                answer += part
        return answer.decode()

    def start(self) -> None:
        """Start it with the data it has. Does not wait."""
        self._data.mkdir(exist_ok=True)
        (self._data / "myid").write_text(str(self.number))
        (self._folder / "zoo.cfg").write_text("\n".join([*self._settings, f"dataDir={self._data}", ""]))
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        command = [*self._java, "-cp", ":".join([*CLASSES, str(self._folder)]), main, str(self._folder / "zoo.cfg")]
        self.process = Running(f"zookeeper{self.number}", command, self._folder, append=True)

    def kill(self) -> None:
        """SIGKILL. What it has acknowledged is on its disk."""
        self.process.kill()

    def freeze(self) -> None:
        self.process.freeze()

    def thaw(self) -> None:
        self.process.thaw()

    def restart(self) -> None:
        """Kill it and start it with the data it has. Does not wait for it to answer."""
        self.kill()
        self.start()

    def wipe(self) -> None:
        """Kill it and remove its data. `start` makes it a new node, that learns everything from the others."""
        self.kill()
        shutil.rmtree(self._data, ignore_errors=True)


class Ensemble:
    """Nodes that belong together. `settings` are more lines of zoo.cfg, `java` more words for the JVM."""

    def __init__(self, count: int = 1, *, settings: Sequence[str] = (), java: Sequence[str] = ()) -> None:
        self.folder = new_folder()
        self.nodes: list[Node] = []
        words = [java_binary(), "-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", *java]
        peers = [f"server.{n}=127.0.0.1:{free_port()}:{free_port()}" for n in range(1, count + 1)] if count > 1 else []
        try:
            for number in range(1, count + 1):
                port = free_port()
                lines = [*_settings(port), *peers, *settings]
                self.nodes.append(Node(number, self.folder / str(number), lines, words, port))
        except BaseException:
            self.close()
            raise

    @property
    def hosts(self) -> str:
        """All nodes, as clients name them."""
        return ",".join(node.host for node in self.nodes)

    @property
    def leader(self) -> Node:
        """The node that leads (a single one does). Raises LookupError when there is no quorum."""
        for node in self.nodes:
            if node.mode in ("leader", "standalone"):
                return node
        raise LookupError("no node leads")

    @property
    def followers(self) -> list[Node]:
        return [node for node in self.nodes if node.mode == "follower"]

    @property
    def complete(self) -> bool:
        """Whether every node that is alive serves, and one leads."""
        modes = [node.mode for node in self.nodes if node.alive]
        return all(modes) and any(mode in ("leader", "standalone") for mode in modes)

    async def ready(self) -> None:
        """Wait until every node that is alive serves."""
        await eventually(lambda: asyncio.to_thread(self._complete), "ZooKeeper serves", every_s=0.05)

    def wait_ready(self) -> None:
        """`ready`, for those who have no loop to keep turning."""
        until(self._complete, "ZooKeeper serves", every_s=0.05)

    def revive(self) -> None:
        """Thaw every node, and start those that are dead. Does not wait."""
        for node in self.nodes:
            if node.alive:
                node.thaw()
            else:
                node.start()

    def wipe(self) -> None:
        """Kill all, remove all data, and start again: an ensemble that has never heard of anything. Does not wait."""
        for node in self.nodes:
            node.wipe()
        for node in self.nodes:
            node.start()

    async def expire(self, client_id: tuple[int, bytes]) -> None:
        """End a session at once (`KazooClient.client_id`), behind its client's back."""
        await asyncio.to_thread(self._expire, client_id)

    def close(self) -> None:
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _expire(self, client_id: tuple[int, bytes]) -> None:
        # Whoever knows a session's password may close it.
        client = KazooClient(self.hosts, client_id=client_id)
        client.start(timeout=PATIENCE_S)
        client.stop()
        client.close()

    def _complete(self) -> bool:
        for node in self.nodes:
            assert node.alive or node.process.ended() == -9, node.log[-2000:]
        return self.complete


@asynccontextmanager
async def ensemble(
    count: int = 1, *, settings: Sequence[str] = (), java: Sequence[str] = ()
) -> AsyncIterator[Ensemble]:
    """An ensemble of one node or three, serving. Ended with the block."""
    made = Ensemble(count, settings=settings, java=java)
    try:
        await made.ready()
        yield made
    finally:
        made.close()


@contextmanager
def shared_ensemble(count: int = 1, *, settings: Sequence[str] = (), java: Sequence[str] = ()) -> Iterator[Ensemble]:
    """`ensemble` for fixtures of a whole session. Give each test a chroot of its own: `f"{zk.hosts}/{name}"`."""
    made = Ensemble(count, settings=settings, java=java)
    try:
        made.wait_ready()
        yield made
    finally:
        made.close()


def java_binary() -> str:
    """The path of Java; skips the test where it or ZooKeeper is missing."""
    path = shutil.which("java")
    if path is None or not JAR.exists():
        pytest.skip("there is no ZooKeeper on this machine")
    return path


def _settings(port: int) -> list[str]:
    lines: Mapping[str, object] = {
        "tickTime": TICK_MS,
        "clientPort": port,
        "clientPortAddress": "127.0.0.1",
        "minSessionTimeout": 2 * TICK_MS,
        "maxSessionTimeout": 30_000,
        "initLimit": 50,
        "syncLimit": 5,
        "maxClientCnxns": 0,
        "admin.enableServer": "false",
        "4lw.commands.whitelist": "*",
    }
    return [f"{name}={value}" for name, value in lines.items()]
