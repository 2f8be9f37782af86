"""One worker's part in the cluster: what it says, what it does when asked, and what it makes of what the others say."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from dchat_server.adapters.redis_board import RedisBoard
from dchat_server.cluster import Cluster
from dchat_server.hub import Hub
from dchat_server.latency import Histogram
from dchat_server.model import Control, Position
from dchat_server.ports_cluster import Leader, Member
from dchat_server.snapshot import Heard, leader_of, picture
from dchat_server.stream import Stream
from dchat_server.vitals import Gauge
from tests.cluster_fakes import FakeLeadership, MemoryBoard
from tests.fakes import MemoryCluster
from tests.redis_servers import empty_nodes, redis_server

ME = Member("w1", "10.0.0.1:5000", "1.2.3", 1_764_000_000_000, 0)
KINDS = {"log": "redis", "election": "zookeeper", "archive": "sqlite"}
OTHER = Member("w2", "10.0.0.2:5000", "1.2.3", 1_764_000_000_000, 5)


@dataclass
class Sink:
    """A stream's end that remembers what it was sent."""

    data: bytes = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        pass

    abort = close


@dataclass
class FakePump:
    alive: bool = True


@dataclass
class FakePublisher:
    sent: int = 0


@dataclass
class FakeWork:
    hub: Any = field(default_factory=lambda: Hub([Position(3, 70), Position(3, 9)], lambda room: 0))
    pump: Any = field(default_factory=FakePump)
    publisher: Any = field(default_factory=FakePublisher)
    draining: bool = False
    refuses_streams: bool = False
    refused: Counter[str] = field(default_factory=Counter)
    sends: Histogram = field(default_factory=Histogram)

    def streams(self, count: int) -> list[Sink]:
        sinks = [Sink() for _ in range(count)]
        for sink in sinks:
            stream = Stream("ada", "", sink)
            self.hub.watch(stream)
            self.hub.seat(stream, {})
            self.hub.go_live(stream)
        return sinks


@dataclass
class Stage:
    cluster: Cluster
    work: FakeWork
    board: MemoryBoard
    leadership: FakeLeadership

    def ask(self, kind: str, **facts: Any) -> None:
        self.cluster.on_control(Control(kind, "", orjson.dumps(facts)))

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.003)


@asynccontextmanager
async def stage(*, started: bool = False) -> AsyncIterator[Stage]:
    work, board = FakeWork(), MemoryBoard(MemoryCluster())
    leadership = FakeLeadership(Leader("w1", 7), [ME, OTHER])
    cluster = Cluster(ME, work, leadership, board, kinds=KINDS, notice_s=0.05)
    if started:
        cluster.start()
    try:
        yield Stage(cluster, work, board, leadership)
    finally:
        await cluster.stop()


# --- saying ---------------------------------------------------------------------------------------------------------


async def test_a_worker_says_at_once_what_it_does_and_says_so_when_it_goes() -> None:
    async with stage(started=True) as here:
        await here.until(lambda: here.board.facts)
        facts = (await here.board.read())["w1"]
        assert (facts["address"], facts["version"], facts["streams"]) == ("10.0.0.1:5000", "1.2.3", 0)
        board = here.board
    assert (await board.read())["w1"]["left"] is True


async def test_it_goes_on_saying_so_whatever_became_of_the_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dchat_server.cluster.POST_S", 0.02)
    async with stage(started=True) as here:
        here.board.down = True
        await asyncio.sleep(0.1)
        here.board.down = False
        here.work.streams(2)
        await here.until(lambda: here.leadership.streams == 2)
        await here.until(lambda: here.board.facts and orjson.loads(here.board.facts["w1"][1])["streams"] == 2)


async def test_a_loop_that_was_held_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setattr("dchat_server.cluster.POST_S", 0.2)
    async with stage(started=True) as here:
        await here.until(lambda: here.board.facts)
        time.sleep(0.15)
        await here.until(lambda: here.cluster.facts.loop_lag_ms > 40)


