"""The browser of these tests: what a page complains about must not go unnoticed."""

from __future__ import annotations

import pytest

from tests.harness.browser import Browser
from tests.harness.processes import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

STRICT = "<meta http-equiv=Content-Security-Policy content=\"img-src 'none'\">"


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("<script>console.error('in the console')</script>", "in the console"),
        ("<script>setTimeout(() => { throw new Error('thrown later') })</script>", "thrown later"),
        ("<script>Promise.reject(new Error('nobody waits for this'))</script>", "nobody waits for this"),
        (f"{STRICT}<img src='https://refused.invalid/'>", "Content Security Policy"),
    ],
)
async def test_a_complaint_fails_the_test_that_does_not_expect_it(browser: Browser, page: str, complaint: str) -> None:
    await browser.open("data:text/html," + page)
    await eventually(lambda: any(complaint in text for text in browser.complaints), "the complaint is heard")
    with pytest.raises(AssertionError, match=complaint):
        await browser.close()
    browser.expect_complaint(complaint)


async def test_a_quiet_page_passes(browser: Browser) -> None:
    page = await browser.open("data:text/html,<title>quiet</title><script>console.log('fine')</script>")
    assert await page.title() == "quiet"
    assert browser.complaints == []
