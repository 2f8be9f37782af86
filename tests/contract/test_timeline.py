"""A room over its log and its archive reads like a plain list, at every state of compaction and whatever moves between
two reads."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dchat_server import history
from dchat_server.adapters import redis_room_log
from dchat_server.adapters.sqlite_archive import FILE, SqliteArchive
from dchat_server.errors import ArchiveUnavailable, ChatError
from dchat_server.ports_archive import Archive, Conflict
from tests.archives import MemoryArchive
from tests.harness.processes import new_folder
from tests.property.compaction import small
from tests.redis_servers import SHARDS, redis_url, redis_urls  # noqa: F401
from tests.seams import ROOM, USERS, Seam, objects, seam

KEEPS = (0, 1, 9, 1000)
PAGES = ("before", "after", "around")


@pytest.fixture(scope="module")
def url(redis_urls: Callable[[str], str]) -> str:  # noqa: F811
    return redis_urls("redis")


@asynccontextmanager
async def place(url: str, kind: str = "memory", keep: int = 0) -> AsyncIterator[Seam]:
    """A `Seam` whose chunks and steps are so small that a few dozen events need many."""
    folder = new_folder()
    archive: Archive = MemoryArchive() if kind == "memory" else SqliteArchive(folder / FILE, SHARDS)
    await archive.start()
    try:
        with small(), few_scanned():
            async with seam(url, archive, keep) as made:
                yield made
    finally:
        await archive.stop()
        shutil.rmtree(folder)


@contextmanager
def few_scanned() -> Iterator[None]:
    """Answers are looked for among so few events that a thread takes several requests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "SCANNED_AT_ONCE", 5)
        patch.setattr(history, "MOST_SCANNED", 15)
        yield


async def chatter(here: Seam, count: int = 24, *, seed: int = 1) -> None:
    """A room with everything in it: some 60 events of every type, in three epochs."""
    dice = random.Random(seed)
    root = None
    for number in range(count):
        user, text = dice.choice(USERS[:2]), f"number {number} for @bob"
        if number % 4 == 2:
            seq = await here.send(user, text, reply_to=root)
        else:
            seq = await here.send(user, text, f"key {number}")
            root = seq if number % 8 == 0 else root
        alive = [said.event.seq for said in here.said.values() if not said.deleted]
        if number % 3 == 0:
            await here.edit(dice.choice(alive), f"edited at {number} for @eve")
        if number % 4 == 1:
            await here.react(dice.choice(alive), dice.choice(USERS[:2]), dice.choice(["👍", "+1"]))
        if number % 7 == 5:
            await here.delete(dice.choice(alive))
        if number == 18:
            await here.delete(seq)  # an answer
        if number % 8 == 2:
            await here.member()
        if number % 9 == 4:
            await here.topic(f"topic {seq}")
        if number in (8, 17):
            await here.new_epoch()


async def check_reads(here: Seam, *, every: int = 1) -> None:
    """Every way to read the room, at every place, gives what the list has."""
    head = len(here.events)
    for at in range(0, head + 2, every):
        for limit in (1, 4, 200):
            here.check(await here.timeline.read(ROOM, at, limit), here.forward(at, limit, head))
            here.check(await here.timeline.read_back(ROOM, at, limit), here.back(at, limit, head))
        await check_page(here, "around", at, 5)
        await check_page(here, "after", at, 3)
        await check_page(here, "before", at, 3)
        await check_one(here, at)
        await check_thread(here, at)
    here.check(await here.timeline.read_back(ROOM, None, 7), here.back(None, 7, head))
    for at in range(0, head, every):
        await check_locate(here, at)


async def check_page(here: Seam, name: str, at: int | None, limit: int) -> None:
    before = len(here.events)
    page = await getattr(here.history, name)(ROOM, at, limit)
    shown = objects(page.messages)
    # It is the room as it was at some moment between asking and the answer.
    wants = [here.page(name, at, limit, head) for head in range(before, len(here.events) + 1)]
    assert (shown, page.more_before, page.more_after) in [
        (here.shown(want.messages), want.more_before, want.more_after)  # type: ignore[arg-type]
        for want in wants
    ], (name, at, limit, before, len(here.events), [each["seq"] for each in shown])


async def check_one(here: Seam, seq: int) -> None:
    there = seq in here.said and seq >= here.floor  # it may also be said while we ask
    found: Any = None
    try:
        found = objects([await here.history.one(ROOM, seq)])
    except ChatError as error:
        found = error.code
    assert found == here.shown([seq]) if found != "message_not_found" else not there


