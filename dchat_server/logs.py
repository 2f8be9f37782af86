"""Log lines on stderr: for a person (`text`) or a machine (`json`), without secrets and without line breaks
inside.

Everybody logs through `logger()`: an event in a few words that never change, and what belongs to it as
keywords: `logger().warning("feed connection lost", shard=3, error=str(problem))`. What `bind` is given is on
every line of the same task, and so is the id of the request that it serves (`request_id`). The standard library's
loggers end up here too.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Coroutine, MutableMapping
from contextlib import suppress
from typing import Any, TextIO, TypeVar, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

bind = structlog.contextvars.bound_contextvars
"""`with bind(request_id=…):` puts the keywords on every line that is logged inside, by this task."""

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
"""Of the request that this task serves; http/front.py sets it. That costs a request a tenth of a microsecond, where
`bind` would cost it ten."""

_NOBODY = contextvars.Context()

Fields = MutableMapping[str, Any]
_T = TypeVar("_T")

_SECRET_NAME = re.compile(r"pass|secret|token|ticket|invite|cookie|authorization", re.IGNORECASE)
_HARMLESS_NAMES = frozenset({"token_id"})
_SECRETS_INSIDE = re.compile(
    r"""(?P<keep>(?:\b(?:Bearer|Basic)\s+))[\w.~+/=-]+   # an Authorization header
      | (?P<scheme>\b[a-z+]+://)[^\s/@]*:[^\s/]*@        # a login in a URL
      | (?P<query>[?&][^\s=&]*(?:ticket|token|pass\w*)=)[^\s&"']+
      | \bdchat_[0-9a-z]+_[\w-]{43}                      # a token of ours
    """,
    re.VERBOSE | re.IGNORECASE,
)


def logger() -> FilteringBoundLogger:
    """Return the logger."""
    return cast(FilteringBoundLogger, structlog.get_logger())


def nobodys_task(work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
    """Start a task that serves many requests: its lines do not carry the id of the one that happened to start it."""
    return asyncio.get_running_loop().create_task(work, context=_NOBODY)


def nobodys_call(function: Callable[..., None], *args: object) -> None:
    """Have the loop call a function in its next turn, for many requests as `nobodys_task` does."""
    asyncio.get_running_loop().call_soon(function, *args, context=_NOBODY)


class Ration:
    """At most so many a second, for what an outage would make thousands of; `skipped` are those left out since the
    last one."""

    def __init__(self, most_a_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most_a_second, clock
        self._second, self._taken = -1.0, 0
        self.skipped = 0

    def take(self) -> bool:
        """Whether there may be another one now."""
        second = self._clock() // 1
        if second != self._second:
            self._second, self._taken = second, 0
        if self._taken >= self._most:
            self.skipped += 1
            return False
        self._taken += 1
        return True


def start(level: str = "info", form: str = "text", *, stream: TextIO | None = None, **always: str) -> None:
    """Have log lines of `level` and above written to `stream` (stderr), each with `always`."""
    number = logging.getLevelNamesMapping()[level.upper()]

    def add_always(_: Any, __: str, fields: Fields) -> Fields:
        return {**always, **fields}

    def add_request(_: Any, __: str, fields: Fields) -> Fields:
        if served := request_id.get():
            fields["request_id"] = served
        return fields

    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        add_request,
        add_always,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        _hide_secrets,
        _json_line if form == "json" else _text_line,
    ]
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Unfailing(stream or sys.stderr))),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    # Libraries chatter at info.
    root.setLevel(max(number, logging.WARNING) if number > logging.DEBUG else logging.INFO)


class _Unfailing:
    """A stream that drops what it cannot take: whoever logs that something failed must not fail of a full disk, or of a
    pipe that nobody reads any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


class _Bridge(logging.Handler):
    """Passes what libraries log on to our logger."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            logger().log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)
        except Exception:
            self.handleError(record)


def hide_secrets(text: str) -> str:
    """Return `text` with tokens, passwords in addresses and Authorization values replaced by `***`."""

    def hidden(match: re.Match[str]) -> str:
        kept = match["keep"] or match["query"] or match["scheme"] or ""
        return f"{kept}***@" if match["scheme"] else f"{kept}***"

    return _SECRETS_INSIDE.sub(hidden, text)


def _hide_secrets(_: Any, __: str, fields: Fields) -> Fields:
    for name, value in fields.items():
        if _SECRET_NAME.search(name) and name not in _HARMLESS_NAMES:
            fields[name] = "***"
        elif not isinstance(value, (int, float, bool, type(None))):
            fields[name] = hide_secrets(value if isinstance(value, str) else str(value))
    return fields


def _json_line(_: Any, __: str, fields: Fields) -> str:
    return json.dumps(fields)  # pure ASCII: what a client sent may not even be UTF-8


def _text_line(_: Any, __: str, fields: Fields) -> str:
    time, level, event = (str(fields.pop(name, "")) for name in ("time", "level", "event"))
    trace = fields.pop("exception", "")
    parts = [
        time[:23] + "Z",
        f"{level:<8}",
        _one_line(event),
        *(f"{name}={_quoted(value)}" for name, value in fields.items()),
    ]
    return "\n    ".join([" ".join(parts), *map(_one_line, trace.splitlines())])


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _quoted(value: Any) -> str:
    """Return a value as one word: quoted, controls escaped, when it is not one already."""
    text = str(value)
    if text and text.isprintable() and not re.search(r'[\s"=]', text):
        return text
    return '"' + _one_line(text.replace("\\", r"\\").replace('"', r"\"")) + '"'