async def test_rates_are_of_the_time_between_two_looks() -> None:
    now = 100.0
    work = FakeWork()
    gauge = Gauge(ME, work, lambda: now)
    gauge.look()
    now += 2.0
    work.publisher.sent, work.hub.delivered = 10, 500
    facts = gauge.look()
    assert (facts.messages_per_s, facts.deliveries_per_s, facts.messages, facts.uptime_s) == (5.0, 250.0, 10, 2.0)
    now += 1.0
    assert gauge.look().messages_per_s == 0
    assert facts.memory_bytes is None or facts.memory_bytes > 1_000_000


def test_errors_and_refusals_are_told_a_second_by_code() -> None:
    now = 100.0
    work = FakeWork()
    work.refused["rate_limited"] = 7  # before anybody looked
    gauge = Gauge(ME, work, lambda: now)
    now += 1.0
    gauge.look()
    now += 2.0
    work.refused.update({"rate_limited": 6, "internal": 1, "backend_unavailable": 2, "not_found": 0})
    facts = gauge.look()
    assert facts.refused == {"rate_limited": 3.0, "internal": 0.5, "backend_unavailable": 1.0}
    assert facts.errors_per_s == 1.5
    now += 1.0
    facts = gauge.look()
    assert (facts.refused, facts.errors_per_s) == ({}, 0.0)


def test_how_long_things_took_is_told_of_the_last_seconds() -> None:
    now = 100.0
    work = FakeWork()
    gauge = Gauge(ME, work, lambda: now)
    assert (gauge.last.send, gauge.last.delivery, gauge.last.send_p99_ms) == ((), (), None)
    now += 1.0
    work.sends.note(0.004)
    work.hub.trail.times.note(0.2)
    facts = gauge.look()
    assert [count for _, count in (*facts.send, *facts.delivery)] == [1, 1]
    assert facts.send_p99_ms is not None
    assert 3.15 <= facts.send_p99_ms <= 4.0
    for _ in range(12):
        now += 1.0
        facts = gauge.look()
    assert (facts.send, facts.delivery, facts.send_p99_ms) == ([], [], None)


# --- being asked ----------------------------------------------------------------------------------------------------


async def test_only_the_worker_that_is_named_acts() -> None:
    async with stage() as here:
        here.work.streams(4)
        here.ask("drain", worker="w2", undo=False)
        here.ask("step_down", worker="w2", epoch=7)
        here.ask("shed", worker="w2", streams=4, seconds=1)
        here.ask("revoke", digests=[])
        await asyncio.sleep(0.05)
        assert (here.work.draining, here.work.hub.count, here.leadership.stepped_down) == (False, 4, 0)


async def test_a_drained_worker_sends_its_streams_away_and_those_that_come_late() -> None:
    async with stage() as here:
        sinks = here.work.streams(30)
        here.ask("drain", worker="w1", undo=False)
        here.ask("drain", worker="w1", undo=False)
        assert here.work.draining
        await here.until(lambda: here.work.hub.count == 0)
        assert all(b"event: reconnect\ndata: " in sink.data and b"retry: " in sink.data for sink in sinks)
        (late,) = here.work.streams(1)  # it was opening while the others were sent away
        await here.until(lambda: b"reconnect" in late.data)


async def test_a_drained_worker_takes_streams_until_balancers_have_heard_of_it() -> None:
    async with stage() as here:
        here.ask("drain", worker="w1", undo=False)
        assert (here.work.draining, here.work.refuses_streams) == (True, False)
        await here.until(lambda: here.work.refuses_streams)


async def test_a_drained_worker_stands_for_election_no_more_until_it_is_taken_back() -> None:
    async with stage() as here:
        here.ask("drain", worker="w1", undo=False)
        assert not here.leadership.stands
        here.ask("drain", worker="w1", undo=True)
        assert here.leadership.stands


async def test_a_worker_that_is_going_to_end_leaves_the_election_for_good() -> None:
    for asked in (False, True):
        async with stage() as here:
            if asked:
                here.ask("drain", worker="w1", undo=False)
            here.cluster.leave()
            assert not here.leadership.stands
            here.ask("drain", worker="w1", undo=True)
            assert not here.leadership.stands


async def test_a_worker_that_is_taken_back_keeps_the_streams_it_has() -> None:
    async with stage() as here:
        here.ask("drain", worker="w1", undo=False)
        await asyncio.sleep(0)
        here.ask("drain", worker="w1", undo=True)
        here.work.streams(3)
        await asyncio.sleep(0.6)
        assert (here.work.draining, here.work.refuses_streams, here.work.hub.count) == (False, False, 3)


