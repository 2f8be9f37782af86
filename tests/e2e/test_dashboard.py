"""The dashboard in a real browser, before three real workers behind HAProxy: what it shows is what happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.harness.browser import PATIENCE_MS, Browser
from tests.harness.people import PASSWORD, Person, web
from tests.harness.processes import eventually
from tests.harness.redis import RedisServer
from tests.harness.workers import Haproxy, Worker, Workers

pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def crew(redis: RedisServer) -> Iterator[Workers]:
    with Workers(redis.url, 3, DCHAT_COMPACT_INTERVAL_S="0.5") as workers:
        yield workers


@pytest.fixture(scope="module")
def front(crew: Workers) -> Iterator[Haproxy]:
    with Haproxy(crew) as haproxy:
        yield haproxy


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ada(crew: Workers) -> AsyncIterator[Person]:
    """The first account, and so the administrator."""
    async with web() as http:
        yield await Person(http, crew.urls, "ada").register()


@pytest.fixture
def whole(crew: Workers, front: Haproxy, ada: Person) -> Workers:
    """Three workers that are all ready, and seen so by HAProxy."""
    crew.revive()
    for worker in crew:
        front.wait_for(worker, "UP")
    return crew


async def wall(browser: Browser, front: Haproxy, **options: object) -> Page:
    """A dashboard, signed in through its form."""
    page = await browser.open(f"{front.url}/dashboard", **options)
    await page.get_by_label("User name").fill("ada")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator("#freshness")).to_have_text("Live")
    return page


async def name_of(ada: Person, worker: Worker) -> str:
    """A worker's id."""
    async with ada.http.get(worker.url + "/readyz") as response:
        return str((await response.json())["worker"])


async def shows(page: Page, selector: str, what: str) -> float:
    """The first number in an element, once there is one above nought."""

    async def look() -> float:
        text = await page.locator(selector).inner_text()
        try:
            return float(text.split()[0].replace("k", "e3"))
        except (ValueError, IndexError):
            return 0.0

    found: float = await eventually(look, what)
    return found


def box(page: Page, worker: str, state: str) -> object:
    """The worker's box in the picture, when it is drawn in that state."""
    return page.locator(f"#picture .worker.{state}", has_text=worker)


async def test_figures_charts_and_table_move_when_people_chat(
    whole: Workers, front: Haproxy, ada: Person, browser: Browser
) -> None:
    page = await wall(browser, front)
    for worker in whole:
        await expect(page.locator("#worker-rows")).to_contain_text(await name_of(ada, worker))
    await expect(page.locator("#picture .worker")).to_have_count(3)
    await expect(page.locator("#picture .worker.leads")).to_have_count(1)
    blank = await page.locator("#charts canvas").first.evaluate("canvas => canvas.toDataURL()")
    room = await ada.create()
    reading = await ada.http.get(ada.url(0) + "/v1/events", headers=ada.headers, timeout=aiohttp.ClientTimeout(None))

    async def chatter() -> None:
        while True:
            await asyncio.gather(*(ada.send(room, "hello") for _ in range(5)))
            await asyncio.sleep(0.1)

    chatting = asyncio.create_task(chatter())
    try:
        assert await shows(page, "[data-figure=messages] dd >> nth=0", "messages are counted") > 0
        assert await shows(page, "[data-figure=deliveries] dd >> nth=0", "deliveries are counted") > 0
        assert await shows(page, "[data-figure=streams] dd >> nth=0", "the stream is counted") == 1
        await expect(page.locator("#picture .outside >> nth=0")).to_contain_text("1 stream")
        await page.get_by_text("Figures as a table").click()
        row = page.locator("#figure-rows tr", has_text="Messages a second")
        await expect(row.locator("td >> nth=3")).not_to_have_text("0")

        async def drawn() -> bool:
            return blank != await page.locator("#charts canvas").first.evaluate("canvas => canvas.toDataURL()")

        await eventually(drawn, "the chart is drawn anew")
    finally:
        chatting.cancel()
        await asyncio.gather(chatting, return_exceptions=True)
        reading.close()


async def test_a_leader_that_is_killed_is_crossed_out_another_one_is_marked_and_the_log_tells_both(
    whole: Workers, front: Haproxy, ada: Person, browser: Browser
) -> None:
    page = await wall(browser, front)
    going = await whole.leader()
    name = await name_of(ada, going)
    await expect(box(page, name, "leads")).to_have_count(1)
    epoch = int(await page.locator("#epoch").inner_text())
    going.kill()
    await expect(box(page, name, "gone")).to_have_count(1)
    await expect(box(page, name, "gone").locator(".cross")).to_have_count(1)
    await expect(page.locator("#happenings")).to_contain_text(f"Worker {name} is gone.")
    await expect(page.locator("#alarms")).to_contain_text(f"Gone within the last minute: {name}")
    await expect(page.locator("#picture .worker.leads")).to_have_count(1)
    await expect(page.locator("#happenings")).to_contain_text("leads now")
    leader = await page.locator("#leader").inner_text()
    assert leader != name
    assert int(await page.locator("#epoch").inner_text()) > epoch
    whole.revive()
    await expect(page.locator("#happenings")).to_contain_text(f"Worker {await name_of(ada, going)} joined")


