"""What the server logs inside a block, for a test to look at."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dchat_server import logs


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """Everything that is logged inside, whatever its level: the keywords with `event` and `log_level`."""
    lines: list[dict[str, Any]] = []

    def take(level: int, event: str, fields: logs.Fields) -> None:
        lines.append({**fields, "event": event, "log_level": logging.getLevelName(level).lower()})

    before = logs.sink()
    logs.write_to(take)
    try:
        yield lines
    finally:
        logs.write_to(before)
