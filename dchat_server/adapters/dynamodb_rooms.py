"""Rooms in the archive's DynamoDB table: one transaction a step, and reading what is there. Blocking: for threads.

Theory of operation. A step is a TransactWriteItems whose first item is the shard's, updated on the condition that its
fence is the leader's own. Raising a fence changes that item, so no step of an earlier term can succeed afterwards, and
none can be under way and slip through: DynamoDB lets only one of the two win. The same update moves the shard's mark,
at the price of a bare check. Two transactions on one item refuse each other, so whoever calls `commit` keeps to one
step a shard at a time; a refusal that comes all the same (another leader's last step) is repeated.

The second item is the room's record, on the condition that it has the version before. A step whose answer was lost is
made again and then fails on that condition; the record that DynamoDB sends along says whether it was this very step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any
from uuid import uuid4

from dchat_server.adapters import dynamodb_items as items
from dchat_server.adapters.archive_forms import Outline, first_match, is_public, record_from, record_text
from dchat_server.adapters.dynamodb_client import Calls, Refused
from dchat_server.adapters.dynamodb_items import Action, Item, integer, number, string, text
from dchat_server.adapters.dynamodb_reads import Reads
from dchat_server.ports_archive import Chunk, Conflict, Fenced, Mark, RoomChange, RoomRecord

FENCE_HOLDS = "fence = :fence"
_MARK_MOVES = "(attribute_not_exists(mark_epoch) OR mark_epoch < :e OR (mark_epoch = :e AND mark_offset <= :o))"
_NOT_SEALED = "(attribute_not_exists(seal) OR seal <= :read)"
_OUTLINE = ("SK", "last", "offset", "ts")


class Rooms:
    """The rooms of one table. The deadline of each call is in `time.monotonic()`."""

    def __init__(self, calls: Calls, reads: Reads, table: str) -> None:
        self._calls, self._reads, self._table = calls, reads, table
        self._marks: dict[int, Mark] = {}
        """What is known of the shards' marks; they may be further."""

    def commit(self, fence: int, change: RoomChange, deadline: float) -> None:
        """`Archive.commit`, of a checked change. One call; two when it has a roster."""
        shard, stale = change.shard, self._stale_parts(change, deadline)
        token = uuid4().hex
        while True:
            mark = max(self._marks.get(shard, Mark(0, 0)), Mark(change.epoch, change.offset))
            try:
                self._calls(
                    "transact_write_items",
                    deadline,
                    TransactItems=[self._shard(fence, change, mark), *self._room(change), *stale],
                    ClientRequestToken=token,
                    ReturnConsumedCapacity="TOTAL",
                )
            except Refused as refused:
                ours, record = refused.reasons[0], refused.reasons[1]
                if ours is not None:
                    if (seen := integer(ours, "fence")) != fence:
                        raise Fenced(seen) from None
                    if 0 < change.read_under < (sealed := integer(ours, "seal")):
                        raise Conflict(f"shard {shard} is sealed at epoch {sealed}") from None
                    # Somebody else has moved the mark further than we knew.
                    further = Mark(integer(ours, "mark_epoch"), integer(ours, "mark_offset"))
                    self._marks[shard], token = further, uuid4().hex
                    continue
                version, step = integer(record or {}, "version"), string(record or {}, "step")
                if (version, step) != (change.record.version, change.record.commit):
                    raise Conflict(f"{change.record.room} is at version {version}") from None
            self._marks[shard] = mark
            return

    def records(self, names: Sequence[str], deadline: float) -> dict[str, RoomRecord]:
        """`Archive.rooms`."""
        found = self._reads.batch([items.room(name) for name in names], deadline)
        records = [record_from(string(item, "record")) for item in found]
        return {record.room: record for record in records}

    def roster(self, room: str, deadline: float) -> tuple[int, list[bytes]]:
        """`Archive.roster`."""
        while True:
            parts = self._reads.query(string(items.room(room), "PK"), "ROSTER#", "ROSTER#~", deadline)
            if not parts:
                return 0, []
            steps = {integer(part, "version") for part in parts}
            count = integer(parts[0], "parts")
            if len(steps) == 1 and len(parts) == max(count, 1):
                return integer(parts[0], "at"), [items.binary(part, "data") for part in parts[:count]]
            self._reads.pause(deadline)

    def chunks(self, room: str, seq: int, limit: int, deadline: float) -> list[Chunk]:
        """`Archive.chunks`. Two calls; one when the first chunk is all that is asked for."""
        while True:
            found = [chunk for chunk in self._back(room, seq, 1, deadline) if chunk.last >= seq]
            if len(found) < limit:
                found += self._forth(room, seq + 1, limit - len(found), deadline)
            if _fit(found):
                return found
            self._reads.pause(deadline)

    def chunks_back(self, room: str, seq: int, limit: int, deadline: float) -> list[Chunk]:
        """`Archive.chunks_back`. One call a megabyte."""
        while True:
            found = self._back(room, seq, limit, deadline)
            if _fit(found[::-1]):
                return found
            self._reads.pause(deadline)

    def find(self, room: str, beyond: Callable[[Outline], bool], deadline: float) -> Chunk | None:
        """The first chunk that is `beyond`. A call for each halving of the room, and one for the chunk."""

        def at(seq: int) -> Outline | None:
            found = self._query(room, 0, seq, deadline, limit=1, back=True, names=_OUTLINE)
            return items.outline_from(found[0]) if found else None

        while True:
            outline = first_match(at, items.LAST_SEQ, beyond)
            if outline is None:
                return None
            item = self._reads.get(items.chunk(room, outline.first), deadline)
            if item is not None:
                return items.chunk_from(item)
            self._reads.pause(deadline)  # packed anew, or given up, while we searched

    def _shard(self, fence: int, change: RoomChange, mark: Mark) -> Action:
        values = {":fence": number(fence), ":e": number(mark.epoch), ":o": number(mark.offset)}
        sealed = ""
        if change.read_under:
            values[":read"], sealed = number(change.read_under), f" AND {_NOT_SEALED}"
        return {
            "Update": {
                "TableName": self._table,
                "Key": items.shard(change.shard),
                "UpdateExpression": "SET mark_epoch = :e, mark_offset = :o",
                "ConditionExpression": f"{FENCE_HOLDS} AND {_MARK_MOVES}{sealed}",
                "ExpressionAttributeValues": values,
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    def _room(self, change: RoomChange) -> list[Action]:
        record, table = change.record, self._table
        sets = {"v": number(items.FORM), "version": number(record.version), "step": text(record.commit)}
        sets["record"] = text(record_text(record))
        if change.roster is not None:
            sets["roster_parts"] = number(len(change.roster))
        names = list(sets)
        first = record.version == 1
        update: Action = {
            "TableName": table,
            "Key": items.room(record.room),
            "UpdateExpression": "SET " + ", ".join(f"#{at} = :{at}" for at in range(len(names))),
            "ExpressionAttributeNames": {f"#{at}": name for at, name in enumerate(names)},
            "ConditionExpression": "attribute_not_exists(#1)" if first else "#1 = :before",
            "ExpressionAttributeValues": {f":{at}": sets[name] for at, name in enumerate(names)},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if not first:
            update["ExpressionAttributeValues"][":before"] = number(record.version - 1)
        entry = {**items.entry(change.shard, "room", record.room), "public": {"BOOL": is_public(record)}}
        puts = ([entry] if first else []) + [items.chunk_item(record.room, chunk) for chunk in change.put]
        return [
            {"Update": update},
            *({"Put": {"TableName": table, "Item": item}} for item in puts + _roster_items(change)),
            *({"Delete": {"TableName": table, "Key": items.chunk(record.room, each)}} for each in change.drop),
        ]

    def _stale_parts(self, change: RoomChange, deadline: float) -> list[Action]:
        """Deletions of what a shorter roster leaves behind."""
        if change.roster is None or change.record.version == 1:
            return []
        room = change.record.room
        there = integer(self._reads.get(items.room(room), deadline, ["roster_parts"]) or {}, "roster_parts")
        stale = range(max(len(change.roster), 1), there)
        return [{"Delete": {"TableName": self._table, "Key": items.roster(room, part)}} for part in stale]

    def _back(self, room: str, seq: int, limit: int, deadline: float) -> list[Chunk]:
        return [items.chunk_from(item) for item in self._query(room, 0, seq, deadline, limit=limit, back=True)]

    def _forth(self, room: str, seq: int, limit: int, deadline: float) -> list[Chunk]:
        return [items.chunk_from(item) for item in self._query(room, seq, items.LAST_SEQ, deadline, limit=limit)]

    def _query(
        self,
        room: str,
        low: int,
        high: int,
        deadline: float,
        *,
        limit: int,
        back: bool = False,
        names: Sequence[str] = (),
    ) -> list[Item]:
        low_key, high_key = items.chunk(room, low), items.chunk(room, high)
        return self._reads.query(
            string(low_key, "PK"),
            string(low_key, "SK"),
            string(high_key, "SK"),
            deadline,
            limit=limit,
            back=back,
            names=names,
        )


def _roster_items(change: RoomChange) -> list[Item]:
    """An item a part; one without data for an empty roster."""
    if change.roster is None:
        return []
    record, parts = change.record, change.roster
    about: dict[str, Any] = {
        "v": number(items.FORM),
        "version": number(record.version),
        "at": number(record.roster_at),
        "parts": number(len(parts)),
    }
    return [
        {**items.roster(record.room, part), **about, "data": {"B": data}} for part, data in enumerate(parts or [b""])
    ]


def _fit(chunks: Sequence[Chunk]) -> bool:
    """Whether each chunk begins where the one before ends: they are of one commit, or of several that left them."""
    return all(one.last + 1 == other.first for one, other in pairwise(chunks))
