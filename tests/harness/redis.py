"""Real Redis servers on TCP: one that can be killed, frozen and started again; Sentinel; a cluster."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import pytest
import redis

from dchat_server.redis_binary import find_binaries
from tests.harness.processes import ROOT, Running, free_port, new_folder, until


def binary(kind: str = "redis") -> str:
    """The path of a `redis` or `valkey` server; skips the test, with its name, where there is none."""
    for each in find_binaries():
        if each.flavour.lower() == kind:
            return each.path
    pytest.skip(f"there is no {kind}-server on this machine")


class RedisServer:
    """One server. `aof` is always, everysec or none (nothing is kept); a restart reads what was kept."""

    def __init__(
        self, *, kind: str = "redis", aof: str = "none", options: tuple[str, ...] = (), name: str = "redis"
    ) -> None:
        self.folder, self.port, self.name = new_folder(), free_port(), name
        self._command = [binary(kind), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        self._command += ["--save", "", "--appendonly", "no" if aof == "none" else "yes", *options]
        if aof != "none":
            self._command += ["--appendfsync", aof]
        self.process = self._run()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, *command: str | int) -> Any:
        """The reply to one command, strings decoded."""
        with redis.Redis(port=self.port, decode_responses=True, socket_timeout=5, protocol=2) as client:
            return client.execute_command(*command)

    def restart(self) -> None:
        """Kill it if it runs, and start it on the same port and folder."""
        self.process.kill()
        self.process = self._run(append=True)

    def lose_tail(self, marker: bytes) -> None:
        """Take from the append-only file what was written since `marker` was: what a crash takes from a server that
        does not sync. Call it while the server is dead."""
        assert not self.process.alive
        (file,) = (self.folder / "appendonlydir").glob("*.incr.aof")
        data = file.read_bytes()
        file.write_bytes(data[: data.index(marker)])

    def _run(self, *, append: bool = False) -> Running:
        process = Running(self.name, self._command, self.folder, append=append)
        until(lambda: self._answers(process), f"{self.name} answers")
        return process

    def _answers(self, process: Running) -> bool:
        assert process.alive, process.log
        with suppress(redis.RedisError, OSError):
            return bool(self.ask("PING"))
        return False


class ComposeRedis:
    """The Redis of the compose stack, by its own script and with its own list of users: nobody comes in but `dchat`."""

    def __init__(self) -> None:
        self.folder, self.port = new_folder(), free_port()
        (self.folder / "data").mkdir()
        script = (ROOT / "deploy" / "redis" / "start.sh").read_text("utf-8")
        for inside, here in {
            "/etc/redis/": f"{ROOT}/deploy/redis/",
            "/tmp/users.acl": f"{self.folder}/users.acl",
            "--dir /data": f"--dir {self.folder}/data",
            "redis-server ": f"{binary()} --bind 127.0.0.1 --port {self.port} ",
        }.items():
            assert inside in script
            script = script.replace(inside, here)
        (self.folder / "start.sh").write_text(script)
        self.process: Running

    def start(self, password: str, *words: str, before: str = "") -> None:
        """Start it, with `words` for redis-server, `before` being a password that is good as well. Does not wait."""
        env = {**os.environ, "DCHAT_REDIS_PASSWORD": password, "DCHAT_REDIS_PASSWORD_BEFORE": before}
        command = ["/bin/sh", str(self.folder / "start.sh"), *words]
        self.process = Running("redis", command, self.folder, env, append=True)

    def client(self, password: str) -> redis.Redis:
        return redis.Redis(port=self.port, username="dchat", password=password, socket_timeout=5)

    def answers(self, password: str) -> bool:
        """Whether it lets in who has this password; False as well while it starts."""
        assert self.process.alive, self.process.log
        with suppress(redis.ConnectionError, redis.AuthenticationError), self.client(password) as client:
            return bool(client.ping())
        return False

    def stop(self) -> None:
        """End it as `docker stop` does, and wait."""
        self.process.terminate()
        until(lambda: not self.process.alive, "Redis ends")

    def close(self) -> None:
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Sentinel:
    """A master, replicas and three sentinels that promote one of them within seconds."""

    def __init__(self, *, replicas: int = 1, aof: str = "everysec") -> None:
        self.servers = [RedisServer(aof=aof, name="master")]
        self.folder = new_folder()
        self.sentinels: list[Running] = []
        self._ports: list[int] = []
        try:
            master = self.servers[0].port
            for number in range(replicas):
                follow = ("--replicaof", f"127.0.0.1 {master}", "--repl-diskless-sync-delay", "0")
                self.servers.append(RedisServer(aof=aof, options=follow, name=f"replica{number}"))
            # A sentinel that asks before they follow asks again only after ten seconds.
            following = f"connected_slaves:{replicas}"
            until(lambda: following in _text(self.servers[0].ask("INFO", "replication")), "the replicas follow")
            for number in range(3):
                self.sentinels.append(self._sentinel(number, master))
            until(lambda: all(self._sees_all(port, replicas) for port in self._ports), "the sentinels see everybody")
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return "redis+sentinel://" + ",".join(f"127.0.0.1:{port}" for port in self._ports) + "/chat"

    @property
    def master(self) -> RedisServer:
        """The server that the first sentinel names."""
        _, port = self._ask(self._ports[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "chat")
        return next(server for server in self.servers if server.port == int(port))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for sentinel in self.sentinels:
            sentinel.kill()
        for server in self.servers:
            server.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _sentinel(self, number: int, master: int) -> Running:
        port = free_port()
        folder = self.folder / str(number)
        folder.mkdir()
        settings = folder / "sentinel.conf"
        settings.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor chat 127.0.0.1 {master} 2\n"
            "sentinel down-after-milliseconds chat 1000\n"
            "sentinel failover-timeout chat 3000\n"
        )
        self._ports.append(port)
        return Running(f"sentinel{number}", [binary(), str(settings), "--sentinel"], folder)

    def _sees_all(self, port: int, replicas: int) -> bool:
        with suppress(redis.RedisError, OSError):
            reply = self._ask(port, "SENTINEL", "MASTER", "chat")
            about = reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2], strict=True))
            return int(about["num-slaves"]) == replicas and int(about["num-other-sentinels"]) == 2
        return False

    @staticmethod
    def _ask(port: int, *command: str) -> Any:
        with redis.Redis(port=port, decode_responses=True, socket_timeout=5, protocol=2) as client:
            client.response_callbacks.clear()
            return client.execute_command(*command)


class RedisCluster:
    """Three masters, each with a replica when `replicas`; a replica takes over within seconds."""

    def __init__(self, *, replicas: bool = False) -> None:
        self.nodes: list[RedisServer] = []
        try:
            for number in range(6 if replicas else 3):
                bus = free_port()
                options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", str(bus))
                self.nodes.append(RedisServer(options=options, name=f"node{number}"))
                self.nodes[-1].bus = bus  # type: ignore[attr-defined]
            self._join()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for node in self.nodes:
            node.close()

    def move_slots(self, source: RedisServer, target: RedisServer) -> int:
        """Move all slots of one master that hold keys to another, as a reshard does; how many there were."""
        source_id, target_id = source.ask("CLUSTER", "MYID"), target.ask("CLUSTER", "MYID")
        slots = {int(source.ask("CLUSTER", "KEYSLOT", key)) for key in source.ask("KEYS", "*")}
        for slot in sorted(slots):
            target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
            source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
            while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 20):
                source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            for node in (target, source, *self.nodes):
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)
        return len(slots)

    def _join(self) -> None:
        masters, others = self.nodes[:3], self.nodes[3:]
        for number, node in enumerate(masters):
            first, last = number * 16384 // 3, (number + 1) * 16384 // 3 - 1
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            masters[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus)  # type: ignore[attr-defined]
        until(lambda: all(self._knows_all(node) for node in self.nodes), "every node of the cluster knows every other")
        for master, replica in zip(masters, others, strict=False):
            replica.ask("CLUSTER", "REPLICATE", master.ask("CLUSTER", "MYID"))
        for replica in others:
            until(lambda replica=replica: "master_link_status:up" in self._info(replica), "the replica follows")
        until(lambda: all(self._is_ok(node) for node in self.nodes), "the cluster is up")

    def _knows_all(self, node: RedisServer) -> bool:
        return f"cluster_known_nodes:{len(self.nodes)}" in _text(node.ask("CLUSTER", "INFO")) and self._is_ok(node)

    @staticmethod
    def _is_ok(node: RedisServer) -> bool:
        return "cluster_state:ok" in _text(node.ask("CLUSTER", "INFO"))

    @staticmethod
    def _info(node: RedisServer) -> str:
        return _text(node.ask("INFO", "replication"))


def _text(reply: Any) -> str:
    """An INFO reply as lines, whatever the client has made of it."""
    if isinstance(reply, dict):
        return "\n".join(f"{name}:{value}" for name, value in reply.items())
    return str(reply)
