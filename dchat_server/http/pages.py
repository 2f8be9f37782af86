"""The web files: chat at `/`, dashboard at `/dashboard`, documentation at `/docs`, and what they are made of.

A name is looked up in the table of files that came with the package, never in the file system, so there is no path
that leads out of it. A file is read when it is first asked for and then kept, plain and packed, for the life of the
process: after an upgrade a new process serves another, and its ETag says so.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from aiohttp import hdrs, web

from dchat_server.errors import FAILURES, ChatError

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types dompurify",  # the sanitiser's own; no other code may make HTML of text
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    hdrs.CACHE_CONTROL: "no-cache",
    hdrs.VARY: hdrs.ACCEPT_ENCODING,
}
_TEXT = {
    "css": "text/css",
    "html": "text/html",
    "js": "text/javascript",
    "json": "application/json",
    "md": "text/markdown",
    "mjs": "text/javascript",
    "svg": "image/svg+xml",
    "txt": "text/plain",
    "webmanifest": "application/manifest+json",
}
_BINARY = {"ico": "image/x-icon", "png": "image/png", "woff2": "font/woff2"}
_PACKED_SHARE = 0.9
"""A packed form that is larger than this share of the plain one is not worth unpacking."""


@dataclass(frozen=True)
class Page:
    """One file as it is sent."""

    media_type: str
    plain: bytes
    packed: bytes | None
    """The same, gzipped; None where that saves too little."""
    digest: str

    @property
    def etags(self) -> tuple[str, str]:
        """Without quotes, of the plain and of the packed form: a strong ETag is one of exact bytes."""
        return self.digest, f"{self.digest}-gzip"


def page_of(media_type: str, content: bytes) -> Page:
    """`content` ready to be sent. Costs some 20 ms a MiB."""
    packed = gzip.compress(content, mtime=0)  # no time in it: all workers' bytes are the same
    worth = len(packed) <= len(content) * _PACKED_SHARE
    return Page(media_type, content, packed if worth else None, hashlib.sha256(content).hexdigest()[:32])


@cache
def files() -> Mapping[str, Traversable]:
    """Every file of `dchat_server/web`, by its path in there, with slashes."""
    return dict(_below(resources.files("dchat_server") / "web", ""))


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for each in folder.iterdir():
        if each.name.startswith("."):
            continue
        if each.is_dir():
            yield from _below(each, f"{prefix}{each.name}/")
        else:
            yield prefix + each.name, each


def media_type(name: str) -> str:
    """The Content-Type of a file by its name; of a name without an ending, such as LICENSE, that of text."""
    ending = PurePosixPath(name).suffix.removeprefix(".") or "txt"
    return f"{_TEXT[ending]}; charset=utf-8" if ending in _TEXT else _BINARY.get(ending, "application/octet-stream")


@cache
def _file(name: str) -> Page:
    return page_of(media_type(name), files()[name].read_bytes())


def _send(request: web.Request, page: Page) -> web.Response:
    """`page`, packed if the client takes that; 304 if it has it already."""
    packed = page.packed is not None and takes_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, ""))
    headers = {**HEADERS, hdrs.ETAG: f'"{page.etags[packed]}"'}
    if any(known.value in ("*", *page.etags) for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    headers[hdrs.CONTENT_TYPE] = page.media_type
    if packed:
        headers[hdrs.CONTENT_ENCODING] = "gzip"
    return web.Response(body=page.packed if packed else page.plain, headers=headers)


def takes_gzip(accept_encoding: str) -> bool:
    """Whether this `Accept-Encoding` names gzip, or everything, and does not rule it out with `q=0`."""
    weights = {}
    for part in accept_encoding.lower().split(","):
        coding, _, parameter = part.partition(";")
        name, _, value = parameter.partition("=")
        weights[coding.strip()] = value.strip() if name.strip() == "q" else "1"
    return weights.get("gzip", weights.get("*", "0")).strip("0.") != ""


def _named(request: web.Request, name: str) -> web.Response:
    if name not in files():
        raise ChatError("not_found")
    return _send(request, _file(name))


async def get_chat(request: web.Request) -> web.StreamResponse:
    """GET /"""
    return _named(request, "chat/index.html")


async def get_dashboard(request: web.Request) -> web.StreamResponse:
    """GET /dashboard"""
    return _named(request, "dashboard/index.html")


async def get_file(request: web.Request) -> web.StreamResponse:
    """GET /web/{path}"""
    return _named(request, request.match_info["path"])


async def get_docs(request: web.Request) -> web.StreamResponse:
    """GET /docs"""
    return _named(request, "docs.html")


async def get_docs_file(request: web.Request) -> web.StreamResponse:
    """GET /docs/{file}"""
    name = request.match_info["file"]
    if name not in ("docs.css", "docs.js"):
        raise ChatError("not_found")
    return _named(request, name)


async def get_errors(request: web.Request) -> web.StreamResponse:
    """GET /docs/errors: every error code, as the `type` of a problem points to."""
    return _send(request, _errors())


@cache
def _errors() -> Page:
    rows = "".join(
        f'<tr id="{row.code}"><td><code>{row.code}</code></td><td>{row.status}</td><td>{row.title}</td></tr>'
        for row in FAILURES.values()
    )
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>D-Chat error codes</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,"><link rel="stylesheet" href="/docs/docs.css"><body><main><h1>Error codes</h1>'
        "<p>Errors are <code>application/problem+json</code>; match on <code>code</code>.</p>"
        f"<table><thead><tr><th>code</th><th>status</th><th>meaning</th></tr></thead><tbody>{rows}</tbody></table>"
        "</main></body></html>"
    )
    return page_of(media_type("errors.html"), text.encode())
