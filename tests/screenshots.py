"""The pictures of README.md: `make screenshots`, or `python -m tests.screenshots [NAME…]`.

Real workers with people who have something to say; each face is opened on them and looked at. The pictures go to
docs/images/. A face that cannot be opened here (no Chromium, no Xvfb) stops the run.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

import aiohttp
from PIL import Image
from playwright.async_api import Browser as Chromium
from playwright.async_api import BrowserContext, async_playwright

from dchat_client.config import Folders, Profile
from dchat_client.connection import Connection
from dchat_client.engine import Engine
from dchat_client.tui.app import ChatApp
from dchat_client.tui.prefs import Kept, Settings
from dchat_client.unsent import UnsentFiles
from tests.harness.browser import launched
from tests.harness.people import PASSWORD, Person, web
from tests.harness.processes import ROOT, Running, eventually, new_folder, plain_environment
from tests.harness.redis import RedisServer
from tests.harness.screen import Screen
from tests.harness.workers import Haproxy, Workers

FOLDER = ROOT / "docs" / "images"
NAMES = {"ada": "Ada Lovelace", "ben": "Ben Okafor", "cleo": "Cleo Martín", "dai": "戴 Dai"}
ROOMS = {
    "lobby": "Everybody's room. Be kind.",
    "design": "How it looks and why",
    "releases": "What went out, and when",
    "incidents": "Only while something burns",
}

# room, sender, text, answers (how many messages back), reactions
TALK: list[tuple[str, str, str, int, dict[str, str]]] = [
    (
        "releases",
        "ben",
        "**1.4.0** is out on all workers. Nobody was disconnected for longer than 2 s.",
        0,
        {"🎉": "ada cleo"},
    ),
    ("design", "cleo", "New icons are in. Look at them on a phone, please.", 0, {}),
    ("incidents", "dai", "Redis on node 2 restarted at 03:12. `degraded` for 4 s, nothing lost.", 0, {"👀": "ada"}),
    ("lobby", "cleo", "Good morning! Who is at the office today?", 0, {"👋": "ada ben dai"}),
    ("lobby", "dai", "早上好! Working from home, the trains stand still.", 0, {}),
    ("lobby", "ben", "Same here. Release notes are ready for a second pair of eyes.", 0, {}),
    (
        "lobby",
        "ada",
        "I will read them. Two things are open:\n\n- who is on call at the weekend\n- *30 days* of history or *90*",
        0,
        {},
    ),
    ("lobby", "cleo", "I am on call, and 90 days.", 1, {"❤️": "ada", "👍": "ben dai"}),
    ("lobby", "dai", "90 as well. The archive is cheap:\n```\ndchat admin lag\nlag_s 0.4   rooms_dirty 3\n```", 2, {}),
    (
        "lobby",
        "ben",
        "@ada the last leader change took half a second. I killed it while you were typing. 😇",
        0,
        {"😂": "ada cleo dai"},
    ),
    ("lobby", "ada", "And I did not notice. That is the point!", 1, {"🚀": "ben cleo dai"}),
    ("lobby", "cleo", "Lunch at 12:30? https://lunch.example.org/today", 0, {"🍜": "dai"}),
    ("design", "cleo", "@ada which blue do you like better?", 0, {}),
    ("releases", "dai", "1.4.1 is built, waiting for the nightly run.", 0, {}),
]


class Stage:
    """Workers behind a balancer, and people in rooms."""

    def __init__(self, url: str, workers: Workers, people: dict[str, Person]) -> None:
        self.url, self.workers, self.people = url, workers, people

    async def play(self) -> None:
        """Let everybody say their part."""
        ada = self.people["ada"]
        for room, topic in ROOMS.items():
            await ada.must("POST", "/v1/rooms", {"room": room, "kind": "public", "topic": topic})
            for other in ("ben", "cleo", "dai"):
                await self.people[other].join(room)
        dm = (await self.people["ben"].must("POST", "/v1/dms", {"users": ["ada"]}))["room"]["room"]
        await self.people["ben"].send(dm, "Do you have five minutes before lunch?")
        said: dict[str, list[int]] = {}
        for room, sender, text, back, reactions in TALK:
            there = said.setdefault(room, [])
            more: dict[str, Any] = {"reply_to": there[-back]} if back else {}
            seq = (await self.people[sender].send(room, text, **more))["seq"]
            there.append(seq)
            for emoji, users in reactions.items():
                for user in users.split():
                    await self.people[user].must("PUT", f"/v1/rooms/{room}/messages/{seq}/reactions/{emoji}")
        await ada.must("PUT", "/v1/rooms/lobby/read", {"seq": said["lobby"][-4]})


async def prepared(http: aiohttp.ClientSession, url: str, workers: Workers) -> Stage:
    """A stage on which everything has been said."""
    people = {}
    for name, display_name in NAMES.items():
        person = people[name] = Person(http, [url], name)
        body = {"username": name, "password": PASSWORD, "display_name": display_name}
        person.token = (await person.must("POST", "/v1/register", body))["token"]
    stage = Stage(url, workers, people)
    await stage.play()
    return stage


async def signed_in(chromium: Chromium, stage: Stage, user: str, **options: Any) -> BrowserContext:
    """A profile of the browser in which `user` has signed in."""
    context = await chromium.new_context(locale="en-GB", timezone_id="Europe/Berlin", **options)
    body = {"username": user, "password": PASSWORD}
    answer = await context.request.post(f"{stage.url}/v1/login", data=body, headers={"Origin": stage.url})
    assert answer.ok, await answer.text()
    return context


async def shoot_chat(chromium: Chromium, stage: Stage) -> None:
    """The web chat: wide and dark, and on a phone and light."""
    looks: list[tuple[str, dict[str, Any]]] = [
        ("web-chat", {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"}),
        (
            "web-chat-phone",
            {"viewport": {"width": 390, "height": 780}, "color_scheme": "light", "device_scale_factor": 2},
        ),
    ]
    for name, options in looks:
        context = await signed_in(chromium, stage, "ada", **options)
        page = await context.new_page()
        await page.goto(f"{stage.url}/#lobby")
        await page.get_by_text("Lunch at 12:30").wait_for()
        await asyncio.sleep(1)
        await page.screenshot(path=FOLDER / f"{name}.png")
        await context.close()


async def shoot_dashboard(chromium: Chromium, stage: Stage) -> None:
    """The dashboard, with people who talk and one worker that just died."""
    context = await signed_in(chromium, stage, "ada", viewport={"width": 1280, "height": 900}, color_scheme="dark")
    page = await context.new_page()
    await page.goto(f"{stage.url}/dashboard")
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(_listen(stage.people["ben"])) for _ in range(40)]
        talker = group.create_task(_talk(stage.people["cleo"]))
        await page.locator("#span").select_option(index=0)
        await asyncio.sleep(60)
        stage.workers[2].kill()
        await asyncio.sleep(12)
        await page.screenshot(path=FOLDER / "dashboard.png")
        for task in (*readers, talker):
            task.cancel()
    stage.workers.revive()
    await context.close()


async def _listen(person: Person) -> None:
    while True:
        try:
            async with person.http.get(person.url() + "/v1/events", headers=person.headers) as response:
                async for _ in response.content.iter_any():
                    pass
        except aiohttp.ClientError:
            await asyncio.sleep(0.5)


async def _talk(person: Person) -> None:
    number = 0
    while True:
        number += 1
        await person.ask("POST", "/v1/rooms/incidents/messages", {"text": f"probe {number}"})
        await asyncio.sleep(0.02 + 0.015 * ((number // 150) % 3))


async def shoot_terminal(chromium: Chromium, stage: Stage) -> None:
    """The full-screen client, drawn by the browser from what Textual exports."""
    home = new_folder()
    folders = Folders(home / "config", home / "state")
    profile = Profile("default", (stage.url,), "ada")
    connection = Connection(profile.urls, stage.people["ada"].token)
    kept = Kept.of(folders, profile)
    with UnsentFiles(kept.folder) as unsent:
        app = ChatApp(partial(Engine, connection), connection, kept, Settings(), unsent, room="lobby")
        async with app.run_test(size=(112, 34)) as pilot:
            await eventually(lambda: app.chat.transcript("lobby").is_loaded, "the room is loaded")
            await pilot.pause(1)
            drawing = app.export_screenshot(title="dchat")
    page = await chromium.new_page(viewport={"width": 1400, "height": 900})
    await page.set_content(f"<body style='margin:0;background:transparent'>{drawing}</body>")
    await page.locator("svg").screenshot(path=FOLDER / "terminal.png", omit_background=True)
    await page.close()
    shutil.rmtree(home, ignore_errors=True)


async def shoot_window(chromium: Chromium, stage: Stage) -> None:
    """The window, on a screen of its own."""
    home = new_folder()
    with Screen(1120, 740) as screen:
        folders = {"XDG_CONFIG_HOME": str(home / "config"), "XDG_STATE_HOME": str(home / "state")}
        settings = {"DCHAT_URL": stage.url, "DCHAT_TOKEN": stage.people["ada"].token, "DCHAT_KEYRING": "0"}
        env = plain_environment(HOME=str(home), **folders, **settings, **screen.env)
        with Running("window", [sys.executable, "-m", "dchat_client", "gui"], home, env):
            shown = await asyncio.to_thread(screen.window, "D-Chat")
            screen.focus(shown)
            screen.fill(shown)
            await asyncio.sleep(3)
            screen.key("ctrl+k")
            screen.type("lobby")
            screen.key("Return")
            await asyncio.sleep(3)
            screen.save(FOLDER / "window.png")
    shutil.rmtree(home, ignore_errors=True)


FACES: dict[str, Callable[[Chromium, Stage], Awaitable[None]]] = {
    "chat": shoot_chat,
    "dashboard": shoot_dashboard,
    "terminal": shoot_terminal,
    "window": shoot_window,
}


async def shoot(names: list[str]) -> None:
    """Take the pictures of the faces in `names`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(aof="everysec"))
        workers = stack.enter_context(Workers(redis.url, 3, DCHAT_COMPACT_INTERVAL_S="1"))
        front = stack.enter_context(Haproxy(workers))
        async with web() as http, async_playwright() as playwright:
            stage = await prepared(http, front.url, workers)
            chromium = await launched(playwright)
            for name in names:
                print(name)
                await FACES[name](chromium, stage)
            await chromium.close()
    for path in FOLDER.glob("*.png"):
        picture = Image.open(path)
        if picture.mode != "P":  # a third of the size, and nobody sees it
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    asyncio.run(shoot(sys.argv[1:] or list(FACES)))
