"""Log lines on stderr: for a person (`text`) or a machine (`json`), without secrets and without line breaks
inside.

Everybody logs through `logger()`: an event in a few words that never change, and what belongs to it as
keywords: `logger().warning("feed connection lost", shard=3, error=str(problem))`. What `bind` is given is on
every line of the same task, and so is the id of the request that it serves (`request_id`). The standard library's
loggers end up here too.

This is little enough to be written here. structlog, which did it before, takes a tenth of a second to import where the
package rich is installed, and each start paid that.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import re
import sys
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO, TypeVar

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
"""Of the request that this task serves; http/front.py sets it. That costs a request a tenth of a microsecond, where
`bind` would cost it ten."""

_bound: contextvars.ContextVar[Mapping[str, Any] | None] = contextvars.ContextVar("bound", default=None)
_NOBODY = contextvars.Context()

Fields = dict[str, Any]
Sink = Callable[[int, str, Fields], None]
"""Takes a level, an event and its keywords, `exc_info` among them where there is an exception. From any thread."""
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


class Logger:
    """Says what happens: an event, its level, and what belongs to it."""

    def debug(self, event: str, **fields: Any) -> None:
        _sink(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        _sink(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        _sink(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        _sink(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """An error, with the traceback of the exception that is being handled."""
        _sink(logging.ERROR, event, {"exc_info": True, **fields})

    def log(self, level: int, event: str, **fields: Any) -> None:
        _sink(level, event, fields)


_logger = Logger()


def logger() -> Logger:
    """Return the logger. It may be kept: where its lines go is looked up for each."""
    return _logger


@contextmanager
def bind(**fields: Any) -> Iterator[None]:
    """`with bind(trace_id=…):` puts the keywords on every line that is logged inside, by this task."""
    token = _bound.set({**(_bound.get() or {}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def nobodys_task(work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
    """Start a task that serves many requests: its lines do not carry the id of the one that happened to start it."""
    return asyncio.get_running_loop().create_task(work, context=_NOBODY)


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


def sink() -> Sink:
    """Return what takes what is logged."""
    return _sink


def write_to(sink: Sink) -> None:
    """Have `sink` take what is logged from now on, by everybody."""
    global _sink
    _sink = sink


def start(level: str = "info", form: str = "text", *, stream: TextIO | None = None, **always: str) -> None:
    """Have log lines of `level` and above written to `stream` (stderr), each with `always`."""
    number = logging.getLevelNamesMapping()[level.upper()]
    write_to(_lines(number, _json_line if form == "json" else _text_line, stream, always))
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    # Libraries chatter at info.
    root.setLevel(max(number, logging.WARNING) if number > logging.DEBUG else logging.INFO)


def _lines(least: int, render: Callable[[Fields], str], stream: TextIO | None, always: Mapping[str, str]) -> Sink:
    def write(level: int, event: str, given: Fields) -> None:
        if level < least:
            return
        fields = {**always, **(_bound.get() or {}), **given}
        if served := request_id.get():
            fields["request_id"] = served
        trace = _trace(fields.pop("exc_info", None))
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        fields |= {"event": event, "level": logging.getLevelName(level).lower(), "time": now}
        if trace:
            fields["exception"] = trace
        _hide_secrets(fields)
        to = stream or sys.stderr
        to.write(render(fields) + "\n")  # in one piece: threads log, too
        to.flush()

    return write


def _trace(exc_info: Any) -> str:
    """The traceback that `exc_info` asks for, as the standard library takes it: an exception, what `sys.exc_info`
    returned, or True for the one that is being handled."""
    if isinstance(exc_info, BaseException):
        error: BaseException | None = exc_info
    else:
        error = exc_info[1] if isinstance(exc_info, tuple) else sys.exc_info()[1] if exc_info else None
    return "".join(traceback.format_exception(error)).rstrip("\n") if error is not None else ""


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


def _hide_secrets(fields: Fields) -> None:
    for name, value in fields.items():
        if _SECRET_NAME.search(name) and name not in _HARMLESS_NAMES:
            fields[name] = "***"
        elif not isinstance(value, (int, float, bool, type(None))):
            fields[name] = hide_secrets(value if isinstance(value, str) else str(value))


def _json_line(fields: Fields) -> str:
    return json.dumps(fields)  # pure ASCII: what a client sent may not even be UTF-8


def _text_line(fields: Fields) -> str:
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


_sink = _lines(logging.INFO, _text_line, None, {})
