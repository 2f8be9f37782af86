"""What stands in ZooKeeper is what should, after lost answers, cut connections, deleted nodes, names given twice."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from kazoo.client import KazooClient
from kazoo.exceptions import NodeExistsError, NoNodeError
from kazoo.protocol.states import ZnodeStat
from structlog.testing import capture_logs

from dchat_server.adapters.zookeeper_client import Access, Session
from tests.harness.elected import Worker, Workers, some_workers
from tests.harness.processes import eventually
from tests.harness.wires import Wire, wire_to
from tests.harness.zookeeper import Ensemble, shared_ensemble

SESSION_S = 1.5


class Stranger(KazooClient):
    """Asks again when a machine that is busy has cost it a connection. Only for what may be done twice."""

    def get(self, path: str) -> tuple[bytes, ZnodeStat]:  # type: ignore[override]
        return self.retry(super().get, path)

    def get_children(self, path: str) -> list[str]:  # type: ignore[override]
        return self.retry(super().get_children, path)

    def put(self, path: str, data: bytes = b"", **options: bool) -> None:
        """Create it, or what the first attempt has created is good."""
        with suppress(NodeExistsError):
            self.retry(super().create, path, data, makepath=True, **options)

    def drop(self, path: str, **options: bool) -> None:
        """Delete it, or what the first attempt has deleted is gone."""
        with suppress(NoNodeError):
            self.retry(super().delete, path, **options)


@pytest.fixture(scope="module")
def single() -> Iterator[Ensemble]:
    with shared_ensemble(1) as zookeeper:
        yield zookeeper


@pytest.fixture
def client(single: Ensemble) -> Iterator[Stranger]:
    """Somebody else's client, that may do anything. Its answers take a millisecond."""
    client = Stranger(single.hosts, timeout=30.0)
    client.start(timeout=30)
    yield client
    client.stop()
    client.close()


@pytest_asyncio.fixture
async def workers() -> AsyncIterator[Workers]:
    async with some_workers() as workers:
        yield workers


@pytest_asyncio.fixture
async def wire(single: Ensemble) -> AsyncIterator[Wire]:
    async with wire_to(single.nodes[0].port) as wire:
        yield wire


@pytest.fixture
def access(single: Ensemble, tmp_path: Path) -> Access:
    return Access(f"{single.hosts}/{tmp_path.name}", session_s=SESSION_S)


@pytest.fixture
def by_wire(wire: Wire, tmp_path: Path) -> Access:
    return Access(f"127.0.0.1:{wire.port}/{tmp_path.name}", session_s=SESSION_S)


def queue(client: Stranger, access: Access) -> list[str]:
    return sorted(client.get_children(f"{access.root}/election"), key=lambda name: name[-10:])


async def test_who_withdraws_is_out_of_the_queue_at_once_and_at_its_end_when_it_stands_again(
    access: Access, workers: Workers, client: Stranger
) -> None:
    first = await workers.start(access, "a")
    await first.leads()
    others = [await workers.start(access, name) for name in "bc"]
    await eventually(lambda: len(queue(client, access)) == 3, "all three stand")
    _, mine, last = queue(client, access)
    began = time.monotonic()
    next(each for each in others if mine.startswith(f"{each.client_id[0]:016x}")).port.withdraw()
    await eventually(lambda: mine not in queue(client, access), "it stands no more", every_s=0.01)
    assert time.monotonic() - began < SESSION_S  # by itself it would look as seldom as that
    for each in others:
        each.port.stand()
    await eventually(lambda: len(queue(client, access)) == 3, "it stands again")
    assert queue(client, access)[1] == last


@pytest.mark.parametrize("lost", [b"/election/", b"/workers/a", b"/dchat/election"])
async def test_a_lost_answer_leaves_nothing_behind(
    lost: bytes, wire: Wire, by_wire: Access, workers: Workers, client: Stranger
) -> None:
    """The server created the node, and its word never arrived: election node, worker node, folder."""
    wire.swallow(lost)
    worker = await workers.start(by_wire)
    term = await worker.leads()
    assert wire.spoiled == 1
    (name,) = queue(client, by_wire)
    _, stat = client.get(f"{by_wire.root}/election/{name}")
    assert stat.czxid == term.fence
    await eventually(lambda: worker.names == ["a"], "it is a member")


async def test_a_cut_connection_ends_the_term_for_good_and_the_next_has_a_higher_fence(
    wire: Wire, by_wire: Access, workers: Workers, client: Stranger
) -> None:
    worker = await workers.start(by_wire)
    for _ in range(3):
        term = await worker.leads()
        session = worker.client_id
        wire.cut()
        again = await worker.leads(above=term.fence)
        assert not term.valid
        assert worker.client_id == session  # it lived on, and its old node had to go
        assert len(queue(client, by_wire)) == 1
        assert again.fence > term.fence


