"""A real browser for tests: one Chromium for all tests of a process, a fresh profile for each that asks.

Playwright's objects belong to the loop that made them, so a test that uses `browser` runs in the session's loop, as do
its async fixtures. A file of such tests begins with

    pytestmark = pytest.mark.asyncio(loop_scope="session")

and asks for `browser`, which tests/e2e/conftest.py takes from here:

    async def test_it_shows(browser: Browser, workers: Workers) -> None:
        page = await browser.open(workers[0].url + "/")

Two tabs of one person: `context = await browser.context()` and twice `await context.new_page()`. Two people: two
contexts. What a page complains about (an exception nobody caught, an error in the console, something the policy
refused) fails the test at its end, unless the test said that it is expected:
`browser.expect_complaint("part of its text")`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest_asyncio
from playwright.async_api import Browser as Chromium
from playwright.async_api import BrowserContext, ConsoleMessage, Page, Playwright, Route, async_playwright

from tests.harness.processes import ROOT

FLAGS = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""The first of these that is there is taken. The shell is the same browser without its windows, for half the CPU."""
NOWHERE = "http://localhost"
"""Where pages that need no server live: a secure context for browsers, and never asked for over the network."""
PATIENCE_MS = 60_000
"""How long a step waits for what has to come; nothing is judged by it."""

_NETWORK = "Failed to load resource"
"""Chromium writes each answer of 400 and above, and each failed connection, into the console. Tests that want those
look at the page, or at the server."""


class Browser:
    """Fresh profiles of one Chromium, and what their pages complained about."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium
        self._contexts: list[BrowserContext] = []
        self._expected: list[str] = []
        self.complaints: list[str] = []

    async def context(self, **options: Any) -> BrowserContext:
        """A fresh profile: its own cookies, storage, locks and channels. `options` are Playwright's (`viewport`,
        `color_scheme`, …)."""
        context = await self._chromium.new_context(**{"locale": "en-GB", **options})
        context.set_default_timeout(PATIENCE_MS)
        self._contexts.append(context)
        context.on("console", self._heard)
        context.on("weberror", lambda error: self.complaints.append(f"uncaught: {error.error}"))
        return context

    async def open(self, url: str, **options: Any) -> Page:
        """A page at `url` in a fresh profile."""
        page = await (await self.context(**options)).new_page()
        await page.goto(url)
        return page

    async def nowhere(self) -> Page:
        """An empty page of no server that can import the tree's own `/web/…` and `/tests/…`."""
        context = await self.context()
        await context.route(f"{NOWHERE}/**", _from_the_tree)
        page = await context.new_page()
        await page.goto(f"{NOWHERE}/")
        return page

    def expect_complaint(self, part: str) -> None:
        """Complaints with `part` in them are what this test is about."""
        self._expected.append(part)

    async def close(self) -> None:
        """Close all profiles. Raises AssertionError when a page complained about something unexpected."""
        for context in self._contexts:
            await context.close()
        bad = [text for text in self.complaints if not any(part in text for part in self._expected)]
        assert not bad, "pages complained:\n" + "\n".join(bad)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_NETWORK):
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")


async def _from_the_tree(route: Route) -> None:
    path = urlsplit(route.request.url).path
    for prefix, folder in (("/web/", ROOT / "dchat_server" / "web"), ("/tests/", ROOT / "tests")):
        file = folder / path.removeprefix(prefix)
        if path.startswith(prefix) and file.suffix == ".js" and file.is_file():
            await route.fulfill(path=file, content_type="text/javascript; charset=utf-8")
            return
    status = 200 if path == "/" else 404
    await route.fulfill(status=status, body="<!doctype html><link rel=icon href=data:,>", content_type="text/html")


async def launched(playwright: Playwright) -> Chromium:
    """Chromium: the system's, else the one that `playwright install chromium` brought."""
    path = next(filter(None, map(shutil.which, PROGRAMS)), None)
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(FLAGS)
    return await playwright.chromium.launch(executable_path=path, args=flags)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Chromium]:
    """The Chromium of this test process, started when the first test asks."""
    async with async_playwright() as playwright:
        found = await launched(playwright)
        try:
            yield found
        finally:
            await found.close()


@pytest_asyncio.fixture(loop_scope="session")
async def browser(chromium: Chromium) -> AsyncIterator[Browser]:
    """Fresh profiles for one test; complaints of their pages fail it."""
    browser = Browser(chromium)
    try:
        yield browser
    finally:
        await browser.close()


__all__ = ["PATIENCE_MS", "Browser", "Page", "browser", "chromium"]
