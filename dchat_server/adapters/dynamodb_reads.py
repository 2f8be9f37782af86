"""Reading items of the archive's DynamoDB table. Blocking: for threads.

Every read is strongly consistent. A reader comes with a watermark from Redis, which was told of a commit the moment it
was made; a replica of DynamoDB that is a second late would answer such a reader with a hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dchat_server.adapters.dynamodb_client import Calls
from dchat_server.adapters.dynamodb_items import Item, string

MOST_KEYS = 100
"""What one BatchGetItem takes."""
_PAUSE_S = 0.025


class Reads:
    """Reads of one table. All take a deadline in `time.monotonic()` and raise ArchiveUnavailable after it."""

    def __init__(self, calls: Calls, table: str) -> None:
        self._calls, self._table = calls, table

    def get(self, key: Item, deadline: float, names: Sequence[str] = ()) -> Item | None:
        """One item, or only its attributes `names`; None when it is not there."""
        answer = self._calls(
            "get_item", deadline, TableName=self._table, Key=key, ConsistentRead=True, **_projection(names)
        )
        return answer.get("Item")

    def batch(self, keys: Sequence[Item], deadline: float) -> list[Item]:
        """Those of these items that are there, in no order. One call a hundred; what a call leaves out is asked for
        again."""
        distinct = {(string(key, "PK"), string(key, "SK")): key for key in keys}
        left, found = list(distinct.values()), []
        pause_s = _PAUSE_S
        while left:
            now, left = left[:MOST_KEYS], left[MOST_KEYS:]
            request = {self._table: {"Keys": now, "ConsistentRead": True}}
            answer = self._calls("batch_get_item", deadline, RequestItems=request)
            found += answer.get("Responses", {}).get(self._table, [])
            if again := answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", []):
                left = again + left
                pause_s = self._calls.pause("batch_get_item", pause_s, deadline, "unprocessed keys")
            else:
                pause_s = _PAUSE_S
        return found

    def query(
        self,
        partition: str,
        low: str,
        high: str,
        deadline: float,
        *,
        limit: int | None = None,
        back: bool = False,
        names: Sequence[str] = (),
    ) -> list[Item]:
        """Up to `limit` items of a partition with sort keys from `low` to `high`, sorted; from the end when `back`.
        One call a megabyte: what comes in several calls may have a commit in between."""
        found: list[Item] = []
        params: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "PK = :p AND SK BETWEEN :low AND :high",
            "ExpressionAttributeValues": {":p": {"S": partition}, ":low": {"S": low}, ":high": {"S": high}},
            "ConsistentRead": True,
            "ScanIndexForward": not back,
            **_projection(names),
        }
        while limit is None or len(found) < limit:
            if limit is not None:
                params["Limit"] = limit - len(found)
            answer = self._calls("query", deadline, **params)
            found += answer.get("Items", [])
            if "LastEvaluatedKey" not in answer:
                break
            params["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return found

    def pause(self, deadline: float) -> None:
        """Let a commit that came in between two calls be over. Raises ArchiveUnavailable when there is no time."""
        self._calls.pause("query", _PAUSE_S, deadline, "what was read does not fit together")


def _projection(names: Sequence[str]) -> dict[str, Any]:
    """Ask for these attributes only. It saves bytes on the way, not read units."""
    if not names:
        return {}
    # By number: some of our names are words of the query language.
    return {
        "ProjectionExpression": ", ".join(f"#{number}" for number in range(len(names))),
        "ExpressionAttributeNames": {f"#{number}": name for number, name in enumerate(names)},
    }
