"""What may be sent: lines of an input, and texts that are longer than one message."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator

MAX_TEXT_BYTES = 16 << 10
"""What a server takes as one message unless its operator chose otherwise."""
_MAX_LINE_BYTES = 16 << 20


class UnfitText(Exception):
    """A text cannot be sent as it is; `line` is its number in the input, counted from 1."""

    def __init__(self, words: str, line: int | None = None) -> None:
        super().__init__(f"line {line} {words}" if line is not None else words)
        self.line = line


def lines_of(descriptor: int) -> Iterator[list[bytes]]:
    """Yield the lines of a file descriptor, those that came together as one list, without their "\\n" or
    "\\r\\n", as soon as each is complete.

    Reads the descriptor itself, not sys.stdin: a thread may wait here while the program ends. Raises
    UnfitText for a line over 16 MiB, and OSError.
    """
    number = 0
    parts: list[bytes] = []  # of the line that is not complete yet; joined once, or long lines would cost squares
    size = 0
    while part := os.read(descriptor, 1 << 16):
        first, *more = part.split(b"\n")
        parts.append(first)
        size += len(first)
        if more:
            lines = [b"".join(parts), *more[:-1]]
            parts, size = [more[-1]], len(more[-1])
            number += len(lines)
            yield [line.removesuffix(b"\r") for line in lines]
        if size > _MAX_LINE_BYTES:
            raise UnfitText("is longer than 16 MiB", number + 1)
    if rest := b"".join(parts):
        yield [rest.removesuffix(b"\r")]


def decoded(raw: bytes, line: int | None = None) -> str:
    """Return `raw` as text. Raises UnfitText when it is not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise UnfitText("is not UTF-8" if line is not None else "the text is not UTF-8", line) from None


def from_argument(text: str) -> str:
    """Return a command line argument as text. Raises UnfitText when its bytes were not UTF-8."""
    return decoded(os.fsencode(text)) if any("\ud800" <= char <= "\udfff" for char in text) else text


def pieces(text: str, *, split: bool, max_bytes: int, line: int | None = None) -> list[str]:
    """Return `text` as the messages it makes: itself, or with `split` several that join to exactly it.

    Raises UnfitText when it is too long and `split` is off.
    """
    size = len(text.encode())
    if size <= max_bytes:
        return [text]
    if not split:
        words = f"has {size} bytes; a message may have {max_bytes}"
        raise UnfitText(words if line is not None else f"the text {words}", line)
    found = []
    while text:
        end = _end_of_piece(text, max_bytes)
        found.append(text[:end])
        text = text[end:]
    return found


def _end_of_piece(text: str, max_bytes: int) -> int:
    """Return how many characters the next piece takes:

    up to a space near its end, never inside a combined sign.
    """
    end = len(text.encode()[:max_bytes].decode("utf-8", "ignore"))
    if end == len(text):
        return end
    space = max(text.rfind(mark, end * 3 // 4, end) for mark in " \n\t")
    if space > 0 and not text[:space].isspace() and not text[space:].isspace():
        return space + 1
    whole = end
    while whole > 1 and end - whole < 64 and _continues(text, whole):
        whole -= 1
    return end if _continues(text, whole) else whole


def _continues(text: str, index: int) -> bool:
    code = ord(text[index])
    mark = unicodedata.category(text[index]) in ("Mn", "Me", "Mc") or 0x1F3FB <= code <= 0x1F3FF
    return mark or "\u200d" in (text[index], text[index - 1]) or 0x1F1E6 <= code <= 0x1F1FF
