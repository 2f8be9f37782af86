"""The web chat as its user works it: signing in, rooms, writing, reading what stands there."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp
from playwright.async_api import Locator, Page

from tests.harness.browser import Browser
from tests.harness.people import PASSWORD, Person
from tests.harness.processes import eventually

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DESK = {"viewport": {"width": 1440, "height": 900}}


async def newcomer(http: aiohttp.ClientSession, urls: Sequence[str], name: str, rooms: Sequence[str] = ()) -> Person:
    """A new account that is in `rooms`."""
    person = await Person(http, urls, name).register()
    for room in rooms:
        await person.join(room)
    return person


class ChatPage:
    """One tab with the chat in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.draft = page.locator("#draft")
        self.messages = page.locator("#lines .line")

    @classmethod
    async def open(
        cls, browser: Browser, url: str, person: Person, room: str | None = None, **options: object
    ) -> ChatPage:
        """A fresh profile in which `person` has signed in and is in `room`."""
        page = await browser.open(url + "/" + (f"#{room}" if room else ""), **{**DESK, **options})
        chat = cls(page)
        await chat.sign_in(person.name)
        await page.locator("#app").wait_for()
        if room is not None:
            await chat.is_in(room)
        return chat

    async def sign_in(self, name: str, password: str = PASSWORD) -> None:
        """Fill the form and send it."""
        await self.page.locator("#username").fill(name)
        await self.page.locator("#password").fill(password)
        await self.page.locator("#entrance-submit").click()

    def room_link(self, room: str) -> Locator:
        return self.page.locator(f'.room-link[data-room="{room}"]')

    async def go(self, room: str) -> None:
        """Open a room by its link in the list."""
        await self.room_link(room).click()
        await self.is_in(room)

    async def is_in(self, room: str) -> None:
        """Wait until the room is open and its messages are there."""
        await self.page.locator(f'.room-link[aria-current="page"][data-room="{room}"]').wait_for(state="attached")
        await eventually(self._is_loaded, f"the messages of {room} are loaded")

    async def _is_loaded(self) -> bool:
        return await self.page.locator("#older").inner_text() != "Loading …"

    async def say(self, text: str) -> None:
        await self.draft.fill(text)
        await self.draft.press("Enter")

    async def texts(self) -> list[str]:
        """What the messages in the page say, oldest first."""
        return [text.strip() for text in await self.page.locator("#lines .line .text").all_inner_texts()]

    async def reads(self, *texts: str) -> None:
        """Wait until these are the last messages, in this order, each stored."""

        async def stand() -> bool:
            waiting = await self.page.locator("#lines .pending, #lines .sending, #lines .failed").count()
            return (await self.texts())[-len(texts) :] == list(texts) and not waiting

        try:
            await eventually(stand, "the messages stand there")
        except AssertionError as error:
            raise AssertionError(f"{(await self.texts())[-len(texts) :]} instead of {list(texts)}") from error

    def message(self, text: str) -> Locator:
        """The message with this text."""
        return self.messages.filter(has=self.page.locator(".text", has_text=text)).last

    async def does(self, text: str, what: str) -> None:
        """Press a button of a message's bar: React, Reply, Edit, Delete."""
        await self.message(text).hover()
        await self.message(text).get_by_role("button", name=what, exact=True).click()

    async def phase(self) -> str:
        """How the page says that its connection is doing."""
        return await self.page.locator("#connection").get_attribute("data-phase") or ""

    async def is_live(self) -> None:
        await eventually(self._is_live, "the page is live")

    async def is_not_live(self) -> bool:
        return await self.phase() != "live"

    async def _is_live(self) -> bool:
        return await self.phase() == "live"
