from __future__ import annotations

import base64
import random
import zlib

import pytest

from dchat_server.cursor import Cursor, LiveCursor
from dchat_server.model import Position


def sealed(raw: bytes) -> str:
    """Any bytes as something that has a cursor's form and a right sum."""
    raw += zlib.crc32(raw).to_bytes(4, "big")[:2]
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_cursor_of_sixteen_busy_shards_stays_short_enough_for_a_header() -> None:
    positions = tuple(Position(1_764_000_000 + shard, 50_000_000 + shard) for shard in range(16))
    text = Cursor(positions).encode()
    assert len(text) < 130
    assert Cursor.decode(text) == Cursor(positions)


def test_a_cursor_of_one_known_place_never_changes_its_form() -> None:
    """Clients keep cursors over an upgrade of the server: what an old worker wrote must go on to mean the same."""
    cursor = Cursor((Position(1_764_000_000, 0), Position(1_764_000_000, 300), Position(1_764_000_002, 7)))
    assert cursor.encode() == "AQOAgpLJBgAAAKwCAgcBCg"
    assert Cursor.decode("AQOAgpLJBgAAAKwCAgcBCg") == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        "AQ",
        "not a cursor",
        "\0",
        "é" * 10,
        "A" * 4097,
        "A" * 100_000,
        "AQOAgpLJBgAAAKwCAgcBCw",
        sealed(b""),
        sealed(b"\x01"),
        sealed(b"\x01\x00"),
        sealed(b"\x01\x00\x00"),
        sealed(b"\x01\x01\x00\x00"),
        sealed(b"\x01\x02\x00\x00\x00"),
        sealed(b"\x01\x01\x00\x00\x00\x00"),
        sealed(b"\x02\x01\x00\x00\x00"),
        sealed(b"\x01\x01\x00\x00\x80"),
        sealed(b"\x01" + b"\x80" * 30 + b"\x01\x00\x00\x00"),
        sealed(b"\x01" + b"\xff" * 3000),
    ],
)
def test_what_is_no_cursor_is_none_and_no_exception(text: str) -> None:
    assert Cursor.decode(text) is None


def test_a_single_flipped_character_is_noticed_almost_always() -> None:
    text = Cursor((Position(5, 10), Position(5, 11))).encode()
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    wrong = [text[:at] + letter + text[at + 1 :] for at in range(len(text)) for letter in letters if letter != text[at]]
    taken = [each for each in wrong if Cursor.decode(each) not in (None, Cursor.decode(text))]
    assert not taken  # a CRC finds every error within 16 bits


def test_a_live_cursor_writes_what_a_still_one_of_the_same_place_writes() -> None:
    chance = random.Random(3)
    live = LiveCursor([Position(9, 0)] * 5)
    for _ in range(300):
        live.move(chance.randrange(5), Position(chance.randrange(8, 12), chance.randrange(1 << chance.randrange(40))))
        assert live.encode().decode() == live.snapshot().encode()
        assert Cursor.decode(live.encode().decode()) == live.snapshot()


def test_a_snapshot_does_not_move_with_the_live_cursor() -> None:
    live = LiveCursor([Position(1, 1), Position(1, 2)])
    before = live.snapshot()
    live.move(0, Position(1, 9))
    assert before == Cursor((Position(1, 1), Position(1, 2)))
