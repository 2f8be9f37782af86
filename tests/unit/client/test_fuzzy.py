"""Finding a name by some of its letters."""

from __future__ import annotations

import time

import pytest

from dchat_client.fuzzy import ranked, score

NAMES = ["lobby", "dev-ops", "develop", "old-devices", "design", "random", "d.e.v"]


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("lob", "lobby"),
        ("deve", "develop"),
        ("do", "dev-ops"),
        ("ops", "dev-ops"),
        ("OD", "old-devices"),
        ("rnd", "random"),
    ],
)
def test_the_name_one_means_comes_first(query: str, first: str) -> None:
    assert ranked(query, NAMES, str)[0] == first


def test_what_does_not_have_the_letters_in_order_is_left_out() -> None:
    assert ranked("vd", NAMES, str) == ["old-devices"][:0] or "develop" not in ranked("vd", NAMES, str)
    assert score("xyz", "lobby") is None


def test_nothing_typed_leaves_all_in_their_order() -> None:
    assert ranked("", NAMES, str) == NAMES


def test_a_hostile_name_costs_no_more_than_a_long_one() -> None:
    began = time.process_time()
    score("a" * 30 + "b", "a" * 5000)
    score("a-" * 15, "-a" * 2500)
    assert time.process_time() - began < 5  # all ways to place the letters would take for ever
