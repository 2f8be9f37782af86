"""The topology of docker-compose.yml, by hand: HAProxy with the project's own configuration before the workers, one
Redis that writes everything down, a ZooKeeper ensemble of three, a DynamoDB endpoint."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tests.harness.dynamodb import MotoServer
from tests.harness.processes import ROOT
from tests.harness.redis import RedisServer
from tests.harness.workers import Haproxy, Worker
from tests.harness.zookeeper import Ensemble

TABLE = "dchat"


class DeployedHaproxy(Haproxy):
    """HAProxy as deploy/haproxy/haproxy.cfg has it, but for names and addresses."""

    def _configuration(self, workers: Sequence[Worker]) -> str:
        text = (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text("utf-8")
        servers = "\n".join(f"  server {worker.name} 127.0.0.1:{worker.port} check" for worker in workers)
        for pattern, instead in (
            (r"  maxconn 20000$", "  maxconn 4000"),  # this machine has not files enough for more
            (r"resolvers docker\n(  .*\n)+", ""),
            (r" resolvers docker init-addr none$", ""),
            (r"  bind :8080$", f"  bind 127.0.0.1:{self.port}"),
            (r"  bind :8404$", f"  bind 127.0.0.1:{self._stats}"),
            (r"(  server .*\n)+", servers + "\n"),
        ):
            text, count = re.subn(pattern, instead, text, flags=re.M)
            assert count == 1, f"haproxy.cfg has {count} times {pattern}"
        return text

    def _state(self, worker: Worker) -> str:
        assert self.process.alive, self.process.log
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._stats}/metrics?scope=server", timeout=5) as response:
                told = response.read().decode()
        except OSError:
            return ""
        found = re.search(
            rf'^haproxy_server_status{{proxy="workers",server="{worker.name}",state="(\w+)"}} 1$', told, re.M
        )
        return found[1] if found else ""


class Stack:
    """All of it, with `count` of the `places` for workers taken. Ended with the block."""

    def __init__(self, count: int = 3, places: int = 4, **settings: str) -> None:
        self._ending = ExitStack()
        try:
            self.zookeeper = Ensemble(3)  # it comes up while the others do
            self._ending.callback(self.zookeeper.close)
            self.redis = self._ending.enter_context(RedisServer(kind="valkey", aof="always"))
            self.dynamodb = self._ending.enter_context(MotoServer())
            self.dynamodb.make_table(TABLE)
            self.zookeeper.wait_ready()
            settings = {
                "DCHAT_ACK": "fsync",
                "DCHAT_ZOOKEEPER": self.zookeeper.hosts,
                "DCHAT_DYNAMODB_TABLE": TABLE,
                "DCHAT_DYNAMODB_ENDPOINT": self.dynamodb.endpoint,
                "DCHAT_TRUSTED_PROXIES": "1",
                **settings,
            }
            self.places = [Worker(self.redis.url, number + 1, **settings) for number in range(places)]
            for worker in self.places:
                self._ending.callback(worker.close)
            for worker in self.places[:count]:
                worker.start(wait=False)
            for worker in self.places[:count]:
                worker.wait_ready()
            self.balancer = self._ending.enter_context(DeployedHaproxy(self.places, up=self.places[:count]))
        except BaseException:
            self._ending.close()
            raise

    @property
    def url(self) -> str:
        """Where everybody goes."""
        return self.balancer.url

    @property
    def workers(self) -> list[Worker]:
        """Those that run."""
        return [worker for worker in self.places if worker.alive]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    def leader(self) -> Worker | None:
        """The worker that says it leads."""
        return next((worker for worker in self.workers if worker.leads), None)
