"""Archives for contract and fault tests: in memory, in a SQLite file, in DynamoDB."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self

from dchat_server.adapters.dynamodb_archive import DynamoDbArchive
from dchat_server.adapters.sqlite_archive import FILE, SqliteArchive
from dchat_server.ports_archive import Archive
from tests.archives import MemoryArchive
from tests.harness.dynamodb import Dynamo, MotoServer, dynamodb
from tests.harness.processes import new_folder

KINDS = ("memory", "sqlite", "dynamodb")
SHARDS = 4


class ArchivePlace(ABC):
    """One archive, empty at first."""

    kind: str

    @abstractmethod
    async def open(self, *, shards: int = SHARDS) -> Archive:
        """The archive as one more worker has it, started."""

    @abstractmethod
    async def close(self) -> None:
        """End everything this place began."""


class MemoryPlace(ArchivePlace):
    kind = "memory"

    def __init__(self) -> None:
        self.archive = MemoryArchive()

    async def open(self, *, shards: int = SHARDS) -> Archive:
        await self.archive.start()
        return self.archive

    async def close(self) -> None:
        pass


class SqlitePlace(ArchivePlace):
    kind = "sqlite"

    def __init__(self) -> None:
        self.folder = new_folder()
        self._open: list[SqliteArchive] = []

    async def open(self, *, shards: int = SHARDS) -> Archive:
        archive = SqliteArchive(self.folder / FILE, shards)
        self._open.append(archive)
        await archive.start()
        return archive

    async def close(self) -> None:
        for archive in self._open:
            await archive.stop()
        shutil.rmtree(self.folder)


class DynamoPlace(ArchivePlace):
    """On moto, behind a proxy of its own, in a table of its own."""

    kind = "dynamodb"

    def __init__(self, dynamo: Dynamo) -> None:
        self.dynamo = dynamo
        self._open: list[DynamoDbArchive] = []

    async def open(self, *, shards: int = SHARDS) -> Archive:
        archive = DynamoDbArchive(self.dynamo.table, shards, endpoint=self.dynamo.endpoint)
        self._open.append(archive)
        await archive.start()
        return archive

    async def close(self) -> None:
        for archive in self._open:
            await archive.stop()


class SharedMoto:
    """A moto_server for all tests of a module, started when the first of them needs it."""

    def __init__(self) -> None:
        self._server: MotoServer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()

    @property
    def server(self) -> MotoServer:
        if self._server is None:
            self._server = MotoServer()
        return self._server


@asynccontextmanager
async def archive_place(kind: str, moto: SharedMoto) -> AsyncIterator[ArchivePlace]:
    """An empty archive of this kind."""
    async with AsyncExitStack() as stack:
        place: ArchivePlace
        if kind == "dynamodb":
            place = DynamoPlace(await stack.enter_async_context(dynamodb(moto.server)))
        else:
            place = MemoryPlace() if kind == "memory" else SqlitePlace()
        stack.push_async_callback(place.close)
        yield place
