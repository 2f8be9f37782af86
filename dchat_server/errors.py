"""Every way a request can fail: one row a failure.

`code` is the stable word clients match on; `status` the HTTP status; `retry_after_s` says how long a client
should wait before it asks again (None: asking again will not help). `http/problems.py` turns a `ChatError` into
`application/problem+json`; nothing below that layer knows about HTTP bodies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Failure:
    """One row of the table: what a client is told when this kind of failure happens."""

    code: str
    status: int
    title: str
    retry_after_s: int | None = None


_ROWS = (
    Failure("invalid_request", 400, "The request is not of the form this call takes"),
    Failure("bad_cursor", 400, "The paging cursor is not one this server gave out"),
    Failure("unauthorized", 401, "Sign in first"),
    Failure("bad_credentials", 401, "User name or password is wrong"),
    Failure("not_a_member", 403, "Only members of the room may do this"),
    Failure("forbidden", 403, "Your role does not allow this"),
    Failure("insufficient_scope", 403, "The token's scopes do not allow this"),
    Failure("bad_origin", 403, "The request came from another site's page"),
    Failure("registration_closed", 403, "Registration is closed"),
    Failure("read_only", 403, "You may read this room but not write to it"),
    Failure("not_found", 404, "There is nothing at this address"),
    Failure("room_not_found", 404, "There is no such room"),
    Failure("message_not_found", 404, "There is no such message"),
    Failure("user_not_found", 404, "There is no such user"),
    Failure("token_not_found", 404, "There is no such token"),
    Failure("worker_not_found", 404, "There is no such worker"),
    Failure("method_not_allowed", 405, "This address does not take that method"),
    Failure("not_acceptable", 406, "The stream is offered as text/event-stream or application/x-ndjson"),
    Failure("username_taken", 409, "The user name is taken"),
    Failure("room_taken", 409, "The room name is taken"),
    Failure("room_archived", 409, "The room is archived"),
    Failure("idempotency_conflict", 409, "The client_id was used for another message"),
    Failure("too_many_tokens", 409, "The account has as many API tokens as it may"),
    Failure("message_deleted", 409, "The message was deleted"),
    Failure("no_leader", 409, "No worker leads at the moment"),
    Failure("body_too_large", 413, "The request body is too large"),
    Failure("message_too_long", 413, "The message text is too long"),
    Failure("unsupported_media_type", 415, "The body's media type is not one this call takes"),
    Failure("rate_limited", 429, "Too many messages", 1),
    Failure("too_many_rooms", 429, "Too many new rooms today", 3600),
    Failure("too_many_logins", 429, "Too many login tries", 60),
    Failure("too_many_streams", 429, "Too many open streams", 30),
    Failure("internal", 500, "The server made a mistake"),
    Failure("backend_unavailable", 503, "The message log does not answer", 2),
    Failure("archive_unavailable", 503, "Old messages cannot be read at the moment", 5),
    Failure("overloaded", 503, "The server has more to do than it can take", 2),
    Failure("draining", 503, "This worker is shutting down", 1),
)

FAILURES: dict[str, Failure] = {row.code: row for row in _ROWS}


def is_error(code: str) -> bool:
    """True for a failure that is the server's own and not the client's."""
    return code in FAILURES and FAILURES[code].status >= 500


class ChatError(Exception):
    """A failure a client is told about. `detail` is a sentence for a person; it never holds a secret."""

    def __init__(self, code: str, detail: str = "", *, retry_after_s: float | None = None, **extra: Any) -> None:
        self.failure = FAILURES[code]
        self.detail = detail or self.failure.title + "."
        self.retry_after_s = self.failure.retry_after_s if retry_after_s is None else retry_after_s
        self.extra = extra
        super().__init__(f"{code}: {self.detail}")

    @property
    def code(self) -> str:
        return self.failure.code

    @property
    def status(self) -> int:
        return self.failure.status

    @property
    def retryable(self) -> bool:
        """True when the same request may succeed later, unchanged."""
        return self.status in (429, 503)


class BackendUnavailable(ChatError):
    """The message log did not answer in time. What was asked may or may not have happened: repeat it with the
    same key to find out."""

    def __init__(self, detail: str = "The message log does not answer; try again shortly.") -> None:
        super().__init__("backend_unavailable", detail)


class ArchiveUnavailable(ChatError):
    """The archive did not answer in time. What was written may or may not be there."""

    def __init__(self, detail: str = "Old messages cannot be read at the moment; try again shortly.") -> None:
        super().__init__("archive_unavailable", detail)


class ClusterMismatch(Exception):
    """This worker's settings do not fit the data it found (for example another DCHAT_SHARDS). It must not start."""