async def test_a_worker_that_drains_looks_like_it_and_takes_streams_again(
    whole: Workers, front: Haproxy, ada: Person, browser: Browser
) -> None:
    page = await wall(browser, front)
    leader = await whole.leader()
    name = await name_of(ada, next(worker for worker in whole if worker is not leader))
    await ada.must("POST", "/v1/cluster/drain", {"worker": name})
    await expect(box(page, name, "drains")).to_contain_text("draining")
    await expect(page.locator("#happenings")).to_contain_text(f"Worker {name} drains")
    await ada.must("POST", "/v1/cluster/drain", {"worker": name, "undo": True})
    await expect(box(page, name, "serves")).to_have_count(1)
    await expect(page.locator("#happenings")).to_contain_text(f"Worker {name} takes streams again")


async def test_the_page_goes_on_at_another_worker_when_its_own_freezes_and_when_it_is_killed(
    whole: Workers, front: Haproxy, ada: Person, browser: Browser
) -> None:
    page = await wall(browser, front)
    names = {await name_of(ada, worker): worker for worker in whole}

    async def teller() -> str:
        return (await page.locator("#teller").inner_text()).removeprefix("told by ")

    frozen = await teller()
    process = names[frozen].process
    assert process is not None
    process.freeze()
    try:
        await expect(page.locator("#teller")).not_to_have_text(f"told by {frozen}")
    finally:
        process.thaw()
    await expect(page.locator("#freshness")).to_have_text("Live")
    killed = await teller()
    names[killed].kill()
    await expect(page.locator("#teller")).not_to_have_text(f"told by {killed}")
    await expect(page.locator("#freshness")).to_have_text("Live")
    await expect(page.locator("#happenings")).to_contain_text(f"This page is served by {await teller()} now.")


async def test_figures_that_stand_still_look_like_it_until_somebody_answers_again(
    whole: Workers, front: Haproxy, browser: Browser
) -> None:
    page = await wall(browser, front)
    # The workers are frozen, as a laptop's sleep or a cut cable looks from here: nobody closes anything.
    for worker in whole:
        assert worker.process is not None
        worker.process.freeze()
    try:
        await expect(page.locator("#freshness")).to_contain_text("last heard")
        await expect(page.locator("body")).to_have_class("stale")
        await expect(page.locator("#fine")).to_be_hidden()
        await expect(page.locator("#why")).to_contain_text("This page tries again")
        await expect(page.locator("#happenings")).to_contain_text("the figures stand still")
    finally:
        for worker in whole:
            assert worker.process is not None
            worker.process.thaw()
    await expect(page.locator("#freshness")).to_have_text("Live")
    await expect(page.locator("body")).not_to_have_class("stale")
    await expect(page.locator("#happenings")).to_contain_text("The figures are of now again.")


async def test_a_log_that_is_away_is_said_on_top_and_crossed_out_in_the_picture(
    whole: Workers, front: Haproxy, redis: RedisServer, browser: Browser
) -> None:
    page = await wall(browser, front)
    await expect(page.locator("#fine, #alarms li").first).to_be_attached()
    redis.process.freeze()
    try:
        await expect(page.locator("#alarms .bad")).to_contain_text("cannot read the message log")
        await expect(page.locator("#picture .part.log.broken .cross")).to_have_count(1)
    finally:
        redis.process.thaw()
    await expect(page.locator("#picture .part.log.broken")).to_have_count(0)
    await expect(page.locator("#happenings")).to_contain_text("ok again")


@pytest.mark.parametrize("scheme", ["dark", "light"])
async def test_nobody_is_shut_out_by_a_phone_or_a_wall_and_the_page_never_scrolls_sideways(
    whole: Workers, front: Haproxy, browser: Browser, scheme: str
) -> None:
    page = await browser.open(f"{front.url}/dashboard", color_scheme=scheme, reduced_motion="reduce")
    await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert not await serious(page)
    await page.get_by_label("User name").fill("ada")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.locator("#picture .worker.leads")).to_have_count(1)
    await page.get_by_text("Figures as a table").click()
    for width in (1440, 390):
        await page.set_viewport_size({"width": width, "height": 900})
        await expect(page.locator("#picture .upright")).to_have_count(1 if width == 390 else 0)
        assert not await serious(page), width
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def serious(page: Page) -> list[str]:
    """What axe-core calls serious or worse."""
    found = await Axe().run(page)
    violations = found.response["violations"]
    bad = [each for each in violations if each["impact"] in ("serious", "critical")]
    return [f"{each['id']}: {each['help']}: {[node['html'] for node in each['nodes']]}" for each in bad]
