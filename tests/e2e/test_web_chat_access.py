"""The web chat for everybody: axe finds nothing serious, the keyboard alone does it all, and a phone is enough."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from tests.harness.browser import Browser
from tests.harness.chatpage import DESK, PHONE, ChatPage
from tests.harness.people import PASSWORD, Person, house
from tests.harness.processes import eventually
from tests.harness.workers import Workers

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = Axe().axe_script
DIALOGS = {
    "open-members": "members",
    "open-about": "about",
    "open-picker": "picker",
    "open-switcher": "switcher",
    "open-browse": "browse",
    "open-direct": "direct",
    "open-settings": "settings",
}


async def lively(session_http: aiohttp.ClientSession, workers: Workers) -> tuple[Person, Person, str]:
    """Two people and a room with everything a message can have; one thing in it is new to the first."""
    (ada, bob), (room, other) = await house(session_http, workers.urls, 2, rooms=2)
    first = await bob.send(room, "> quoted\n\n**bold** `code` [link](https://a.example)\n- list\n```\nblock\n```")
    await bob.must("PUT", f"/v1/rooms/{room}/messages/{first['seq']}/reactions/%F0%9F%8E%89")
    await ada.send(room, "an answer", reply_to=first["seq"])
    gone = await bob.send(room, "gone")
    await bob.must("DELETE", f"/v1/rooms/{room}/messages/{gone['seq']}")
    await bob.send(room, f"@{ada.name} please look, it is new")
    await bob.send(other, f"and here, @{ada.name}")
    return ada, bob, room


class Examined:
    """A page that axe looks at, in both colour schemes."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def is_sound(self, part: str = "html") -> None:
        """axe calls nothing serious or critical in the page, or in a part of it; colours in both schemes."""
        if not await self._page.evaluate("'axe' in window"):
            await self._page.evaluate(AXE)
        for scheme, options in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
            await self._page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            run = "([part, options]) => axe.run(part, { resultTypes: ['violations'], ...options })"
            found: dict[str, Any] = await self._page.evaluate(run, [part, options])
            assert [
                f"{each['id']} ({each['impact']}): {[node['html'][:160] for node in each['nodes']][:3]}"
                for each in found["violations"]
                if each["impact"] in ("serious", "critical")
            ] == [], f"in {part}, {scheme}"


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_axe_finds_nothing_serious(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession, size: dict[str, Any]
) -> None:
    ada, _, room = await lively(session_http, workers)
    page = await browser.open(f"{workers[0].url}/#{room}", **size)
    axe = Examined(page)
    await page.locator("#entrance").wait_for()
    await axe.is_sound()
    chat = ChatPage(page)
    await chat.sign_in(ada.name)
    await chat.is_in(room)
    await chat.is_live()
    await chat.message("it is new").hover()
    await axe.is_sound()
    for opener, dialog in DIALOGS.items():
        if size is PHONE and not await page.locator(f"#{opener}").is_visible():
            await page.locator("#show-rooms").click()
        await page.locator(f"#{opener}").click()
        await page.locator(f"#{dialog}").wait_for()
        await axe.is_sound(f"#{dialog}")
        await page.keyboard.press("Escape")
        await page.locator(f"#{dialog}").wait_for(state="hidden")
        await page.evaluate("document.querySelector('#rooms.open #close-rooms')?.click()")


