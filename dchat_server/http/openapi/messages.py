"""The operations on messages, reactions and read markers."""

from __future__ import annotations

from dchat_server.history import DEFAULT_LIMIT, MAX_LIMIT, MOST_SCANNED
from dchat_server.http.openapi.build import (
    MAX_SEQ,
    Operation,
    body,
    flag,
    obj,
    operation,
    path,
    query,
    ref,
    reply,
    text,
    whole,
)
from dchat_server.http.openapi.rooms import ROOM
from dchat_server.http.openapi.schemas import MESSAGE_EXAMPLE
from dchat_server.publish import MAX_BATCH, MAX_EMOJI_CHARS
from dchat_server.typists import EACH_S, MOST

TAG = "Messages"

_SEQ = path("seq", ref("Seq"), "The message's seq.", 5)
_EMOJI = path("emoji", text(minLength=1, maxLength=MAX_EMOJI_CHARS), "An emoji or a short name.", "👍")
_ANSWER = {"message": MESSAGE_EXAMPLE}
_BATCH = '{"text":"one","client_id":"c-1"}\n{"text":"two","client_id":"c-2"}\n'
_OUTCOMES = '{"status":201,"message":{"id":"lobby:6","room":"lobby","seq":6,…}}\n{"status":429,"error":{…}}\n'
_WRITES = "room_not_found not_a_member read_only room_archived"


def _room() -> list[Operation]:
    lines = {
        "schema": text(f"One `Draft` a line, 1 to {MAX_BATCH} lines."),
        "x-line-schema": ref("Draft"),
        "example": _BATCH,
    }
    sent = reply("Stored.", ref("MessageAnswer"), _ANSWER)
    repeated = reply(
        "Stored before under the same `client_id`: the first message. For a batch: an outcome for each line.",
        ref("MessageAnswer"),
        _ANSWER,
    )
    repeated["content"]["application/x-ndjson"] = {
        "schema": text("One `Outcome` a line."),
        "x-line-schema": ref("Outcome"),
        "example": _OUTCOMES,
    }
    return [
        operation(
            "POST",
            "/v1/rooms/{room}/messages",
            "sendMessage",
            TAG,
            "Send a message, or a batch",
            "Give every message a `client_id`: then sending again after a broken connection, or a 503, cannot double "
            "it. The same key with another text is refused (`idempotency_conflict`).\n\n"
            f"With `Content-Type: application/x-ndjson` the body holds up to {MAX_BATCH} messages, one JSON object a "
            "line, 1 MiB in all, and the answer is one line for each, in order. A line that is wrong is refused alone. "
            "After a line that is refused for a passing reason (429, 503) all later ones are refused with it, so that "
            "sending those again keeps the order.",
            scope="write",
            parameters=[ROOM],
            takes=body(ref("Draft"), {"text": "Hello!", "client_id": "c-1"}, x_ndjson=lines),
            answers={201: sent, 200: repeated},
            errors=f"{_WRITES} message_too_long idempotency_conflict rate_limited",
        ),
        operation(
            "GET",
            "/v1/rooms/{room}/messages",
            "listMessages",
            TAG,
            "A page of messages",
            "In their present state: edits applied, reactions counted, deleted ones as tombstones. Without `before`, "
            "`after` and `around` the newest ones; give at most one of the three. Any account may read a public room.",
            parameters=[
                ROOM,
                query("before", whole(), "Messages before this seq, without it."),
                query("after", whole(), "Messages after this seq, without it."),
                query("around", whole(), "Messages on both sides of this seq, with it."),
                query("limit", whole("", 1, MAX_LIMIT, default=DEFAULT_LIMIT), "Messages on a page."),
            ],
            answers={
                200: reply("The page.", ref("Page"), {"messages": [MESSAGE_EXAMPLE], "head": 5, "has_more": False})
            },
            errors="invalid_request room_not_found",
        ),
        operation(
            "PUT",
            "/v1/rooms/{room}/read",
            "markRead",
            TAG,
            "Move one's read marker",
            "It moves forward only; with `unread` also back. All one's devices are told.",
            scope="write",
            parameters=[ROOM],
            takes=body(
                obj(
                    "seq",
                    {
                        "seq": whole("Up to here one has read; beyond the room's head means all.", 0, MAX_SEQ),
                        "unread": flag("Move it back, too: mark what follows as unread.", default=False),
                    },
                ),
                {"seq": 5},
            ),
            answers={
                200: reply("The marker.", ref("ReadMarker"), {"room": "lobby", "read": 5, "unread": 0, "mentions": 0})
            },
            errors="room_not_found not_a_member",
        ),
        operation(
            "POST",
            "/v1/rooms/{room}/typing",
            "typing",
            TAG,
            "Say that one is writing something",
            "The others in the room get a `typing` event. Say it when somebody types, as often as you like: a worker "
            f"passes on one of a person in a room each {EACH_S:.0f} s, and at that time of {MOST} people in a room and "
            f"of a person in {MOST} rooms. The rest is answered the same and has no effect. Nothing is stored.",
            scope="write",
            parameters=[ROOM],
            answers={204: reply("It was told, or had just been.")},
            errors=_WRITES,
        ),
    ]


