"""People and the directory in the archive's DynamoDB table. Blocking: for threads.

A person is one item, or several when the packed record is larger than one may be, and an item for each token. A token's
item only says where to look: the person's record decides. So it does no harm that, of somebody with more tokens than
one transaction takes, they come before the record and go after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dchat_server.adapters import dynamodb_items as items
from dchat_server.adapters.archive_forms import digests, user_bytes, user_from
from dchat_server.adapters.dynamodb_client import Calls, Refused
from dchat_server.adapters.dynamodb_items import Action, Item, integer, number, string, text
from dchat_server.adapters.dynamodb_reads import Reads
from dchat_server.adapters.dynamodb_rooms import FENCE_HOLDS
from dchat_server.ports_archive import Entry, Fenced, UserRecord

MAX_ITEMS = 100
MAX_BYTES = 3_500_000
"""What one transaction takes, with something to spare."""
PART_BYTES = 300_000
_MAX_RECORD_BYTES = 3_000_000


class _Stored(NamedTuple):
    version: int
    parts: int
    record: UserRecord


class _Save(NamedTuple):
    """What has to be done to save somebody, in this order."""

    before: list[Action]
    step: list[Action]
    after: list[Action]


class People:
    """The people of one table. The deadline of each call is in `time.monotonic()`."""

    def __init__(self, calls: Calls, reads: Reads, table: str) -> None:
        self._calls, self._reads, self._table = calls, reads, table

    def save(self, fence: int, shard: int, records: Sequence[UserRecord], deadline: float) -> None:
        """Replace these records, of one shard. A read and a transaction for some dozens of people."""
        records = list({record.user: record for record in records}.values())
        while True:
            stored = self._stored([record.user for record in records], deadline)
            try:
                for actions in _together([self._save(shard, each, stored.get(each.user)) for each in records]):
                    self._write(fence, shard, actions, deadline)
                return
            except Refused as refused:
                ours = refused.reasons[0]
                if ours is not None:
                    raise Fenced(integer(ours, "fence")) from None
                # A repeat of ours whose first try had been carried out: look again, and save what is not saved yet.
                self._reads.pause(deadline)

    def records(self, names: Sequence[str], deadline: float) -> dict[str, UserRecord]:
        """`Archive.users`."""
        return {name: stored.record for name, stored in self._stored(names, deadline).items()}

    def token_user(self, digest: str, deadline: float) -> str | None:
        """`Archive.token_user`. One call when there is no such token, else two."""
        item = self._reads.get(items.token(digest), deadline)
        if item is None:
            return None
        name = string(item, "user")
        stored = self._stored([name], deadline)
        return name if name in stored and digest in digests(stored[name].record) else None

    def directory(self, shard: int, after: str, limit: int, deadline: float) -> list[Entry]:
        """`Archive.directory`. One call for a few thousand entries."""
        found = self._reads.query(f"DIR#{shard}", after + "\x00" if after else " ", "~", deadline, limit=limit)
        names = [(*string(item, "SK").split(":", 1), item["public"]["BOOL"]) for item in found]
        return [Entry(kind, name, public) for kind, name, public in names]

    def _stored(self, names: Sequence[str], deadline: float) -> dict[str, _Stored]:
        found = self._reads.batch([items.user(name) for name in names], deadline)
        return {string(item, "PK").partition("#")[2]: self._whole(item, deadline) for item in found}

    def _whole(self, item: Item, deadline: float) -> _Stored:
        """The record that begins with this item."""
        while True:
            version, count, data = integer(item, "version"), integer(item, "parts"), items.binary(item, "data")
            if count == 1:
                return _Stored(version, count, user_from(data))
            rest = self._reads.query(string(item, "PK"), "PART#", "PART#~", deadline)
            if len(rest) == count - 1 and {integer(part, "version") for part in rest} == {version}:
                return _Stored(
                    version, count, user_from(b"".join([data, *(items.binary(part, "data") for part in rest)]))
                )
            self._reads.pause(deadline)  # it was replaced in between
            item = self._reads.get({"PK": item["PK"], "SK": item["SK"]}, deadline) or item

    def _save(self, shard: int, record: UserRecord, stored: _Stored | None) -> _Save:
        data = user_bytes(record)
        if len(data) > _MAX_RECORD_BYTES:
            raise ValueError(f"{record.user}: a record of {len(data)} bytes is too large")
        had = set(digests(stored.record)) if stored else set()
        has = set(digests(record))
        come = [
            self._put({**items.token(digest), "v": number(items.FORM), "user": text(record.user)})
            for digest in sorted(has - had)
        ]
        go = [self._delete(items.token(digest)) for digest in sorted(had - has)]
        step = self._record(record.user, data, stored)
        if stored is None:
            step.append(self._put({**items.entry(shard, "user", record.user), "public": {"BOOL": False}}))
        if len(come) + len(step) + len(go) < MAX_ITEMS:
            return _Save([], come + step + go, [])
        return _Save(come, step, go)

    def _record(self, name: str, data: bytes, stored: _Stored | None) -> list[Action]:
        first, *rest = items.parts_of(data, PART_BYTES)
        version = stored.version + 1 if stored else 1
        about = {"v": number(items.FORM), "version": number(version)}
        put = self._put({**items.user(name), **about, "parts": number(len(rest) + 1), "data": {"B": first}})
        put["Put"]["ConditionExpression"] = "version = :before" if stored else "attribute_not_exists(PK)"
        if stored:
            put["Put"]["ExpressionAttributeValues"] = {":before": number(stored.version)}
        puts = [
            self._put({**items.user_part(name, part), **about, "data": {"B": each}})
            for part, each in enumerate(rest, 1)
        ]
        stale = range(len(rest) + 1, stored.parts if stored else 0)
        return [put, *puts, *(self._delete(items.user_part(name, part)) for part in stale)]

    def _write(self, fence: int, shard: int, actions: Sequence[Action], deadline: float) -> None:
        guard: Action = {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": items.shard(shard),
                "ConditionExpression": FENCE_HOLDS,
                "ExpressionAttributeValues": {":fence": number(fence)},
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }
        self._calls("transact_write_items", deadline, TransactItems=[guard, *actions], ReturnConsumedCapacity="TOTAL")

    def _put(self, item: Item) -> Action:
        return {"Put": {"TableName": self._table, "Item": item}}

    def _delete(self, key: Item) -> Action:
        return {"Delete": {"TableName": self._table, "Key": key}}


def _together(saves: Sequence[_Save]) -> list[list[Action]]:
    """The actions of several people as few transactions, in an order that keeps each person's own."""
    out: list[list[Action]] = []
    most = MAX_ITEMS - 1  # the shard's item is one of them
    now: list[Action] = []
    for save in saves:
        for extra in (save.before, save.after):
            # Tokens by the hundred have transactions of their own: before the record, and after it.
            slices = [extra[start : start + most] for start in range(0, len(extra), most)]
            if extra is save.before:
                out += slices
                if now and (len(now) + len(save.step) > most or _bytes(now) + _bytes(save.step) > MAX_BYTES):
                    out.append(now)
                    now = []
                now = now + save.step
            elif slices:
                out += [now, *slices]
                now = []
    return [*out, now] if now else out


def _bytes(actions: Sequence[Action]) -> int:
    return sum(items.size(action["Put"]["Item"]) for action in actions if "Put" in action)
