"""The values of the contract as JSON Schema: people, tokens, rooms, messages, problems."""

from __future__ import annotations

from dchat_server.accounts import MAX_STATUS, SCOPES
from dchat_server.errors import FAILURES
from dchat_server.http.openapi.build import (
    MAX_SEQ,
    Json,
    flag,
    listed,
    maybe,
    moment,
    number,
    obj,
    ref,
    seq,
    text,
    whole,
    word,
)
from dchat_server.model import KINDS, NAME, ROLES

USER_EXAMPLE = {
    "username": "ada",
    "display_name": "Ada",
    "admin": True,
    "status": "",
    "created_at": "2026-11-23T06:04:00.123Z",
}
ROOM_EXAMPLE = {
    "room": "lobby",
    "kind": "public",
    "display_name": "Lobby",
    "topic": "Everybody's room",
    "members": 2,
    "joined": True,
    "role": "owner",
    "archived": False,
    "head": 5,
    "read": 4,
    "unread": 1,
    "mentions": 0,
    "created_at": "2026-11-23T06:05:00.000Z",
}
MESSAGE_EXAMPLE = {
    "id": "lobby:5",
    "room": "lobby",
    "seq": 5,
    "epoch": 1,
    "ts": "2026-11-23T06:06:00.250Z",
    "sender": "ada",
    "text": "Hello!",
    "client_id": "c-1",
}

_HIDDEN = r"\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_SPACE = r"[\s\u001c-\u001f\u0085]*"


def line(description: str, most: int, *, filled: bool = False, with_space: int = 2048) -> Json:
    """One line: no control characters, no line breaks, no marks that turn the writing direction. Space around it is
    dropped and does not count, up to `with_space` characters in all. `filled`: it must not be empty then.
    """
    first, rest = (f"[^\\s{_HIDDEN}]", most - 1) if filled else ("", most)
    return text(description, pattern=f"^{_SPACE}{first}[^{_HIDDEN}]{{0,{rest}}}{_SPACE}$", maxLength=with_space)


def secret(prefix: str, description: str) -> Json:
    return text(description, pattern=f"^{prefix}_[0-9]+_[A-Za-z0-9_-]{{43}}$")


def _basics() -> Json:
    return {
        "Name": text(
            "The name of a user or a room: 1 to 32 characters.",
            pattern=f"^{NAME.pattern}$",
            minLength=1,
            maxLength=32,
            examples=["ada", "lobby"],
        ),
        "Seq": whole("A position in a room: 1, 2, 3, … without holes.", 1, examples=[5]),
        "Time": text(
            "A time in UTC with milliseconds, ISO 8601.", format="date-time", examples=["2026-11-23T06:04:00.123Z"]
        ),
        "Scope": word(*SCOPES, description="What a token may do: `read`, `write` (change things), `admin`."),
        "Role": word(
            *ROLES,
            description="What somebody is in a room. A `reader` sees everything and writes nothing; a `moderator` may "
            "also invite with a role, remove people, delete others' messages and change the topic; an `owner` may "
            "also archive the room and make owners.",
        ),
        "Kind": word(
            *KINDS, description="`public`: any account may read it and join. `private` and `dm`: members only."
        ),
        "ListCursor": text(
            "Where a list goes on: the `next` of the page before. Opaque; good for this list only.", maxLength=64
        ),
        "StreamCursor": text(
            "A place in everything a person's stream carries, in all rooms at once. Opaque. It holds on every worker, "
            "over restarts and after old messages were moved to the archive."
        ),
        "Problem": obj(
            "type title status detail code",
            {
                "type": text("`/docs/errors#` and the code.", format="uri-reference"),
                "title": text("What the code means, always the same for a code."),
                "status": whole("The HTTP status.", 400, 599),
                "detail": text("What went wrong this time, for a person to read. Do not match on it."),
                "code": word(*FAILURES, description="The stable word to match on."),
                "request_id": text(
                    "Of a 5xx: the id of the request, which the answer's `X-Request-Id` and the server's log have, too."
                ),
            },
            "An error, RFC 9457. Every refusal has this form, whatever the operation.",
        ),
    }


def _people() -> Json:
    return {
        "User": obj(
            "username display_name admin status created_at",
            {
                "username": ref("Name"),
                "display_name": text("The name to show; any text."),
                "admin": flag("True for an administrator of the server."),
                "status": text(f"A line about oneself, at most {MAX_STATUS} characters; empty when there is none."),
                "created_at": ref("Time"),
            },
            "An account, as its owner sees it.",
        ),
        "Presence": word(
            *("online", "offline"),
            description="`online`: a stream of theirs is open, on any worker. One that ended without a word, with its "
            "worker, counts for a minute.",
        ),
        "Person": obj(
            "username display_name presence",
            {"username": ref("Name"), "display_name": text("The name to show."), "presence": ref("Presence")},
            "An account, as others see it.",
        ),
        "SignedIn": obj(
            "user token token_id expires_at",
            {
                "user": ref("User"),
                "token": secret("dchat", "The bearer token. It is shown this once and stored only as a hash."),
                "token_id": text("The token's public name, as in `/v1/tokens/{id}`."),
                "expires_at": moment("When the token ends: 30 days from now."),
            },
        ),
        "TokenInfo": obj(
            "id name kind current scopes created_at expires_at",
            {
                "id": text("Names the token in `DELETE /v1/tokens/{id}`; it says nothing about the secret."),
                "name": text("What its owner called it."),
                "kind": word("session", "api", description="`session` from signing in, `api` made by hand."),
                "current": flag("True for the token this request was made with."),
                "scopes": listed(
                    ref("Scope"), "What it may do now; `admin` counts only while one is an administrator."
                ),
                "created_at": ref("Time"),
                "expires_at": maybe(moment("When it ends; null: when it is revoked.")),
            },
        ),
    }


