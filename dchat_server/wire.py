"""The bytes clients see: JSON of events and messages, SSE blocks, NDJSON lines. Pure; encodes everything once.

An event is rendered when a worker reads it from the feed, and from then on only its bytes are passed around: `data`
is the JSON, `block` the SSE form without the empty line that ends it, so that an `id:` can still be put behind the
last block of a write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from dchat_server.model import Draft, Event, Message, Sent, iso

SSE = "text/event-stream"
NDJSON = "application/x-ndjson"


class Frame(NamedTuple):
    """An event of the stream, ready to be written in either form."""

    data: bytes
    block: bytes


def frame(kind: str, data: bytes) -> Frame:
    return Frame(data, b"event: %b\ndata: %b\n" % (kind.encode(), data))


def control_frame(kind: str, **fields: Any) -> Frame:
    """An event of the stream itself (`hello`, `gap`, …)."""
    return frame(kind, orjson.dumps({"type": kind, **fields}))


def event_data(event: Event) -> bytes:
    """The JSON of a durable event. `event.body` is spliced in as it was stored."""
    room, epoch, seq, kind, ts, body, _, _ = event  # once: reading a named tuple's fields one by one takes longer
    own_id = f'"id":"{room}:{seq}",' if kind == "message" else ""
    head = f'{{"type":"{kind}","room":"{room}","seq":{seq},"epoch":{epoch},{own_id}"ts":"{iso(ts)}",'
    return head.encode() + body


def event_frame(event: Event) -> Frame:
    return frame(event.type, event_data(event))


def sse(frames: Sequence[Frame], cursor: bytes | None) -> bytes:
    """One write of several events; the cursor behind the last one. Never empty input."""
    blocks = b"\n".join([item.block for item in frames])
    if cursor is None:
        return blocks + b"\n"
    return b"%bid: %b\n\n" % (blocks, cursor)


def ndjson(frames: Sequence[Frame], cursor: bytes | None) -> bytes:
    """The same as JSON lines; the last line carries the cursor, as its last member."""
    lines = b"\n".join([item.data for item in frames])
    end = b'"cursor":"%b"}' % (cursor or b"")
    if cursor is None or lines.endswith(end):  # hello and ping name it themselves
        return lines + b"\n"
    return b"%b,%b\n" % (lines[:-1], end)


def fields(**members: Any) -> bytes:
    """Members of an event's body in stored form: JSON without its opening brace."""
    return orjson.dumps(members)[1:]


def draft_body(sender: str, text: str, client_id: str | None, reply_to: int | None) -> bytes:
    """The stored form of a message."""
    value: dict[str, Any] = {"sender": sender, "text": text}
    if client_id is not None:
        value["client_id"] = client_id
    if reply_to is not None:
        value["reply_to"] = reply_to
    return orjson.dumps(value)[1:]


def body_fields(event: Event) -> dict[str, Any]:
    """The members of an event's body."""
    value: dict[str, Any] = orjson.loads(b"{" + event.body)
    return value


def sent_message(sent: Sent, draft: Draft) -> bytes:
    """The message as its sender gets it back, JSON; spliced like the event, so it costs no second encoding."""
    head = (
        f'{{"id":"{sent.room}:{sent.seq}","room":"{sent.room}","seq":{sent.seq},"epoch":{sent.epoch},'
        f'"ts":"{iso(sent.ts)}",'
    )
    return head.encode() + draft.body


def message_object(message: Message) -> dict[str, Any]:
    """A message in its present state, as pages show it."""
    event = message.event
    value: dict[str, Any] = {
        "id": f"{event.room}:{event.seq}",
        "room": event.room,
        "seq": event.seq,
        "epoch": event.epoch,
        "ts": iso(event.ts),
        "sender": message.sender,
    }
    if message.deleted:
        value["deleted"] = True
        return value
    value.update(message.fields)
    if message.edited_at is not None:
        value["edited_at"] = iso(message.edited_at)
    if message.reactions:
        value["reactions"] = [
            {"emoji": emoji, "count": len(users), "users": users} for emoji, users in message.reactions.items()
        ]
    return value


def problem(code: str, status: int, title: str, detail: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """An RFC 9457 problem."""
    return {
        "type": f"/docs/errors#{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        **extra,
    }
