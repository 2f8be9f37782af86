"""The item of the archive's DynamoDB table that is about all of it: identity, shards, fence. Blocking: for threads."""

from __future__ import annotations

import secrets
from contextlib import suppress

from dchat_server.adapters import dynamodb_items as items
from dchat_server.adapters.archive_forms import half_filled, not_empty
from dchat_server.adapters.dynamodb_client import Calls, Refused
from dchat_server.adapters.dynamodb_items import Item, integer, number, string, text
from dchat_server.adapters.dynamodb_reads import Reads
from dchat_server.errors import ClusterMismatch
from dchat_server.ports_archive import Fenced


class Cluster:
    """What one table says of itself. The deadline of each call is in `time.monotonic()`."""

    def __init__(self, calls: Calls, reads: Reads, table: str, shards: int) -> None:
        self._calls, self._reads, self._table, self._shards = calls, reads, table, shards

    def prepare(self, deadline: float, *, filling: bool = False) -> str:
        """Find the cluster's item, or make it; the identity. Whoever is first decides. Raises ClusterMismatch."""
        found = self._reads.get(items.cluster(), deadline)
        if found is None:
            about = {
                "v": number(items.FORM),
                "identity": text(secrets.token_hex(16)),
                "shards": number(self._shards),
                "fence": number(0),
            }
            # Refused: somebody else was first, or it was our own try whose answer was lost.
            with suppress(Refused):
                self._calls(
                    "put_item",
                    deadline,
                    TableName=self._table,
                    Item={**items.cluster(), **about},
                    ConditionExpression="attribute_not_exists(PK)",
                    ReturnConsumedCapacity="TOTAL",
                )
            found = self._reads.get(items.cluster(), deadline) or {}
        if integer(found, "v") > items.FORM:
            raise ClusterMismatch(f"The table {self._table} was written by a later version of D-Chat.")
        if (shards := integer(found, "shards")) != self._shards:
            raise ClusterMismatch(f"The table {self._table} holds {shards} shards; set DCHAT_SHARDS={shards}.")
        if string(found, "filling") and not filling:
            raise ClusterMismatch(half_filled(f"The table {self._table}"))
        return string(found, "identity")

    def begin_filling(self, backup: str, deadline: float) -> str:
        """`Archive.begin_filling`; the identity. Whoever ever led has raised the fence: 0 says that nothing was
        written."""
        identity = self.prepare(deadline, filling=True)
        try:
            self._update(
                deadline,
                UpdateExpression="SET filling = :backup",
                ConditionExpression="filling = :backup OR (attribute_not_exists(filling) AND fence = :none)",
                ExpressionAttributeValues={":backup": text(backup), ":none": number(0)},
            )
        except Refused:
            raise ClusterMismatch(not_empty(f"The table {self._table}")) from None
        return identity

    def end_filling(self, backup: str, deadline: float) -> None:
        """`Archive.end_filling`."""
        with suppress(Refused):  # done before
            self._update(
                deadline,
                UpdateExpression="REMOVE filling",
                ConditionExpression="filling = :backup",
                ExpressionAttributeValues={":backup": text(backup)},
            )

    def raise_fence(self, key: Item, fence: int, deadline: float) -> None:
        """Raise the fence in one item, the cluster's or a shard's. Raises Fenced."""
        try:
            self._update(
                deadline,
                Key=key,
                UpdateExpression="SET fence = :fence, v = :v",
                ConditionExpression="attribute_not_exists(fence) OR fence <= :fence",
                ExpressionAttributeValues={":fence": number(fence), ":v": number(items.FORM)},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except Refused as refused:
            seen = refused.reasons[0] or {}
            raise Fenced(integer(seen, "fence")) from None

    def _update(self, deadline: float, **params: object) -> None:
        asked = {"TableName": self._table, "Key": items.cluster(), **params}
        self._calls("update_item", deadline, ReturnConsumedCapacity="TOTAL", **asked)
