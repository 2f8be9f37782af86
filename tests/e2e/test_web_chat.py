"""Two people use the web chat in two browsers: what one does the other sees, once, whatever breaks in between."""

from __future__ import annotations

import aiohttp
import pytest

from tests.harness.browser import Browser
from tests.harness.chatpage import ChatPage, newcomer
from tests.harness.people import PASSWORD, Person, house, new_name
from tests.harness.processes import eventually
from tests.harness.workers import Haproxy, Workers

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def two(session_http: aiohttp.ClientSession, workers: Workers) -> tuple[Person, Person, str]:
    """Two people in one room."""
    (ada, bob), (room,) = await house(session_http, workers.urls, 2)
    return ada, bob, room


async def test_two_people_chat_and_a_reload_shows_the_same(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    ada, bob, room = await two(session_http, workers)
    hers = await ChatPage.open(browser, workers[0].url, ada, room)
    his = await ChatPage.open(browser, workers[1].url, bob, room)
    await hers.say("Hello **Bob**")
    await his.reads("Hello Bob")
    await his.draft.fill("two")
    await his.draft.press("Shift+Enter")
    await his.draft.type("lines")
    await his.draft.press("Enter")
    await hers.reads("Hello Bob", "two\nlines")
    await his.page.reload()
    await his.is_in(room)
    await his.reads("Hello Bob", "two\nlines")
    assert [message["text"] for message in await ada.history(room)] == ["Hello **Bob**", "two\nlines"]


async def test_a_new_account_makes_a_room_and_another_finds_it(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    name, room = new_name("web"), new_name("cats")
    page = await browser.open(workers[0].url + "/")
    await page.get_by_role("button", name="Make an account", exact=True).click()
    await page.get_by_label("User name").fill(name)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Make the account", exact=True).click()
    await page.get_by_role("button", name="Find a room", exact=True).click()
    await page.get_by_role("button", name="Make a room", exact=True).click()
    await page.locator("#create").get_by_label("Name").fill(room)
    await page.locator("#create").get_by_label("Topic").fill("All about *cats*")
    await page.get_by_role("button", name="Make the room", exact=True).click()
    mine = ChatPage(page)
    await mine.is_in(room)
    assert await page.locator("#room-topic").inner_text() == "All about *cats*"

    bob = await newcomer(session_http, workers.urls, new_name("bob"))
    his = await ChatPage.open(browser, workers[1].url, bob)
    await his.page.keyboard.press("Control+k")
    await his.page.keyboard.type(room[:8])
    await his.page.get_by_role("option", name=room).click()
    await his.is_in(room)
    await his.say("Found it")
    await mine.reads("Found it")


async def test_what_was_missed_while_offline_comes_once_and_what_was_written_there_is_sent(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    ada, bob, room = await two(session_http, workers)
    hers = await ChatPage.open(browser, workers[0].url, ada, room)
    await hers.say("before")
    await hers.reads("before")
    # Chromium lets open streams go on while it is "offline": the worker's end cuts this one.
    await hers.page.context.set_offline(True)
    workers[0].kill()
    await eventually(hers.is_not_live, "the page says that it has no connection")
    await hers.say("written offline")
    await hers.page.locator("#lines .pending, #lines .sending").wait_for()
    await hers.draft.fill("a draft")
    for number in range(3):
        await bob.must("POST", f"/v1/rooms/{room}/messages", {"text": f"missed {number}"}, worker=1)
    workers[0].start()
    await hers.page.context.set_offline(False)
    await hers.is_live()
    await hers.reads("before", "missed 0", "missed 1", "missed 2", "written offline")
    assert [message["text"] for message in await bob.history(room)].count("written offline") == 1
    await hers.page.reload()
    await hers.is_in(room)
    assert await hers.draft.input_value() == "a draft"


async def test_nothing_is_lost_or_repeated_when_a_worker_is_killed_behind_haproxy(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    ada, bob, room = await two(session_http, workers)
    with Haproxy(workers) as balancer:
        hers = await ChatPage.open(browser, balancer.url, ada, room)
        his = await ChatPage.open(browser, balancer.url, bob, room)
        said = []
        for number, chat in enumerate([hers, his] * 6):
            if number == 4:
                workers[0].kill()
            if number == 8:
                workers[0].start()
                workers[1].kill()
            said.append(f"number {number}")
            await chat.say(said[-1])
            await chat.message(said[-1]).wait_for()
        for chat in (hers, his):
            await chat.is_live()
            await eventually(lambda chat=chat: _holds_all(chat, said), "all came")
            texts = await chat.texts()
            assert sorted(texts) == sorted(said)
            mine = [text for text in texts if int(text.split()[1]) % 2 == 0]
            assert mine == said[::2], "one person's messages keep their order"
        assert await hers.texts() == await his.texts() == [message["text"] for message in await ada.history(room)]


async def _holds_all(chat: ChatPage, said: list[str]) -> bool:
    waiting = await chat.page.locator("#lines .pending, #lines .sending, #lines .failed").count()
    return not waiting and len(await chat.texts()) >= len(said)


async def test_replies_reactions_edits_and_deletions_show_on_the_other_side(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    ada, bob, room = await two(session_http, workers)
    hers = await ChatPage.open(browser, workers[0].url, ada, room)
    his = await ChatPage.open(browser, workers[1].url, bob, room)
    await hers.say("First thing")
    await his.reads("First thing")
    await his.does("First thing", "Reply")
    await his.say("An answer")
    quote = hers.message("An answer").locator(".quoted")
    await quote.wait_for()
    assert "First thing" in await quote.inner_text()

    await his.does("First thing", "React")
    await his.page.get_by_label("Find an emoji").fill("tada")
    await his.page.get_by_label("Find an emoji").press("Enter")
    reaction = hers.message("First thing").locator(".reaction")
    await reaction.wait_for()
    await reaction.click()
    await hers.message("First thing").locator('.reaction[aria-pressed="true"]').wait_for()
    assert (await reaction.inner_text()).split() == ["🎉", "2"]

    await hers.draft.press("ArrowUp")
    assert await hers.draft.input_value() == "First thing"
    await hers.say("First thing, put better")
    await his.message("First thing, put better").get_by_text("(edited)").wait_for()

    await hers.does("First thing, put better", "Delete")
    await hers.page.get_by_role("button", name="Delete", exact=True).last.click()
    await his.page.get_by_text("This message was deleted.").wait_for()
    assert await his.texts() == ["An answer"]


async def test_unread_and_mention_badges_come_and_go_away_when_the_room_is_read(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    (ada, bob), (here, there) = await house(session_http, workers.urls, 2, rooms=2)
    hers = await ChatPage.open(browser, workers[0].url, ada, here)
    await hers.is_live()
    await bob.send(there, "one")
    await bob.send(there, f"two, @{ada.name}")
    badge = hers.room_link(there).locator(".count")
    await eventually(lambda: _is(badge, "1"), "the badge counts the call")
    assert (await hers.page.title()).startswith("(1) ")
    await hers.go(there)
    await hers.reads("one", f"two, @{ada.name}")
    assert await hers.page.locator(".unread-line").inner_text() == "New"
    await hers.go(here)
    assert await badge.count() == 0
    await eventually(lambda: _counts(ada, there, 0), "the server knows that it was read")
    assert not (await hers.page.title()).startswith("(")


async def _is(badge, text: str) -> bool:  # type: ignore[no-untyped-def]
    return await badge.count() == 1 and await badge.inner_text() == text


async def _counts(person: Person, room: str, unread: int) -> bool:
    return (await person.must("GET", f"/v1/rooms/{room}"))["room"]["unread"] == unread


async def test_a_refused_message_stays_and_can_be_tried_again_or_thrown_away(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    ada, bob, room = await two(session_http, workers)
    his = await ChatPage.open(browser, workers[0].url, bob, room)
    refuse = "**/v1/rooms/*/messages"
    problem = '{"type":"","title":"No","status":403,"detail":"Not today.","code":"forbidden"}'
    await his.page.route(
        refuse, lambda route: route.fulfill(status=403, content_type="application/problem+json", body=problem)
    )
    await his.say("try me")
    await his.say("drop me")
    await his.page.locator(".failed").nth(1).wait_for()
    assert "Not today." in await his.message("try me").inner_text()
    await his.page.unroute(refuse)
    await his.message("drop me").get_by_role("button", name="Throw away").click()
    await his.message("try me").get_by_role("button", name="Try again").click()
    await his.reads("try me")
    assert [message["text"] for message in await ada.history(room)] == ["try me"]


async def test_commands_do_what_they_say_and_two_slashes_say_one(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    ada, bob, room = await two(session_http, workers)
    other = await bob.create()
    hers = await ChatPage.open(browser, workers[0].url, ada, room)
    await hers.say("/topic Nothing but *stars*")
    await eventually(lambda: _topic(hers, "Nothing but *stars*"), "the topic is there")
    await hers.say("//not a command")
    await hers.reads("/not a command")
    await hers.say("/frobnicate")
    await hers.page.get_by_text("There is no command /frobnicate.").wait_for()
    assert await hers.draft.input_value() == "/frobnicate"
    await hers.say(f"/join {other}")
    await hers.is_in(other)
    await hers.say(f"/msg {bob.name} psst")
    await hers.reads("psst")
    assert await hers.page.locator("#room-title").inner_text() == bob.name
    await hers.go(other)
    await hers.say("/leave")
    await hers.room_link(other).wait_for(state="detached")


async def _topic(chat: ChatPage, text: str) -> bool:
    return await chat.page.locator("#room-topic").inner_text() == text


async def test_an_ended_session_leads_back_to_the_sign_in_and_nothing_secret_is_kept(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    ada, _, room = await two(session_http, workers)
    hers = await ChatPage.open(browser, workers[0].url, ada, room)
    kept = await hers.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    assert "dchat_" not in kept
    await hers.page.context.clear_cookies()
    await hers.page.reload()
    await hers.page.get_by_role("heading", name="Sign in to D-Chat").wait_for()
    await hers.sign_in(ada.name, "wrong")
    await hers.page.get_by_role("alert").get_by_text("wrong").wait_for()
