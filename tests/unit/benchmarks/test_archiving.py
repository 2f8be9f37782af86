"""What the benchmarks of compaction stand on: texts that are always the same, a backlog that is checked, the stand-in
for DynamoDB."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from benchmarks.backlog import ROLES, Backlog
from benchmarks.chatter import KINDS, LINES, LINES_WITH_IDS, LINES_WITH_UUIDS, Chatter
from benchmarks.compact import Forever
from benchmarks.endpoint import Table
from benchmarks.history import check_text_page
from benchmarks.load import WrongResult
from dchat_server.compactor import Compactor
from dchat_server.wire import body_fields
from tests.archives import MemoryArchive
from tests.hot_logs import MemoryHotLog


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_conversation_is_the_same_every_time_and_another_for_another_seed(kind: Any) -> None:
    one, same, other = Chatter(kind, "a"), Chatter(kind, "a"), Chatter(kind, "b")
    said = [(one.sender(), one.text(), one.client_id()) for _ in range(50)]
    assert said == [(same.sender(), same.text(), same.client_id()) for _ in range(50)]
    assert said != [(other.sender(), other.text(), other.client_id()) for _ in range(50)]
    assert {sender for sender, _, _ in said} <= set(ROLES)
    assert all('"' not in text and "\\" not in text and text for _, text, _ in said)  # they stand in JSON as they are


def test_client_ids_are_hex_of_twelve_bytes_or_uuids() -> None:
    assert Chatter(LINES).client_id() is None
    assert len(bytes.fromhex(Chatter(LINES_WITH_IDS).client_id() or "")) == 12
    assert [len(part) for part in (Chatter(LINES_WITH_UUIDS).client_id() or "").split("-")] == [8, 4, 4, 4, 12]


async def archived(backlog: Backlog) -> tuple[MemoryArchive, MemoryHotLog]:
    archive, hot = MemoryArchive(), MemoryHotLog()
    await archive.raise_fence(Forever.fence)
    for room in backlog.rooms:
        hot.create(room)
        for body in Backlog([room], backlog.each).bodies():
            fields = body_fields(hot.rooms[room].events[-1]._replace(body=body))
            hot.append(room, "message", **fields)
    while await Compactor(archive, hot, interval_s=1, keep=0).round(Forever()):
        pass
    return archive, hot


async def test_a_backlog_that_was_archived_whole_passes() -> None:
    backlog = Backlog(["a", "b"], 30)
    archive, _ = await archived(backlog)
    await backlog.check(archive, 2)


async def test_a_backlog_of_which_something_is_missing_or_other_does_not() -> None:
    backlog = Backlog(["a", "b"], 30)
    archive, _ = await archived(backlog)
    for other in (Backlog(["a", "c"], 30), Backlog(["a"], 29), Backlog(["a"], 31), Backlog(["b"], 30, LINES_WITH_IDS)):
        with pytest.raises(WrongResult):
            await other.check(archive)


def test_a_page_of_texts_is_checked_to_the_last() -> None:
    texts = [f"text {at}" for at in range(200)]

    def page(start: int) -> dict[str, Any]:
        return {"messages": [{"seq": seq, "text": texts[seq - 3]} for seq in range(start, start + 50)]}

    check_text_page(page(50), texts, 3, "before", 100)
    check_text_page(page(101), texts, 3, "after", 100)
    check_text_page(page(75), texts, 3, "around", 100)
    for wrong in (page(51), {"messages": page(50)["messages"][:-1]}, {"messages": page(50)["messages"][::-1]}):
        with pytest.raises(WrongResult):
            check_text_page(wrong, texts, 3, "before", 100)


def item(partition: str, sort: str, **more: str) -> dict[str, Any]:
    return {"PK": {"S": partition}, "SK": {"S": sort}, **{name: {"S": value} for name, value in more.items()}}


def test_the_stand_in_for_dynamodb_keeps_what_it_is_given_in_order() -> None:
    table = Table()
    puts = [{"Put": {"Item": item("ROOM#a", f"C#{at:03d}", data=str(at))}} for at in (3, 1, 2)]
    update = {
        "Key": item("ROOM#a", "META"),
        "UpdateExpression": "SET #0 = :0, other = :1",
        "ExpressionAttributeNames": {"#0": "version"},
        "ExpressionAttributeValues": {":0": {"N": "1"}, ":1": {"S": "x"}},
    }
    table.answer("TransactWriteItems", {"TransactItems": [*puts, {"Update": update}]})

    def query(low: str, high: str, **more: Any) -> list[str]:
        values = {":p": {"S": "ROOM#a"}, ":low": {"S": low}, ":high": {"S": high}}
        found = table.answer("Query", {"ExpressionAttributeValues": values, **more})["Items"]
        return [each["SK"]["S"] for each in found]

    assert query("C#000", "C#999") == ["C#001", "C#002", "C#003"]
    assert query("C#002", "C#999", Limit=1) == ["C#002"]
    assert query("C#000", "C#002", Limit=5, ScanIndexForward=False) == ["C#002", "C#001"]
    assert table.answer("GetItem", {"Key": item("ROOM#a", "META")})["Item"]["version"] == {"N": "1"}
    table.answer("DeleteItem", {"Key": item("ROOM#a", "C#002")})
    assert query("C#000", "C#999") == ["C#001", "C#003"]
    keys = [item("ROOM#a", "C#001"), item("ROOM#a", "C#002")]
    assert len(table.answer("BatchGetItem", {"RequestItems": {"t": {"Keys": keys}}})["Responses"]["t"]) == 1
    assert table.answer("GetItem", {"Key": item("ROOM#b", "META")}) == {}


def test_the_same_texts_come_whole_or_in_parts() -> None:
    assert list(islice(Chatter(LINES, "a").texts(9), 3)) == list(Chatter(LINES, "a").texts(3))
