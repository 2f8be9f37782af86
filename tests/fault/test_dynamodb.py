"""DynamoDB that throttles, fails, loses answers and is away: what the archive's callers see of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import pytest_asyncio
import structlog

from dchat_server.adapters import dynamodb_items as items
from dchat_server.adapters.dynamodb_archive import DynamoDbArchive
from dchat_server.adapters.dynamodb_client import connect
from dchat_server.errors import ArchiveUnavailable, ClusterMismatch
from dchat_server.ports_archive import Chunk, Conflict, Fenced, Mark, RoomChange, RoomRecord, UserRecord
from tests.archive_places import SHARDS
from tests.harness.dynamodb import Dynamo, Faults, MotoServer, dynamodb
from tests.harness.processes import eventually

FENCE = 10
READ_S = 0.25
"""How long one attempt waits for its answer here."""


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoServer]:
    with MotoServer() as moto:
        yield moto


@pytest_asyncio.fixture
async def dynamo(moto: MotoServer) -> AsyncIterator[Dynamo]:
    async with dynamodb(moto) as dynamo:
        yield dynamo


class Workers:
    """Archives as several workers have them, on one table."""

    def __init__(self, dynamo: Dynamo, stack: AsyncExitStack) -> None:
        self.dynamo, self._stack = dynamo, stack

    def one(self, *, wait_s: float = 2.5, read_s: float = READ_S) -> DynamoDbArchive:
        archive = DynamoDbArchive(
            self.dynamo.table, SHARDS, endpoint=self.dynamo.endpoint, wait_s=wait_s, read_s=read_s
        )
        self._stack.push_async_callback(archive.stop)
        return archive


@pytest_asyncio.fixture
async def workers(dynamo: Dynamo) -> AsyncIterator[Workers]:
    async with AsyncExitStack() as stack:
        yield Workers(dynamo, stack)


@pytest_asyncio.fixture
async def archive(workers: Workers) -> DynamoDbArchive:
    archive = workers.one()
    await archive.start()
    await archive.raise_fence(FENCE)
    return archive


def step(version: int, room: str = "lobby", **facts: Any) -> RoomRecord:
    return RoomRecord(room, version=version, commit=f"{room}-{version}", **facts)


RUNS = [Chunk(first, first + 9, first * 10, first * 1000, b"%d" % first) for first in (1, 11, 21)]
ADA = UserRecord("ada", {"display_name": "Ada"}, {"t1": '{"digest":"d1"}'}, ["lobby"], {"lobby": "7:7:9:0"})

Fault = Callable[[Faults, str], None]
FAULTS: dict[str, Fault] = {
    "throttled": lambda faults, call: faults.throttle(call),
    "cancelled": lambda faults, call: faults.cancel("ThrottlingError"),
    "in each other's way": lambda faults, call: faults.cancel("TransactionConflict"),
    "error 500": lambda faults, call: faults.fail(call, status=500),
    "error 503": lambda faults, call: faults.fail(call, status=503),
    "answer never comes": lambda faults, call: faults.swallow(call),
    "cut after it happened": lambda faults, call: faults.cut(call),
    "never arrives": lambda faults, call: faults.lose(call),
    "cut before it happened": lambda faults, call: faults.reset(call),
    "left out of a batch": lambda faults, call: faults.unprocessed(),
    "slow": lambda faults, call: faults.slow(50, call),
}

Ask = Callable[[DynamoDbArchive], Awaitable[Any]]
READS: dict[str, tuple[str, Ask, Any]] = {
    "fence": ("GetItem", lambda archive: archive.fence(), FENCE),
    "marks": ("BatchGetItem", lambda archive: archive.marks(), {1: Mark(2, 300)}),
    "rooms": ("BatchGetItem", lambda archive: archive.rooms(["lobby", "x", "y"]), {"lobby": step(1, watermark=30)}),
    "roster": ("Query", lambda archive: archive.roster("lobby"), (0, [b"a", b"b"])),
    "chunk": ("Query", lambda archive: archive.chunk("lobby", 15), RUNS[1]),
    "chunks": ("Query", lambda archive: archive.chunks("lobby", 15, 9), RUNS[1:]),
    "find": ("Query", lambda archive: archive.find("lobby", offset=110), RUNS[2]),
    "find's chunk": ("GetItem", lambda archive: archive.find("lobby", offset=110), RUNS[2]),
    "users": ("BatchGetItem", lambda archive: archive.users(["ada", "eve", "x"]), {"ada": ADA}),
    "token_user": ("GetItem", lambda archive: archive.token_user("d1"), "ada"),
    "directory": ("Query", lambda archive: archive.directory(3, "", 9), [("user", "ada", False)]),
}


async def filled(archive: DynamoDbArchive) -> None:
    record = step(1, watermark=30)
    await archive.commit(FENCE, RoomChange(record, put=RUNS, roster=[b"a", b"b"], shard=1, epoch=2, offset=300))
    await archive.save_users(FENCE, [(3, ADA)])


async def test_a_read_that_is_disturbed_answers_all_the_same(dynamo: Dynamo, archive: DynamoDbArchive) -> None:
    await filled(archive)
    for fault, plant in FAULTS.items():
        before = dynamo.faults.hits.total()
        for name, (call, ask, answer) in READS.items():
            plant(dynamo.faults, call)
            assert await ask(archive) == answer, (fault, name)
            dynamo.faults.clear()
        if fault not in ("slow", "cancelled", "in each other's way"):
            assert dynamo.faults.hits.total() - before >= 3, fault


async def test_no_read_is_satisfied_with_a_replica_that_may_be_late(dynamo: Dynamo, archive: DynamoDbArchive) -> None:
    await filled(archive)
    dynamo.requests = asked = []
    for _, ask, _ in READS.values():
        await ask(archive)
    await archive.chunks_back("lobby", 99, 9)
    assert len(asked) > len(READS)
    for operation, body in asked:
        reads = body["RequestItems"].values() if operation == "BatchGetItem" else [body]
        assert all(read["ConsistentRead"] for read in reads), operation


async def test_a_step_that_is_disturbed_is_made_once(dynamo: Dynamo, archive: DynamoDbArchive) -> None:
    for version, (fault, plant) in enumerate(FAULTS.items(), 1):
        plant(dynamo.faults, "TransactWriteItems")
        put, roster = [RUNS[version % 3]._replace(data=fault.encode())], [fault.encode()] * (version % 4)
        await archive.commit(FENCE, RoomChange(step(version), put=put, roster=roster, epoch=1, offset=version))
        dynamo.faults.clear()
        assert (await archive.rooms(["lobby"]))["lobby"] == step(version)
        assert (await archive.chunks("lobby", put[0].first, 1)) == put
        assert await archive.roster("lobby") == (0, roster)
        assert await archive.marks() == {0: Mark(1, version)}
    with pytest.raises(Conflict):
        await archive.commit(FENCE, RoomChange(replace(step(len(FAULTS)), commit="another")))


async def test_people_who_are_saved_through_disturbances_are_saved(dynamo: Dynamo, archive: DynamoDbArchive) -> None:
    last = ""
    for fault, plant in FAULTS.items():
        plant(dynamo.faults, "TransactWriteItems")
        plant(dynamo.faults, "BatchGetItem")
        person = replace(ADA, tokens={"t1": f'{{"digest":"of {fault}"}}'}, account={"display_name": fault})
        await archive.save_users(FENCE, [(3, person), (3, replace(ADA, user="bob", tokens={}))])
        dynamo.faults.clear()
        assert (await archive.users(["ada"]))["ada"] == person
        assert await archive.token_user(f"of {fault}") == "ada"
        assert await archive.token_user(last) is None
        last = f"of {fault}"


async def test_a_fence_is_raised_through_disturbances(dynamo: Dynamo, workers: Workers) -> None:
    for fence, plant in enumerate(FAULTS.values(), 1):
        archive = workers.one(wait_s=60)
        plant(dynamo.faults, "PutItem")
        plant(dynamo.faults, "GetItem")
        await archive.start()
        plant(dynamo.faults, "UpdateItem")
        await archive.raise_fence(fence)
        dynamo.faults.clear()
        assert await archive.fence() == fence
        await archive.commit(fence, RoomChange(step(1, f"r{fence}"), shard=fence % SHARDS))


async def test_at_random_faults_nothing_is_lost_or_doubled(dynamo: Dynamo, archive: DynamoDbArchive) -> None:
    faults = dynamo.faults
    faults.throttle(times=None, share=0.05)
    faults.cancel("TransactionConflict", None, share=0.05)
    faults.fail(times=None, share=0.05)
    faults.cut(times=None, share=0.1)
    faults.reset(times=None, share=0.05)

    async def work(number: int) -> None:
        room, count = f"room-{number}", 0
        while count < 12:
            change = RoomChange(step(count + 1, room), put=[Chunk(count + 1, count + 1, count + 1, 1, b"%d" % count)])
            try:
                await archive.commit(
                    FENCE, replace(change, shard=number % SHARDS, epoch=1, offset=100 * count + number)
                )
            except ArchiveUnavailable:
                continue
            count += 1

    await asyncio.gather(*(work(number) for number in range(8)))
    assert faults.hits.total() > 20
    faults.clear()
    for number in range(8):
        chunks = await archive.chunks(f"room-{number}", 0, 99)
        assert [chunk.data for chunk in chunks] == [b"%d" % each for each in range(12)]
    assert await archive.marks() == {shard: Mark(1, 1104 + shard) for shard in range(SHARDS)}


# --- a commit in the middle of a read -------------------------------------------------------------------------------


async def between_two_answers(dynamo: Dynamo, reading: Awaitable[Any], write: Awaitable[Any]) -> Any:
    """What a read in two answers brings when `write` comes in between."""
    dynamo.forget()
    dynamo.faults.slow(300, "Query")
    task = asyncio.ensure_future(reading)
    await eventually(lambda: dynamo.calls["Query"] == 2, "the second answer is asked for", every_s=0.001)
    await write
    dynamo.faults.clear()
    found = await task
    assert dynamo.calls["Query"] > 2
    return found


async def test_a_roster_is_never_put_together_from_two_commits(dynamo: Dynamo, workers: Workers) -> None:
    archive = workers.one(wait_s=20, read_s=5)
    await archive.raise_fence(FENCE)
    old, new = [b"old" * 70_000] * 6, [b"new" * 70_000] * 5
    await archive.commit(FENCE, RoomChange(step(1, roster_at=1), roster=old))
    write = archive.commit(FENCE, RoomChange(step(2, roster_at=2), roster=new))
    assert await between_two_answers(dynamo, archive.roster("lobby"), write) == (2, new)


async def test_chunks_are_never_put_together_from_two_commits(dynamo: Dynamo, workers: Workers) -> None:
    archive = workers.one(wait_s=20, read_s=5)
    await archive.raise_fence(FENCE)
    old = [Chunk(first, first + 9, first, first, b"old" * 20_000) for first in range(1, 301, 10)]
    new = [Chunk(first, first + 14, first, first, b"new" * 5_000) for first in range(1, 301, 15)]
    await archive.commit(FENCE, RoomChange(step(1), put=old))
    drop = sorted({each.first for each in old} - {each.first for each in new})
    write = archive.commit(FENCE, RoomChange(step(2), put=new, drop=drop))
    assert await between_two_answers(dynamo, archive.chunks_back("lobby", 999, 99), write) == new[::-1]


async def test_a_large_person_is_never_put_together_from_two_records(dynamo: Dynamo, workers: Workers) -> None:
    archive = workers.one(wait_s=20, read_s=5)
    await archive.raise_fence(FENCE)
    noise = Random(3)
    old, new = (
        replace(ADA, markers={noise.randbytes(12).hex(): noise.randbytes(8).hex() for _ in range(count)})
        for count in (30_000, 20_000)
    )
    await archive.save_users(FENCE, [(3, old)])
    dynamo.forget()
    dynamo.faults.slow(1000, "Query")
    reading = asyncio.create_task(archive.users(["ada"]))
    await eventually(lambda: dynamo.calls["Query"] == 1, "the other parts are asked for", every_s=0.001)
    dynamo.faults.clear()  # only that one is slow
    await archive.save_users(FENCE, [(3, new)])
    assert (await reading) == {"ada": new}


# --- when it does not get better -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["throttle", "fail", "swallow", "lose", "reset"])
async def test_what_never_gets_an_answer_ends_in_time_and_works_again_later(
    fault: str, dynamo: Dynamo, archive: DynamoDbArchive
) -> None:
    await filled(archive)
    getattr(dynamo.faults, fault)(times=None)
    began = time.monotonic()
    asks = [ask(archive) for _, ask, _ in READS.values()]
    writes = [
        archive.commit(FENCE, RoomChange(step(1, "other"), shard=1)),
        archive.save_users(FENCE, [(1, ADA)]),
        archive.raise_fence(FENCE),
    ]
    outcomes = await asyncio.gather(*asks, *writes, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ArchiveUnavailable}
    assert time.monotonic() - began < 20  # 2.5 s are allowed; the machine may be busy
    dynamo.faults.clear()
    for _, ask, answer in READS.values():
        assert await ask(archive) == answer
    await archive.commit(FENCE, RoomChange(step(2), put=RUNS, shard=1))


async def test_a_step_whose_outcome_is_unknown_can_be_made_again(dynamo: Dynamo, archive: DynamoDbArchive) -> None:
    change = RoomChange(step(1), put=RUNS)
    dynamo.faults.cut("TransactWriteItems", None)
    with pytest.raises(ArchiveUnavailable):
        await archive.commit(FENCE, change)
    dynamo.faults.clear()
    assert (await archive.rooms(["lobby"]))["lobby"].commit == "lobby-1"
    await archive.commit(FENCE, change)
    with pytest.raises(Conflict):
        await archive.commit(FENCE, replace(change, record=replace(change.record, commit="another")))
    await archive.commit(FENCE, RoomChange(step(2)))


async def test_a_step_that_another_one_always_gets_in_the_way_of_ends_in_time(
    dynamo: Dynamo, archive: DynamoDbArchive
) -> None:
    dynamo.faults.cancel("TransactionConflict", None)
    with pytest.raises(ArchiveUnavailable):
        await archive.commit(FENCE, RoomChange(step(1)))
    dynamo.faults.clear()
    assert await archive.rooms(["lobby"]) == {}
    await archive.commit(FENCE, RoomChange(step(1)))


async def test_a_refusal_that_no_repeat_can_heal_is_not_repeated(dynamo: Dynamo, archive: DynamoDbArchive) -> None:
    dynamo.forget()
    dynamo.faults.fail("GetItem", None, status=400, code="AccessDeniedException")
    with pytest.raises(ArchiveUnavailable):
        await archive.fence()
    assert dynamo.calls["GetItem"] == 1


async def test_too_many_waiting_callers_are_refused_at_once_and_the_others_served(
    dynamo: Dynamo, workers: Workers
) -> None:
    archive = workers.one(wait_s=60, read_s=20)
    await archive.start()
    await archive.raise_fence(FENCE)
    dynamo.faults.slow(400)
    dynamo.canned = True  # moto would take half a minute
    began = time.monotonic()
    reads = [asyncio.create_task(archive.fence()) for _ in range(400)]
    writes = [asyncio.create_task(archive.commit(FENCE, RoomChange(step(1, f"r{n}")))) for n in range(400)]
    await asyncio.sleep(0)
    await eventually(lambda: sum(task.done() for task in reads + writes) >= 200, "some are refused")
    refused = [task for task in reads + writes if task.done() and task.exception() is not None]
    assert len(refused) >= 200
    dynamo.faults.clear()
    outcomes = await asyncio.gather(*reads, *writes, return_exceptions=True)
    kinds = {type(outcome) for outcome in outcomes}
    assert kinds == {ArchiveUnavailable, int, type(None)}
    assert sum(isinstance(outcome, int) for outcome in outcomes) >= 200
    assert time.monotonic() - began < 60


async def test_the_loop_runs_on_while_calls_wait(dynamo: Dynamo, archive: DynamoDbArchive) -> None:
    dynamo.faults.swallow("TransactWriteItems", 3)
    longest, last = 0.0, time.monotonic()
    writing = asyncio.create_task(archive.commit(FENCE, RoomChange(step(1), put=RUNS)))
    while not writing.done():
        await asyncio.sleep(0.005)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    await writing
    assert longest < READ_S  # a call that blocked the loop would have held it for as long as one attempt


# --- leaders -------------------------------------------------------------------------------------------------------


async def test_a_step_of_the_former_leader_that_arrives_late_is_refused(dynamo: Dynamo, workers: Workers) -> None:
    old, new = workers.one(read_s=20, wait_s=60), workers.one()
    await old.start()
    await old.raise_fence(5)
    dynamo.faults.hold("TransactWriteItems")
    late = [asyncio.create_task(old.commit(5, RoomChange(step(1, f"r{n}"), put=RUNS, shard=n))) for n in range(SHARDS)]
    late.append(asyncio.create_task(old.save_users(5, [(2, ADA)])))
    await eventually(lambda: dynamo.calls["TransactWriteItems"] >= SHARDS, "they are on their way")
    await new.raise_fence(6)
    dynamo.faults.clear()
    outcomes = await asyncio.gather(*late, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Fenced}
    assert {getattr(outcome, "seen", 0) for outcome in outcomes} == {6}
    assert await new.rooms([f"r{n}" for n in range(SHARDS)]) == {}
    assert await new.users(["ada"]) == {}


async def test_a_fence_that_was_raised_halfway_is_finished_by_a_repeat_and_no_lower_one_comes_after_it(
    dynamo: Dynamo, workers: Workers
) -> None:
    old, new = workers.one(), workers.one(wait_s=1)
    await old.start()
    await old.raise_fence(5)
    await new.start()
    # The cluster's item goes through, the shards' do not.
    dynamo.faults.slow(200, "UpdateItem")
    raising = asyncio.create_task(new.raise_fence(7))

    async def began() -> bool:
        return await old.fence() == 7

    await eventually(began, "the cluster's fence is raised", every_s=0.001)
    dynamo.faults.fail("UpdateItem", None)
    with pytest.raises(ArchiveUnavailable):
        await raising
    dynamo.faults.clear()
    await old.commit(5, RoomChange(step(1, "before-it-returned"), shard=SHARDS - 1))
    with pytest.raises(Fenced):
        await old.raise_fence(6)
    await new.raise_fence(7)
    for shard in range(SHARDS):
        with pytest.raises(Fenced):
            await old.commit(5, RoomChange(step(1, f"r{shard}"), shard=shard))
        await new.commit(7, RoomChange(step(1, f"r{shard}"), shard=shard))


# --- people --------------------------------------------------------------------------------------------------------


async def test_a_revoked_tokens_item_goes_and_one_left_behind_is_nobodys(
    dynamo: Dynamo, archive: DynamoDbArchive
) -> None:
    client = connect(dynamo.endpoint, None, connections=1)

    async def token(digest: str) -> Any:
        answer = await asyncio.to_thread(client.get_item, TableName=dynamo.table, Key=items.token(digest))
        return answer.get("Item")

    await archive.save_users(FENCE, [(3, ADA)])
    left_behind = await token("d1")
    await archive.save_users(FENCE, [(3, replace(ADA, tokens={}))])
    assert await token("d1") is None
    await asyncio.to_thread(client.put_item, TableName=dynamo.table, Item=left_behind)
    assert await archive.token_user("d1") is None
    client.close()


# --- setting up ----------------------------------------------------------------------------------------------------


async def test_an_endpoint_that_is_away_at_the_start_can_be_asked_again(dynamo: Dynamo, workers: Workers) -> None:
    archive = workers.one(wait_s=1)
    dynamo.faults.down = True
    with pytest.raises(ArchiveUnavailable):
        await archive.start()
    with pytest.raises(ArchiveUnavailable):
        await archive.identity()
    dynamo.faults.clear()
    await archive.start()
    assert await archive.identity()


async def test_connections_that_died_while_idle_are_not_noticed(dynamo: Dynamo, archive: DynamoDbArchive) -> None:
    await filled(archive)
    for version in (2, 3):
        dynamo.drop_connections()
        await archive.commit(FENCE, RoomChange(step(version, watermark=30), shard=1))
        dynamo.drop_connections()
        assert await archive.chunk("lobby", 15) == RUNS[1]


async def test_a_table_that_is_missing_stops_the_start_and_says_what_to_do(moto: MotoServer) -> None:
    async with dynamodb(moto, table=False) as dynamo:
        archive = DynamoDbArchive(dynamo.table, SHARDS, endpoint=dynamo.endpoint)
        with pytest.raises(ClusterMismatch, match="init-table"):
            await archive.start()
        with pytest.raises(ArchiveUnavailable):  # later it is an outage like any other
            await archive.rooms(["lobby"])
        await archive.stop()


async def test_a_table_with_other_keys_stops_the_start(moto: MotoServer) -> None:
    async with dynamodb(moto, table=False) as dynamo:
        client = connect(dynamo.endpoint, None, connections=1)
        await asyncio.to_thread(
            client.create_table,
            TableName=dynamo.table,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        client.close()
        archive = DynamoDbArchive(dynamo.table, SHARDS, endpoint=dynamo.endpoint)
        with pytest.raises(ClusterMismatch, match="PK and SK"):
            await archive.start()
        await archive.stop()


async def test_aws_without_a_region_is_a_mistake_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    archive = DynamoDbArchive("dchat", SHARDS)
    with pytest.raises(ClusterMismatch, match="DCHAT_DYNAMODB_REGION"):
        await archive.start()
    await archive.stop()


async def test_no_secret_reaches_the_log(dynamo: Dynamo, workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted/secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "planted-token")
    with structlog.testing.capture_logs() as lines:
        for fault in ("down", "fail", "lose", "access"):
            archive = workers.one(wait_s=1)
            if fault == "down":
                dynamo.faults.down = True
            elif fault == "access":
                dynamo.faults.fail(times=None, status=400, code="AccessDeniedException")
            else:
                getattr(dynamo.faults, fault)(times=None)
            with pytest.raises(ArchiveUnavailable):
                await archive.start()
            dynamo.faults.clear()
    assert len(lines) == 4
    assert "planted" not in str(lines).lower().replace("planted by a test", "")


async def test_an_endpoint_of_aws_is_never_given_made_up_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    ours = connect("http://127.0.0.1:1", None, connections=1)
    assert ours._request_signer._credentials.access_key == "local"
    theirs = connect("https://dynamodb.eu-central-1.amazonaws.com", "eu-central-1", connections=1)
    assert theirs._request_signer._credentials is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOWN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "own")
    own = connect("http://127.0.0.1:1", None, connections=1)
    assert own._request_signer._credentials.access_key == "AKIAOWN"
