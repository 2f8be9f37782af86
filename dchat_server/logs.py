"""Log lines on stderr: for a person (`text`) or a machine (`json`), without secrets and without line breaks
inside.

Everybody logs through `logger()`: an event in a few words that never change, and what belongs to it as
keywords: `logger().warning("feed connection lost", shard=3, error=str(problem))`. What `bind` is given is on
every line of the same task, which is how a request's id gets there. The standard library's loggers end up
here too.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger, Processor

bind = structlog.contextvars.bound_contextvars
"""`with bind(request_id=…):` puts the keywords on every line that is logged inside, by this task."""

Fields = MutableMapping[str, Any]

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


def start(level: str = "info", form: str = "text", *, stream: TextIO | None = None, **always: str) -> None:
    """Have log lines of `level` and above written to `stream` (stderr), each with `always`."""
    number = logging.getLevelNamesMapping()[level.upper()]

    def add_always(_: Any, __: str, fields: Fields) -> Fields:
        return {**always, **fields}

    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
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
        logger_factory=structlog.WriteLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [_Bridge()]
    # Libraries chatter at info.
    root.setLevel(max(number, logging.WARNING) if number > logging.DEBUG else logging.INFO)


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
