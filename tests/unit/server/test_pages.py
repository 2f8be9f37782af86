"""The web files as they are served: whole, under a strict policy, and nothing beside them."""

from __future__ import annotations

import configparser
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from yarl import URL

from dchat_server.http import pages
from tests.one_worker import Here, one_worker

ROOT = Path(__file__).resolve().parents[3]
WEB = ROOT / "dchat_server/web"
FILES = sorted(file.relative_to(WEB).as_posix() for file in WEB.rglob("*") if file.is_file())
PAGES = {
    "/": "chat/index.html",
    "/dashboard": "dashboard/index.html",
    "/docs": "docs.html",
    "/docs/docs.css": "docs.css",
    "/docs/docs.js": "docs.js",
}


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Here]:
    async with one_worker() as here:
        yield here


def get(here: Here, path: str, method: str = "GET", **headers: str) -> aiohttp.client._RequestContextManager:
    """Without a token; the path goes out as it stands here, and nothing is unpacked on the way back."""
    url = URL(f"http://127.0.0.1:{here.port}{path}", encoded=True)
    named = {name.replace("_", "-"): value for name, value in {"Accept_Encoding": "identity", **headers}.items()}
    return here.http.request(method, url, headers=named, auto_decompress=False, skip_auto_headers=["Accept-Encoding"])


async def test_every_web_file_is_served_as_it_lies_there_to_anybody(here: Here) -> None:
    wanted = PAGES | {f"/web/{name}": name for name in FILES}
    assert len(wanted) > len(PAGES)
    for path, name in wanted.items():
        async with get(here, path) as response:
            assert (response.status, await response.read()) == (200, (WEB / name).read_bytes()), path
            assert "octet-stream" not in response.headers["Content-Type"], f"{name}: what type is that?"


@pytest.mark.parametrize("path", ["/", "/dashboard", "/docs", "/docs/errors", "/docs/docs.js", "/web/docs.css"])
async def test_every_page_forbids_what_it_does_not_need(here: Here, path: str) -> None:
    async with get(here, path) as response:
        assert response.headers["Content-Security-Policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
            "font-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; "
            "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify"
        )
        told = {name: response.headers[name] for name in sorted(set(pages.HEADERS) - {"Content-Security-Policy"})}
    assert told == {
        "Cache-Control": "no-cache",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("chat/index.html", "text/html; charset=utf-8"),
        ("lib/session.js", "text/javascript; charset=utf-8"),
        ("vendor/marked/marked.mjs", "text/javascript; charset=utf-8"),
        ("docs.css", "text/css; charset=utf-8"),
        ("chat/icon.svg", "image/svg+xml; charset=utf-8"),
        ("chat/icon.png", "image/png"),
        ("chat/chat.webmanifest", "application/manifest+json; charset=utf-8"),
        ("vendor/marked/LICENSE", "text/plain; charset=utf-8"),
        ("vendor.d/LICENSE", "text/plain; charset=utf-8"),
        ("strange.exe", "application/octet-stream"),
    ],
)
def test_a_file_has_the_type_its_name_says(name: str, told: str) -> None:
    assert pages.media_type(name) == told


async def test_a_page_that_has_not_changed_is_not_sent_again(here: Here) -> None:
    etags = []
    for coding in ("identity", "gzip"):
        async with get(here, "/docs", Accept_Encoding=coding) as response:
            etags.append(response.headers["ETag"])
    plain, packed = etags
    assert plain != packed, "a strong ETag is one of exact bytes"
    assert not [etag for etag in etags if etag.startswith("W/")]
    for known in (plain, packed, "*", f'"old", {plain}', f"W/{plain}"):
        async with get(here, "/docs", If_None_Match=known) as response:
            assert (response.status, await response.read()) == (304, b"")
            assert response.headers["ETag"] == plain
            assert response.headers["Cache-Control"] == "no-cache"
    for other in ('"old"', "nonsense"):
        async with get(here, "/docs", If_None_Match=other) as response:
            assert response.status == 200
    async with get(here, "/docs/errors", If_None_Match=plain) as response:
        assert response.status == 200, "another page has another ETag"


@pytest.mark.parametrize(
    ("accepted", "taken"),
    [
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("*", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("*, gzip; q=0.0", False),
        ("x-gzip-like", False),
    ],
)
async def test_a_page_comes_packed_to_those_who_take_it(here: Here, accepted: str, taken: bool) -> None:
    content = (WEB / "docs.js").read_bytes()
    async with get(here, "/docs/docs.js", Accept_Encoding=accepted) as response:
        body = await response.read()
        assert response.headers.get("Content-Encoding") == ("gzip" if taken else None)
        assert int(response.headers["Content-Length"]) == len(body)
    assert (gzip.decompress(body) if taken else body) == content
    assert not taken or len(body) < len(content) / 2


def test_what_does_not_get_smaller_is_not_packed() -> None:
    assert pages.page_of("image/png", bytes(range(256))).packed is None


async def test_head_answers_like_get_without_the_body(here: Here) -> None:
    for path in PAGES:
        async with get(here, path) as asked, get(here, path, "HEAD") as headed:
            assert (headed.status, await headed.read()) == (200, b"")
            for name in ("Content-Length", "Content-Type", "ETag", "Content-Security-Policy"):
                assert headed.headers[name] == asked.headers[name]


@pytest.mark.parametrize(
    "path",
    [
        "/web/nothing.js",
        "/web/",
        "/web/chat",
        "/web/chat/",
        "/web/../http/pages.py",
        "/web/..%2fhttp%2fpages.py",
        "/web/%2e%2e/http/pages.py",
        "/web/chat/../../py.typed",
        "/web/chat/..%2F..%2Fpy.typed",
        "/web/..%5Cpy.typed",
        "/web//etc/passwd",
        "/web/%2Fetc%2Fpasswd",
        "/web/docs.css%00.js",
        "/web/./docs.css%2e",
        "/docs/docs.html",
        "/docs/..%2Fpy.typed",
        "/dashboard/",
    ],
)
async def test_no_path_leads_to_anything_but_the_web_files(here: Here, path: str) -> None:
    async with get(here, path) as response:
        assert response.status == 404
        assert response.content_type == "application/problem+json"
        assert (await response.json(content_type=None))["code"] == "not_found"


async def test_pages_take_no_other_method(here: Here) -> None:
    for path in ("/", "/dashboard", "/web/docs.css"):
        async with get(here, path, "POST") as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


def test_the_package_that_is_installed_holds_every_web_file() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", "utf-8")
    globs = setup["options.package_data"]["dchat_server"].split()
    packed = {
        path.relative_to(WEB).as_posix() for glob in globs for path in WEB.parent.glob(glob) if WEB in path.parents
    }
    assert packed >= set(FILES)
    assert set(pages.files()) == set(FILES)
