"""What can go wrong between a client and its server, as exceptions a person can read.

One hierarchy, whatever broke: the network, a proxy on the way, or the server saying no. `str(error)` is a
sentence; `next_step` says what to do about it, where there is something.
"""

from __future__ import annotations

import os

_NEXT_STEPS = {
    "unauthorized": "Sign in with: dchat login",
    "bad_credentials": "Check the user name and the password; dchat register makes a new account.",
    "insufficient_scope": "This token may not do that; sign in with: dchat login",
    "not_a_member": "Join the room first with: dchat join ROOM",
    "room_not_found": "dchat rooms lists the rooms you can see.",
    "worker_not_found": "dchat admin workers lists them.",
    "no_leader": "dchat admin lag says what is missing.",
    "user_not_found": "Check the spelling of the user name.",
    "registration_closed": "Ask an administrator of the server for an account or an invite.",
    "username_taken": "Choose another name, or sign in with: dchat login",
    "room_taken": "Choose another name, or join it with: dchat join ROOM",
    "room_archived": "The room is closed for writing; an owner can bring it back.",
    "idempotency_conflict": "This key was used for another text; choose another --key.",
    "message_too_long": "Use --split to send it as several messages.",
    "too_many_logins": "Wait a minute before the next try.",
    "unreachable": "Check the address (--url or DCHAT_URL) and the network; dchat doctor looks closer.",
    "not_dchat": "Check the address: something else than D-Chat answers there. dchat doctor looks closer.",
    "untrusted_certificate": "Check the address; a private authority's file can be named in SSL_CERT_FILE.",
    "redirected": "Give that address with --url; a sign-in token is never sent on to another address.",
}

# What an answer without a problem document means: it came from a proxy, or from something that is not D-Chat.
_CODES = {401: "unauthorized", 404: "not_found", 429: "rate_limited"} | dict.fromkeys(
    (502, 503, 504), "backend_unavailable"
)


class ChatError(Exception):
    """Anything that kept a request or a stream from doing its work.

    `code` is the server's stable word (or one of ours: unreachable, not_dchat, redirected, stream_broken,
    untrusted_certificate),
    `status` the HTTP status when there was an answer, `retry_after_s` what the server asked to wait, `request_id` by
    what its operator finds the request in the log.
    """

    retryable = False
    """The same request may well succeed later, without anybody changing anything."""

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        status: int | None = None,
        retry_after_s: float | None = None,
        next_step: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.status = status
        self.retry_after_s = retry_after_s
        self.request_id = request_id
        self.next_step = next_step if next_step is not None else _NEXT_STEPS.get(code)


class Unreachable(ChatError):
    """No answer came. What was asked may have happened or not: repeat only what may be repeated."""

    retryable = True


class Busy(ChatError):
    """The server answered that it cannot do it now (429, 502, 503, 504)."""

    retryable = True


class StreamBroken(ChatError):
    """What came over the stream cannot be read. A new connection may be better."""

    retryable = True


class Refused(ChatError):
    """The server said no, and will say no again."""


class SignInNeeded(Refused):
    """401: no token, or one that is not valid any more; or a wrong password at sign-in."""


class NotFound(Refused):
    """404: it does not exist, or one may not see it; the server does not say which."""


class ServerFault(ChatError):
    """The server failed (500), or answered something that makes no sense."""


def from_problem(
    status: int,
    problem: object,
    *,
    retry_after_s: float | None = None,
    fallback: str = "",
    request_id: str | None = None,
) -> ChatError:
    """Return the error for an answer with `status` and its decoded problem+json body (or whatever came
    instead).
    """
    words = _word(problem, "detail") or _word(problem, "title")
    return _kind(status)(
        words or fallback or f"the server answered with status {status}",
        code=_word(problem, "code") or _CODES.get(status) or f"http_{status}",
        status=status,
        retry_after_s=retry_after_s,
        request_id=request_id,
    )


def os_words(error: OSError) -> str:
    """Return what the system says, in a few words: "connection refused"."""
    if not error.errno:
        return str(error) or type(error).__name__
    # asyncio puts addresses into the text; a failed look-up of a name has a number of its own kind, below 0.
    return (os.strerror(error.errno) if error.errno > 0 else error.strerror or str(error)).lower()


def _word(problem: object, name: str) -> str:
    value = problem.get(name) if isinstance(problem, dict) else None
    return value if isinstance(value, str) else ""


def _kind(status: int) -> type[ChatError]:
    if status in (429, 502, 503, 504):
        return Busy
    if not 400 <= status < 500:
        return ServerFault
    return {401: SignInNeeded, 404: NotFound}.get(status, Refused)
