"""The dashboard before one worker of this process, which does what a test says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from dchat_server.ports_cluster import Leader, Member
from tests.harness.browser import PATIENCE_MS, Browser
from tests.harness.processes import eventually
from tests.one_worker import Here, one_worker

pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=PATIENCE_MS)

LARGEST = 2**63 - 1


@pytest_asyncio.fixture(loop_scope="session")
async def here() -> AsyncIterator[Here]:
    async with one_worker() as here:
        here.names.admins.add("ada")
        report = {"worker": "w1", "epoch": 7, "at": here.cluster.now_ms, "archive": {"state": "ok"}}
        here.board.report = (here.cluster.now_ms, orjson.dumps(report))
        yield here


async def watched(here: Here, browser: Browser, user: str | None = "ada", **options: Any) -> Page:
    """The dashboard as `user` sees it. A session is the user's name, see one_worker."""
    context = await browser.context(**options)
    url = f"http://127.0.0.1:{here.port}"
    if user is not None:
        await context.add_cookies([{"name": "dchat_session", "value": user, "url": url}])
    page = await context.new_page()
    await page.goto(f"{url}/dashboard")
    return page


async def test_the_epoch_is_shown_with_every_digit_and_the_leader_is_marked(here: Here, browser: Browser) -> None:
    here.leadership.leader = Leader("w1", LARGEST)
    page = await watched(here, browser)
    await expect(page.locator("#epoch")).to_have_text(str(LARGEST))
    await expect(page.locator("#leader")).to_have_text("w1")
    await expect(page.locator("#picture .worker.leads .crown")).to_have_count(1)
    await expect(page.locator("#worker-rows tr")).to_contain_text("leads")
    await expect(page.locator("#picture-words")).to_contain_text(f"Leader: w1, epoch {LARGEST}")


async def test_a_picture_that_is_built_anew_again_and_again_does_not_grow(here: Here, browser: Browser) -> None:
    page = await watched(here, browser)
    for epoch in range(8, 13):
        here.leadership.leader = Leader("w1", epoch)
        await expect(page.locator("#picture-words")).to_contain_text(f"epoch {epoch}.")
    await expect(page.locator("#picture title")).to_have_count(2)
    await expect(page.locator("#picture > *")).to_have_count(4)


async def test_names_that_look_like_html_stay_text(here: Here, browser: Browser) -> None:
    evil = "<img src=x onerror=alert(1)>"
    here.leadership.members = [*here.leadership.members, Member(evil, evil, evil, 1, 0)]
    page = await watched(here, browser)
    await expect(page.locator("#worker-rows")).to_contain_text(evil)
    assert await page.locator("img").count() == 0


async def test_a_stranger_signs_in_and_out_and_no_script_ever_holds_the_token(here: Here, browser: Browser) -> None:
    page = await watched(here, browser, None)
    sent: list[Any] = []

    async def login(route: Route) -> None:
        body = route.request.post_data_json
        sent.append(body)
        if body["password"] != "right":
            problem = {"code": "bad_credentials", "title": "User name or password is wrong"}
            await route.fulfill(status=401, json=problem)
            return
        cookie = "dchat_session=ada; Path=/; HttpOnly; SameSite=Strict"
        await route.fulfill(status=200, json={"token": "s3cret-token"}, headers={"Set-Cookie": cookie})

    async def logout(route: Route) -> None:
        await route.fulfill(status=204, headers={"Set-Cookie": "dchat_session=; Path=/; Max-Age=0"})

    await page.route("**/v1/login", login)
    await page.route("**/v1/logout", logout)
    await page.get_by_label("User name").fill("Ada ")
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_have_text("User name or password is wrong")
    await page.get_by_label("Password").fill("right")
    await page.keyboard.press("Enter")
    await expect(page.locator("#freshness")).to_have_text("Live")
    assert sent == [{"username": "ada", "password": "wrong"}, {"username": "ada", "password": "right"}]
    assert "s3cret" not in await page.evaluate(
        "JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])"
    )
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert "w1" not in await page.locator("body").inner_text()


async def test_somebody_who_is_no_administrator_is_told_so_and_may_sign_in_as_another(
    here: Here, browser: Browser
) -> None:
    page = await watched(here, browser, "bob")
    await expect(page.get_by_role("alert")).to_have_text("Only administrators see the cluster.")
    await expect(page.locator("#wall")).to_be_hidden()
    await page.route("**/v1/logout", lambda route: route.fulfill(status=204))
    await page.context.clear_cookies()
    await page.get_by_role("button", name="Sign in as somebody else").click()
    await expect(page.get_by_label("User name")).to_be_focused()


async def test_a_session_that_is_revoked_ends_at_the_sign_in_form(here: Here, browser: Browser) -> None:
    page = await watched(here, browser)
    await expect(page.locator("#freshness")).to_have_text("Live")
    here.names.revoked.add("digest of ada")
    await expect(page.get_by_role("alert")).to_have_text("The session is over (revoked).")
    await expect(page.locator("#wall")).to_be_hidden()


async def test_a_worker_that_drains_sends_the_page_away_which_says_so_and_comes_back(
    here: Here, browser: Browser
) -> None:
    page = await watched(here, browser)
    await expect(page.locator("#freshness")).to_have_text("Live")
    here.worker.refuses_streams = True
    await expect(page.locator("#freshness")).to_contain_text("Disconnected: last heard")
    await expect(page.locator("#why")).to_contain_text("This page tries again")
    here.worker.refuses_streams = False
    await expect(page.locator("#freshness")).to_have_text("Live")
    await expect(page.locator("#why")).to_be_empty()


async def test_what_is_wrong_stands_on_top_with_what_to_do(here: Here, browser: Browser) -> None:
    page = await watched(here, browser)
    await expect(page.locator("#fine")).to_be_visible()
    here.board.down = True
    alarm = page.locator("#alarms li")
    await expect(alarm).to_contain_text("Not all is known of the workers.")
    await expect(page.locator("#fine")).to_be_hidden()
    await expect(page.get_by_role("status")).to_contain_text("Not all is known of the workers.")
    assert await alarm.get_by_role("link").get_attribute("href") == "/web/dashboard/guide.html#board_unknown"
    assert "Not all is known" in await page.title()
    here.board.down = False
    await expect(page.locator("#fine")).to_be_visible()


async def test_a_page_nobody_looks_at_draws_nothing_and_shows_the_present_when_somebody_does(
    here: Here, browser: Browser
) -> None:
    page = await watched(here, browser)
    await expect(page.locator("#leader")).to_have_text("w1")
    await page.evaluate("Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })")
    here.leadership.leader = Leader("w2", 8)
    # The log goes on (the title tells those who have other tabs in front) while nothing is drawn.
    await page.evaluate("document.title = 'before'")

    async def told() -> bool:
        return await page.title() != "before"

    await eventually(told, "the hidden page hears on")
    assert await page.locator("#leader").inner_text() == "w1"
    await page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.locator("#leader")).to_have_text("w2")
