"""Addresses: where the server is, and how names stand in a path. Pure."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from dchat_client.errors import NotFound

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def parse_urls(text: str) -> tuple[str, ...]:
    """Return the server addresses in `text`, separated by commas, without trailing slash.

    Raises ValueError.
    """
    urls = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        parts = urlsplit(part if "://" in part else f"http://{part}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{part!r} is not an http:// or https:// address")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(f"{part!r} must be an address only, without user, password or query")
        _ = parts.port  # raises ValueError when it is no port
        urls.append(f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}")
    if not urls:
        raise ValueError("no server address was given")
    return tuple(dict.fromkeys(urls))


def segment(text: str) -> str:
    """Return `text` as one segment of a path, whatever it contains.

    Raises NotFound for "", "." and "..", which cannot stand in one: on the way they would become another
    address.
    """
    if text in ("", ".", ".."):
        raise NotFound(f"nothing can be called {text!r}", code="not_found", status=404)
    return quote(text, safe="", errors="replace")
