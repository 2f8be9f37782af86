"""Replay → live: whatever comes in between, every stream is told each room's events once, in order, without a hole.

Readers attach anywhere, on two workers that lag, with any cursor there ever was; messages, joins and leaves happen at
any point; each call the server makes waits until the test lets it go on.
"""

from __future__ import annotations

from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from dchat_server import attach, pump, window
from tests.property.workers import Rig, Session

USERS = ("ada", "bob", "cat")
KINDS = {"hall": "public", "yard": "public", "den": "private", "attic": "private", "cellar": "private"}
SHARDS = 2

users, rooms, workers = st.sampled_from(USERS), st.sampled_from(sorted(KINDS)), st.integers(0, 1)
some_rooms = st.one_of(st.none(), st.none(), st.lists(rooms, min_size=1, max_size=3, unique=True).map(tuple))
amounts = st.lists(st.tuples(st.integers(0, SHARDS - 1), st.integers(1, 8)), min_size=1, max_size=3)


class Handoff(RuleBasedStateMachine):
    """Nothing is lost here: a cursor always leads back to where it was taken."""

    @initialize(kept=st.sampled_from([2, 5, 4096]), page=st.sampled_from([1, 2, 200]))
    def begin(self, kept: int, page: int) -> None:
        self.patches = [
            mock.patch.object(window, "MAX_ENTRIES", kept),
            mock.patch.object(attach, "PAGE", page),
            mock.patch.object(pump, "log"),
        ]
        for patch in self.patches:
            patch.start()
        self.rig = Rig(SHARDS, 2, KINDS)
        self.sessions: list[Session] = []
        self.cursors: list[str] = []

    @rule(user=users, room=rooms, count=st.integers(1, 6))
    def say(self, user: str, room: str, count: int) -> None:
        for number in range(count):
            self.rig.say(user, room, f"{number} from {user}\n")

    @rule(room=rooms)
    def owner_says(self, room: str) -> None:
        self.rig.say("owner", room, "hear")

    @rule(user=users, room=rooms)
    def let_in(self, user: str, room: str) -> None:
        self.rig.let_in(user, room)

    @rule(user=users, room=rooms)
    def let_go(self, user: str, room: str) -> None:
        self.rig.let_go(user, room)

    @rule(worker=workers, amounts=amounts)
    def read(self, worker: int, amounts: list[tuple[int, int]]) -> None:
        self.rig.workers[worker].read(amounts)

    @rule(worker=workers, user=users, wanted=some_rooms, lines=st.booleans())
    def attach_now(self, worker: int, user: str, wanted: tuple[str, ...] | None, lines: bool) -> None:
        self._attach(worker, user, wanted, None, None, lines)

    @precondition(lambda self: self.cursors)
    @rule(worker=workers, user=users, wanted=some_rooms, cursor=st.integers(0, 10_000), lines=st.booleans())
    def attach_anywhere(self, worker: int, user: str, wanted: tuple[str, ...] | None, cursor: int, lines: bool) -> None:
        self._attach(worker, user, wanted, self.cursors[cursor % len(self.cursors)], None, lines)

    @precondition(lambda self: self.cursors)
    @rule(worker=workers, user=users, cursor=st.integers(0, 10_000), room=rooms, amounts=amounts, lines=st.booleans())
    def attach_while_something_happens(
        self, worker: int, user: str, cursor: int, room: str, amounts: list[tuple[int, int]], lines: bool
    ) -> None:
        """The case it is all about: events between the seat and the end of the replay."""
        self._attach(worker, user, None, self.cursors[cursor % len(self.cursors)], None, lines)
        self.sessions[-1].up_to_the_seat()
        self.rig.let_in(user, room)
        self.rig.say("owner", room, "meanwhile")
        self.rig.workers[worker].read([(shard, 1000) for shard in range(SHARDS)])
        self.rig.workers[worker].read(amounts)

    @rule(worker=workers, user=users, wanted=some_rooms, ago=st.integers(0, 40), lines=st.booleans())
    def attach_since(self, worker: int, user: str, wanted: tuple[str, ...] | None, ago: int, lines: bool) -> None:
        self._attach(worker, user, wanted, None, self.rig.cluster.now_ms - ago, lines)

    @precondition(lambda self: self.sessions)
    @rule(which=st.integers(0, 10_000), back=st.integers(0, 3), worker=workers)
    def reconnect(self, which: int, back: int, worker: int) -> None:
        """The connection breaks, the last writes never arrived, and the client goes on at some worker."""
        session = self.sessions.pop(which % len(self.sessions))
        session.check()
        session.hang_up()
        got = max(0, len(session.out.writes) - back)
        stream = session.stream
        self._attach(worker, stream.user, stream.wanted, session.last_cursor(got), None, stream.lines)

    @precondition(lambda self: self.sessions)
    @rule(which=st.integers(0, 10_000))
    def hang_up(self, which: int) -> None:
        session = self.sessions.pop(which % len(self.sessions))
        session.check()
        session.hang_up()

    @precondition(lambda self: self.rig.gates)
    @rule(which=st.integers(0, 10_000))
    def go_on(self, which: int) -> None:
        self.rig.open_gate(which)

    @rule()
    def all_go_on(self) -> None:
        self.rig.open_all()

    @rule(shard=st.integers(0, SHARDS - 1), keep=st.integers(0, 10))
    def trim_feed(self, shard: int, keep: int) -> None:
        """A worker that had not read what goes has to send its readers away; they come back by cursor."""
        self.rig.cluster.trim(shard, keep)

    def _attach(
        self,
        worker: int,
        user: str,
        wanted: tuple[str, ...] | None,
        cursor: str | None,
        since_ms: int | None,
        lines: bool,
    ) -> None:
        session = self.rig.workers[worker].attach(user, wanted=wanted, cursor=cursor, since_ms=since_ms, lines=lines)
        self.sessions.append(session)
        self._remember()

    def _remember(self) -> None:
        for session in self.sessions:
            self.cursors += {cursor for _, cursor in session.told() if cursor} - set(self.cursors)

    def teardown(self) -> None:
        if not hasattr(self, "rig"):
            return
        try:
            self.rig.quiet()
            for session in self.sessions:
                reached = session.check()
                if session.is_open:
                    assert session.is_live
                    self._check_complete(session, reached)
            for session in self.sessions:
                session.hang_up()
            for worker in self.rig.workers:
                assert worker.hub.count == 0
                assert not worker.hub.users()
                assert not any(worker.hub.rooms_on(shard) for shard in range(SHARDS)), "rooms nobody is in are kept"
        finally:
            for patch in self.patches:
                patch.stop()
            self.rig.close()

    def _check_complete(self, session: Session, reached: dict[str, int]) -> None:
        for room in KINDS:
            events, stays = self.rig.events(room), self.rig.stays(session.stream.user, room)
            follows = session.stream.wanted is None or room in session.stream.wanted
            inside = bool(stays) and stays[-1][1] == float("inf")
            public = session.stream.wanted is not None and KINDS[room] == "public"
            if follows and (inside or public):
                assert reached.get(room) == len(events), f"{session.stream.user} misses the end of {room}"
            else:
                assert room not in reached, f"{session.stream.user} still follows {room}"


TestHandoff = Handoff.TestCase
TestHandoff.settings = settings(
    max_examples=100,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes; a failure can be read as it is
)
