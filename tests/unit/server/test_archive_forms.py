"""How records look at rest, the bounds of a change, and the search for a chunk."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dchat_server.adapters.archive_forms import (
    Outline,
    check,
    digests,
    first_match,
    record_from,
    record_text,
    user_bytes,
    user_from,
)
from dchat_server.ports_archive import Chunk, RoomChange, RoomRecord, UserRecord

RECORD = RoomRecord(
    "lobby",
    version=7,
    watermark=900,
    floor=3,
    messages=850,
    ts=1_795_000_000_000,
    offset=77_000,
    epochs=((1, 1), (4, 500)),
    facts={"kind": "public", "topic": "Öl & Übel\n"},
    tail=801,
    roster_at=640,
    commit="c0ffee",
)
USER = UserRecord(
    "ada",
    {"display_name": "Ada", "password": "$argon2id$…"},
    {"t1": '{"digest":"aa","kind":"api"}', "t2": '{"digest":"bb","kind":"session"}'},
    ["lobby", "team"],
    {"lobby": "7:7:9:0"},
)


def a_chunk(first: int, size: int = 10) -> Chunk:
    return Chunk(first, first + 9, first, first, b"x" * size)


def test_a_record_is_read_as_it_was_written() -> None:
    assert record_from(record_text(RECORD)) == RECORD
    assert record_from(record_text(RoomRecord("x"))) == RoomRecord("x")


def test_members_of_a_later_version_are_ignored_and_missing_ones_have_their_default() -> None:
    assert record_from('{"room":"x","version":2,"colour":"blue"}') == RoomRecord("x", version=2)


def test_a_person_is_read_as_they_were_written() -> None:
    assert user_from(user_bytes(USER)) == USER


def test_a_person_in_many_rooms_takes_a_third_of_the_text() -> None:
    rooms = [f"room-{Random(number).randrange(10**9)}" for number in range(3000)]
    many = replace(USER, rooms=rooms, markers={room: f"{len(room)}:17:{room[-3:]}:0" for room in rooms})
    text = sum(2 * len(room) + 20 for room in rooms)
    assert len(user_bytes(many)) < text / 2


def test_the_digests_of_a_person_are_those_of_the_tokens() -> None:
    assert digests(USER) == ["aa", "bb"]


@pytest.mark.parametrize(
    "change",
    [
        RoomChange(replace(RECORD, version=0)),
        RoomChange(replace(RECORD, commit="")),
        RoomChange(RECORD, put=[a_chunk(each) for each in range(41)]),
        RoomChange(RECORD, put=[a_chunk(each, 100_001) for each in range(20)]),
        RoomChange(RECORD, drop=range(41)),
        RoomChange(RECORD, put=[a_chunk(1), a_chunk(1)]),
        RoomChange(RECORD, put=[a_chunk(1)], drop=[1]),
        RoomChange(RECORD, roster=[b"x"] * 7),
        RoomChange(RECORD, roster=[b"x" * (256 * 1024 + 1)]),
    ],
)
def test_a_change_over_the_bounds_is_refused(change: RoomChange) -> None:
    with pytest.raises(ValueError, match="lobby"):
        check(change)


def test_a_change_of_the_greatest_size_is_not() -> None:
    check(
        RoomChange(
            RECORD,
            put=[a_chunk(each, 50_000) for each in range(40)],
            drop=range(100, 140),
            roster=[b"x" * (256 * 1024)] * 6,
        )
    )


@given(st.lists(st.integers(1, 200), max_size=40), st.integers(0, 60), st.integers(1, 5000), st.randoms())
def test_the_search_finds_the_first_chunk_beyond_and_asks_few_times(
    sizes: list[int], target: int, floor: int, random: Random
) -> None:
    chunks, first, offset = [], floor, 0
    for size in sizes:
        offset += random.randint(1, 3)
        chunks.append(Outline(first, first + size - 1, offset, 0))
        first += size
    asked = 0

    def at(seq: int) -> Outline | None:
        nonlocal asked
        asked += 1
        place = bisect_right([each.first for each in chunks], seq)
        return chunks[place - 1] if place else None

    wanted = next((each for each in chunks if each.offset > target), None)
    assert first_match(at, 10**15, lambda each: each.offset > target) == wanted
    # Seqs are halved, not chunks: the worst case is the number of bits of the range.
    assert asked <= 2 + math.ceil(math.log2(max(first, 2)))
