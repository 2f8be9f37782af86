"""Files of IRC logs, read as streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from dchat_client.imports.irc import IrcLog
from dchat_client.imports.said import Said, UnfitSource

_MAX_LINE_BYTES = 64 << 10


class IrcFiles:
    """The messages of one channel in one or more logs, in the order given, as a Source (said.py).

    Raises UnfitSource.
    """

    def __init__(self, paths: Sequence[Path], day: date | None = None) -> None:
        self.done = self.left_out = 0
        self._unknown: list[str] = []
        self._paths = paths
        self._day = day
        try:
            self.total = sum(path.stat().st_size for path in paths)
        except OSError as error:
            raise UnfitSource(f"{error.filename} cannot be read: {error.strerror or error}.") from None

    def __iter__(self) -> Iterator[Said]:
        for path in self._paths:
            log = IrcLog(path.name, self._day)
            try:
                with path.open("rb") as file:
                    # A line that is longer than any of IRC comes in pieces; those behind the first say nothing.
                    while line := file.readline(_MAX_LINE_BYTES):
                        self.done += len(line)
                        if said := log.feed(_decoded(line)):
                            yield said
            except OSError as error:
                raise UnfitSource(f"{path} cannot be read: {error.strerror or error}.") from None
            self.left_out += log.left_out
            self._unknown += [f"{path.name} line {number}" for number in log.unknown[: 10 - len(self._unknown)]]

    def remarks(self) -> list[str]:
        if not self._unknown:
            return []
        return [f"Not understood: {', '.join(self._unknown[:3])}{', …' if len(self._unknown) > 3 else '.'}"]


def _decoded(line: bytes) -> str:
    """Old logs mix encodings from line to line: what is not UTF-8 was most likely written on Windows."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")
