"""When a server comes back without its newest entries, every reader who may have seen them is told of a gap.

Two workers, readers that attach and reconnect at any point, servers that restart with everything, without their tail
or from an old backup. What is checked at the end, for each reader:
  * what is in the log behind the place it came with, it was told, or a gap covers it;
  * what it was told and is not in the log any more, a later gap covers;
  * nothing came twice on a connection, and what came in between two gaps came without a hole.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dchat_server import attach, pump, window
from dchat_server.cursor import Cursor
from dchat_server.model import DURABLE_TYPES
from tests.fakes import MemoryShard
from tests.property.workers import Rig, Session

KINDS = {"hall": "public", "yard": "public", "den": "private", "attic": "private"}
SHARDS = 2
USER = "owner"  # is in all rooms and stays: who may see what is test_server_handoff.py's matter

rooms, workers, shards = st.sampled_from(sorted(KINDS)), st.integers(0, 1), st.integers(0, SHARDS - 1)
amounts = st.lists(st.tuples(shards, st.integers(1, 8)), min_size=1, max_size=3)
Key = tuple[str, int, int]
Write = tuple[list[dict[str, Any]], str | None]


class Reader:
    """A client over all its connections: what it got of each, and the one it has now."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.got: list[Write] = []

    def move(self, worker: int, rig: Rig, lost_writes: int) -> None:
        """The connection breaks, its last writes are lost, and the reader goes on elsewhere."""
        self.session.hang_up()
        self._come_back(worker, rig, max(0, len(self.session.out.writes) - lost_writes))

    def move_early(self, worker: int, rig: Rig) -> None:
        """The same, and nothing but the first write had arrived."""
        self.session.hang_up()
        self._come_back(worker, rig, 1)

    def _come_back(self, worker: int, rig: Rig, writes: int) -> None:
        self.got += self.session.told(writes)
        cursor = next((cursor for _, cursor in reversed(self.got) if cursor), None)
        self.session = rig.workers[worker].attach(USER, wanted=None, cursor=cursor, since_ms=None, lines=False)

    def check(self, rig: Rig) -> None:
        writes = self.got + self.session.told()
        told, gaps = self._runs(writes)
        start = Cursor.decode(writes[0][0][0]["cursor"])
        assert start is not None
        for room in KINDS:
            log, place = rig.log_of(room), start.positions[rig.cluster.shard(room)]
            for event in log:
                if event.epoch > place.epoch or event.offset > place.offset:
                    covered = any(low <= event.seq <= high for low, high, _ in gaps[room])
                    known = (room, event.epoch, event.seq) in told
                    assert known or covered, f"{room}:{event.seq} was never told"
            there = {(room, event.epoch, event.seq) for event in log}
            for key, number in told.items():
                if key[0] == room and key not in there:
                    later = any(low <= key[2] and at >= number for low, _, at in gaps[room])
                    assert later, f"{key} is gone and nobody said so"

    @staticmethod
    def _runs(writes: list[Write]) -> tuple[dict[Key, int], dict[str, list[tuple[int, int, int]]]]:
        """(event → number of the write that told it last), (room → gaps: from, to, number of the write)."""
        gaps: dict[str, list[tuple[int, int, int]]] = {room: [] for room in KINDS}
        told: dict[Key, int] = {}
        reached: dict[str, tuple[int, int]] = {}
        connection: set[Key] = set()
        for number, (events, _) in enumerate(writes):
            for event in events:
                if event["type"] == "hello":
                    connection, reached = set(), {}
                elif event["type"] == "gap":
                    for gap in event["rooms"]:
                        room, low, high = gap["room"], gap["from"], gap["to"]
                        assert low <= high
                        gaps[room].append((low, high, number))
                        reached[room] = (low - 1, max(high, reached.get(room, (0, 0))[1]))
                elif event["type"] in DURABLE_TYPES:
                    room, seq = event["room"], event["seq"]
                    key = (room, event["epoch"], seq)
                    assert key not in connection, f"{key} came twice"
                    connection.add(key)
                    told[key] = number
                    low, high = reached.get(room, (seq - 1, seq - 1))
                    assert low < seq <= high + 1, f"{room}: {seq} after {low} to {high}"
                    reached[room] = (seq, seq)
        return told, gaps


