"""Workers of this process that stand for election, for tests of what befalls them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from dchat_server.adapters.zookeeper import ZooKeeperLeadership
from dchat_server.adapters.zookeeper_client import Access
from dchat_server.ports_cluster import Member, Term
from tests.harness.processes import eventually


@dataclass
class Worker:
    """One worker, and the reader of its terms, who does nothing with them."""

    port: ZooKeeperLeadership
    terms: list[Term] = field(default_factory=list)
    reader: asyncio.Task[None] | None = None

    @property
    def term(self) -> Term | None:
        return self.terms[-1] if self.terms and self.terms[-1].valid else None

    async def leads(self, above: int = 0) -> Term:
        term: Term = await eventually(lambda: self.term if self.term and self.term.fence > above else None, "it leads")
        return term

    @property
    def client_id(self) -> tuple[int, bytes]:
        assert self.port._session is not None
        found: tuple[int, bytes] = self.port._session._client.client_id
        return found

    @property
    def names(self) -> list[str]:
        return [member.worker for member in self.port.members or ()]

    async def read(self) -> None:
        async for term in self.port.terms():
            self.terms.append(term)
            await term.over()


class Workers:
    """Starts workers, and stops them at the end."""

    def __init__(self) -> None:
        self.all: list[Worker] = []

    async def start(self, access: Access, name: str = "a", started_at: int = 1000) -> Worker:
        worker = Worker(ZooKeeperLeadership(access))
        self.all.append(worker)
        await worker.port.start(Member(name, f"{name}:1", "1", started_at, 0))
        worker.reader = asyncio.create_task(worker.read())
        return worker

    async def close(self) -> None:
        for worker in self.all:
            await worker.port.stop()
            if worker.reader is not None:
                await worker.reader


@asynccontextmanager
async def some_workers() -> AsyncIterator[Workers]:
    workers = Workers()
    try:
        yield workers
    finally:
        await workers.close()