async def check_thread(here: Seam, seq: int) -> None:
    """The whole of it, in as many requests as it takes."""
    if seq not in here.said or seq < here.floor:
        return
    before, after, shown = len(here.events), 0, list[Any]()
    more = True
    while more:
        thread = await here.history.thread(ROOM, seq, after, 2)
        assert len(thread.replies) <= 2
        assert objects([thread.root]) == here.shown([seq])
        shown += objects(thread.replies)
        if more := thread.next is not None:
            assert max(after, seq) < (thread.next or 0) <= len(here.events)
            after = thread.next or 0
    heads = range(before, len(here.events) + 1)
    assert shown in [here.shown(here.thread(seq, head)) for head in heads], seq


async def check_locate(here: Seam, at: int) -> None:
    """By the offset and by the time of an event that is in the list at `at`."""
    event, before = here.events[at], len(here.events)
    for question, fits in (
        ({"offset": event.offset}, lambda other: other.offset > event.offset),
        ({"offset": event.offset - 1}, lambda other: other.offset > event.offset - 1),
        ({"since_ms": event.ts}, lambda other: other.ts >= event.ts),
        ({"since_ms": event.ts + 1}, lambda other: other.ts > event.ts),
    ):
        found = await here.timeline.locate(ROOM, **question)  # type: ignore[arg-type]
        first = next((other.seq for other in here.events if fits(other)), len(here.events) + 1)
        wanted = max(first, here.floor)
        assert found.first == wanted or before < found.first <= wanted, (question, found)
        assert before <= found.head <= len(here.events)
        if here.floor > 1:
            assert found.given_up in ((here.floor - 1,) if first < here.floor else (0, here.floor - 1))
        else:
            assert found.given_up == 0


@pytest.mark.parametrize(("kind", "keep"), [*(("memory", keep) for keep in KEEPS), ("sqlite", 0), ("sqlite", 9)])
async def test_every_read_is_that_of_a_list_at_every_state_of_compaction(url: str, kind: str, keep: int) -> None:
    async with place(url, kind, keep) as here:
        await chatter(here)
        states = 0
        more = True
        while more:
            await check_reads(here, every=1 if kind == "memory" and keep < 9 else 4)
            progress = await here.step()
            more, states = progress.more, states + 1
        assert states > 4
        await check_reads(here, every=3)
        edge = await here.timeline.edge(ROOM)
        assert edge is not None
        assert (edge.watermark, edge.first) == (len(here.events), max(1, len(here.events) - keep + 1))