class LostTail(RuleBasedStateMachine):
    """Any servers, any readers, any moment."""

    @initialize(kept=st.sampled_from([2, 5, 4096]), page=st.sampled_from([1, 2, 200]))
    def begin(self, kept: int, page: int) -> None:
        self.patches = [
            mock.patch.object(window, "MAX_ENTRIES", kept),
            mock.patch.object(attach, "PAGE", page),
            mock.patch.object(attach, "CATCH_UP_S", 0.02),
            mock.patch.object(pump, "log"),
        ]
        for patch in self.patches:
            patch.start()
        self.rig = Rig(SHARDS, 2, KINDS)
        self.saved: list[list[MemoryShard]] = [[self.rig.cluster.snapshot(shard)] for shard in range(SHARDS)]
        self.readers: list[Reader] = []

    @rule(room=rooms, count=st.integers(1, 5))
    def say(self, room: str, count: int) -> None:
        for number in range(count):
            self.rig.say(USER, room, str(number))

    @rule(worker=workers, amounts=amounts)
    def read(self, worker: int, amounts: list[tuple[int, int]]) -> None:
        self.rig.workers[worker].read(amounts)

    @rule(worker=workers)
    def catch_up(self, worker: int) -> None:
        self.rig.open_all()
        self.rig.workers[worker].read([(shard, 1000) for shard in range(SHARDS)])
        self.rig.open_all()

    @rule(worker=workers)
    def come(self, worker: int) -> None:
        """Not too many: what matters is what happens to one."""
        if len(self.readers) == 3:
            return
        session = self.rig.workers[worker].attach(USER, wanted=None, cursor=None, since_ms=None, lines=False)
        self.readers.append(Reader(session))

    @precondition(lambda self: self.readers)
    @rule(room=rooms, worker=workers, which=st.integers(0, 1000))
    def told_on_return(self, room: str, worker: int, which: int) -> None:
        """A message that a reader gets by replay, and no other way."""
        self.rig.open_all()
        reader = self.readers[which % len(self.readers)]
        reader.session.hang_up()
        self.rig.say(USER, room, "while you were away")
        self.catch_up(worker)
        reader.move(worker, self.rig, 0)
        self.rig.open_all()

    @precondition(lambda self: self.readers)
    @rule(which=st.integers(0, 1000), lost_writes=st.integers(0, 3), worker=workers)
    def reconnect(self, which: int, lost_writes: int, worker: int) -> None:
        self.readers[which % len(self.readers)].move(worker, self.rig, lost_writes)

    @precondition(lambda self: self.readers)
    @rule(which=st.integers(0, 1000), worker=workers, other=workers)
    def reconnect_twice(self, which: int, worker: int, other: int) -> None:
        reader = self.readers[which % len(self.readers)]
        reader.move(worker, self.rig, 0)
        self.rig.open_all()
        reader.move_early(other, self.rig)

    @precondition(lambda self: self.readers)
    @rule(which=st.integers(0, 1000), worker=workers, room=rooms, count=st.integers(1, 4))
    def lose_tail_during_a_replay(self, which: int, worker: int, room: str, count: int) -> None:
        self.rig.open_all()
        reader, shard = self.readers[which % len(self.readers)], self.rig.cluster.shard(room)
        reader.session.hang_up()
        self.say(room, count)
        self.catch_up(worker)
        reader.move(worker, self.rig, 0)
        reader.session.up_to_the_seat()
        self.lose_tail(shard)
        self.say(room, count)
        self.rig.workers[worker].read([(shard, 1000)])

    @precondition(lambda self: self.rig.gates)
    @rule(which=st.integers(0, 1000))
    def go_on(self, which: int) -> None:
        self.rig.open_gate(which)

    @rule()
    def all_go_on(self) -> None:
        self.rig.open_all()

    @rule(shard=shards)
    def save(self, shard: int) -> None:
        self.saved[shard].append(self.rig.cluster.snapshot(shard))

    @rule(shard=shards)
    def restart(self, shard: int) -> None:
        self.rig.cluster.restart(shard)

    @rule(shard=shards)
    def lose_tail(self, shard: int) -> None:
        """What was written since the last save is gone."""
        self.rig.cluster.restart(shard, self.saved[shard][-1])
        self.saved[shard].append(self.rig.cluster.snapshot(shard))

    @rule(shard=shards)
    def restore_backup(self, shard: int) -> None:
        """A server of long ago comes back; of the epochs since then it knows nothing."""
        self.rig.cluster.restart(shard, self.saved[shard][0])
        self.saved[shard].append(self.rig.cluster.snapshot(shard))

    def teardown(self) -> None:
        if not hasattr(self, "rig"):
            return
        try:
            self._until_nothing_moves()
            for reader in self.readers:
                if not reader.session.is_open:  # it was sent away
                    reader.move(0, self.rig, 0)
            self._until_nothing_moves()
            for reader in self.readers:
                assert reader.session.is_live
                reader.check(self.rig)
        finally:
            for patch in self.patches:
                patch.stop()
            self.rig.close()

    def _until_nothing_moves(self) -> None:
        self.rig.quiet()
        while not all(reader.session.task is not None and reader.session.task.done() for reader in self.readers):
            self.rig.wait(0.03)
            self.rig.quiet()


TestLostTail = LostTail.TestCase
TestLostTail.settings = settings(
    max_examples=150,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes; a failure can be read as it is
)