async def test_a_worker_that_is_going_to_end_is_not_taken_back() -> None:
    async with stage() as here:
        here.ask("drain", worker="w1", undo=False)
        here.cluster.leave()
        here.ask("drain", worker="w1", undo=True)
        assert here.work.draining
    async with stage() as here:
        here.work.draining = True  # it was told to end before anybody asked
        here.ask("drain", worker="w1", undo=False)
        here.ask("drain", worker="w1", undo=True)
        assert here.work.draining


async def test_an_order_to_step_down_is_for_one_term() -> None:
    async with stage() as here:
        here.ask("step_down", worker="w1", epoch=6)
        await asyncio.sleep(0.01)
        assert here.leadership.stepped_down == 0
        here.ask("step_down", worker="w1", epoch=7)
        await here.until(lambda: here.leadership.stepped_down == 1)


async def test_streams_are_shed_over_the_time_given_and_not_more_than_asked_for() -> None:
    async with stage() as here:
        sinks = here.work.streams(40)
        here.ask("shed", worker="w1", streams=10, seconds=1.0)
        here.ask("shed", worker="w1", streams=10, seconds=1.0)  # a repeat
        await here.until(lambda: here.work.hub.count < 40)
        assert here.work.hub.count > 30
        await here.until(lambda: here.work.hub.count == 30)
        await asyncio.sleep(0.3)
        assert here.work.hub.count == 30
        assert sum(b"reconnect" in sink.data for sink in sinks) == 10


async def test_nobody_can_have_a_worker_shed_more_than_half() -> None:
    async with stage() as here:
        here.work.streams(10)
        here.ask("shed", worker="w1", streams=10_000, seconds=1.0)
        await here.until(lambda: here.work.hub.count == 5)
        await asyncio.sleep(0.2)
        assert here.work.hub.count == 5


# --- knowing --------------------------------------------------------------------------------------------------------


