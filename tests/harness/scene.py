"""Ada at her browser, Bob at a program, both in one room of real workers behind one address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext

from tests.harness.browser import Browser
from tests.harness.people import Person, crowd, new_name, web
from tests.harness.processes import eventually
from tests.harness.tabs import Tab
from tests.harness.workers import Haproxy, Workers


@dataclass
class Scene:
    """A fresh room and a fresh profile of Ada's browser. `said` is what Bob said, in order."""

    browser: Browser
    context: BrowserContext
    workers: Workers
    url: str
    ada: Person
    bob: Person
    room: str
    said: list[str] = field(default_factory=list)

    async def tab(self, **options: object) -> Tab:
        """A new tab of Ada's, with the room open."""
        tab = await Tab.open(self.context, self.url, self.ada.name, **options)
        await tab.read(self.room)
        return tab

    async def bob_says(self, count: int, pause_s: float = 0.0) -> None:
        """Bob says so many things, each once and again with the same key until it is stored."""
        for _ in range(count):
            body = {"text": f"bob {len(self.said)}", "client_id": new_name("k")}

            async def stored(body: dict[str, str] = body) -> bool:
                answer = await self.bob.ask("POST", f"/v1/rooms/{self.room}/messages", body)
                return answer.status in (200, 201)

            await eventually(stored, "Bob's message is stored")
            self.said.append(body["text"])
            await asyncio.sleep(pause_s)

    async def streams(self) -> int:
        """How many streams all workers have open."""
        alive = [worker for worker in self.workers if worker.alive]
        return int(sum(await asyncio.gather(*(asyncio.to_thread(each.metric, "dchat_streams") for each in alive))))

    @asynccontextmanager
    async def stopped(self, tab: Tab) -> AsyncIterator[None]:
        """Nothing of this tab runs."""
        devtools = await self.context.new_cdp_session(tab.page)
        await devtools.send("Debugger.enable")
        await devtools.send("Debugger.pause")
        await asyncio.sleep(0.1)
        yield
        await devtools.send("Debugger.resume")
        await devtools.send("Debugger.disable")


@pytest.fixture(scope="session")
def front(shared_workers: Workers) -> Iterator[Haproxy]:
    """One address for all workers, as people have it."""
    with Haproxy(shared_workers) as haproxy:
        yield haproxy


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ada_and_bob(front: Haproxy) -> AsyncIterator[list[Person]]:
    """Two accounts for all scenes of this process."""
    async with web() as http:
        yield await crowd(http, [front.url], 2)


@pytest_asyncio.fixture(loop_scope="session")
async def scene(browser: Browser, workers: Workers, front: Haproxy, ada_and_bob: list[Person]) -> Scene:
    """A fresh scene, once the streams of the one before are closed."""
    ada, bob = ada_and_bob
    for worker in workers:  # one that was just started again is ready, and HAProxy does not know it yet
        await asyncio.to_thread(front.wait_for, worker, "UP")
    room = await ada.create()
    await bob.join(room)
    scene = Scene(browser, await browser.context(), workers, front.url, ada, bob, room)

    async def quiet() -> bool:
        return await scene.streams() == 0

    await eventually(quiet, "the streams of the scene before are closed")
    return scene