@pytest.mark.parametrize("keep", [0, 1, 9])
async def test_a_step_or_a_new_message_between_any_two_reads_of_a_page_is_not_seen(url: str, keep: int) -> None:
    async with place(url, "memory", keep) as here:
        for moved in (
            ("step",),
            ("step", "step"),
            ("say", "step"),
            ("archive_all", "say"),
            ("step", "say", "archive_all"),
        ):
            turns, turn = 1, 0
            while turn < turns:
                await chatter(here, 4, seed=turn)  # so that there is something to archive
                seqs = list(here.said)
                middle = seqs[len(seqs) // 2]
                plan: list[Sequence[str]] = [*[()] * turn, moved]
                for ask in asking(here, middle):
                    async with here.planned(*plan):
                        await ask()
                    turns = max(turns, min(here.turns, 9))
                turn += 1
            assert turns > 3


def asking(here: Seam, seq: int) -> list[Callable[[], Any]]:
    """Questions of every kind about a room, near the place where log and archive meet, and elsewhere."""

    async def events(after: int, limit: int) -> None:
        before = len(here.events)
        got = await here.timeline.read(ROOM, after, limit)
        heads = range(before, len(here.events) + 1)
        assert [event.seq for event in got] in [here.forward(after, limit, head) for head in heads]
        here.check(got, [event.seq for event in got])

    async def events_back(before_seq: int | None, limit: int) -> None:
        before = len(here.events)
        got = await here.timeline.read_back(ROOM, before_seq, limit)
        heads = range(before, len(here.events) + 1)
        assert [event.seq for event in got] in [here.back(before_seq, limit, head) for head in heads]
        here.check(got, [event.seq for event in got])

    last = len(here.events)
    return [
        lambda: events(0, 500),
        lambda: events(seq, 5),
        lambda: events(last - 3, 50),
        lambda: events_back(None, 6),
        lambda: events_back(None, 500),
        lambda: events_back(last + 1, 500),
        lambda: check_page(here, "before", None, 4),
        lambda: check_page(here, "before", None, 200),
        lambda: check_page(here, "after", 0, 200),
        lambda: check_page(here, "around", seq, 9),
        lambda: check_one(here, seq),
        lambda: check_thread(here, seq),
        lambda: check_locate(here, seq - 1),
        lambda: check_locate(here, last - 1),
    ]


BETWEEN = st.lists(
    st.sampled_from([(), (), ("step",), ("step", "step"), ("say",), ("say", "step"), ("archive_all",)]), max_size=8
)
ACTS = st.one_of(
    st.tuples(st.just("page"), st.sampled_from(PAGES), st.integers(0, 80), st.integers(1, 30)),
    st.tuples(st.just("newest"), st.integers(1, 30)),
    st.tuples(st.just("one"), st.integers(1, 80)),
    st.tuples(st.just("locate"), st.integers(0, 80)),
    st.tuples(st.just("say")),
    st.tuples(st.just("edit"), st.integers(0, 80)),
    st.tuples(st.just("delete"), st.integers(0, 80)),
    st.tuples(st.just("react"), st.integers(0, 80), st.integers(0, 2)),
    st.tuples(st.just("react"), st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.just("member")),
    st.tuples(st.just("new_epoch")),
    st.tuples(st.just("step")),
    st.tuples(st.just("expire")),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([0, 1, 7]), st.lists(st.tuples(ACTS, BETWEEN), min_size=5, max_size=25))
def test_whatever_is_read_and_changed_while_the_room_is_archived_it_is_a_list(
    url: str, keep: int, acts: list[Any]
) -> None:
    async def run() -> None:
        async with place(url, "memory", keep) as here:
            await chatter(here, 10)
            for act, between in acts:
                async with here.planned(*between):
                    await do(here, *act)
            await here.archive_all()
            await check_page(here, "before", None, 200)
            here.check(await here.timeline.read(ROOM, 0, 1000), here.forward(0, 1000, len(here.events)))

    asyncio.run(run())


async def do(here: Seam, name: str, *args: Any) -> None:
    alive = [seq for seq, said in here.said.items() if not said.deleted and seq >= here.floor]
    if name in ("edit", "delete", "react"):
        if not alive:
            return
        seq, *rest = alive[args[0] % len(alive)], *args[1:]
        members = sorted(await here.store.members(ROOM))
        message: Any = None
        if name == "react":
            message = await here.react(seq, members[rest[0] % len(members)], "👍")
        elif name == "edit":
            message = await here.edit(seq, f"changed {len(here.events)} @bob")
        else:
            await here.delete(seq)
        if message is not None:
            assert objects([message]) == here.shown([seq])
        await check_one(here, seq)
    elif name == "page":
        await check_page(here, *args)
    elif name == "newest":
        await check_page(here, "before", None, args[0])
    elif name == "one":
        await check_one(here, args[0])
    elif name == "locate":
        await check_locate(here, args[0] % len(here.events))
    else:
        await getattr(here, name)(*(("text",) if name == "topic" else ()))


@pytest.mark.parametrize("moved", [("say",), ("say", "step"), ("step", "say")])
async def test_an_idle_room_that_somebody_speaks_in_while_it_is_read_back_is_still_a_list(
    url: str, moved: Sequence[str]
) -> None:
    async with place(url, "memory", 0) as here:
        await chatter(here, 6)
        for turn in range(6):
            for at in range(7):
                await here.archive_all()
                asked = asking(here, len(here.events))
                asked += [lambda: check_page(here, "before", len(here.events) + 50, 5)]
                async with here.planned(*[()] * turn, moved):
                    await asked[(3, 4, 5, 6, 7, 11, 13)[at]]()


# Changing what is archived


async def test_what_is_only_in_the_archive_can_be_changed_whatever_is_archived_meanwhile(url: str) -> None:
    """Also when the room moves so often between the look at a message and the change that both begin anew."""
    async with place(url) as here:
        await chatter(here, 8)
        for turn in range(6):
            for change in (here.edit, here.react, here.delete):
                await here.archive_all()
                old = next(seq for seq, said in here.said.items() if not said.deleted)
                await chatter(here, 3, seed=turn)
                more = {here.edit: ("again @eve @bob",), here.react: ("ada", "🎉"), here.delete: ()}[change]
                async with here.planned(*[()] * turn, ("step",), ("say", "step"), ("step",)):
                    await change(old, *more)  # type: ignore[operator]
                await check_page(here, "around", old, 3)
                await here.archive_all()
                await check_page(here, "around", old, 3)
        await check_page(here, "after", 0, 200)


@pytest.mark.parametrize("keep", [0, 9])
async def test_what_somebody_else_did_to_a_message_meanwhile_is_neither_missed_nor_undone(url: str, keep: int) -> None:
    """It is done, archived and gone from Redis between the look at the message and the page or the change."""
    async with place(url, keep=keep) as here:
        await chatter(here, 12)
        for turn in range(7):
            for at in range(5):
                await here.send("ada", "the newest")
                if turn % 2:
                    await here.archive_all()
                alive = [seq for seq, said in here.said.items() if not said.deleted]
                here.target = alive[-1] if at % 2 else alive[turn]
                async with here.planned(*[()] * turn, ("touch", "archive_all")):
                    await (
                        lambda: check_page(here, "around", here.target, 5),
                        lambda: check_page(here, "before", None, 5),
                        lambda: check_one(here, here.target),
                        lambda: here.edit(here.target, f"edited at {len(here.events)}"),
                        lambda: here.react(here.target, "ada", "👍"),
                    )[at]()
                await check_one(here, here.target)
                await here.archive_all()
                await check_one(here, here.target)


async def test_a_room_that_is_archived_without_end_refuses_a_change_in_plain_words(url: str) -> None:
    async with place(url) as here:
        seq = await here.send("ada", "hello")
        await here.archive_all()
        here.said[seq].text = "hello"
        async with here.planned(*[("say", "archive_all")] * 100):
            with pytest.raises(ChatError) as refused:
                await here.publisher.edit(ROOM, "ada", seq, "changed")
        assert (refused.value.code, refused.value.status, refused.value.retryable) == ("overloaded", 503, True)
        await check_page(here, "after", 0, 200)


async def test_mentions_of_an_archived_message_follow_its_edits(url: str) -> None:
    async with place(url) as here:
        seq = await here.send("ada", "@bob look")
        await here.archive_all()

        async def called(user: str) -> int:
            return (await here.store.count_since(user, {ROOM: 0}))[ROOM][1]

        assert [await called(user) for user in USERS] == [0, 1, 0]
        await here.edit(seq, "@eve look")
        assert [await called(user) for user in USERS] == [0, 0, 1]
        await here.archive_all()
        await here.edit(seq, "@eve @ada look")
        assert [await called(user) for user in USERS] == [1, 0, 1]
        await here.archive_all()
        await here.delete(seq)
        assert [await called(user) for user in USERS] == [0, 0, 0]
        await here.archive_all()
        await here.wipe()
        assert [await called(user) for user in USERS] == [0, 0, 0]


async def test_the_limit_of_reactions_counts_those_in_the_archive(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_room_log, "MOST_REACTIONS", 6)
    async with place(url) as here:
        seq = await here.send("ada", "vote")
        for emoji in "abcde":
            await here.react(seq, "bob", emoji)
            await here.archive_all()
        with pytest.raises(ChatError, match="invalid_request"):
            await here.publisher.react(ROOM, "bob", seq, "f", True)
        # What is there already stays as it is, and what was taken back makes room.
        await here.publisher.react(ROOM, "bob", seq, "e", True)
        await here.react(seq, "bob", "c")
        await here.archive_all()
        await here.react(seq, "bob", "f")
        await here.archive_all()
        await check_one(here, seq)
        assert len(here.said[seq].reactions) == 5


async def test_what_was_deleted_stays_so_across_the_seam(url: str) -> None:
    async with place(url) as here:
        seq = await here.send("ada", "secret")
        await here.edit(seq, "secret too")
        await here.archive_all()
        await here.delete(seq)
        for _ in range(2):
            head = len(here.events)
            await here.publisher.delete(ROOM, "ada", seq)
            for change in (
                here.publisher.edit(ROOM, "ada", seq, "back"),
                here.publisher.react(ROOM, "bob", seq, "+1", True),
            ):
                with pytest.raises(ChatError, match="message_deleted"):
                    await change
            assert (await here.timeline.edge(ROOM)).head == head  # type: ignore[union-attr]
            await check_one(here, seq)
            await here.archive_all()
        assert b"secret" not in b"".join(event.body for event in await here.timeline.read(ROOM, 0, 100))


async def test_a_worker_whose_clock_is_behind_shows_the_same_before_and_after_it_is_archived(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place(url) as here:
        seq = await here.send("ada", "hello")
        now = redis_room_log.now_ms()
        monkeypatch.setattr(redis_room_log, "now_ms", lambda: now - 60_000)
        await here.edit(seq, "hello again")
        await check_one(here, seq)
        await here.archive_all()
        await check_one(here, seq)


# Losses


async def test_a_room_that_redis_lost_reads_as_before_up_to_where_it_was_archived(url: str) -> None:
    async with place(url, keep=9) as here:
        await chatter(here)
        await here.archive_all()
        for _ in range(3):
            await here.say()
        for ask in range(13):
            await here.wipe()
            await asking(here, len(here.said) // 2)[ask]()  # the very first question after the loss
            await check_page(here, "after", 0, 200)
        await here.wipe()
        await check_reads(here, every=7)
        # It goes on, under a new epoch, behind what is there.
        seq = await here.send("ada", "after the loss")
        assert seq == len(here.events)
        assert here.events[-1].epoch > here.events[-2].epoch
        await check_reads(here, every=7)
        await here.archive_all()
        await check_reads(here, every=7)


async def test_messages_can_be_changed_right_after_a_loss(url: str) -> None:
    async with place(url) as here:
        await chatter(here, 9)
        await here.archive_all()
        for change in (here.edit, here.react, here.delete):
            await here.wipe()
            old = next(seq for seq, said in here.said.items() if not said.deleted)
            more = {here.edit: ("again @eve @bob",), here.react: ("ada", "🎉"), here.delete: ()}[change]
            await change(old, *more)  # type: ignore[operator]
            await check_page(here, "after", 0, 200)
            await here.archive_all()
        await check_page(here, "after", 0, 200)


async def test_a_key_holds_across_compaction_and_loss(url: str) -> None:
    async with place(url) as here:
        seq = await here.send("ada", "once", "the key")
        await here.archive_all()
        assert await here.send("ada", "once", "the key") == seq
        await here.wipe()
        assert await here.send("ada", "once", "the key") == seq
        with pytest.raises(ChatError, match="idempotency_conflict"):
            await here.send("ada", "twice", "the key")
        assert len(here.said) == 1


# An archive that is away, or damaged


async def test_an_archive_that_is_away_hides_what_only_it_has_and_nothing_else(url: str) -> None:
    async with place(url, keep=20) as here:
        await chatter(here)
        await here.archive_all()
        head = len(here.events)

        async def away(step: str) -> None:
            raise ArchiveUnavailable

        here.archive.gate = away  # type: ignore[attr-defined]
        here.check(await here.timeline.read_back(ROOM, None, 20), here.back(None, 20, head))
        here.check(await here.timeline.read(ROOM, head - 20, 100), here.forward(head - 20, 100, head))
        for ask in (
            here.timeline.read(ROOM, head - 21, 1),
            here.timeline.read_back(ROOM, None, 21),
            here.timeline.locate(ROOM, offset=here.events[3].offset),
            here.history.one(ROOM, next(iter(here.said))),
        ):
            with pytest.raises(ArchiveUnavailable):
                await ask
        await here.send("ada", "still here")
        await check_page(here, "before", None, 1)
        here.archive.gate = None  # type: ignore[attr-defined]
        await check_reads(here, every=9)


@pytest.mark.parametrize("lost", [0, 2, -1])
async def test_a_hole_in_the_archive_is_an_error_and_never_a_shorter_history(url: str, lost: int) -> None:
    async with place(url) as here:
        await chatter(here)
        await here.archive_all()
        chunks = here.archive._chunks[ROOM]  # type: ignore[attr-defined]
        gone = chunks.pop(sorted(chunks)[lost])
        for ask in (
            here.timeline.read(ROOM, 0, 1000),
            here.timeline.read(ROOM, gone.first - 1, 1),
            here.timeline.read_back(ROOM, None, 1000),
            here.timeline.read_back(ROOM, gone.last + 1, 1),
        ):
            with pytest.raises(ArchiveUnavailable, match="lacks event"):
                await ask


async def test_a_step_whose_events_were_lost_before_it_reached_the_archive_is_refused(url: str) -> None:
    """It must not land behind what the room was restored to: log and archive would never fit again."""
    async with place(url, keep=3) as here:
        for number in range(5):
            await here.send("ada", f"kept {number}")
        await here.archive_all()
        for number in range(3):
            await here.send("ada", f"lost {number}")
        acted = False

        async def lose_them(step: str) -> None:
            nonlocal acted
            if step == "before commit" and not acted:
                acted = True
                await here.wipe()
                await here.send("bob", "what comes next")

        here.archive.gate = lose_them  # type: ignore[attr-defined]
        with pytest.raises(Conflict):
            await here.step()
        here.archive.gate = None  # type: ignore[attr-defined]
        assert acted
        for number in range(6):
            await here.send("ada", f"after {number}")
        await here.archive_all()
        await check_reads(here, every=1)
