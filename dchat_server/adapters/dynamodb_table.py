"""Making the archive's DynamoDB table, and seeing to it that one that exists is of our form."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from dchat_server.adapters.dynamodb_client import Client
from dchat_server.errors import ClusterMismatch

KEYS = [{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}]
TYPES = [{"AttributeName": "PK", "AttributeType": "S"}, {"AttributeName": "SK", "AttributeType": "S"}]
WAIT_S = 300.0
_LOOK_S = 1.0
_UNKNOWN = {"UnknownOperationException", "ValidationException", "InternalFailure", "UnknownOperation", "404", "501"}


class TableError(Exception):
    """The table cannot be made or used. The text is a sentence."""


def create(
    client: Client,
    table: str,
    *,
    units: tuple[int, int] | None = None,
    recovery: bool = True,
    protection: bool = True,
    say: Callable[[str], None],
    wait_s: float = WAIT_S,
) -> bool:
    """Make the table where there is none, and wait until it can be used; False when it was there. Repeatable: a run
    that was cut short is completed by the next one.

    `units`: provisioned (read, write) units, on-demand otherwise; of a table that exists they are left as they are.
    `recovery` and `protection` turn on point-in-time recovery and the guard against deletion, where the endpoint knows
    them. Raises TableError; ClusterMismatch when the table there is not of our form; botocore's exceptions.
    """
    there = describe(client, table)
    if there is None:
        _make(client, table, units)
        say(f"Making the table {table} …")
    deadline, began = time.monotonic() + wait_s, time.monotonic()
    status = ""
    while status != "ACTIVE":
        found = describe(client, table)
        now = found["TableStatus"] if found else "CREATING"  # a new one is not seen at once
        if now != status and now != "ACTIVE":
            say(f"It is {now}; waiting …")
        status = now
        if status == "ACTIVE" and found is not None:
            check(found)
        elif time.monotonic() > deadline:
            raise TableError(f"The table {table} is still {status} after {time.monotonic() - began:.0f} s; try again.")
        else:
            time.sleep(_LOOK_S)
    if protection:
        _turn_on(say, "deletion protection", lambda: _protect(client, table), wait_s)
    if recovery:
        _turn_on(say, "point-in-time recovery", lambda: _recover(client, table), wait_s)
    return there is None


def describe(client: Client, table: str) -> dict[str, Any] | None:
    """What DynamoDB says of the table; None when there is none."""
    try:
        found: dict[str, Any] = client.describe_table(TableName=table)["Table"]
    except ClientError as problem:
        if problem.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        raise
    return found


def check(found: dict[str, Any]) -> None:
    """Raise ClusterMismatch unless the table has our keys."""
    types = {each["AttributeName"]: each["AttributeType"] for each in found["AttributeDefinitions"]}
    keys = [(each["KeyType"], each["AttributeName"], types.get(each["AttributeName"])) for each in found["KeySchema"]]
    if sorted(keys) != [("HASH", "PK", "S"), ("RANGE", "SK", "S")]:
        shown = ", ".join(f"{name} ({kind})" for _, name, kind in keys)
        raise ClusterMismatch(
            f"The table {found['TableName']} is not D-Chat's: its keys are {shown}; they have to be PK (S), SK (S)."
        )


def _make(client: Client, table: str, units: tuple[int, int] | None) -> None:
    billing: dict[str, Any] = {"BillingMode": "PAY_PER_REQUEST"}
    if units is not None:
        billing = {
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": {"ReadCapacityUnits": units[0], "WriteCapacityUnits": units[1]},
        }
    try:
        client.create_table(TableName=table, KeySchema=KEYS, AttributeDefinitions=TYPES, **billing)
    except ClientError as problem:
        if problem.response["Error"]["Code"] != "ResourceInUseException":  # somebody else is making it
            raise


def _protect(client: Client, table: str) -> None:
    if not (describe(client, table) or {}).get("DeletionProtectionEnabled"):
        client.update_table(TableName=table, DeletionProtectionEnabled=True)


def _recover(client: Client, table: str) -> None:
    client.update_continuous_backups(
        TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )


def _turn_on(say: Callable[[str], None], what: str, action: Callable[[], None], wait_s: float) -> None:
    """Do it, again while the table is busy with something else; say so where the endpoint does not know it."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            action()
        except ClientError as problem:
            code = problem.response["Error"]["Code"]
            busy = code in ("ContinuousBackupsUnavailableException", "ResourceInUseException")
            if busy and time.monotonic() < deadline:
                time.sleep(_LOOK_S)
                continue
            if code in _UNKNOWN:
                say(f"This endpoint knows no {what}.")
                return
            raise
        say(f"On: {what}.")
        return
