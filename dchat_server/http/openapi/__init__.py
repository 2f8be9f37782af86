"""The contract as an OpenAPI 3.1 document, written where it can be checked: names, bounds and error codes come from
the code that enforces them, and a test compares the operations with the table of routes.

    build.py     the vocabulary                    schemas.py, events.py   what is sent and answered
    accounts.py, rooms.py, messages.py, stream.py, cluster.py, operators.py   the operations, as `http/` has them
"""

from __future__ import annotations

from functools import cache

from dchat_server import __version__
from dchat_server.http.auth import COOKIE
from dchat_server.http.openapi import accounts, cluster, messages, operators, rooms, stream
from dchat_server.http.openapi.build import Json, text, whole
from dchat_server.http.openapi.events import event_schemas
from dchat_server.http.openapi.schemas import schemas

_DESCRIPTION = """\
Chat for teams and programs: plain HTTP and server-sent events.

To begin: `POST /v1/register` gives you an account and a token. Send the token with every request as \
`Authorization: Bearer …`. Make a room with `POST /v1/rooms` or join one with `PUT /v1/rooms/{room}/members/me`, \
read it with `GET /v1/rooms/{room}/messages`, write with `POST` to the same address, and listen at `GET /v1/events`.

JSON in and out, UTF-8. Pass over members of an answer that you do not know: more may come. Members of a request that \
the server does not know are passed over, too.

Errors are `application/problem+json` (RFC 9457). Match on `code`; `/docs/errors` lists them all. 429 and 503 carry \
`Retry-After`, in seconds. After a 503 you cannot know whether the request was done: repeat it; sends are safe to \
repeat with the same `client_id`, everything else is by its nature. An address that does not exist is 404 `not_found`, \
a method it does not take 405 `method_not_allowed`, and 500 `internal` is a mistake of the server. Only what is not \
proper HTTP, or has an address of more than 8 KiB, is refused in plain text.

Every answer carries `X-Request-Id`: yours, when you send one of 6 to 128 plain characters, else a new one. A 5xx has \
it as `request_id`, too. Tell it to whoever runs the server: the log has it.

Limits are the operator's, counted over all workers. As shipped: 10 messages a second for each account with a burst \
of 50, 100 new rooms a day, 5 tries to sign in a minute, 20 open streams, 16 KiB a message, 64 KiB a request body, \
1 MiB a batch.

Positions. Everything durable that happens in a room takes the room's next `seq`: 1, 2, 3, … without holes. So a hole \
means loss, and a client can check by arithmetic. A cursor names a place in everything a person's stream carries. \
Lists are paged by cursor or seq, never by offset."""

_TAGS = (
    (accounts.TAG, "Accounts, signing in, tokens for programs."),
    (rooms.TAG, "Rooms and who is in them."),
    (messages.TAG, "Sending, reading back, changing."),
    (stream.TAG, "What happens, as it happens."),
    (cluster.TAG, "The workers, the leader, the archive: for administrators."),
    (operators.TAG, "Health, metrics, this document, and the pages for people. No token needed."),
)


@cache
def document() -> Json:
    """The OpenAPI document of this server. Always the same object: do not change it."""
    operations = (
        accounts.operations()
        + rooms.operations()
        + messages.operations()
        + stream.operations()
        + cluster.operations()
        + operators.operations()
    )
    paths: Json = {}
    for method, path, operation in operations:
        paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "D-Chat",
            "version": __version__,
            "summary": "Chat over plain HTTP and server-sent events.",
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This server."}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS],
        "paths": paths,
        "components": {
            "schemas": schemas() | event_schemas() | cluster.schemas(),
            "headers": _headers(),
            "securitySchemes": _ways_to_sign(),
        },
    }


def _headers() -> Json:
    return {
        "Retry-After": {
            "description": "Seconds to wait before asking again.",
            "schema": whole("", 1),
            "required": True,
        },
        "WWW-Authenticate": {"description": "How to sign in.", "schema": text(const="Bearer"), "required": True},
        "Set-Cookie": {
            "description": f"The session for browsers, `{COOKIE}`: HttpOnly, SameSite=Strict.",
            "schema": text(),
        },
        "Cache-Control": {"description": "Answers that nobody should keep say so.", "schema": text()},
        "X-Accel-Buffering": {"description": "`no` on streams: proxies pass on each event at once.", "schema": text()},
    }


def _ways_to_sign() -> Json:
    return {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "For programs: a token from `/v1/login`, `/v1/register` or `/v1/tokens`. The scope an "
            "operation needs stands beside it.",
        },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": COOKIE,
            "description": "For browsers: set by signing in. Requests that change something must come from this site's "
            "own pages (403 `bad_origin`).",
        },
        "ticket": {
            "type": "apiKey",
            "in": "query",
            "name": "ticket",
            "description": "For an `EventSource`, which cannot send a token: one of `POST /v1/tickets`, good once.",
        },
    }
