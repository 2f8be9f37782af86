"""A decoder of server-sent events, line by line as WHATWG's "Interpreting an event stream" has it: what a browser would
see. It shares no code with the server or the client."""

from __future__ import annotations

import re
from typing import NamedTuple


class Seen(NamedTuple):
    """One event as an EventSource dispatches it. `last_id` is the last event id once it was dispatched."""

    type: str
    data: str
    last_id: str


def decode(raw: bytes) -> list[Seen]:
    """All events of a whole stream; an event that is not finished is not dispatched."""
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _ = re.split("\r\n|\n|\r", text)
    out: list[Seen] = []
    kind, data, last_id, pending_id = "", "", "", ""
    for each in lines:
        if each == "":
            last_id = pending_id
            if data:
                out.append(Seen(kind or "message", data.removesuffix("\n"), last_id))
            kind = data = ""
        elif not each.startswith(":"):
            name, colon, value = each.partition(":")
            value = value.removeprefix(" ") if colon else ""
            if name == "event":
                kind = value
            elif name == "data":
                data += value + "\n"
            elif name == "id" and "\0" not in value:
                pending_id = value
    return out
