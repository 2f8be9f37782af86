"""What docs/dashboards.md tells people to copy runs as it stands there, against a real worker and beside its origin."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Dialog, Page, expect

from tests.harness.browser import PATIENCE_MS, Browser
from tests.harness.people import Person, web
from tests.harness.processes import Running, eventually, free_port, plain_environment, until
from tests.harness.redis import RedisServer
from tests.harness.workers import Workers

pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=PATIENCE_MS)

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs/dashboards.md").read_text("utf-8")
SERVER = "http://localhost:5000"


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.S)
    return str(found)


@pytest.fixture(scope="module")
def pair() -> Iterator[Workers]:
    with RedisServer() as redis, Workers(redis.url, 2) as workers:
        yield workers


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ada(pair: Workers) -> AsyncIterator[Person]:
    async with web() as http:
        yield await Person(http, pair.urls, "ada").register()


@pytest.fixture
def token(pair: Workers, ada: Person) -> str:
    """A token to read with, made by the command that the document names."""
    pair.revive()
    command = re.search(r"```sh\ndchat (.*)\n```", DOCUMENT)
    assert command is not None
    env = plain_environment(DCHAT_URL=pair[0].url, DCHAT_TOKEN=ada.token, DCHAT_KEYRING="0", HOME=str(pair[0].folder))
    words = [sys.executable, "-m", "dchat_client", *command[1].split()]
    made = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert made.returncode == 0, made.stderr
    found = re.search(r"dchat[a-z]*_\S+", made.stdout)
    assert found is not None, made.stdout
    return found[0]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """The address of another site, that has this test's files."""
    port = free_port()

    def answers() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    with Running("elsewhere", [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"], tmp_path):
        until(answers, "the other site answers")
        yield f"http://127.0.0.1:{port}"


async def test_the_examples_are_as_short_as_the_document_says() -> None:
    assert len(block("html").splitlines()) <= 30
    assert len(block("python").splitlines()) <= 20


@pytest.mark.parametrize("place", ["a file", "another origin"])
async def test_the_page_shows_what_happens_and_comes_back_with_a_new_ticket(
    pair: Workers, ada: Person, token: str, browser: Browser, tmp_path: Path, elsewhere: str, place: str
) -> None:
    html = block("html")
    assert SERVER in html
    file = tmp_path / "wall.html"
    file.write_text(html.replace(SERVER, pair[0].url), "utf-8")
    page = await (await browser.context()).new_page()
    page.on("dialog", lambda dialog: asyncio.ensure_future(answered(dialog, token)))
    await page.goto(file.as_uri() if place == "a file" else f"{elsewhere}/wall.html")
    await says(page, "messages/s")
    room = await ada.create()
    await ada.send(room, "hello", worker=0)
    await expect(page.locator("#now")).not_to_contain_text("0 messages/s,", use_inner_text=True)
    if place == "a file":
        return
    # Its worker dies and comes back: the old ticket is worth nothing now, and the page needs a person for nothing.
    pair[0].restart()
    await page.evaluate("document.getElementById('now').textContent = ''")  # what it says now it has heard since
    await says(page, "messages/s")
    pair[1].restart()
    await expect(page.locator("#told")).to_contain_text("joined")


async def answered(dialog: Dialog, token: str) -> None:
    await dialog.accept(token)


async def says(page: Page, text: str) -> None:
    await expect(page.locator("#now")).to_contain_text(text)


async def test_the_program_prints_what_happens_and_comes_back_by_itself(
    pair: Workers, token: str, tmp_path: Path
) -> None:
    (tmp_path / "wall.py").write_text(block("python"), "utf-8")
    env = plain_environment(DCHAT_URL=pair[0].url, DCHAT_TOKEN=token)
    with Running("wall", [sys.executable, "wall.py"], tmp_path, env) as program:
        await eventually(lambda: " leads" in program.log and "messages/s, " in program.log, "it prints")
        pair[0].kill()
        await eventually(lambda: "not connected" in program.log, "it notices")
        printed = len(program.log)
        pair[0].start()
        await eventually(lambda: "messages/s, " in program.log[printed:], "it prints again")


async def test_the_program_ends_when_its_token_is_none(pair: Workers, tmp_path: Path) -> None:
    (tmp_path / "wall.py").write_text(block("python"), "utf-8")
    env = plain_environment(DCHAT_URL=pair[0].url, DCHAT_TOKEN="none")
    with Running("wall", [sys.executable, "wall.py"], tmp_path, env) as program:
        code = await asyncio.to_thread(program.wait)
    assert (code, "no token of an administrator" in program.log) == (1, True)
