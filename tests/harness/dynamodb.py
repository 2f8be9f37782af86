"""DynamoDB for tests: a moto_server process, and before it a proxy that spoils calls and counts them.

    async with dynamodb() as dynamo:
        archive = DynamoDbArchive(dynamo.table, SHARDS, endpoint=dynamo.endpoint)
        dynamo.faults.swallow("TransactWriteItems", 1)

moto is no database: its transactions are not safe from each other, and it knows neither throttles nor idempotency
tokens. So the proxy lets one call through at a time, and everything unpleasant comes from `faults`.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from dchat_server.adapters.dynamodb_client import connect
from dchat_server.adapters.dynamodb_table import create
from tests.harness.processes import Running, free_port, new_folder, plain_environment, until

ANY = "*"
_PREFIX = "com.amazonaws.dynamodb.v20120810#"


class MotoServer:
    """A moto_server process. Its tables are gone when it ends."""

    def __init__(self) -> None:
        self.folder, self.port = new_folder(), free_port()
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self.process = Running("moto", command, self.folder, plain_environment())
        until(self._answers, "moto answers")
        self._client = connect(self.endpoint, None, connections=2, read_s=60)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def make_table(self, name: str) -> None:
        """An empty table of the archive."""
        create(self._client, name, recovery=False, protection=False, say=lambda _: None)

    def close(self) -> None:
        self._client.close()
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        assert self.process.alive, self.process.log
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


@dataclass(slots=True)
class _Fault:
    kind: str
    operation: str
    left: int | None
    share: float
    status: int = 0
    code: str = ""


class Faults:
    """What happens to the next calls. `operation` is DynamoDB's name (`TransactWriteItems`) or ANY; of the calls that
    fit, the next `times` are hit (None: all, until `clear`), each with the probability `share`."""

    def __init__(self) -> None:
        self._waiting: list[_Fault] = []
        self._slow: dict[str, float] = {}
        self._held: dict[str, asyncio.Event] = {}
        self._random = random.Random(11)
        self.hits: Counter[str] = Counter()
        """How often each kind of fault happened."""
        self.down = False
        """The endpoint ends each connection at once."""

    def throttle(self, operation: str = ANY, times: int | None = 1, *, share: float = 1.0) -> None:
        """ProvisionedThroughputExceededException; nothing happened."""
        self._add("throttle", operation, times, share, 400, "ProvisionedThroughputExceededException")

    def cancel(self, code: str = "ThrottlingError", times: int | None = 1, *, share: float = 1.0) -> None:
        """TransactionCanceledException with `code` as the reason of the first item: ThrottlingError,
        TransactionConflict, …; nothing happened."""
        self._add("cancel", "TransactWriteItems", times, share, 400, code)

    def fail(
        self, operation: str = ANY, times: int | None = 1, *, status: int = 500, code: str = "", share: float = 1.0
    ) -> None:
        """An error of this status; nothing happened."""
        default = {500: "InternalServerError", 503: "ServiceUnavailable"}.get(status, "ValidationException")
        self._add("fail", operation, times, share, status, code or default)

    def swallow(self, operation: str = ANY, times: int | None = 1, *, share: float = 1.0) -> None:
        """It happened, and the answer never comes: the client's time-out ends it."""
        self._add("swallow", operation, times, share)

    def cut(self, operation: str = ANY, times: int | None = 1, *, share: float = 1.0) -> None:
        """It happened, and the connection is reset instead of the answer."""
        self._add("cut", operation, times, share)

    def lose(self, operation: str = ANY, times: int | None = 1, *, share: float = 1.0) -> None:
        """Nothing happens, and no answer comes."""
        self._add("lose", operation, times, share)

    def reset(self, operation: str = ANY, times: int | None = 1, *, share: float = 1.0) -> None:
        """Nothing happens, and the connection is reset."""
        self._add("reset", operation, times, share)

    def unprocessed(self, times: int | None = 1, *, share: float = 1.0) -> None:
        """Of a BatchGetItem only every other key is answered, the rest comes back as unprocessed."""
        self._add("unprocessed", "BatchGetItem", times, share)

    def slow(self, ms: float, operation: str = ANY) -> None:
        """Each call takes so much longer, until `clear`."""
        self._slow[operation] = ms / 1000

    def hold(self, operation: str) -> None:
        """Each call waits before anything happens, until `clear`."""
        self._held[operation] = asyncio.Event()

    def clear(self) -> None:
        """Nothing more happens; what was held goes on."""
        self._waiting.clear()
        self._slow.clear()
        while self._held:
            self._held.popitem()[1].set()
        self.down = False

    def _add(self, kind: str, operation: str, times: int | None, share: float, status: int = 0, code: str = "") -> None:
        self._waiting.append(_Fault(kind, operation, times, share, status, code))

    def next(self, operation: str) -> _Fault | None:
        for fault in self._waiting:
            if fault.operation in (ANY, operation) and self._random.random() < fault.share:
                if fault.left is not None:
                    fault.left -= 1
                    if not fault.left:
                        self._waiting.remove(fault)
                self.hits[fault.kind] += 1
                return fault
        return None

    async def delay(self, operation: str) -> None:
        if delay_s := self._slow.get(operation, self._slow.get(ANY, 0.0)):
            await asyncio.sleep(delay_s)
        if held := self._held.get(operation):
            await held.wait()


