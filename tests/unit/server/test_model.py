from __future__ import annotations

import pytest

from dchat_server.model import DM_NAME, NAME, Position, is_name, iso, mentions_in, parse_iso, shard_of


@pytest.mark.parametrize("name", ["a", "0", "general", "a.b-c_d", "x" * 32, "9lives"])
def test_a_name(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", "A", "x" * 33, "-a", ".a", "_a", "a b", "a/b", "ä", "a\n", "a\0", "a:b", "a}", None, 7, b"a", ["a"]]
)
def test_no_name(name: object) -> None:
    assert not is_name(name)


def test_a_direct_conversation_has_a_name_like_any_room() -> None:
    name = "dm-" + "0f" * 12
    assert is_name(name)
    assert DM_NAME.fullmatch(name)
    assert NAME.fullmatch(name)


def test_a_room_stays_on_its_shard_for_good() -> None:
    """Another answer here would lose every room of a running cluster."""
    assert [shard_of(name, 16) for name in ("general", "random", "ada", "dm-" + "0" * 24)] == [10, 5, 8, 11]
    assert {shard_of(f"room{number}", 16) for number in range(500)} == set(range(16))


def test_positions_compare_by_epoch_first() -> None:
    assert Position(2, 1) > Position(1, 100) > Position(1, 99)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("hello", ()),
        ("@ada", ("ada",)),
        ("hi @ada, @bob: look", ("ada", "bob")),
        ("@ada @ada", ("ada",)),
        ("@ada. @bob- @cat_", ("ada", "bob", "cat")),
        ("mail me: ada@example.org", ()),
        ("@@ada", ()),
        ("(@ada)", ("ada",)),
        ("@Ada", ()),
        ("@", ()),
        ("@a.b", ("a.b",)),
        ("好@ada", ()),
        ("、@ada", ("ada",)),
        ("@" + "x" * 40, ("x" * 32,)),
    ],
)
def test_mentions(text: str, names: tuple[str, ...]) -> None:
    assert mentions_in(text) == names


def test_a_text_mentions_fifty_people_at_most() -> None:
    assert len(mentions_in(" ".join(f"@user{number}" for number in range(500)))) == 50


def test_times_are_written_with_milliseconds_in_utc() -> None:
    assert iso(0) == "1970-01-01T00:00:00.000Z"
    assert iso(1_795_413_840_123) == "2026-11-23T06:04:00.123Z"
    assert iso(1_795_413_840_007) == "2026-11-23T06:04:00.007Z"


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-11-23T06:04:00.123Z", 1_795_413_840_123),
        ("2026-11-23T06:04:00", 1_795_413_840_000),
        ("2026-11-23T07:04:00+01:00", 1_795_413_840_000),
        ("2026-11-23", 1_795_392_000_000),
    ],
)
def test_times_are_read_in_any_iso_form(text: str, ms: int) -> None:
    assert parse_iso(text) == ms


@pytest.mark.parametrize("text", ["", "now", "2026-13-01", "10m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_iso(text)


def test_a_time_survives_being_written_and_read() -> None:
    for ms in (*range(1_795_413_840_000, 1_795_413_841_000), 999, 4_102_444_800_001):
        assert parse_iso(iso(ms)) == ms
