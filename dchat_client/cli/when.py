"""Points in time on the command line: an ISO time, a day, or a span such as 10m, 2h, 30d."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_SPAN = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class When(click.ParamType):  # type: ignore[type-arg]  # click before 8.2 cannot be subscripted
    """A moment. A span counts from now, backwards; with `ahead`, forwards. What has no zone is local time."""

    name = "when"

    def __init__(self, *, ahead: bool = False) -> None:
        self._ahead = ahead

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment, in UTC; fails with a sentence otherwise."""
        if isinstance(value, datetime):
            return value
        try:
            if match := _SPAN.fullmatch(str(value)):
                span = timedelta(**{_UNITS[match[2]]: int(match[1])})
                now = datetime.now(UTC)
                return now + span if self._ahead else now - span
            return datetime.fromisoformat(str(value)).astimezone(UTC)
        except (ValueError, OverflowError, OSError):
            self.fail(f"{value!r} is no time: 10m, 2h, 30d, 2026-11-23, or 2026-11-23T06:04.", param, ctx)


def iso(moment: datetime) -> str:
    """Return `moment` as the server writes times: 2026-11-23T06:04:00.123Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local(ts: object) -> str:
    """Return a time of the server's as people here read it, to the minute; ? when it cannot be read."""
    try:
        return datetime.fromisoformat(str(ts)).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return "?"