def _rooms() -> Json:
    return {
        "Room": obj(
            "room kind display_name topic members joined role archived head read unread mentions created_at",
            {
                "room": ref("Name"),
                "kind": ref("Kind"),
                "display_name": text("The name to show."),
                "topic": text("What the room is about; may be empty."),
                "members": whole("How many people are in it."),
                "joined": flag("True when the reader of this is in the room."),
                "role": maybe(ref("Role") | {"description": "The reader's role; null when not joined."}),
                "archived": flag("An archived room can be read and nothing else, until an owner brings it back."),
                "head": whole("The room's newest seq."),
                "read": whole("The seq up to which the reader has read."),
                "unread": whole("Messages after that, without deleted ones; 0 when not joined."),
                "mentions": whole("Unread messages that call the reader by `@name`."),
                "created_at": ref("Time"),
                "retention_days": number("Days that messages are kept here, when the room says so itself.", 0),
                "users": listed(ref("Name"), "The people of a `dm`; only there."),
            },
            "A room, as the reader of this sees it.",
        ),
        "RoomAnswer": obj("room", {"room": ref("Room")}),
        "Member": obj(
            "user display_name role presence",
            {
                "user": ref("Name"),
                "display_name": text("The name to show."),
                "role": ref("Role"),
                "presence": ref("Presence"),
            },
        ),
        "ReadMarker": obj(
            "room read unread mentions",
            {
                "room": ref("Name"),
                "read": whole("The seq up to which one has read."),
                "unread": whole("Messages after that."),
                "mentions": whole("Those of them that call one by `@name`."),
            },
        ),
    }


def _messages() -> Json:
    place = {
        "id": text("`<room>:<seq>`.", pattern=f"^{NAME.pattern}:[0-9]+$"),
        "room": ref("Name"),
        "seq": ref("Seq"),
        "epoch": whole(
            "Changes when the server lost the end of its log and went on: a seq seen with another epoch is another "
            "event."
        ),
        "ts": moment("When the server took it."),
        "sender": ref("Name"),
    }
    always = "id room seq epoch ts sender"
    return {
        "PresentMessage": obj(
            f"{always} text",
            place
            | {
                "text": text("The text as it is now, edits applied."),
                "client_id": text("The key its sender gave it."),
                "reply_to": seq("The seq of the message this one answers."),
                "edited_at": moment("When it was last edited; absent when it never was."),
                "reactions": listed(
                    obj(
                        "emoji count users",
                        {"emoji": text(), "count": whole("How many people.", 1), "users": listed(ref("Name"))},
                    ),
                    "Only when there are any.",
                ),
            },
        ),
        "DeletedMessage": obj(
            f"{always} deleted",
            place | {"deleted": {"type": "boolean", "const": True}},
            "What is left of a deleted message: its place.",
        ),
        "Message": {
            "description": "A message in its present state.",
            "oneOf": [ref("PresentMessage"), ref("DeletedMessage")],
        },
        "MessageAnswer": obj("message", {"message": ref("Message")}),
        "Draft": obj(
            "text",
            {
                "text": text(
                    "What to say: not empty, at most 16 KiB of UTF-8 unless the operator set another limit. `@name` "
                    "calls a member.",
                    minLength=1,
                    maxLength=16384,
                ),
                "client_id": maybe(
                    text(
                        "Your own key for this message, printable characters. Sending again with the same key, in the "
                        "same room, within 24 hours gives the first message back instead of a second one: so after a "
                        "broken connection, just send again.",
                        minLength=1,
                        maxLength=64,
                        pattern=f"^[^{_HIDDEN}]*$",
                    )
                ),
                "reply_to": maybe(whole("The seq of the message this one answers.", 1, MAX_SEQ)),
            },
        ),
        "Outcome": {
            "description": "What became of one line of a batch. The answer's lines are in the order of the request's.",
            "oneOf": [
                obj("status message", {"status": {"enum": [200, 201]}, "message": ref("Message")}),
                obj(
                    "status error",
                    {
                        "status": whole("The status this line alone would have had.", 400, 599),
                        "error": ref("Problem"),
                        "retry_after": {"type": "number", "description": "Seconds to wait, for 429 and 503."},
                    },
                ),
            ],
        },
        "Page": obj(
            "messages head has_more",
            {
                "messages": listed(ref("Message"), "Oldest first."),
                "head": whole("The room's newest seq."),
                "has_more": flag("There are more on the side asked for: newer for `after`, else older."),
                "has_more_before": flag("With `around` only."),
                "has_more_after": flag("With `around` only."),
            },
        ),
        "Thread": obj(
            "root messages head has_more",
            {
                "root": ref("Message"),
                "messages": listed(ref("Message"), "What answers it, oldest first."),
                "head": whole("The room's newest seq."),
                "has_more": flag("There may be more."),
                "next": whole("With `has_more`: give this as `after`."),
            },
        ),
    }


def schemas() -> Json:
    """Everything of `components.schemas` but the events."""
    return _basics() | _people() | _rooms() | _messages()
