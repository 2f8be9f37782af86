"""Secrets people carry: making them, reading them, and what is stored instead of them. Pure.

`dchat_<shard>_<43 characters>`   a token: signs its user in until it expires or is revoked
`dchatt_<shard>_<43 characters>`  a ticket: opens one stream, once, within 30 s; it may travel in a URL
`dchati_<shard>_<43 characters>`  an invite: lets one person register

The 43 characters are 256 random bits in URL-safe base64. The number names the shard that holds the record,
so one round trip finds it. Only the SHA-256 of the whole text is stored: with 256 random bits in it,
nothing slower is needed.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from typing import NamedTuple

TOKEN = "dchat"  # noqa: S105 - a prefix
TICKET = "dchatt"
INVITE = "dchati"

_FORM = re.compile(r"(dchat[ti]?)_(0|[1-9][0-9]{0,3})_([A-Za-z0-9_-]{43})")


class Secret(NamedTuple):
    """Where a secret's record lies: its shard, and the hash it is stored under."""

    shard: int
    digest: str


def make(kind: str, shard: int) -> str:
    """A new secret of `kind` (TOKEN, TICKET, INVITE) whose record belongs on `shard`."""
    return f"{kind}_{shard}_{secrets.token_urlsafe(32)}"


def digest(text: str) -> str:
    """The SHA-256 of a secret in hex: what is stored and compared instead of it. Takes any text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def parse(kind: str, text: str, shards: int) -> Secret | None:
    """Where the record of a secret of `kind` would be; None when the text cannot be one."""
    match = _FORM.fullmatch(text)
    if match is None or match[1] != kind or int(match[2]) >= shards:
        return None
    return Secret(int(match[2]), digest(text))


def new_id() -> str:
    """A public name for a token, 16 hex characters. It says nothing about the token's secret."""
    return secrets.token_hex(8)