def _one() -> list[Operation]:
    message = "/v1/rooms/{room}/messages/{seq}"
    reactions = message + "/reactions/{emoji}"
    found = [
        operation(
            "GET",
            message,
            "getMessage",
            TAG,
            "One message",
            "In its present state.",
            parameters=[ROOM, _SEQ],
            answers={200: reply("The message.", ref("MessageAnswer"), _ANSWER)},
            errors="room_not_found message_not_found",
        ),
        operation(
            "GET",
            message + "/thread",
            "thread",
            TAG,
            "What was said in answer to a message",
            "The messages whose `reply_to` is this one's seq, oldest first, in their present state. An answer to an "
            f"answer is in the thread of the latter. A request looks through about {MOST_SCANNED} events of the room: "
            "while `has_more` is true, go on with `after` set to `next`, also when `messages` is empty.",
            parameters=[
                ROOM,
                _SEQ,
                query("after", whole(), "Answers after this seq, without it."),
                query("limit", whole("", 1, MAX_LIMIT, default=DEFAULT_LIMIT), "Answers at a time."),
            ],
            answers={
                200: reply(
                    "The thread.",
                    ref("Thread"),
                    {"root": MESSAGE_EXAMPLE, "messages": [], "head": 5, "has_more": False},
                )
            },
            errors="invalid_request room_not_found message_not_found",
        ),
        operation(
            "PATCH",
            message,
            "editMessage",
            TAG,
            "Change the text of one's own message",
            "Counts as a message for the limit of messages a second.",
            scope="write",
            parameters=[ROOM, _SEQ],
            takes=body(
                obj("text", {"text": text("The new text, as for sending.", minLength=1, maxLength=16384)}),
                {"text": "Hello, all!"},
            ),
            answers={200: reply("The message as it is now.", ref("MessageAnswer"), {"message": MESSAGE_EXAMPLE})},
            errors=f"{_WRITES} message_not_found forbidden message_deleted message_too_long rate_limited",
        ),
        operation(
            "DELETE",
            message,
            "deleteMessage",
            TAG,
            "Delete one's own message, or anybody's as a moderator",
            "A tombstone stays, so that the positions keep their meaning. Doing it again changes nothing.",
            scope="write",
            parameters=[ROOM, _SEQ],
            answers={204: reply("Deleted.")},
            errors=f"{_WRITES} message_not_found forbidden",
        ),
    ]
    found += [
        operation(
            method,
            reactions,
            name,
            TAG,
            summary,
            "Doing it again changes nothing. Counts as a message for the limit of messages a second.",
            scope="write",
            parameters=[ROOM, _SEQ, _EMOJI],
            answers={200: reply("The message as it is now.", ref("MessageAnswer"), _ANSWER)},
            errors=f"{_WRITES} invalid_request message_not_found message_deleted rate_limited",
        )
        for method, name, summary in (
            ("PUT", "addReaction", "React to a message"),
            ("DELETE", "removeReaction", "Take a reaction back"),
        )
    ]
    return found


def operations() -> list[Operation]:
    """All of this part."""
    return _room() + _one()