def rows(told: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {row["worker"]: (row["alive"], row["member"]) for row in told["workers"]}


async def test_who_speaks_is_alive_and_who_is_silent_is_not() -> None:
    async with stage() as here:
        await here.board.post("w3", {"streams": 2})
        told = await here.cluster.snapshot()
        assert rows(told) == {"w1": (True, True), "w2": (False, True), "w3": (True, False)}
        await here.board.post("w2", {"streams": 9})
        await here.board.post("w3", {"left": True})
        told = await here.cluster.snapshot()
        assert rows(told) == {"w1": (True, True), "w2": (True, True)}
        assert told["workers"][1]["streams"] == 9
        here.board.down = True
        assert rows(await here.cluster.snapshot()) == {"w1": (True, True), "w2": (None, True)}
        here.leadership.members = None
        assert rows(await here.cluster.snapshot()) == {"w1": (True, None)}


async def test_a_board_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dchat_server.cluster.ANSWER_S", 0.05)
    asked = 0

    async def never() -> Any:
        nonlocal asked
        asked += 1
        await asyncio.sleep(3600)

    async with stage() as here:
        here.board.read = never  # type: ignore[method-assign]
        answers = await asyncio.gather(*(here.cluster.snapshot() for _ in range(20)))
        assert asked == 1
        assert {answer["errors"][0]["part"] for answer in answers} == {"board"}
        assert await here.cluster.knows("w1") is True
        assert await here.cluster.knows("w2") is True
        assert await here.cluster.knows("w9") is None


async def test_one_who_stops_asking_takes_nobodys_answer() -> None:
    async with stage() as here:
        first = asyncio.create_task(here.cluster.snapshot())
        second = asyncio.create_task(here.cluster.snapshot())
        await asyncio.sleep(0)
        first.cancel()
        assert (await second)["worker"] == "w1"


async def test_latencies_and_refusals_of_all_workers_are_put_together() -> None:
    async with stage() as here:
        told = await here.cluster.snapshot()
        assert (told["latency"], told["refused"]) == ({"window_s": 10.0, "send_ms": None, "delivery_ms": None}, {})
        await here.board.post("w2", {"send": [[10, 98]], "delivery": [[20, 1]], "refused": {"rate_limited": 1.5}})
        await here.board.post("w3", {"send": [[30, 2]], "refused": {"rate_limited": 0.5, "internal": 1.0}})
        await here.board.post("w4", {"streams": 3})  # of a version that does not tell these
        told = await here.cluster.snapshot()
        send = told["latency"]["send_ms"]
        assert send["count"] == 100
        assert send["p50"] == send["p95"] * 50 / 95 or send["p50"] < send["p95"] <= 1.0
        assert 80.0 < send["p99"] <= 100.0, "the slow worker's two are among the last three of a hundred"
        assert told["latency"]["delivery_ms"]["count"] == 1
        assert told["refused"] == {"internal": 1.0, "rate_limited": 2.0}
        assert told["workers"][0]["errors_per_s"] == 0.0
        assert told["workers"][-1]["errors_per_s"] is None


async def test_each_part_is_told_by_its_kind_and_its_state() -> None:
    async with stage() as here:
        here.work.pump.alive, here.leadership.state = False, "suspended"
        told = await here.cluster.snapshot()
        assert told["parts"] == {
            "log": {"kind": "redis", "state": "unavailable"},
            "election": {"kind": "zookeeper", "state": "suspended"},
            "archive": {"kind": "sqlite", "state": told["archive"]["state"]},
        }


async def test_how_far_each_shard_was_read_is_told() -> None:
    async with stage() as here:
        told = await here.cluster.snapshot()
        assert told["log"]["shards"] == [{"shard": 0, "epoch": 3, "head": 70}, {"shard": 1, "epoch": 3, "head": 9}]
        here.work.pump.alive = False
        told = await here.cluster.snapshot()
        assert (told["log"]["state"], told["errors"][0]["part"]) == ("unavailable", "log")


DUTY = {"running": True, "failures": 0, "error": "", "at": 0, "stuck": False}
REPORT: dict[str, Any] = {
    "worker": "w2",
    "epoch": 7,
    "archive": {
        "state": "stuck_rooms",
        "lag_messages": 40,
        "lag_s": 3.5,
        "rooms_dirty": 2,
        "rooms_stuck": 1,
        "slowest": [{"room": "lobby", "shard": 0, "watermark": 1, "head": 41, "lag": 40, "lag_s": 3.5}],
        "stuck": [{"room": "den", "reason": "damaged", "detail": "no chunk", "since": 1_764_000_000_000}],
        "archived": {"events": 1, "messages": 1, "chunks": 1, "chunk_bytes": 1, "commits": 1},
        "write_units": 3.0,
        "last_error": "no chunk",
        "last_error_at": 1_764_000_000_000,
    },
    "at": 1_764_000_000_000,
}


def standing(leadership: FakeLeadership, report: dict[str, Any] | None, error: str = "") -> dict[str, Any]:
    heard = Heard(None if error else {}, report, error)
    told = picture(
        now_ms=1, me=ME, mine={}, leadership=leadership, heard=heard, heads=[], log_alive=True, kinds=KINDS
    )["archive"]  # fmt: skip
    assert isinstance(told, dict)
    return told


@pytest.mark.parametrize(
    ("leader", "report", "error", "state"),
    [
        (Leader("w2", 7), {**REPORT, "age_ms": 900}, "", "stuck_rooms"),
        (Leader("w2", 7), {**REPORT, "age_ms": 5001}, "", "silent"),
        (Leader("w2", 7), None, "", "silent"),
        (None, {**REPORT, "age_ms": 9000}, "", "no_leader"),
        (None, None, "", "no_leader"),
        (Leader("w2", 7), None, "away", "unknown"),
    ],
)
def test_each_way_the_archive_can_stall_has_a_word(
    leader: Leader | None, report: dict[str, Any] | None, error: str, state: str
) -> None:
    told = standing(FakeLeadership(leader, []), report, error)
    assert told["state"] == state
    if report is not None:  # however old it is: it is shown with its time
        assert (told["lag_messages"], told["rooms_stuck"], told["as_of"]) == (40, 1, "2025-11-24T16:00:00.000Z")
        assert told["last_error"] == {"at": "2025-11-24T16:00:00.000Z", "detail": "no chunk"}


@pytest.mark.parametrize(
    ("parts", "state"),
    [
        ({}, "ok"),
        ({"archive": {"state": "waiting"}}, "starting"),
        ({"archive": {}}, "starting"),
        ({"archive": {"state": "archive_unavailable"}}, "archive_unavailable"),
        ({"restore": {"behind": [3]}}, "restoring"),
        ({"people": {"state": "failing", "waiting": 3}}, "people_unsaved"),
        (
            {"leader": {"duties": {"compactor": {**DUTY, "running": False, "failures": 1, "error": "x"}}}},
            "duty_failing",
        ),
        ({"leader": {"duties": {"compactor": {**DUTY, "stuck": True}}}}, "duty_failing"),
        ({"leader": {"duties": {"walk": {**DUTY, "running": False}}}}, "ok"),  # it has no more to do
        ({"leader": {"duties": {"walk": {**DUTY, "failures": 9, "error": "x"}}}}, "ok"),  # it runs again
    ],
)
def test_the_worst_that_the_leader_reports_is_the_state(parts: dict[str, Any], state: str) -> None:
    report = {"worker": "w2", "epoch": 7, "at": 1, "age_ms": 1, "archive": {"state": "ok"}, **parts}
    assert standing(FakeLeadership(Leader("w2", 7), []), report)["state"] == state


@pytest.mark.parametrize("stalled", ["fenced", "no_archive", "no_log"])
def test_a_worker_that_was_elected_and_cannot_lead_says_why(stalled: str) -> None:
    board = {"w2": {"leading": stalled, "age_ms": 3}, "w1": {"leading": "following", "age_ms": 3}}
    told = picture(
        now_ms=1,
        me=ME,
        mine={"leading": "following"},
        leadership=FakeLeadership(None, []),
        heard=Heard(board, {**REPORT, "age_ms": 100}),
        heads=[],
        log_alive=True,
        kinds=KINDS,
    )
    assert told["archive"]["state"] == stalled


def test_a_report_of_a_term_that_is_over_says_nothing_about_now() -> None:
    report = {**REPORT, "age_ms": 900}
    assert standing(FakeLeadership(Leader("w1", 8), []), report)["state"] == "silent"


def test_where_the_election_cannot_say_the_leader_is_known_by_its_report() -> None:
    leadership = FakeLeadership(None, None)
    assert leader_of(leadership, {**REPORT, "age_ms": 10}) is None  # the election says that nobody leads
    for leadership.state in ("suspended", "lost", "local"):
        assert leader_of(leadership, {**REPORT, "age_ms": 10}) == Leader("w2", 7)
    assert leader_of(leadership, {**REPORT, "age_ms": 6000}) is None
    assert leader_of(leadership, None) is None


async def test_two_workers_on_one_redis_see_each_other_and_one_is_drained() -> None:
    from dchat_server.adapters.redis_feed import RedisFeed
    from dchat_server.ports import Batch

    with redis_server("redis") as url:
        async with empty_nodes(url) as nodes:
            leadership = FakeLeadership(None, None)
            mine, other = FakeWork(), FakeWork()
            here, there = (
                Cluster(me, work, leadership, RedisBoard(nodes), kinds=KINDS)
                for me, work in ((ME, mine), (OTHER, other))
            )
            here.start()
            there.start()
            async with asyncio.timeout(10):
                while len((await here.snapshot())["workers"]) < 2:
                    await asyncio.sleep(0.02)
            assert rows(await there.snapshot()) == {"w1": (True, None), "w2": (True, None)}
            feed = RedisFeed(nodes)
            await feed.start(0)
            await here.board.tell("drain", {"worker": "w2", "undo": False})
            async with asyncio.timeout(10):
                async for changes in feed.read([0]):
                    for change in changes:
                        assert isinstance(change, Batch)
                        for entry in change.entries:
                            assert isinstance(entry, Control)
                            here.on_control(entry)
                            there.on_control(entry)
                    if changes:
                        break
            assert (mine.draining, other.draining) == (False, True)
            await there.stop()
            assert rows(await here.snapshot()) == {"w1": (True, None)}
            await here.stop()