class Dynamo:
    """An endpoint with one empty table."""

    def __init__(self, target: int) -> None:
        self.port, self.table = free_port(), f"dchat-{uuid4().hex[:12]}"
        self.faults = Faults()
        self.calls: Counter[str] = Counter()
        """operation → how often it was asked for, faults included."""
        self.items: Counter[str] = Counter()
        """operation → how many items those calls named."""
        self.requests: list[tuple[str, dict[str, Any]]] | None = None
        """When a list: each call's operation and body are kept here."""
        self.outcomes: list[tuple[str, dict[str, Any], int]] | None = None
        """When a list: each call that moto carried out, in that order, with the status of its answer."""
        self.canned = False
        """Nothing is asked of moto: every call has an empty success for an answer."""
        self._target = target
        self._one = asyncio.Lock()
        self._moto: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def forget(self) -> None:
        """Count from 0 again."""
        self.calls.clear()
        self.items.clear()

    def drop_connections(self) -> None:
        """Reset all connections, also idle ones."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            while not self.faults.down and await self._answer(await _request(reader), writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went, or the test is over
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._moto is not None:
            self._moto[1].transport.abort()

    async def _answer(self, request: tuple[list[bytes], bytes], writer: asyncio.StreamWriter) -> bool:
        """Answer one call; False when the connection is over."""
        head, body = request
        operation = next(
            (line.split(b".")[-1].decode() for line in head if line.lower().startswith(b"x-amz-target:")), ""
        )
        self.calls[operation] += 1
        asked = json.loads(body or b"{}") if not self.canned or self.requests is not None else {}
        self.items[operation] += _items(asked)
        if self.requests is not None:
            self.requests.append((operation, asked))
        await self.faults.delay(operation)
        fault = self.faults.next(operation)
        kind = fault.kind if fault else ""
        if self.faults.down or kind == "reset":
            return False
        if kind == "lose":
            await _silence(writer)
            return False
        if fault is not None and fault.status:
            _write(writer, fault.status, _error(fault, len(asked.get("TransactItems", ()))))
            return True
        if self.canned:
            _write(writer, 200, b"{}")
            return True
        later: dict[str, Any] = {}
        if kind == "unprocessed":
            body, later = _half(asked)
        async with self._one:
            status, answer = await self._forward(head, body)
            if self.outcomes is not None:
                self.outcomes.append((operation, asked, status))
        if kind == "swallow":
            await _silence(writer)
            return False
        if kind == "cut":
            return False
        if later:
            answer = json.dumps({**json.loads(answer), "UnprocessedKeys": later}).encode()
        _write(writer, status, answer)
        return True

    async def _forward(self, head: Sequence[bytes], body: bytes) -> tuple[int, bytes]:
        if self._moto is None:
            self._moto = await asyncio.open_connection("127.0.0.1", self._target, limit=1 << 26)
        reader, writer = self._moto
        kept = [line for line in head if not line.lower().startswith((b"connection:", b"content-length:"))]
        try:
            writer.write(b"\r\n".join([*kept, b"Content-Length: %d" % len(body), b"", body]))
            reply = await _request(reader)
        except BaseException:
            writer.transport.abort()
            self._moto = None
            raise
        (top, *lines), answer = reply
        if any(line.lower() == b"connection: close" for line in lines):
            writer.transport.abort()
            self._moto = None
        return int(top.split()[1]), answer


async def _request(reader: asyncio.StreamReader) -> tuple[list[bytes], bytes]:
    """The lines of the next request's head (or a reply's), and its body."""
    top = await reader.readuntil(b"\r\n\r\n")
    lines = top[:-4].split(b"\r\n")
    length = next((int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")), 0)
    return lines, await reader.readexactly(length)


async def _silence(writer: asyncio.StreamWriter) -> None:
    """Wait until the client goes, a minute at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(60):
            while not writer.transport.is_closing():
                await asyncio.sleep(0.02)


def _write(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


def _error(fault: _Fault, items: int) -> bytes:
    if fault.kind == "cancel":
        reasons = [{"Code": fault.code if number == 0 else "None"} for number in range(items)]
        text = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{fault.code}]"
        return json.dumps(
            {"__type": _PREFIX + "TransactionCanceledException", "Message": text, "CancellationReasons": reasons}
        ).encode()
    return json.dumps({"__type": _PREFIX + fault.code, "message": "planted by a test"}).encode()


def _items(asked: dict[str, Any]) -> int:
    if "RequestItems" in asked:
        return sum(len(table.get("Keys", table)) for table in asked["RequestItems"].values())
    return len(asked["TransactItems"]) if "TransactItems" in asked else 1


def _half(asked: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """A BatchGetItem with every other key, and what was left out, in its form of an answer."""
    now, later = {}, {}
    for table, keys in asked["RequestItems"].items():
        now[table] = {**keys, "Keys": keys["Keys"][::2]}
        if keys["Keys"][1::2]:
            later[table] = {**keys, "Keys": keys["Keys"][1::2]}
    return json.dumps({**asked, "RequestItems": now}).encode(), later


@asynccontextmanager
async def dynamodb(server: MotoServer | None = None, *, table: bool = True) -> AsyncIterator[Dynamo]:
    """An endpoint with an empty table of its own (without, when not `table`), on `server` or on a moto of its own."""
    own = await asyncio.to_thread(MotoServer) if server is None else None
    moto = server or own
    assert moto is not None
    try:
        dynamo = Dynamo(moto.port)
        listening = await asyncio.start_server(dynamo.serve, "127.0.0.1", dynamo.port, limit=1 << 26)
        try:
            if table:
                await asyncio.to_thread(moto.make_table, dynamo.table)
            yield dynamo
        finally:
            listening.close()
            await dynamo.close()
            await listening.wait_closed()
    finally:
        if own is not None:
            own.close()
