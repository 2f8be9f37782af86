"""Whatever people write and whatever befalls the leaders, the archive holds what a plain list would."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.compaction import FAIL_POINTS, FAULTS, TEXTS, World, small

which, who, texts = st.integers(0, 60), st.integers(0, 5), st.sampled_from(TEXTS)
SAY = st.tuples(st.just("say"), who, texts, st.integers(1, 9))
STEPS = st.one_of(
    SAY,
    SAY,
    st.tuples(st.just("edit"), which, texts, st.sampled_from([1, 1, 1, 2, 12])),
    st.tuples(st.just("edit"), st.just(0), texts),
    st.tuples(st.just("saga"), st.just(0), st.integers(2, 9)),
    st.tuples(st.just("delete"), st.one_of(st.just(0), which)),
    st.tuples(st.just("react"), which, who, st.sampled_from(["+1", "👍"])),
    st.tuples(st.just("member"), who),
    st.tuples(st.just("topic"), texts),
    st.tuples(st.just("restart")),
    st.tuples(st.just("round")),
    st.tuples(st.just("archive_all")),
    st.tuples(st.just("die"), st.sampled_from(FAIL_POINTS), st.integers(0, 2)),
    st.tuples(st.just("fault"), st.sampled_from(FAULTS), st.integers(1, 3)).map(
        lambda step: (step[0], *step[1], step[2])
    ),
    st.tuples(st.just("usurp"), st.sampled_from(FAULTS)).map(lambda it: (it[0], *it[1])),
    st.tuples(st.just("old_leader"), who),
    st.tuples(st.just("expire"), st.one_of(st.integers(0, 8), st.integers(10, 60))),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, min_size=8, max_size=40))
def test_the_archive_holds_what_a_plain_list_would(steps: list[tuple[Any, ...]]) -> None:
    async def run() -> None:
        world = World()
        await world.begin()
        for name, *arguments in steps:
            await getattr(world, name)(*arguments)
            await world.check()
        await world.finish()

    with small():
        asyncio.run(run())
