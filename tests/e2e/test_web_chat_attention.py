"""What the web chat does for somebody who is not looking, and what it remembers of how one likes it."""

from __future__ import annotations

import aiohttp
import pytest
from playwright.async_api import Page

from tests.harness.browser import Browser
from tests.harness.chatpage import DESK, PHONE, ChatPage
from tests.harness.people import Person, house
from tests.harness.processes import eventually
from tests.harness.workers import Workers

pytestmark = pytest.mark.asyncio(loop_scope="session")

AWAY = """
  let away = false;
  Object.defineProperty(document, "visibilityState", { get: () => (away ? "hidden" : "visible") });
  document.hasFocus = () => !away;
  window.look = (elsewhere) => { away = elsewhere; document.dispatchEvent(new Event("visibilitychange")); };
  window.told = [];
  window.Notification = class extends EventTarget {
    static permission = "granted";
    static requestPermission = async () => "granted";
    constructor(title, { body }) { super(); window.told.push(`${title}: ${body}`); }
    close() {}
  };
"""
"""A window that can be looked away from, and the desktop's notifications, to be counted."""


async def watched(browser: Browser, url: str, person: Person, room: str) -> ChatPage:
    context = await browser.context(**DESK)
    await context.add_init_script(AWAY)
    page = await context.new_page()
    await page.goto(f"{url}/#{room}")
    chat = ChatPage(page)
    await chat.sign_in(person.name)
    await chat.is_in(room)
    await chat.is_live()
    return chat


async def test_who_looks_elsewhere_is_told_of_calls_if_they_want_and_reads_nothing_meanwhile(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    (ada, bob), (room,) = await house(session_http, workers.urls, 2)
    chat = await watched(browser, workers[0].url, ada, room)
    page = chat.page
    await page.evaluate("look(true)")
    await bob.send(room, f"@{ada.name} before she wanted it")
    await chat.message("before she wanted it").wait_for()
    await page.locator("#open-settings").click()
    await page.get_by_label("Show them while this page is in the background").check()
    await page.keyboard.press("Escape")
    await bob.send(room, "nothing for her")
    await bob.send(room, f"@{ada.name} come *quickly*")
    await chat.message("quickly").wait_for()
    assert await page.evaluate("told") == [f"{bob.name} in {room}: @{ada.name} come quickly"]
    assert await _unread(ada, room) == 3
    assert (await page.title()).startswith("(2) ")
    assert await page.locator("link[rel=icon]").get_attribute("href") == "/web/chat/icon-unread.svg"

    await page.evaluate("look(false)")
    await eventually(lambda: _is_read(ada, room), "she looks, and it is read")
    await page.locator(".unread-line").wait_for()
    await eventually(lambda: _has_title(page, f"{room} · D-Chat"), "the title is calm again")


async def _unread(person: Person, room: str) -> int:
    return int((await person.must("GET", f"/v1/rooms/{room}"))["room"]["unread"])


async def _is_read(person: Person, room: str) -> bool:
    return await _unread(person, room) == 0


async def _has_title(page: Page, title: str) -> bool:
    return await page.title() == title


async def test_a_room_that_is_to_be_quiet_is(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    (ada, bob), (room, other) = await house(session_http, workers.urls, 2, rooms=2)
    chat = await watched(browser, workers[0].url, ada, room)
    page = chat.page
    await page.locator("#open-settings").click()
    await page.get_by_label("Show them while this page is in the background").check()
    await page.keyboard.press("Escape")
    await page.locator("#open-about").click()
    await page.get_by_label("Nothing").check()
    await page.keyboard.press("Escape")
    await page.evaluate("look(true)")
    await bob.send(room, f"@{ada.name} psst")
    await bob.send(other, f"@{ada.name} here")
    await chat.room_link(other).locator(".count").wait_for()
    assert await page.evaluate("told") == [f"{bob.name} in {other}: @{ada.name} here"]


async def test_dark_and_light_follow_the_device_until_one_chooses_and_the_choice_stays(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    (ada,), (room,) = await house(session_http, workers.urls, 1)
    chat = await ChatPage.open(browser, workers[0].url, ada, room, color_scheme="light")
    page = chat.page
    light = await _ground(page)
    await page.emulate_media(color_scheme="dark")
    dark = await _ground(page)
    assert light != dark
    await page.locator("#open-settings").click()
    await page.get_by_label("Light", exact=True).check()
    assert await _ground(page) == light
    await page.reload()
    await chat.is_in(room)
    assert await _ground(page) == light


async def _ground(page: Page) -> str:
    return str(await page.evaluate("getComputedStyle(document.getElementById('room')).backgroundColor"))


async def test_somebody_who_is_writing_is_seen_and_a_draft_waits_in_its_room(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    (ada, bob), (room, other) = await house(session_http, workers.urls, 2, rooms=2)
    hers = await ChatPage.open(browser, workers[0].url, ada, room)
    his = await ChatPage.open(browser, workers[1].url, bob, room)
    await hers.is_live()
    await his.draft.type("Well, ")
    await hers.page.get_by_text(f"{bob.name} is writing …").wait_for()
    await his.go(other)
    assert await his.draft.input_value() == ""
    await his.page.go_back()
    await his.is_in(room)
    assert await his.draft.input_value() == "Well, "
    await his.draft.press("End")
    await his.draft.type("here it is.")
    await his.draft.press("Enter")
    await hers.reads("Well, here it is.")
    assert await hers.page.locator("#typing").inner_text() == ""


async def test_enter_belongs_to_the_input_method_while_it_composes_and_to_the_line_on_a_phone(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    (ada,), (room,) = await house(session_http, workers.urls, 1)
    chat = await ChatPage.open(browser, workers[0].url, ada, room)
    await chat.draft.fill("にほん")
    composing = "new KeyboardEvent('keydown', { key: 'Enter', isComposing: true, bubbles: true, cancelable: true })"
    assert await chat.draft.evaluate(f"field => field.dispatchEvent({composing})"), "the key is left to it"
    assert await chat.draft.input_value() == "にほん"
    await chat.draft.press("Enter")
    await chat.reads("にほん")
    phone = await ChatPage.open(browser, workers[0].url, ada, room, **PHONE)
    await phone.draft.fill("two")
    await phone.draft.press("Enter")
    await phone.draft.type("lines")
    await phone.page.locator("#send").tap()
    await chat.reads("にほん", "two\nlines")


async def test_what_goes_wrong_in_a_dialog_is_said_where_one_can_see_it(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    (ada, bob), (room,) = await house(session_http, workers.urls, 2)
    chat = await ChatPage.open(browser, workers[0].url, ada, room)
    page = chat.page
    await page.locator("#open-members").click()
    await page.get_by_label("Invite", exact=True).fill("nobody-of-that-name")
    await page.keyboard.press("Enter")
    said = page.get_by_role("alert").filter(has_text="nobody-of-that-name")
    await said.wait_for()
    box = await said.bounding_box()
    assert box is not None
    middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    uppermost = "([x, y]) => document.elementFromPoint(x, y).closest('[role=alert]') !== null"
    assert await page.evaluate(uppermost, middle)
    await page.locator("#members").get_by_role("button", name=f"Write to {bob.name}").click()
    await eventually(lambda: _has_title(page, f"{bob.name} · D-Chat"), "the conversation is open")
