"""The page's model of the chat, in a real browser: when all has calmed down it shows what the server has."""

from __future__ import annotations

import pytest

from tests.harness.browser import Browser

pytestmark = pytest.mark.asyncio(loop_scope="session")

CASES = [
    "an amendment that a page knew already does not take it back",
    "what came while a page was under way is in it",
    "a page that does not fit any more is not put on top",
    "a message that was deleted stays so",
    "who reads far up keeps what they read",
]


@pytest.mark.parametrize(("count", "steps"), [(800, 40), (50, 150)])
async def test_after_a_storm_the_page_shows_what_the_server_has(browser: Browser, count: int, steps: int) -> None:
    page = await browser.nowhere()
    storms = "async ([count, steps]) => (await import('/tests/web/model.js')).storms(1, count, steps)"
    assert await page.evaluate(storms, [count, steps]) == {}


async def test_of_a_transcript_each_small_case_holds(browser: Browser) -> None:
    page = await browser.nowhere()
    for case in CASES:
        told = "async (name) => (await import('/tests/web/transcripts.js')).cases[name]()"
        seen, should = await page.evaluate(told, case)
        assert seen == should, case
