"""Lines of an input, and texts that are too long."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import pytest

from dchat_client.texts import UnfitText, decoded, from_argument, lines_of, pieces


def read(*parts: bytes) -> list[bytes]:
    """The lines of a pipe into which `parts` are written one by one."""
    reading, writing = os.pipe()

    def write() -> None:
        with suppress(BrokenPipeError):
            for part in parts:
                os.write(writing, part)
        os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        return [line for lines in lines_of(reading) for line in lines]
    finally:
        os.close(reading)
        thread.join()


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        ((b"a\nb\n",), [b"a", b"b"]),
        ((b"a\r\nb",), [b"a", b"b"]),
        ((b"a\rb\n",), [b"a\rb"]),
        ((b"\n\na",), [b"", b"", b"a"]),
        ((b"",), []),
        ((b"\xe6\x97", b"\xa5\n"), ["日".encode()]),
        ((b"x" * 200_000 + b"\ny",), [b"x" * 200_000, b"y"]),
    ],
)
def test_lines_come_without_their_ends(parts: tuple[bytes, ...], lines: list[bytes]) -> None:
    assert read(*parts) == lines


def test_a_line_without_end_is_refused_by_its_number() -> None:
    with pytest.raises(UnfitText) as caught:
        read(b"a\n", *[b"x" * 60_000] * 290)
    assert caught.value.line == 2


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(UnfitText, match="line 3 is not UTF-8"):
        decoded(b"\xff", 3)
    with pytest.raises(UnfitText):
        from_argument(os.fsdecode(b"a\xff"))
    assert from_argument("日") == "日"


@pytest.mark.parametrize(
    "text", ["x" * 100, "word " * 40, "日本" * 40, "e\u0301" * 60, "👨‍👩‍👧" * 20, "🇩🇪" * 20, " " * 90, "\u0301" * 90]
)
def test_pieces_fit_and_join_to_exactly_the_text(text: str) -> None:
    found = pieces(text, split=True, max_bytes=50)
    assert "".join(found) == text
    assert all(0 < len(piece.encode()) <= 50 for piece in found)


def test_pieces_end_at_spaces_and_never_inside_a_sign() -> None:
    assert all(piece.endswith(" ") for piece in pieces("word " * 40, split=True, max_bytes=50))
    assert not any(piece.startswith("\u0301") for piece in pieces("e\u0301" * 60, split=True, max_bytes=50))
    assert {piece[0] for piece in pieces("👨‍👩‍👧" * 20, split=True, max_bytes=50)} == {"👨"}


def test_a_text_that_fits_is_one_piece_and_one_that_does_not_is_refused_unless_split() -> None:
    assert pieces("x" * 50, split=False, max_bytes=50) == ["x" * 50]
    with pytest.raises(UnfitText, match="the text has 51 bytes"):
        pieces("x" * 51, split=False, max_bytes=50)
