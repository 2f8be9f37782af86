"""The head of a request, read as far as the short way for sends (front.py) must know it. Pure.

Two questions, the first of which decides whether bytes may be trusted to begin where we think they do:

* Where does the request end? `read_head` answers only for heads about which all readers of HTTP/1.1 agree: lines ended
  by CR LF, printable ASCII, no body but one of a plain Content-Length. What it does not understand it does not guess:
  the connection is aiohttp's from there on.
* Is it a send as programs send it? Then `room` and `digest` are given. A header that could make it mean something else
  (`Origin`, `Expect`, `Content-Encoding`, one that comes twice, one nobody has heard of) makes it not plain.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import NamedTuple

MAX_HEAD_BYTES = 8190
MAX_LENGTH_DIGITS = 12

_LINES = re.compile(rb"[\x20-\x7e]+(?:\r\n[\x20-\x7e]+)*")
_REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[\x21-\x7e]*) HTTP/1\.1")
_SEND = re.compile(rb"/v1/rooms/([a-z0-9][a-z0-9._-]{0,31})/messages")
_NAME = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]+")

_FRAMING = (b"transfer-encoding", b"upgrade", b"te", b"trailer", b"http2-settings")
"""With one of these, where a request ends is not for us to say."""

_IRRELEVANT = frozenset(
    b"host user-agent accept accept-encoding accept-language cache-control pragma via forwarded x-forwarded-for"
    b" x-forwarded-proto x-forwarded-port x-forwarded-host x-real-ip".split()
)
"""Headers that change nothing about a send: its limits are counted by account, not by address."""


class Head(NamedTuple):
    """What a head says."""

    length: int
    """Bytes of body that follow."""
    room: str = ""
    """Where the message goes; empty when this is no plain send."""
    digest: str = ""
    """The hex SHA-256 of its token."""
    request_id: str = ""
    """What a balancer calls the request (http/request_ids.py says whether to believe it)."""
    traceparent: str = ""
    """The trace it belongs to, as its sender says (W3C Trace Context)."""


def read_head(head: bytes) -> Head | None:
    """What `head` (without the empty line that ends it) says; None for one that others may read differently."""
    if len(head) > MAX_HEAD_BYTES or _LINES.fullmatch(head) is None:
        return None
    request, *lines = head.split(b"\r\n")
    if (asked := _REQUEST.fullmatch(request)) is None:
        return None
    fields: dict[bytes, bytes] = {}
    twice = False
    for line in lines:
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or _NAME.fullmatch(name) is None:
            return None
        twice = twice or name in fields
        if name in fields and name in (b"content-length", b"host"):
            return None
        fields[name] = value.strip(b" ")
    if any(name in fields for name in _FRAMING):
        return None
    length = fields.pop(b"content-length", b"0")
    if not length.isdigit() or len(length) > MAX_LENGTH_DIGITS:
        return None
    whole = Head(int(length))
    kind = fields.pop(b"content-type", b"")
    bearer, _, token = fields.pop(b"authorization", b"").partition(b" ")
    stays = fields.pop(b"connection", b"keep-alive").lower() == b"keep-alive"
    if asked[1] != b"POST" or kind != b"application/json" or bearer != b"Bearer" or not stays:
        return whole
    sent = _SEND.fullmatch(asked[2])
    named = fields.pop(b"x-amzn-trace-id", b"")
    named = fields.pop(b"x-request-id", b"") or named
    context = fields.pop(b"traceparent", b"")
    if sent is None or twice or not fields.keys() <= _IRRELEVANT or b"host" not in fields:
        return whole
    return Head(whole.length, sent[1].decode(), sha256(token).hexdigest(), named.decode(), context.decode())
