"""Calls of DynamoDB: one client, bounded time, repeats, write units; AWS' words for errors end here.

A call is repeated here and not by botocore, because only here it is known until when somebody waits: botocore counts
attempts, and three of them with a read time-out of three seconds are longer than any reader stays. Every call that goes
through here may be repeated.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]
import botocore.session  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError  # type: ignore[import-untyped]

from dchat_server.adapters.dynamodb_items import units
from dchat_server.errors import ArchiveUnavailable, ClusterMismatch
from dchat_server.logs import logger

Client = Any
"""boto3's client of DynamoDB, which has no types."""
CONNECT_S = 1.0
READ_S = 3.0
_PAUSE_S = 0.025
_LONGEST_PAUSE_S = 0.8
_QUIET_S = 10.0
"""After a log line about an endpoint that does not answer, the next one waits so long."""
_AGAIN = {
    "InternalServerError",
    "InternalFailure",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
}
_CANCELLED_AGAIN = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "InternalServerError"}


class Refused(Exception):
    """A condition did not hold. `reasons` has an entry an item: None where nothing was wrong with it, else the item as
    it is (empty when it is not there)."""

    def __init__(self, reasons: Sequence[Mapping[str, Any] | None]) -> None:
        super().__init__("a condition did not hold")
        self.reasons = reasons


def connect(
    endpoint: str | None, region: str | None, *, connections: int, read_s: float = READ_S, attempts: int = 1
) -> Client:
    """A client, which may be used by many threads at once. Takes some 0.2 s, asks nobody.

    Credentials come from where AWS' tools look for them. `attempts` is for what does not go through `Calls`. Raises
    ClusterMismatch when there is no region.
    """
    base = botocore.session.get_session()
    elsewhere = endpoint is not None and not _is_aws(endpoint)
    if elsewhere:
        # No other endpoint takes an instance's role, and asking for one takes seconds where there is none.
        base.get_component("credential_provider").remove("iam-role")
    session = boto3.session.Session(botocore_session=base, region_name=region)
    extra: dict[str, Any] = {}
    if elsewhere and session.get_credentials() is None:
        # DynamoDB Local and its like want a signature, whoever's it is.
        extra = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    name = session.region_name or ("us-east-1" if elsewhere else None)
    if name is None:
        raise ClusterMismatch("DynamoDB needs a region: set DCHAT_DYNAMODB_REGION, or AWS_REGION.")
    settings = Config(
        connect_timeout=CONNECT_S,
        read_timeout=read_s,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=connections,
        tcp_keepalive=True,
        # Requests are of a few fixed forms, and checking a megabyte of chunks costs more than sending it.
        parameter_validation=False,
        user_agent_extra="d-chat",
    )
    return session.client("dynamodb", region_name=name, endpoint_url=endpoint, config=settings, **extra)


def _is_aws(endpoint: str) -> bool:
    name = urlsplit(endpoint).hostname or ""
    return name.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".amazonaws.eu"))


class Calls:
    """Calls of one client. Blocking: for threads."""

    def __init__(self, client: Client, table: str, *, read_s: float = READ_S) -> None:
        self._client, self._table, self._read_s = client, table, read_s
        self._lock = threading.Lock()
        self._spent = 0.0
        self._quiet_until = 0.0

    @property
    def spent(self) -> float:
        """Write units used: as the endpoint said, or by the sizes of items where it did not."""
        return self._spent

    def __call__(self, operation: str, deadline: float, **params: Any) -> dict[str, Any]:
        """What DynamoDB answers to `operation` (`get_item`), repeated until an attempt more could end after `deadline`
        (`time.monotonic()`).

        Raises Refused when a condition did not hold (of a single item's, too); ClusterMismatch when there is no such
        table, or one of another form; else ArchiveUnavailable.
        """
        pause_s = _PAUSE_S
        while True:
            try:
                answer: dict[str, Any] = getattr(self._client, operation)(**params)
            except ClientError as problem:
                self._judge(operation, problem)
                why = _code(problem)
            except HTTPClientError as problem:
                why = type(problem).__name__
            except BotoCoreError as problem:  # no credentials, for one
                raise self._unavailable(operation, str(problem)) from None
            else:
                self._count(operation, params, answer)
                return answer
            pause_s = self.pause(operation, pause_s, deadline, why)

    def pause(self, operation: str, pause_s: float, deadline: float, why: str) -> float:
        """Wait before the next attempt; how long the one after that waits. Raises ArchiveUnavailable when there is no
        time for one."""
        wait_s = pause_s * random.uniform(0.5, 1.0)
        if time.monotonic() + wait_s + self._read_s > deadline:
            raise self._unavailable(operation, why)
        time.sleep(wait_s)
        return min(2 * pause_s, _LONGEST_PAUSE_S)

    def _judge(self, operation: str, problem: ClientError) -> None:
        """Return when it is worth another attempt; raise what it means otherwise."""
        code, status = _code(problem), problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == "TransactionCanceledException":
            reasons = problem.response.get("CancellationReasons", [])
            codes = {reason.get("Code") for reason in reasons}
            if "ConditionalCheckFailed" in codes:
                raise Refused([_refusal(reason) for reason in reasons]) from None
            if codes <= _CANCELLED_AGAIN | {"None", None}:
                return
            raise self._unavailable(operation, f"cancelled: {sorted(map(str, codes))}") from None
        if code == "ConditionalCheckFailedException":
            raise Refused([problem.response.get("Item", {})]) from None
        if code == "ResourceNotFoundException":
            raise ClusterMismatch(
                f"DynamoDB has no table {self._table} here; create it with: dchat-server init-table"
            ) from None
        if code == "ValidationException" and "does not match the schema" in str(problem):
            raise ClusterMismatch(
                f"The table {self._table} is not D-Chat's: its keys have to be the strings PK and SK."
            ) from None
        if code not in _AGAIN and status < 500:
            raise self._unavailable(operation, str(problem)) from None

    def _unavailable(self, operation: str, why: str) -> ArchiveUnavailable:
        return self.unavailable("archive_unavailable", operation=operation, error=why)

    def unavailable(self, event: str, **about: str) -> ArchiveUnavailable:
        """The exception to raise; says so in the log, unless it did a moment ago."""
        if time.monotonic() >= self._quiet_until:
            self._quiet_until = time.monotonic() + _QUIET_S
            logger().error(event, table=self._table, **about)
        return ArchiveUnavailable()

    def _count(self, operation: str, params: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        used = answer.get("ConsumedCapacity")
        told = [each.get("CapacityUnits", 0.0) for each in (used if isinstance(used, list) else [used] if used else [])]
        # A transaction tells read units apart; whatever else is asked of a write is a write.
        spent = (sum(told) if told else units(params)) if operation in _WRITES else 0.0
        with self._lock:
            self._spent += spent


_WRITES = {"transact_write_items", "put_item", "update_item"}


def _code(problem: ClientError) -> str:
    return str(problem.response.get("Error", {}).get("Code", ""))


def _refusal(reason: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return reason.get("Item", {}) if reason.get("Code") == "ConditionalCheckFailed" else None