async def test_the_keyboard_alone_signs_in_writes_answers_reacts_edits_deletes_and_changes_rooms(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    (ada, bob), (room, other) = await house(session_http, workers.urls, 2, rooms=2)
    await bob.send(room, "hello there")
    page = await browser.open(f"{workers[0].url}/#{room}", **DESK)
    await page.locator("#username").wait_for()
    keys = page.keyboard
    await keys.type(ada.name)
    await keys.press("Tab")
    await keys.type(PASSWORD)
    await keys.press("Enter")
    chat = ChatPage(page)
    await chat.is_in(room)
    assert await focused(page) == "draft", "one can write at once"

    await keys.press("Shift+ArrowUp")  # to the messages
    await eventually(lambda: _in_line(page, "hello there"), "the newest message has the focus")
    await keys.press("r")
    await keys.type("hi Bob")
    await keys.press("Enter")
    await chat.reads("hello there", "hi Bob")

    await keys.press("Shift+ArrowUp")
    await keys.press("ArrowUp")
    await keys.press("+")
    await keys.type("heart")
    await keys.press("Enter")
    await chat.message("hello there").locator(".reaction").wait_for()

    await page.locator("#draft").focus()
    await keys.press("ArrowUp")
    await keys.press("End")
    await keys.type(" B.")
    await keys.press("Enter")
    await chat.reads("hello there", "hi Bob B.")

    await keys.press("Shift+ArrowUp")
    await eventually(lambda: _in_line(page, "hi Bob B."), "one's own message has the focus")
    await keys.press("Delete")
    await page.locator("#confirm").wait_for()
    await keys.press("Tab")
    await keys.press("Enter")
    await page.get_by_text("This message was deleted.").wait_for()

    await keys.press("Control+k")
    await keys.type(other)
    await keys.press("Enter")
    await chat.is_in(other)
    await keys.press("Alt+ArrowUp")
    await eventually(lambda: _is_current(chat, room), "the room above is open")
    await keys.type(f"@{bob.name[:4]}")
    await page.get_by_role("option", name=f"@{bob.name}").wait_for()
    await keys.press("Tab")
    await keys.type("done :tada:")
    await keys.press("Enter")
    await chat.message(f"@{bob.name} done 🎉").wait_for()


async def focused(page: Page) -> str:
    return str(await page.evaluate("document.activeElement.id"))


async def _in_line(page: Page, text: str) -> bool:
    words = "document.activeElement.closest('.line')?.querySelector('.text')?.textContent.trim()"
    return bool(await page.evaluate(words) == text)


async def _is_current(chat: ChatPage, room: str) -> bool:
    return await chat.room_link(room).get_attribute("aria-current") == "page"


async def test_what_others_say_is_read_out_and_dialogs_give_the_focus_back(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    (ada, bob), (room,) = await house(session_http, workers.urls, 2)
    chat = await ChatPage.open(browser, workers[0].url, ada, room)
    page = chat.page
    await chat.is_live()
    await bob.send(room, "can you *hear* me?")
    await page.locator('[aria-live="polite"]').get_by_text(f"{bob.name}: can you hear me?").wait_for()
    await page.locator("#open-members").focus()
    await page.keyboard.press("Enter")
    await page.locator("#members").get_by_text(bob.name).first.wait_for()
    await page.keyboard.press("Escape")
    assert await focused(page) == "open-members"
    landmarks = [await page.get_by_role("navigation", name="Rooms").count(), await page.get_by_role("main").count()]
    assert landmarks == [1, 1]
    assert await page.get_by_role("heading", level=1).count() == 1
    assert await page.get_by_role("log", name="Messages").count() == 1


async def test_on_a_phone_the_rooms_are_a_drawer_and_everything_is_large_enough_for_a_finger(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    ada, _, room = await lively(session_http, workers)
    chat = await ChatPage.open(browser, workers[0].url, ada, room, **PHONE)
    page = chat.page
    assert not await chat.room_link(room).is_visible()
    await page.locator("#show-rooms").tap()
    await chat.room_link(room).wait_for()
    small = """() => [...document.querySelectorAll("button, input, textarea")]
      .filter((each) => each.checkVisibility() && !each.closest("[inert]"))
      .map((each) => [each.id || each.className, each.getBoundingClientRect()])
      .filter(([, box]) => box.height && box.height < 44).map(([name]) => name)"""
    assert await page.evaluate(small) == []
    await chat.room_link(room).tap()
    await eventually(lambda: _is_closed(page), "the drawer is closed")
    await chat.message("it is new").tap()
    await chat.message("it is new").get_by_role("button", name="Reply", exact=True).wait_for()
    assert await page.evaluate(small) == []
    assert await page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


async def _is_closed(page: Page) -> bool:
    return await page.locator("#rooms.open").count() == 0
