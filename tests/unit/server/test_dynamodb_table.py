"""The DynamoDB table: made once, waited for, checked; and `dchat-server init-table`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from dchat_server import cli
from dchat_server.adapters import dynamodb_table
from dchat_server.adapters.dynamodb_client import Client, connect
from dchat_server.adapters.dynamodb_table import KEYS, TYPES, TableError, create, describe
from dchat_server.errors import ClusterMismatch
from tests.harness.dynamodb import MotoServer


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoServer]:
    with MotoServer() as moto:
        yield moto


@pytest.fixture
def client(moto: MotoServer) -> Iterator[Client]:
    client = connect(moto.endpoint, None, connections=1, read_s=60)
    yield client
    client.close()


@pytest.fixture
def name() -> str:
    return f"t-{uuid4().hex[:8]}"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for each in list(os.environ):
        if each.startswith("DCHAT_"):
            monkeypatch.delenv(each)
    monkeypatch.setattr(dynamodb_table, "_LOOK_S", 0.01)


def test_a_table_is_made_on_demand_with_recovery_and_protection(client: Client, name: str) -> None:
    said: list[str] = []
    assert create(client, name, say=said.append)
    found = describe(client, name)
    assert found is not None
    assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert found["DeletionProtectionEnabled"]
    backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert said == [f"Making the table {name} …", "On: deletion protection.", "On: point-in-time recovery."]


def test_making_it_again_changes_nothing(client: Client, name: str) -> None:
    create(client, name, units=(5, 7), say=lambda _: None)
    assert not create(client, name, say=lambda _: None)
    found = describe(client, name)
    assert found is not None
    assert found["ProvisionedThroughput"]["WriteCapacityUnits"] == 7


def test_what_a_run_that_was_cut_short_left_out_is_made_up_for(client: Client, name: str) -> None:
    client.create_table(TableName=name, KeySchema=KEYS, AttributeDefinitions=TYPES, BillingMode="PAY_PER_REQUEST")
    assert not create(client, name, say=lambda _: None)
    found = describe(client, name)
    assert found is not None
    assert found["DeletionProtectionEnabled"]


@pytest.mark.parametrize(
    ("keys", "types"),
    [
        ([("id", "HASH")], [("id", "S")]),
        ([("PK", "HASH"), ("SK", "RANGE")], [("PK", "S"), ("SK", "N")]),
        ([("PK", "HASH")], [("PK", "S")]),
    ],
)
def test_a_table_of_another_form_is_refused_with_what_it_has(
    client: Client, name: str, keys: list[Any], types: list[Any]
) -> None:
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": each, "KeyType": kind} for each, kind in keys],
        AttributeDefinitions=[{"AttributeName": each, "AttributeType": kind} for each, kind in types],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(ClusterMismatch, match=rf"{name} is not D-Chat's: its keys are {keys[0][0]}"):
        create(client, name, say=lambda _: None)


class Slow:
    """An endpoint whose table takes a few looks, and that knows nothing but tables."""

    def __init__(self, looks: int) -> None:
        self.looks, self.calls, self.busy = looks, 0, 1

    def describe_table(self, **_: Any) -> dict[str, Any]:
        if not self.calls:
            raise self.error("ResourceNotFoundException")
        self.looks -= 1
        status = "ACTIVE" if self.looks < 0 else "CREATING"
        return {"Table": {"TableName": "t", "TableStatus": status, "KeySchema": KEYS, "AttributeDefinitions": TYPES}}

    def create_table(self, **_: Any) -> None:
        self.calls += 1
        raise self.error("ResourceInUseException")  # somebody else was a little faster

    def update_table(self, **_: Any) -> None:
        if self.busy:
            self.busy -= 1
            raise self.error("ResourceInUseException")

    def update_continuous_backups(self, **_: Any) -> None:
        raise self.error("UnknownOperationException")

    @staticmethod
    def error(code: str) -> ClientError:
        return ClientError({"Error": {"Code": code, "Message": code}}, "X")


def test_it_waits_for_a_table_that_takes_its_time_and_says_what_the_endpoint_does_not_know() -> None:
    said: list[str] = []
    create(Slow(3), "t", say=said.append)
    assert said == [
        "Making the table t …",
        "It is CREATING; waiting …",
        "On: deletion protection.",
        "This endpoint knows no point-in-time recovery.",
    ]


def test_a_table_that_never_comes_ends_the_wait() -> None:
    with pytest.raises(TableError, match="still CREATING"):
        create(Slow(10**9), "t", say=lambda _: None, wait_s=0.05)


def test_the_command_makes_the_table_and_may_be_repeated(
    moto: MotoServer, client: Client, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["init-table", "--dynamodb-table", name, "--dynamodb-endpoint", moto.endpoint, "--provisioned", "3:4"]
    assert cli.main(words) == 0
    assert capsys.readouterr().out == f"The table {name} is ready.\n"
    assert cli.main([*words, "--no-recovery"]) == 0
    assert capsys.readouterr().out == f"The table {name} was there, and is ready.\n"
    found = describe(client, name)
    assert found is not None
    assert found["ProvisionedThroughput"]["ReadCapacityUnits"] == 3


def test_the_command_says_what_is_wrong(
    moto: MotoServer, name: str, free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["init-table"]) == 2
    assert "--dynamodb-table" in capsys.readouterr().err
    there = ["init-table", "--dynamodb-table", name]
    for wrong in (["--provisioned", "3"], ["--provisioned", "0:1"], ["--provisioned", "a:b"], ["--nonsense"]):
        assert cli.main([*there, *wrong]) == 2
    assert "READ:WRITE" in capsys.readouterr().err
    assert cli.main([*there, "--dynamodb-endpoint", f"http://127.0.0.1:{free_port}"]) == 1
    assert f"127.0.0.1:{free_port}" in capsys.readouterr().err
