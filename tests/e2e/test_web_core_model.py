"""The page's model of the chat, in a real browser: when all has calmed down it shows what the server has."""

from __future__ import annotations

import pytest

from tests.harness.browser import Browser

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("steps", [30, 150])
async def test_after_a_storm_the_page_shows_what_the_server_has(browser: Browser, steps: int) -> None:
    page = await browser.library()
    wrong = await page.evaluate(
        "async ([count, steps]) => (await import('/tests/web/model.js')).storms(1, count, steps)",
        [6000 // steps, steps],
    )
    assert wrong == {}
