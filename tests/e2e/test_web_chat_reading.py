"""Reading a long room: older pages come without a jump, new messages do not push, and the page stays small."""

from __future__ import annotations

import aiohttp
import orjson
import pytest

from tests.harness.browser import Browser
from tests.harness.chatpage import ChatPage
from tests.harness.people import Person, house
from tests.harness.processes import eventually
from tests.harness.workers import Workers

pytestmark = pytest.mark.asyncio(loop_scope="session")

MOST_IN_PAGE = 320
TOP = "key => document.querySelector(`[data-key=${key}]`)?.getBoundingClientRect().top ?? null"
SEEN = """() => {
  const log = document.getElementById("log").getBoundingClientRect();
  const inside = (line) => line.getBoundingClientRect().top > log.top + 100;
  return [...document.querySelectorAll("#lines .line")].find(inside).dataset.key;
}"""


async def long_room(session_http: aiohttp.ClientSession, workers: Workers, count: int) -> tuple[Person, Person, str]:
    """Two people and a room with `count` messages of different height by the second, who has read them all."""
    (ada, bob), (room,) = await house(session_http, workers.urls, 2)
    lines = [
        orjson.dumps({"text": f"message {number}" + " and some more words" * (number % 23)}) for number in range(count)
    ]
    for start in range(0, count, 500):
        body = b"\n".join(lines[start : start + 500])
        headers = {**bob.headers, "Content-Type": "application/x-ndjson"}
        async with session_http.post(bob.url() + f"/v1/rooms/{room}/messages", data=body, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            await answer.read()
    await ada.must("PUT", f"/v1/rooms/{room}/read", {"seq": await ada.head(room)})
    return ada, bob, room


async def test_older_messages_come_without_moving_what_one_is_looking_at(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    ada, _, room = await long_room(session_http, workers, 700)
    chat = await ChatPage.open(browser, workers[0].url, ada, room)
    page = chat.page
    await chat.message("message 699").wait_for()
    await page.locator("#log").hover()
    first = await page.evaluate("document.querySelector('#lines .line').dataset.key")
    moves = 0
    while not await chat.messages.filter(has_text="message 0").count():
        # A turn of the wheel at a time; whatever is put in above meanwhile, the line in view moves by that turn.
        await page.evaluate("document.getElementById('log').scrollTop = 300")
        key = await page.evaluate(SEEN)
        before = await page.evaluate(TOP, key)
        await eventually(lambda: _is_filled(chat), "older messages have come")
        after = await page.evaluate(TOP, key)
        assert after == pytest.approx(before, abs=1.5), f"line {key} jumped"
        assert await chat.messages.count() <= MOST_IN_PAGE
        moves += 1
        assert moves < 60
    assert moves > 3
    assert await page.evaluate("document.querySelector('#lines .line').dataset.key") != first
    await page.evaluate("document.getElementById('log').scrollTop = 0")
    await page.get_by_text("This is where it began.").wait_for()
    # And down again, by the button.
    await page.get_by_role("button", name="Newest").click()
    await chat.message("message 699").wait_for()
    assert await page.evaluate(
        "(log => log.scrollHeight - log.scrollTop - log.clientHeight)(document.getElementById('log'))"
    ) == pytest.approx(0, abs=2)


async def _is_filled(chat: ChatPage) -> bool:
    """There is enough above what is in view, or nothing more to come."""
    if await chat.page.get_by_text("This is where it began.").count():
        return True
    return bool(await chat.page.evaluate("document.getElementById('log').scrollTop > 700"))


async def test_new_messages_are_counted_and_do_not_push_a_reader_who_is_further_up(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    ada, bob, room = await long_room(session_http, workers, 120)
    chat = await ChatPage.open(browser, workers[0].url, ada, room)
    await chat.message("message 119").wait_for()
    await chat.is_live()
    await chat.page.evaluate("document.getElementById('log').scrollTop -= 900")
    key = await chat.page.evaluate(SEEN)
    before = await chat.page.evaluate(TOP, key)
    for number in range(3):
        await bob.send(room, f"fresh {number}")
    newest = chat.page.get_by_role("button", name="3 new")
    await newest.wait_for()
    assert await chat.page.evaluate(TOP, key) == pytest.approx(before, abs=1.5)
    assert await _unread(ada, room) == 3, "what is further down was not read"
    await newest.click()
    await chat.reads("fresh 0", "fresh 1", "fresh 2")
    await eventually(lambda: _is_read(ada, room), "now it is read")
    assert await newest.count() == 0


async def _unread(person: Person, room: str) -> int:
    return int((await person.must("GET", f"/v1/rooms/{room}"))["room"]["unread"])


async def _is_read(person: Person, room: str) -> bool:
    return await _unread(person, room) == 0


async def test_a_quote_leads_to_a_message_far_above_what_was_loaded(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    ada, bob, room = await long_room(session_http, workers, 260)
    seq = (await ada.history(room))[40]["seq"]
    await bob.send(room, "what about this?", reply_to=seq)
    chat = await ChatPage.open(browser, workers[0].url, ada, room)
    quote = chat.message("what about this?").locator(".quoted")
    await quote.filter(has_text="message 40").wait_for()
    await quote.click()
    await chat.message("message 40 and").wait_for()
    await eventually(lambda: _is_focused(chat, f"s{seq}"), "the message has the focus")
    box, log = (
        await chat.page.locator(f"[data-key=s{seq}]").bounding_box(),
        await chat.page.locator("#log").bounding_box(),
    )
    assert box is not None
    assert log is not None
    assert log["y"] <= box["y"] <= log["y"] + log["height"]


async def _is_focused(chat: ChatPage, key: str) -> bool:
    return bool(await chat.page.evaluate("key => document.activeElement?.dataset.key === key", key))
