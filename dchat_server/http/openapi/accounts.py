"""The operations on accounts, tokens, tickets, invites."""

from __future__ import annotations

from dchat_server.accounts import MAX_API_TOKENS, MAX_SESSIONS, MAX_STATUS
from dchat_server.http.openapi.build import (
    Json,
    Operation,
    body,
    given,
    listed,
    maybe,
    obj,
    operation,
    path,
    query,
    ref,
    reply,
    text,
    whole,
)
from dchat_server.http.openapi.schemas import USER_EXAMPLE, line, secret
from dchat_server.passwords import MAX_CHARS, MIN_CHARS
from dchat_server.registration import MAX_DISPLAY_NAME
from dchat_server.signatures import TICKET_S

TAG = "Accounts"

_SECRET = "dchat_3_" + "x" * 43
_PASSWORD = text(f"{MIN_CHARS} to {MAX_CHARS} characters.", minLength=MIN_CHARS, maxLength=MAX_CHARS)
_DISPLAY = maybe(
    line(f"The name to show; one line, at most {MAX_DISPLAY_NAME} characters; empty: the user name.", MAX_DISPLAY_NAME)
)
_SIGNED_IN = {
    "user": USER_EXAMPLE,
    "token": _SECRET,
    "token_id": "45d030e72963750e",
    "expires_at": "2026-12-23T06:04:00.123Z",
}
_INFO = {
    "id": "9f86d081884c7d65",
    "name": "deploy bot",
    "kind": "api",
    "current": False,
    "scopes": ["read", "write"],
    "created_at": "2026-11-23T06:04:00.123Z",
    "expires_at": None,
}
_COOKIE = ["Cache-Control", "Set-Cookie"]


def _signing_in() -> list[Operation]:
    return [
        operation(
            "POST",
            "/v1/register",
            "register",
            TAG,
            "Make an account and sign in",
            "The very first account becomes the administrator. The server may be set to take registrations with an "
            "invite only, or none. Browsers get the token as a cookie, too.",
            scope=None,
            takes=body(
                obj(
                    "username password",
                    {
                        "username": ref("Name") | {"description": "Must not be `me`.", "not": {"const": "me"}},
                        "password": _PASSWORD,
                        "display_name": _DISPLAY,
                        "invite": maybe(text("Where registration needs one: see `POST /v1/invites`.", maxLength=2048)),
                    },
                ),
                {"username": "ada", "password": "correct horse", "display_name": "Ada"},
            ),
            answers={201: reply("Welcome.", ref("SignedIn"), _SIGNED_IN, _COOKIE)},
            errors="registration_closed username_taken overloaded bad_credentials",
        ),
        operation(
            "POST",
            "/v1/login",
            "login",
            TAG,
            "Sign in",
            "Gives a session token that lives 30 days, and sets it as a cookie for browsers. An account has at most "
            f"{MAX_SESSIONS} sessions: the oldest gives way. Tries are counted per account and address, 5 a minute.",
            scope=None,
            takes=body(
                obj(
                    "username password",
                    {"username": text(maxLength=2048), "password": text(maxLength=2048)},
                ),
                {"username": "ada", "password": "correct horse"},
            ),
            answers={200: reply("Signed in.", ref("SignedIn"), _SIGNED_IN, _COOKIE)},
            errors="bad_credentials too_many_logins overloaded",
        ),
        operation(
            "POST",
            "/v1/logout",
            "logout",
            TAG,
            "Sign out: end the token of this request",
            "The token is dead on all workers at once, and its open streams are closed within 5 s.",
            scope="",
            answers={204: reply("Signed out.", headers=["Set-Cookie"])},
        ),
        operation(
            "GET",
            "/v1/me",
            "getMe",
            TAG,
            "One's own account",
            "Also the way to find out whether a token is good.",
            answers={200: reply("The account.", _user_answer(), {"user": USER_EXAMPLE})},
        ),
        operation(
            "PATCH",
            "/v1/me",
            "changeMe",
            TAG,
            "Change one's own account",
            "What is absent or null stays. A new password needs the old one and ends all other tokens of the account.",
            scope="write",
            takes=body(
                obj(
                    "",
                    {
                        "display_name": _DISPLAY,
                        "status": maybe(line(f"A line about oneself, at most {MAX_STATUS} characters.", MAX_STATUS)),
                        "password": maybe(_PASSWORD),
                        "old_password": maybe(text("Needed with `password`.", maxLength=2048)),
                    },
                )
                | {"if": given("password"), "then": given("old_password")},
                {"display_name": "Ada Lovelace", "status": "on the train"},
            ),
            answers={200: reply("The account as it is now.", _user_answer(), {"user": USER_EXAMPLE})},
            errors="bad_credentials too_many_logins overloaded",
        ),
    ]


