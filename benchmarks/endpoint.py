"""A stand-in for DynamoDB that is as fast as the network it pretends to be: one table in memory, and each answer comes
after a fixed time. It does what the archive asks for and checks no conditions, so it is good for one writer and for
nothing but benchmarks; what is right is tested elsewhere, against a server that checks.

usage: python -m benchmarks.endpoint PORT MILLISECONDS
"""

from __future__ import annotations

import asyncio
import sys
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from typing import Any

import orjson

Body = dict[str, Any]


class Table:
    """Items by partition and sort key."""

    def __init__(self) -> None:
        self._items: defaultdict[str, dict[str, Body]] = defaultdict(dict)
        self._sorted: defaultdict[str, list[str]] = defaultdict(list)

    def answer(self, operation: str, body: Body) -> Body:
        """What DynamoDB would answer; nothing to what the archive never asks."""
        return getattr(self, operation, lambda body: {})(body)

    def GetItem(self, body: Body) -> Body:
        item = self._get(body["Key"])
        return {} if item is None else {"Item": item}

    def BatchGetItem(self, body: Body) -> Body:
        found = {name: [self._get(key) for key in asked["Keys"]] for name, asked in body["RequestItems"].items()}
        return {"Responses": {name: [item for item in items if item is not None] for name, items in found.items()}}

    def Query(self, body: Body) -> Body:
        """Of the one form that the archive uses: a partition, and sort keys between two."""
        values = body["ExpressionAttributeValues"]
        partition, low, high = (values[name]["S"] for name in (":p", ":low", ":high"))
        keys = self._sorted[partition]
        first, last = bisect_left(keys, low), bisect_right(keys, high)
        limit = min(body.get("Limit", last - first), last - first)
        back = not body.get("ScanIndexForward", True)
        chosen = keys[last - limit : last][::-1] if back else keys[first : first + limit]
        return {"Items": [self._items[partition][key] for key in chosen]}

    def PutItem(self, body: Body) -> Body:
        partition, sort = _key(body["Item"])
        if sort not in self._items[partition]:
            insort(self._sorted[partition], sort)
        self._items[partition][sort] = body["Item"]
        return {}

    def UpdateItem(self, body: Body) -> Body:
        names, values = body.get("ExpressionAttributeNames", {}), body.get("ExpressionAttributeValues", {})
        item = dict(self._get(body["Key"]) or body["Key"])
        for each in body["UpdateExpression"].removeprefix("SET ").split(", "):
            name, value = each.split(" = ")
            item[names.get(name, name)] = values[value]
        return self.PutItem({"Item": item})

    def DeleteItem(self, body: Body) -> Body:
        partition, sort = _key(body["Key"])
        if self._items[partition].pop(sort, None) is not None:
            self._sorted[partition].remove(sort)
        return {}

    def TransactWriteItems(self, body: Body) -> Body:
        for action in body["TransactItems"]:
            ((kind, what),) = action.items()
            self.answer(f"{kind}Item", what)
        return {}

    def _get(self, key: Body) -> Body | None:
        partition, sort = _key(key)
        return self._items[partition].get(sort)


def _key(item: Body) -> tuple[str, str]:
    return item["PK"]["S"], item["SK"]["S"]


class Endpoint(asyncio.Protocol):
    """One connection of a client, which waits for each answer before it asks again."""

    def __init__(self, table: Table, wait_s: float) -> None:
        self._table, self._wait_s = table, wait_s
        self._kept = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._kept += data
        end = self._kept.find(b"\r\n\r\n")
        if end < 0:
            return
        head = {}
        for line in self._kept[:end].split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            head[bytes(name).lower()] = bytes(value).strip()
        size = end + 4 + int(head.get(b"content-length", 0))
        if head.get(b"expect") == b"100-continue" and len(self._kept) == end + 4:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(self._kept) < size:
            return
        operation = head[b"x-amz-target"].rpartition(b".")[2].decode()
        answer = orjson.dumps(self._table.answer(operation, orjson.loads(self._kept[end + 4 : size])))
        del self._kept[:size]
        asyncio.get_running_loop().call_later(self._wait_s, self._send, answer)

    def _send(self, answer: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(answer) + answer)


async def serve(port: int, milliseconds: float) -> None:
    table = Table()
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Endpoint(table, milliseconds / 1000), "127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        from uvloop import run
    except ImportError:
        from asyncio import run
    run(serve(int(sys.argv[1]), float(sys.argv[2])))