async def test_terms_never_overlap_whatever_happens_to_the_connections(
    wire: Wire, by_wire: Access, workers: Workers, client: Stranger
) -> None:
    three = [await workers.start(by_wire, name) for name in "abc"]
    wire.cut_replies = 0.06
    began, leaders = time.monotonic(), 0
    while time.monotonic() - began < 60 and (time.monotonic() - began < 6 or leaders < 2 or wire.spoiled < 10):
        assert len([worker for worker in three if worker.term]) <= 1
        leaders = sum(len(worker.terms) for worker in three)
        await asyncio.sleep(0.002)
    assert leaders >= 2
    assert wire.spoiled >= 10
    wire.cut_replies = 0.0
    await eventually(lambda: all(worker.names == ["a", "b", "c"] for worker in three), "all are there again")
    await eventually(lambda: any(worker.term for worker in three), "somebody leads")
    await eventually(lambda: len(queue(client, by_wire)) == 3, "each stands once")
    fences = [[term.fence for term in worker.terms] for worker in three]
    assert all(each == sorted(set(each)) for each in fences)
    assert len({fence for each in fences for fence in each}) == sum(map(len, fences))


async def test_a_worker_node_that_somebody_deletes_comes_back(
    access: Access, workers: Workers, client: Stranger
) -> None:
    worker = await workers.start(access)
    term = await worker.leads()
    await eventually(lambda: worker.names == ["a"], "it is a member")
    client.drop(f"{access.root}/workers/a")
    await eventually(lambda: client.exists(f"{access.root}/workers/a"), "it is there again")
    assert term.valid


async def test_an_election_node_that_somebody_deletes_ends_the_term(
    access: Access, workers: Workers, client: Stranger
) -> None:
    leading = await workers.start(access, "a")
    term = await leading.leads()
    waiting = await workers.start(access, "b")
    await eventually(lambda: len(queue(client, access)) == 2, "both stand")
    first, second = queue(client, access)
    client.drop(f"{access.root}/election/{second}")  # it will notice, and stand again
    await eventually(lambda: len(queue(client, access)) == 2, "both stand again")
    assert term.valid
    client.drop(f"{access.root}/election/{first}")
    await eventually(lambda: not term.valid, "the term is over")
    assert (await waiting.leads()).fence > term.fence


async def test_folders_that_somebody_deletes_come_back(access: Access, workers: Workers, client: Stranger) -> None:
    worker = await workers.start(access)
    term = await worker.leads()
    client.drop(access.root, recursive=True)
    again = await worker.leads(above=term.fence)
    assert again.fence > term.fence
    await eventually(lambda: worker.names == ["a"], "it is a member again")


async def test_a_worker_that_restarts_takes_its_name_from_its_dead_session(
    single: Ensemble, access: Access, workers: Workers, client: Stranger
) -> None:
    about = {"address": "old:1", "version": "1", "started_at": 500, "streams": 9}
    client.put(f"{access.root}/workers/a", json.dumps(about).encode(), ephemeral=True)
    worker = await workers.start(access, started_at=1000)
    await eventually(lambda: worker.names == ["a"], "it is a member")
    assert [member.address for member in worker.port.members or ()] == ["a:1"]


async def test_of_two_with_one_name_the_later_has_it_and_the_other_says_so(access: Access, workers: Workers) -> None:
    later = await workers.start(access, started_at=2000)
    await eventually(lambda: later.names == ["a"], "it is a member")
    with capture_logs() as lines:
        earlier = await workers.start(access, started_at=1000)
        await eventually(lambda: earlier.names == ["a"], "it sees the other one")
        await asyncio.sleep(0.3)
    assert [line["event"] for line in lines].count("worker_name_taken") == 1
    assert [member.started_at for member in earlier.port.members or ()] == [2000]
    await later.port.stop()
    await eventually(
        lambda: [member.started_at for member in earlier.port.members or ()] == [1000], "it has the name now"
    )


async def test_nodes_that_are_not_ours_are_not_members(access: Access, workers: Workers, client: Stranger) -> None:
    for name, data in (("x", b"no json"), ("y", b"[]"), ("z", b'{"address": 1}'), ("empty", b"")):
        client.put(f"{access.root}/workers/{name}", data)
    worker = await workers.start(access)
    await eventually(lambda: worker.names == ["a"], "only it is a member")


async def test_a_session_that_cannot_even_begin_is_tried_again(
    access: Access, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a thread, and a machine may be out of them."""
    failures = 2

    def session(*args: Any) -> Session:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise RuntimeError("can't start new thread")
        return Session(*args)

    monkeypatch.setattr("dchat_server.adapters.zookeeper.Session", session)
    worker = await workers.start(access)
    await worker.leads()
    assert failures < 0


async def test_hundreds_of_looks_leave_no_watches_behind(
    access: Access, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kazoo keeps every watch it is given until it fires."""
    monkeypatch.setattr("dchat_server.adapters.zookeeper_members.TELL_S", 0.01)
    monkeypatch.setattr("dchat_server.adapters.zookeeper_members.READS_PER_S", 1000)
    monkeypatch.setattr("dchat_server.adapters.zookeeper_election.LOOK_S", 0.01)
    one, two = await workers.start(access, "a"), await workers.start(access, "b")
    await eventually(lambda: one.names == two.names == ["a", "b"], "both are there")
    await asyncio.sleep(1.0)
    assert max(_watches(one), _watches(two)) <= 4


def _watches(worker: Worker) -> int:
    assert worker.port._session is not None
    client = worker.port._session._client
    return sum(len(found) for found in [*client._data_watchers.values(), *client._child_watchers.values()])