def _tokens() -> list[Operation]:
    return [
        operation(
            "GET",
            "/v1/tokens",
            "listTokens",
            TAG,
            "One's tokens",
            "All that are alive, sessions and API tokens, oldest first, without their secrets.",
            answers={
                200: reply("The tokens.", obj("tokens", {"tokens": listed(ref("TokenInfo"))}), {"tokens": [_INFO]})
            },
        ),
        operation(
            "POST",
            "/v1/tokens",
            "createToken",
            TAG,
            "Make an API token",
            "For programs. It cannot have scopes that the token it is made with lacks; made with an API token, it ends "
            f"no later than that one. An account has at most {MAX_API_TOKENS}.",
            scope="write",
            takes=body(
                obj(
                    "name scopes",
                    {
                        "name": line(
                            f"What it is for; one line, at most {MAX_DISPLAY_NAME} characters.",
                            MAX_DISPLAY_NAME,
                            filled=True,
                        ),
                        "scopes": listed(ref("Scope"), "What it may do.", minItems=1),
                        "expires_at": maybe(
                            text("When it ends, in the future; absent or null: when it is revoked.", format="date-time")
                        ),
                    },
                ),
                {"name": "deploy bot", "scopes": ["read", "write"]},
            ),
            answers={
                201: reply(
                    "The token.",
                    obj(
                        "token info",
                        {"token": secret("dchat", "The secret, shown this once."), "info": ref("TokenInfo")},
                    ),
                    {"token": _SECRET, "info": _INFO},
                )
            },
            errors="too_many_tokens",
        ),
        operation(
            "DELETE",
            "/v1/tokens/{id}",
            "revokeToken",
            TAG,
            "Revoke one of one's tokens",
            "Dead on all workers at once; its open streams are closed within 5 s.",
            scope="write",
            parameters=[path("id", text(minLength=1), "The token's `id`.", "9f86d081884c7d65")],
            answers={204: reply("Revoked.")},
            errors="token_not_found",
        ),
        operation(
            "POST",
            "/v1/tickets",
            "createTicket",
            TAG,
            "A ticket that opens one stream",
            "A browser's `EventSource` cannot send a token, and tokens do not belong into addresses. So fetch a ticket "
            f"and open `/v1/events?ticket=…` with it, once, within {TICKET_S} seconds. "
            "Pages of other sites, and files, may fetch one with a token.",
            answers={
                201: reply(
                    "The ticket.",
                    obj(
                        "ticket expires_in",
                        {"ticket": secret("dchatt", "Good once."), "expires_in": whole("Seconds.", 1, 3600)},
                    ),
                    {"ticket": "dchatt_3_" + "x" * 43, "expires_in": TICKET_S},
                )
            },
        ),
        operation(
            "POST",
            "/v1/invites",
            "createInvite",
            TAG,
            "An invite for one registration",
            "For administrators. It is good for 7 days.",
            scope="admin",
            answers={
                201: reply(
                    "The invite.",
                    obj("invite expires_at", {"invite": secret("dchati", "Good once."), "expires_at": ref("Time")}),
                    {"invite": "dchati_3_" + "x" * 43, "expires_at": "2026-11-30T06:04:00.123Z"},
                )
            },
        ),
    ]


def _others() -> list[Operation]:
    return [
        operation(
            "GET",
            "/v1/users",
            "listUsers",
            TAG,
            "People",
            "By user name, a page at a time.",
            parameters=[
                query(
                    "query",
                    text(),
                    "Only those whose user name begins with this, in any case; a leading `@` is dropped.",
                ),
                query("limit", whole("", 1, 200, default=50), "People on a page."),
                query("cursor", ref("ListCursor"), "The `next` of the page before."),
            ],
            answers={
                200: reply(
                    "A page of people.",
                    obj(
                        "users next",
                        {
                            "users": listed(ref("Person")),
                            "next": maybe(ref("ListCursor") | {"description": "null at the end."}),
                        },
                    ),
                    {"users": [{"username": "ada", "display_name": "Ada", "presence": "online"}], "next": None},
                )
            },
            errors="invalid_request bad_cursor",
        ),
    ]


def _user_answer() -> Json:
    return obj("user", {"user": ref("User")})


def operations() -> list[Operation]:
    """All of this part."""
    return _signing_in() + _tokens() + _others()
