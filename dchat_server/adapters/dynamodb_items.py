"""The items of the archive's DynamoDB table: their keys, their forms, their sizes. Pure.

docs/archive.md shows an example of each. One function builds each key; numbers in sort keys have leading zeros, so that
their order as text is that of the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dchat_server.adapters.archive_forms import Outline
from dchat_server.ports_archive import Chunk

Item = dict[str, dict[str, Any]]
"""name → {type: value}, as DynamoDB's own protocol has it."""
Action = dict[str, Any]
"""One of a transaction's: {"Put": …}, {"Update": …}, {"Delete": …} or {"ConditionCheck": …}."""
FORM = 1
"""The version of an item's form, in its attribute `v`."""
LAST_SEQ = 10**16 - 1


def cluster() -> Item:
    """identity, shards, fence."""
    return _key("CLUSTER", "META")


def shard(number: int) -> Item:
    """The shard's fence and mark."""
    return _key(f"SHARD#{number}", "META")


def room(name: str) -> Item:
    """The room's record."""
    return _key(f"ROOM#{name}", "META")


def chunk(name: str, first: int) -> Item:
    return _key(f"ROOM#{name}", f"C#{min(max(first, 0), LAST_SEQ):016d}")


def roster(name: str, part: int) -> Item:
    return _key(f"ROOM#{name}", f"ROSTER#{part}")


def user(name: str) -> Item:
    """The person's record, or its first part."""
    return _key(f"USER#{name}", "META")


def user_part(name: str, part: int) -> Item:
    return _key(f"USER#{name}", f"PART#{part:02d}")


def token(digest: str) -> Item:
    """Whose token it is."""
    return _key(f"TOKEN#{digest}", "META")


def entry(shard_number: int, kind: str, name: str) -> Item:
    """A line of the directory."""
    return _key(f"DIR#{shard_number}", f"{kind}:{name}")


def _key(partition: str, sort: str) -> Item:
    return {"PK": {"S": partition}, "SK": {"S": sort}}


def text(value: str) -> dict[str, Any]:
    return {"S": value}


def number(value: int) -> dict[str, Any]:
    return {"N": str(value)}


def integer(item: Mapping[str, Mapping[str, Any]], name: str) -> int:
    """The number `name` of an item; 0 when it has none."""
    return int(item[name]["N"]) if name in item else 0


def string(item: Mapping[str, Mapping[str, Any]], name: str) -> str:
    return str(item[name]["S"]) if name in item else ""


def binary(item: Mapping[str, Mapping[str, Any]], name: str) -> bytes:
    return bytes(item[name]["B"])


def chunk_item(name: str, it: Chunk) -> Item:
    return {
        **chunk(name, it.first),
        "v": number(FORM),
        "last": number(it.last),
        "offset": number(it.offset),
        "ts": number(it.ts),
        "data": {"B": it.data},
    }


def outline_from(item: Item) -> Outline:
    first = int(string(item, "SK").partition("#")[2])
    return Outline(first, integer(item, "last"), integer(item, "offset"), integer(item, "ts"))


def chunk_from(item: Item) -> Chunk:
    return Chunk(*outline_from(item), binary(item, "data"))


def size(item: Mapping[str, Mapping[str, Any]]) -> int:
    """How many bytes DynamoDB counts for an item, about (it is exact for strings and bytes)."""
    total = 0
    for name, value in item.items():
        ((kind, what),) = value.items()
        total += len(name.encode())
        if kind == "S":
            total += len(what.encode())
        elif kind == "B":
            total += len(what)
        elif kind == "N":
            total += math.ceil(len(what.strip("-0.") or "0") / 2) + 1
        else:
            total += 1
    return total


def units(params: Mapping[str, Any]) -> float:
    """Write units of a call, by the sizes of what it writes: one a started kilobyte, two within a transaction. Of what
    is deleted or only checked, no more than the key is known: counted as one kilobyte."""
    if "TransactItems" in params:
        return 2.0 * sum(_kilobytes(next(iter(each.values()))) for each in params["TransactItems"])
    return float(_kilobytes(params))


def _kilobytes(action: Mapping[str, Any]) -> int:
    values: Iterable[Mapping[str, Any]] = action.get("ExpressionAttributeValues", {}).values()
    written = action["Item"] if "Item" in action else action["Key"]
    more = 0 if "Item" in action else sum(size({"": value}) for value in values)
    return max(1, math.ceil((size(written) + more) / 1024))


def parts_of(data: bytes, most: int) -> Sequence[bytes]:
    """`data` in pieces of at most `most` bytes; one empty piece when there is none."""
    return [data[start : start + most] for start in range(0, max(len(data), 1), most)]
