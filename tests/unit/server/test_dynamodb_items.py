"""Items of the DynamoDB table: keys that sort like their numbers, sizes, write units."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dchat_server.adapters import dynamodb_items as items
from dchat_server.adapters.archive_forms import Outline
from dchat_server.ports_archive import Chunk


@given(st.integers(0, items.LAST_SEQ), st.integers(0, items.LAST_SEQ))
def test_chunks_sort_by_their_first_seq(one: int, other: int) -> None:
    keys = [items.string(items.chunk("lobby", seq), "SK") for seq in (one, other)]
    assert (keys[0] < keys[1]) == (one < other)
    assert all("C#" <= key < "META" < "ROSTER#" for key in keys)


def test_a_chunk_is_read_as_it_was_written() -> None:
    chunk = Chunk(7, 206, 2**53, 1_795_000_000_000, b"\x00\xff")
    item = items.chunk_item("lobby", chunk)
    assert items.chunk_from(item) == chunk
    assert items.outline_from(item) == Outline(7, 206, 2**53, 1_795_000_000_000)


def test_seqs_outside_the_keys_range_are_its_ends() -> None:
    assert items.chunk("x", -5) == items.chunk("x", 0)
    assert items.chunk("x", 2**62) == items.chunk("x", items.LAST_SEQ)


def test_sizes_are_those_of_dynamodbs_documentation() -> None:
    assert items.size({"PK": {"S": "é"}, "data": {"B": b"123"}}) == 2 + 2 + 4 + 3
    assert items.size({"n": {"N": "12345"}}) == 1 + 4
    assert items.size({"n": {"N": "0"}, "b": {"BOOL": True}}) == 1 + 2 + 1 + 1


def test_units_are_two_a_started_kilobyte_in_a_transaction_and_one_outside() -> None:
    small = {"PK": {"S": "a"}, "SK": {"S": "b"}}
    large = {**small, "data": {"B": b"x" * 1024}}
    assert items.units({"Item": small}) == 1
    assert items.units({"Item": large}) == 2
    assert items.units({"Key": small, "ExpressionAttributeValues": {":a": {"B": b"x" * 3000}}}) == 3
    actions = [{"Put": {"Item": large}}, {"Delete": {"Key": small}}, {"ConditionCheck": {"Key": small}}]
    assert items.units({"TransactItems": actions}) == 8


@given(st.binary(max_size=50), st.integers(1, 20))
def test_parts_put_together_are_the_whole(data: bytes, most: int) -> None:
    parts = items.parts_of(data, most)
    assert b"".join(parts) == data
    assert len(parts) == max(1, -(-len(data) // most))
