"""Tabs of a browser with the page's chat client in them, and nothing drawn."""

from __future__ import annotations

import json
from typing import Any

from playwright.async_api import BrowserContext, Page

from tests.harness.people import PASSWORD
from tests.harness.processes import eventually

_START = """async ([name, password, options]) => {
    const { Client } = await import("/web/lib/client.js");
    globalThis.client = new Client(options);
    globalThis.said = [];
    client.on("said", (each) => said.push(each));
    await client.start();
    if (client.state === "signed-out" && name) await client.signIn(name, password);
}"""


class Tab:
    """One tab at a server's address, with a `client` in it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @classmethod
    async def open(cls, context: BrowserContext, url: str, name: str = "", **options: Any) -> Tab:
        """A new tab, signed in as `name` unless the profile is signed in already. `options` are the client's."""
        page = await context.new_page()
        # Any file will do as a page; this one has the real headers and runs nothing.
        await page.goto(url + "/web/lib/client.js")
        await page.evaluate(_START, [name, PASSWORD, options])
        return cls(page)

    async def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression about `client`, by way of JSON."""
        text = await self.page.evaluate(
            f"Promise.resolve({expression}).then((value) => JSON.stringify(value) ?? 'null')"
        )
        return json.loads(text)

    async def sees(self, expression: str, what: str = "") -> Any:
        """Wait for a JavaScript expression to be true, and return it."""
        try:
            return await eventually(lambda: self.ask(expression), what or expression)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self.ask('client.model && client.model.connection')}") from None

    async def read(self, room: str) -> None:
        """Open a room and wait for its messages."""
        await self.ask(f"client.open({room!r}).state")
        await self.sees(f"client.model.transcript({room!r}).state === 'ready'")

    async def send(self, room: str, text: str) -> str:
        """Write a message; its key."""
        return str(await self.ask(f"client.send({room!r}, {json.dumps(text)})"))

    async def texts(self, room: str) -> list[str]:
        """The texts of the messages shown, those that are not confirmed behind."""
        shown = await self.ask(
            f"[...client.model.transcript({room!r}).messages, ...client.model.transcript({room!r}).pending]"
            ".map((each) => each.deleted ? null : each.text)"
        )
        return list(shown)

    async def shows(self, room: str, texts: list[str], what: str = "") -> None:
        """Wait until exactly these texts are shown."""

        async def same() -> bool:
            return await self.texts(room) == texts

        try:
            await eventually(same, what or f"{len(texts)} messages are shown")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self.texts(room)}") from None

    @property
    async def owns(self) -> bool:
        return bool(await self.ask("client.isOwner"))

    async def close(self) -> None:
        await self.page.close()
