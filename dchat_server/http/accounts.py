"""Accounts over HTTP: registering, signing in, oneself, tokens, tickets, invites, others."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from dchat_server.accounts import SESSION_S, SignIn
from dchat_server.errors import ChatError
from dchat_server.http.auth import address_of, end_session, principal_of, set_session
from dchat_server.http.body import answer, no_content, presence_of, query_int, read_object, text_field
from dchat_server.http.parts import ACCOUNTS, SLOTS
from dchat_server.http.rooms import name_after, paging_cursor
from dchat_server.model import iso, parse_iso
from dchat_server.ports_accounts import Token
from dchat_server.principals import Principal
from dchat_server.signatures import TICKET_S

_ANYWHERE = {"Access-Control-Allow-Origin": "*"}
"""Lets any page read the answer that has the token for it. It opens nothing to a session's cookie: browsers keep such
answers from other sites' pages, and we refuse a cookie that comes from them."""

_LONG = 2048
"""More characters than any field may have; how many exactly is checked where the field means something."""


async def post_register(request: web.Request) -> web.StreamResponse:
    """POST /v1/register"""
    body = await read_object(request)
    signed_in = await request.app[ACCOUNTS].register(
        _text(body, "username"),
        _text(body, "password"),
        text_field(body, "display_name", max_chars=_LONG),
        text_field(body, "invite", max_chars=_LONG),
    )
    return _signed_in(request, signed_in, 201)


async def post_login(request: web.Request) -> web.StreamResponse:
    """POST /v1/login"""
    body = await read_object(request)
    username, password = _text(body, "username"), _text(body, "password")
    return _signed_in(request, await request.app[ACCOUNTS].login(username, password, address_of(request)), 200)


async def post_logout(request: web.Request) -> web.StreamResponse:
    """POST /v1/logout"""
    who = await principal_of(request, scope=None)
    await request.app[ACCOUNTS].logout(who)
    response = no_content()
    end_session(request, response)
    return response


async def get_me(request: web.Request) -> web.StreamResponse:
    """GET /v1/me"""
    who = await principal_of(request, scope="read")
    return answer({"user": await request.app[ACCOUNTS].me(who)})


async def patch_me(request: web.Request) -> web.StreamResponse:
    """PATCH /v1/me"""
    who = await principal_of(request, scope="write")
    body = await read_object(request)
    user = await request.app[ACCOUNTS].update_me(
        who,
        display_name=text_field(body, "display_name", max_chars=_LONG),
        status=text_field(body, "status", max_chars=_LONG),
        password=text_field(body, "password", max_chars=_LONG),
        old_password=text_field(body, "old_password", max_chars=_LONG),
        address=address_of(request),
    )
    return answer({"user": user})


async def get_tokens(request: web.Request) -> web.StreamResponse:
    """GET /v1/tokens"""
    who = await principal_of(request, scope="read")
    tokens = await request.app[ACCOUNTS].list_tokens(who)
    return answer({"tokens": [_info(token, who) for token in tokens]})


async def post_token(request: web.Request) -> web.StreamResponse:
    """POST /v1/tokens"""
    who = await principal_of(request, scope="write")
    body = await read_object(request)
    scopes = body.get("scopes")
    if not isinstance(scopes, list) or not all(isinstance(scope, str) for scope in scopes):
        raise ChatError("invalid_request", "`scopes` must be a list of strings.")
    expires = text_field(body, "expires_at", max_chars=64)
    try:
        expires_at = None if expires is None else parse_iso(expires)
    except (ValueError, OverflowError):
        raise ChatError("invalid_request", "`expires_at` must be a time such as 2027-01-31T12:00:00Z.") from None
    secret, token = await request.app[ACCOUNTS].create_token(who, _text(body, "name"), scopes, expires_at)
    return answer({"token": secret, "info": _info(token, who)}, 201)


async def delete_token(request: web.Request) -> web.StreamResponse:
    """DELETE /v1/tokens/{id}"""
    who = await principal_of(request, scope="write")
    await request.app[ACCOUNTS].revoke_token(who, request.match_info["id"])
    return no_content()


async def post_ticket(request: web.Request) -> web.StreamResponse:
    """POST /v1/tickets"""
    who = await principal_of(request, scope="read")
    ticket = await request.app[ACCOUNTS].issue_ticket(who)
    return answer({"ticket": ticket, "expires_in": TICKET_S}, 201, _ANYWHERE)


async def options_ticket(request: web.Request) -> web.StreamResponse:
    """OPTIONS /v1/tickets: what a browser asks before a page of another site, or a file, may fetch one with a token."""
    allowed = {"Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "authorization, content-type"}
    return web.Response(status=204, headers={**_ANYWHERE, **allowed, "Access-Control-Max-Age": "86400"})


async def post_invite(request: web.Request) -> web.StreamResponse:
    """POST /v1/invites"""
    who = await principal_of(request, scope="admin")
    invite, expires_at = await request.app[ACCOUNTS].create_invite(who)
    return answer({"invite": invite, "expires_at": iso(expires_at)}, 201)


async def get_users(request: web.Request) -> web.StreamResponse:
    """GET /v1/users"""
    await principal_of(request, scope="read")
    limit = query_int(request, "limit", 50, low=1, high=200) or 50
    found, more = await request.app[ACCOUNTS].users(request.query.get("query", ""), limit, name_after(request))
    online = await request.app[SLOTS].online(list(found))
    users = [
        {"username": username, "display_name": shown, "presence": presence_of(username, online)}
        for username, shown in found.items()
    ]
    return answer({"users": users, "next": paging_cursor(more) if more else None})


def _text(body: dict[str, Any], name: str) -> str:
    return text_field(body, name, max_chars=_LONG, required=True) or ""


def _signed_in(request: web.Request, signed_in: SignIn, status: int) -> web.Response:
    response = answer(
        {
            "user": signed_in.user,
            "token": signed_in.token,
            "token_id": signed_in.token_id,
            "expires_at": iso(signed_in.expires_at),
        },
        status,
        {"Cache-Control": "no-store"},
    )
    set_session(request, response, signed_in.token, SESSION_S)
    return response


def _info(token: Token, who: Principal) -> dict[str, Any]:
    """A token as its owner sees it. The scopes are those that count: `admin` only while one is an
    administrator.
    """
    return {
        "id": token.id,
        "name": token.name,
        "kind": token.kind,
        "current": token.id == who.token_id,
        "scopes": [scope for scope in token.scopes if scope != "admin" or who.admin],
        "created_at": iso(token.created_at),
        "expires_at": None if token.expires_at is None else iso(token.expires_at),
    }
