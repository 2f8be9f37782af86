"""The page's session core in a real browser, held to the same golden files as its twin in Python."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser as Chromium

from tests.harness.browser import Browser, Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

GOLDEN = Path(__file__).parents[1] / "golden"
STREAMS = sorted((GOLDEN / "sse").glob("*.txt"))
STORIES = sorted((GOLDEN / "session").glob("*.json"))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def library(chromium: Chromium) -> AsyncIterator[Page]:
    """One page for all of these: nothing they do stays."""
    browser = Browser(chromium)
    yield await browser.nowhere()
    await browser.close()


async def call(page: Page, module: str, function: str, *arguments: Any) -> Any:
    """What a function of a module in tests/web/ returns, as JSON."""
    return await page.evaluate(
        "async ([module, name, args]) => JSON.parse(JSON.stringify((await import(module))[name](...args)))",
        [f"/tests/web/{module}", function, list(arguments)],
    )


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
async def test_golden_bytes_give_the_events_beside_them_however_they_are_cut(library: Page, path: Path) -> None:
    found = await call(library, "streams.js", "read", base64.b64encode(path.read_bytes()).decode())
    assert found["whole"] == json.loads(path.with_suffix(".json").read_text())
    assert found["differing"] == []


async def test_the_servers_own_stream_is_read_as_its_json_lines_say(library: Page) -> None:
    raw = (GOLDEN / "server" / "stream.sse").read_bytes()
    found = await call(library, "streams.js", "read", base64.b64encode(raw).decode())
    assert found["differing"] == []
    told = [json.loads(event["data"]) for event in found["whole"]["events"]]
    lines = [json.loads(line) for line in (GOLDEN / "server" / "stream.ndjson").read_bytes().split(b"\n")[:-1]]
    for line in lines:
        if line["type"] != "ping":
            line.pop("cursor", None)
    assert [each for each in told if each["type"] != "hello"][: len(lines)] == lines


async def test_a_stream_that_never_ends_a_line_or_an_event_is_given_up(library: Page) -> None:
    small = {"maxLineBytes": 20, "maxEventBytes": 30}
    assert await call(library, "streams.js", "refused", ["data: 12345678901234\n\n"] * 9, small) is None
    assert "line" in await call(library, "streams.js", "refused", ["data: 1234", "5678901234567890"], small)
    assert "line" in await call(library, "streams.js", "refused", [":" * 50], small)
    assert "event" in await call(library, "streams.js", "refused", ["data: 12345678\n"] * 3, small)


async def test_the_golden_batch_answer_is_read_as_it_says(library: Page) -> None:
    lines = (GOLDEN / "batch" / "mixed.ndjson").read_text().splitlines()
    assert await call(library, "streams.js", "answers", lines) == json.loads((GOLDEN / "batch/mixed.json").read_text())


@pytest.mark.parametrize("piece", [None, 1], ids=["whole", "a-byte-at-a-time"])
@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
async def test_the_session_tells_the_golden_stories(library: Page, path: Path, piece: int | None) -> None:
    stories = json.loads(path.read_text())
    told = await call(library, "stories.js", "tell", stories, *([piece] if piece else []))
    for story, steps in zip(stories, told, strict=True):
        for number, (step, seen) in enumerate(zip(story["steps"], steps, strict=True)):
            assert seen == step["then"], f"{story['name']}, step {number}: {step['do']}"
