"""Who sent a request, from where, and whether a browser may be trusted with it.

Three ways to sign a request, the first that is there counts: `Authorization: Bearer` (programs), `?ticket=`
where a handler allows it (an `EventSource` on another origin), and the session cookie (browsers). A browser
sends the cookie by itself, whoever made the request; so with the cookie an unsafe method also needs an
`Origin` of our own.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from dchat_server.errors import ChatError
from dchat_server.http.parts import ACCOUNTS, CONFIG
from dchat_server.principals import Principal

COOKIE = "dchat_session"

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORT = {"http": ":80", "https": ":443"}
_SCOPE_WORDS = {"read": "read", "write": "write", "admin": "administer"}


async def principal_of(request: web.Request, *, scope: str | None, ticket: bool = False) -> Principal:
    """Who sent the request. No round trip for a token seen within a minute, else one.

    `scope`: what the token must allow (None: nothing in particular). `ticket`: accept `?ticket=`, which is
    spent then. Raises ChatError unauthorized, insufficient_scope, bad_origin.
    """
    accounts = request.app[ACCOUNTS]
    header = request.headers.get(hdrs.AUTHORIZATION)
    if header is not None:
        token = header[7:]
        if header[:7] != "Bearer ":
            scheme, _, token = header.partition(" ")
            if scheme.lower() != "bearer":
                raise ChatError("unauthorized", "Send `Authorization: Bearer <token>`.")
            token = token.strip()
        principal = accounts.peek(token) or await accounts.authenticate(token)
    elif ticket and "ticket" in request.query:
        principal = await accounts.redeem_ticket(request.query["ticket"])
    else:
        token = _cookie(request)
        if not token:
            raise ChatError("unauthorized")
        if request.method not in _SAFE and not is_same_origin(request):
            raise ChatError(
                "bad_origin", "With the session cookie, requests are taken from this site's own pages only."
            )
        principal = accounts.peek(token) or await accounts.authenticate(token)
    if scope is not None and scope not in principal.scopes:
        raise ChatError("insufficient_scope", f"The token is not one to {_SCOPE_WORDS.get(scope, scope)} with.")
    return principal


def _cookie(request: web.Request) -> str:
    """The session cookie's value; read by hand, because `request.cookies` parses and keeps all of them."""
    for part in request.headers.get(hdrs.COOKIE, "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value.strip('"')
    return ""


def is_same_origin(request: web.Request) -> bool:
    """True when the request came from a page of ours, as far as the browser says.

    An `Origin` must be that of DCHAT_PUBLIC_URL or name the host the request was sent to; behind trusted
    proxies, or when the connection itself is TLS, with the scheme used. Without `Origin`, `Sec-Fetch-Site`
    must say same-origin.
    """
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is None:
        return request.headers.get("Sec-Fetch-Site") == "same-origin"
    scheme, _, host = origin.lower().partition("://")
    host = host.removesuffix(_DEFAULT_PORT.get(scheme, ""))
    if scheme not in _DEFAULT_PORT or not host:
        return False
    config = request.app[CONFIG]
    if config.public_url is not None:
        public = urlsplit(config.public_url.lower())
        if (scheme, host) == (
            public.scheme,
            public.netloc.removesuffix(_DEFAULT_PORT.get(public.scheme, "")),
        ):
            return True
    sure = scheme_of(request) if config.trusted_proxies or request.secure else scheme
    return scheme == sure and host == _host(request).removesuffix(_DEFAULT_PORT[scheme])


def _host(request: web.Request) -> str:
    host = request.headers.get(hdrs.HOST, "")
    if request.app[CONFIG].trusted_proxies:
        forwarded = request.headers.get("X-Forwarded-Host", "")
        host = forwarded.rpartition(",")[2].strip() or host
    return host.lower()


def scheme_of(request: web.Request) -> str:
    """`https` or `http`, as the client used it: X-Forwarded-Proto where proxies are trusted."""
    if request.app[CONFIG].trusted_proxies:
        forwarded = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
        if forwarded in _DEFAULT_PORT:
            return forwarded
    return "https" if request.secure else "http"


def address_of(request: web.Request) -> str:
    """The client's address, for counting: behind trusted proxies the one that the outermost of them saw.
    All of an IPv6 network of 64 bits counts as one, because one customer has it.
    """
    peer = request.remote or "local"
    hops = request.app[CONFIG].trusted_proxies
    if hops:
        seen = [part.strip() for line in request.headers.getall("X-Forwarded-For", ()) for part in line.split(",")]
        if seen:
            peer = seen[max(0, len(seen) - hops)]
    if peer.startswith("["):
        peer = peer[1:].partition("]")[0]
    elif peer.count(":") == 1:
        peer = peer.partition(":")[0]
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return "unknown" if hops else "local"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)


def set_session(request: web.Request, response: web.StreamResponse, token: str, max_age_s: int) -> None:
    """Give the browser the session cookie; not when another site's page asks, which could sign people in as
    somebody else.
    """
    if hdrs.ORIGIN not in request.headers or is_same_origin(request):
        response.set_cookie(
            COOKIE,
            token,
            max_age=max_age_s,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=_secure(request),
        )


def end_session(request: web.Request, response: web.StreamResponse) -> None:
    """Take the session cookie back."""
    if _cookie(request):
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict", secure=_secure(request))


def _secure(request: web.Request) -> bool:
    config = request.app[CONFIG]
    if config.secure_cookies != "auto":
        return config.secure_cookies == "always"
    return scheme_of(request) == "https" or (config.public_url or "").startswith("https://")
