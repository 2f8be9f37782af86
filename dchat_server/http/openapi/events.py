"""What the stream carries, as JSON Schema: one schema a type, and `Event`, which is one of them."""

from __future__ import annotations

from dchat_server.http.openapi.build import Json, flag, listed, maybe, moment, obj, ref, seq, text, whole, word


def _durable(kind: str, description: str, required: str, members: Json) -> tuple[str, Json]:
    place = {
        "type": word(kind),
        "room": ref("Name"),
        "seq": ref("Seq"),
        "epoch": whole("See the message object."),
        "ts": moment("When it happened."),
        "sender": ref("Name") | {"description": "Who did it."},
    }
    return kind, obj(f"type room seq epoch ts sender {required}".strip(), place | members, description)


def _passing(kind: str, description: str, required: str, members: Json) -> tuple[str, Json]:
    return kind, obj(f"type {required}".strip(), {"type": word(kind)} | members, description)


_TARGET = {"target": seq("The seq of the message it is about.")}
_GAPS = listed(
    obj("room from to", {"room": ref("Name"), "from": whole("The first seq."), "to": whole("The last one.")}),
    "Per room, the seqs (both included) that may be missing or changed.",
)

_EVENTS = (
    _durable(
        "message",
        "Somebody said something.",
        "id text",
        {
            "id": text("`<room>:<seq>`."),
            "text": text(),
            "client_id": text("The key its sender gave it."),
            "reply_to": seq("The seq of the message this one answers."),
        },
    ),
    _durable("edit", "A message has another text.", "target text", _TARGET | {"text": text("The new text.")}),
    _durable("delete", "A message was deleted.", "target", _TARGET),
    _durable(
        "reaction",
        "Somebody reacted, or took it back.",
        "target emoji action",
        _TARGET | {"emoji": text(), "action": word("add", "remove")},
    ),
    _durable(
        "member",
        "Somebody came, went or got another role. For the one who went it is the last event of that room.",
        "user action role",
        {
            "user": ref("Name") | {"description": "Whom it is about."},
            "action": word("join", "leave", "invite", "kick", "role"),
            "role": maybe(ref("Role") | {"description": "The role they have now; null when they are gone."}),
        },
    ),
    _durable(
        "room",
        "The room was made or changed. A room's first event is its own creation.",
        "action kind topic display_name",
        {
            "action": word("create", "update", "archive", "unarchive"),
            "kind": ref("Kind"),
            "topic": text(),
            "display_name": text(),
            "retention": text("Days that messages are kept, when that was changed; 0: as the server says."),
        },
    ),
    _passing(
        "read",
        "One's own read marker was moved, on this device or another. Not stored, so not replayed.",
        "room read unread",
        {
            "room": ref("Name"),
            "read": whole("The seq up to which one has read."),
            "unread": whole("Messages after that."),
        },
    ),
    _passing(
        "typing",
        "Somebody else is writing something. Told again about every 3 s while they go on; show it until `until`, or "
        "until they have said it. Not stored, so not replayed; without `seq` and without a cursor.",
        "room sender until",
        {
            "room": ref("Name"),
            "sender": ref("Name") | {"description": "Who is writing."},
            "until": moment("By the server's clock, some seconds ahead."),
        },
    ),
    _passing(
        "hello",
        "First on every stream.",
        "worker protocol time cursor rooms",
        {
            "worker": text("Which worker serves the stream."),
            "protocol": {"type": "integer", "const": 1},
            "time": moment("The server's clock."),
            "cursor": ref("StreamCursor"),
            "rooms": listed(ref("Name"), "The rooms this stream carries now."),
        },
    ),
    _passing("resumed", "All that was missed has been told; what follows is live.", "replayed", {"replayed": whole()}),
    _passing(
        "gap",
        "The stream cannot tell what happened between two places: the cursor is unknown, too old or from before a "
        "loss. Fetch these rooms' pages again, or `/v1/sync`.",
        "rooms refetch",
        {"rooms": _GAPS, "refetch": flag("True: what you hold of these seqs may be wrong.")},
    ),
    _passing(
        "ping",
        "Every 15 s, and only while the worker can read the message log. No ping for 45 s: connect again.",
        "time cursor",
        {"time": ref("Time"), "cursor": ref("StreamCursor")},
    ),
    _passing("degraded", "The worker cannot read the message log at the moment.", "reason", {"reason": text()}),
    _passing("recovered", "It can again, and has caught up.", "", {}),
    _passing(
        "reconnect",
        "The server closes the stream now, on purpose. Connect again after so many milliseconds, with the cursor.",
        "after_ms",
        {"after_ms": whole("Milliseconds to wait.")},
    ),
    _passing(
        "auth_expired",
        "The token ended; the server closes the stream.",
        "reason",
        {"reason": word("expired", "revoked")},
    ),
)


def _schema_name(kind: str) -> str:
    return "".join(part.title() for part in kind.split("_")) + "Event"


def event_schemas() -> Json:
    """A schema for each type of event, `Event` for any of them, and the two forms built on it."""
    names = {kind: _schema_name(kind) for kind, _ in _EVENTS}
    found: Json = {names[kind]: schema for kind, schema in _EVENTS}
    found["Event"] = {
        "description": "What the stream carries: the JSON behind `data:`. Pass over types you do not know.",
        "oneOf": [ref(name) for name in names.values()],
        "discriminator": {
            "propertyName": "type",
            "mapping": {kind: f"#/components/schemas/{name}" for kind, name in names.items()},
        },
    }
    found["PollAnswer"] = obj(
        "events cursor",
        {
            "events": listed(ref("Event"), "What happened, in order; empty when nothing did."),
            "cursor": ref("StreamCursor") | {"description": "Give this with the next request."},
        },
    )
    return found
