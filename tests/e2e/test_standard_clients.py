"""Clients that know nothing of D-Chat read the stream as they are: curl, httpx-sse, sseclient-py, a browser."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
import httpx_sse
import pytest
import sseclient
from aiohttp import web as pages

from tests.harness.people import PASSWORD, Person, house
from tests.harness.processes import Running, eventually, free_port, new_folder
from tests.harness.workers import Haproxy, Workers

TEXTS = [
    "plain",
    "größer als ﷽ 👩‍💻",
    "data: tricky\u2028id: 7",
    "two\nlines\r\nand more\r",
    '{"type":"gap"}',
    " ",
    "x" * 16_384,
]


async def say(person: Person, room: str, texts: list[str]) -> list[dict[str, Any]]:
    return [await person.send(room, text) for text in texts]


class InThread:
    """Runs a blocking client until it has what it waits for; `seen` grows meanwhile."""

    def __init__(self, work: Callable[[list[Any]], None]) -> None:
        self.seen: list[Any] = []
        self.error: BaseException | None = None

        def run() -> None:
            try:
                work(self.seen)
            except BaseException as error:
                self.error = error

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    async def until(self, done: Callable[[list[Any]], bool]) -> list[Any]:
        def enough() -> bool:
            if self.error is not None:
                raise self.error
            return done(self.seen)

        await eventually(enough, "the client has seen it all")
        return self.seen


@pytest.fixture
def balancer(workers: Workers) -> Iterator[Haproxy]:
    with Haproxy(workers) as balancer:
        yield balancer


@pytest.fixture(params=["worker", "balancer"])
def base(request: pytest.FixtureRequest, workers: Workers) -> str:
    """The address: a worker's own, and HAProxy in front of three."""
    if request.param == "worker":
        return workers[0].url
    return str(request.getfixturevalue("balancer").url)


@pytest.mark.parametrize("form", ["text/event-stream", "application/x-ndjson"])
async def test_curl_shows_each_event_as_it_comes_and_resumes(base: str, http: aiohttp.ClientSession, form: str) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl on this machine")
    (ada,), (room,) = await house(http, [base], 1)
    folder = new_folder()

    def run(name: str, *more: str) -> Running:
        command = [curl, "-sN", "-H", f"Authorization: Bearer {ada.token}", "-H", f"Accept: {form}", *more]
        return Running(name, [*command, f"{base}/v1/events"], folder)

    def events(process: Running) -> list[dict[str, Any]]:
        lines = process.log.split("\n")
        if form == "text/event-stream":
            lines = [line[6:] for line in lines if line.startswith("data: ")]
        return [json.loads(line) for line in lines if line.endswith("}")]

    def texts(process: Running) -> list[str]:
        return [event["text"] for event in events(process) if event["type"] == "message"]

    try:
        with run("curl") as first:
            await eventually(lambda: events(first), "curl shows hello")
            assert events(first)[0]["type"] == "hello"
            assert room in events(first)[0]["rooms"]
            for at, text in enumerate(TEXTS):
                await ada.send(room, text)
                await eventually(lambda at=at: texts(first) == TEXTS[: at + 1], "curl shows it at once")
            log = first.log
        marks = [line[4:] for line in log.split("\n") if line.startswith("id: ")]
        cursor = marks[-1] if form == "text/event-stream" else events(first)[-1]["cursor"]
        await say(ada, room, ["while it was away", "and one more"])
        with run("again", "-H", f"Last-Event-ID: {cursor}") as second:
            await eventually(lambda: len(texts(second)) == 2, "curl shows what it missed")
            assert texts(second) == ["while it was away", "and one more"]
            assert "resumed" in [event["type"] for event in events(second)]
    finally:
        shutil.rmtree(folder)


async def test_httpx_sse_reads_and_resumes(base: str, http: aiohttp.ClientSession) -> None:
    (ada,), (room,) = await house(http, [base], 1)
    cursor = ""

    def read(seen: list[httpx_sse.ServerSentEvent]) -> None:
        headers = {**ada.headers, **({"Last-Event-ID": cursor} if cursor else {})}
        with (
            httpx.Client(timeout=60) as client,
            httpx_sse.connect_sse(client, "GET", f"{base}/v1/events", headers=headers) as source,
        ):
            for event in source.iter_sse():
                seen.append(event)
                if event.event == "message" and event.json()["text"] == "bye":
                    return

    first = InThread(read)
    await first.until(lambda seen: any(event.event == "hello" for event in seen))
    await say(ada, room, [*TEXTS, "bye"])
    seen = await first.until(lambda seen: any("bye" in event.data for event in seen))
    assert [event.json()["text"] for event in seen if event.event == "message"] == [*TEXTS, "bye"]
    cursor = seen[-1].id
    assert cursor
    await say(ada, room, ["missed", "bye"])
    second = InThread(read)
    seen = await second.until(lambda seen: any(event.event == "message" and "bye" in event.data for event in seen))
    assert [event.json()["text"] for event in seen if event.event == "message"] == ["missed", "bye"]


async def test_sseclient_reads_and_resumes(base: str, http: aiohttp.ClientSession) -> None:
    (ada,), (room,) = await house(http, [base], 1)
    cursor = ""

    def read(seen: list[Any]) -> None:
        headers = {**ada.headers, "Accept": "text/event-stream", **({"Last-Event-ID": cursor} if cursor else {})}
        with httpx.Client(timeout=60) as client, client.stream("GET", f"{base}/v1/events", headers=headers) as response:
            for event in sseclient.SSEClient(response.iter_raw()).events():
                seen.append(event)
                if event.event == "message" and json.loads(event.data)["text"] == "bye":
                    return

    first = InThread(read)
    await first.until(lambda seen: any(event.event == "hello" for event in seen))
    await say(ada, room, [*TEXTS, "bye"])
    seen = await first.until(lambda seen: any("bye" in event.data for event in seen))
    assert [json.loads(event.data)["text"] for event in seen if event.event == "message"] == [*TEXTS, "bye"]
    cursor = seen[-1].id
    assert cursor
    await say(ada, room, ["missed", "bye"])
    second = InThread(read)
    seen = await second.until(lambda seen: any(event.event == "message" and "bye" in event.data for event in seen))
    assert [json.loads(event.data)["text"] for event in seen if event.event == "message"] == ["missed", "bye"]


# A browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LISTEN = """
    (url) => {
        window.seen = [];
        window.marks = [];
        window.breaks = 0;
        window.source = new EventSource(url);
        window.source.onerror = () => { window.breaks += 1; };
        for (const kind of ['hello', 'message', 'member', 'resumed', 'gap', 'reconnect', 'ping'])
            window.source.addEventListener(kind, event => {
                window.seen.push(JSON.parse(event.data));
                window.marks.push(event.lastEventId);
            });
    }
"""


@asynccontextmanager
async def browser_page() -> AsyncIterator[Any]:
    """A page of a headless Chromium."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    playwright = pytest.importorskip("playwright.async_api", reason="Playwright is not installed")
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        try:
            yield await browser.new_page()
        finally:
            await browser.close()


async def texts_in(page: Any) -> list[str]:
    found: list[str] = await page.evaluate("window.seen.filter(e => e.type == 'message').map(e => e.text)")
    return found


async def count_in(page: Any, kind: str) -> int:
    found: int = await page.evaluate(f"window.seen.filter(e => e.type == '{kind}').length")
    return found


async def test_a_browser_on_a_page_of_another_origin_reads_with_a_ticket(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    (ada,), (room,) = await house(http, workers.urls, 1)

    async def index(request: pages.Request) -> pages.Response:
        return pages.Response(text="<!doctype html><title>elsewhere</title>", content_type="text/html")

    app = pages.Application()
    app.router.add_get("/", index)
    runner = pages.AppRunner(app)
    await runner.setup()
    port = free_port()
    await pages.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with browser_page() as page:
            await page.goto(f"http://127.0.0.1:{port}/")
            ticket = (await ada.must("POST", "/v1/tickets", worker=0))["ticket"]
            url = f"{workers[1].url}/v1/events?ticket={ticket}"
            await page.evaluate(LISTEN, url)
            await eventually(lambda: count_in(page, "hello"), "the browser's stream is open")
            await say(ada, room, TEXTS)
            await eventually(lambda: has(page, len(TEXTS)), "the browser has all messages")
            assert await texts_in(page) == TEXTS
            # The ticket is spent: nobody opens a second stream with the address from a log.
            again = await ada.ask("GET", f"/v1/events?ticket={ticket}", worker=2, headers={"Authorization": ""})
            assert again.status == 401
    finally:
        await runner.cleanup()


async def has(page: Any, count: int) -> bool:
    return len(await texts_in(page)) >= count


async def test_a_browser_reconnects_by_itself_after_kill_and_drain_and_misses_nothing(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    """Same origin, signed in by the cookie: what the web page does."""
    (ada, ben), (room,) = await house(http, [workers[1].url, workers[2].url], 2)
    worker = workers[0]
    async with browser_page() as page:
        await page.goto(f"{worker.url}/docs/errors")
        status = await page.evaluate(
            """([username, password]) => fetch('/v1/login', {
                method: 'POST',
                headers: {'Content-Type': 'application/json'},
                body: JSON.stringify({username, password}),
            }).then(answer => answer.status)""",
            [ben.name, PASSWORD],
        )
        assert status == 200
        assert "dchat_session" not in await page.evaluate("document.cookie"), "scripts must not see the session"
        await page.evaluate(LISTEN, "/v1/events")
        await eventually(lambda: count_in(page, "hello"), "the browser's stream is open")
        said: list[str] = []

        async def speak(count: int) -> None:
            for _ in range(count):
                said.append(f"number {len(said)}")
                await ada.send(room, said[-1])

        await speak(20)
        await eventually(lambda: has(page, len(said)), "the browser has all messages")
        worker.kill()
        await speak(20)
        worker.start(wait=False)
        await eventually(lambda: count_is(page, "hello", 2), "the browser has reconnected by itself")
        await speak(20)
        await eventually(lambda: has(page, len(said)), "the browser has all messages")
        # Now a planned stop: the browser is told when to come back, by a field that EventSource obeys.
        assert worker.process is not None
        worker.process.terminate()
        await speak(20)
        assert await asyncio.to_thread(worker.process.wait) == 0
        await speak(20)
        worker.start(wait=False)
        await eventually(lambda: count_is(page, "hello", 3), "the browser has reconnected by itself")
        await speak(20)
        await eventually(lambda: has(page, len(said)), "the browser has all messages")
        assert await count_in(page, "reconnect") == 1
        assert await texts_in(page) == said, "none missing, none twice, in order"
        assert await count_in(page, "gap") == 0
        assert await count_in(page, "resumed") == 2


async def count_is(page: Any, kind: str, count: int) -> bool:
    return await count_in(page, kind) >= count


async def test_event_source_gets_the_cursor_of_each_write_as_its_last_event_id(
    workers: Workers, http: aiohttp.ClientSession
) -> None:
    """What a browser would send back after a break is the place of what it has, whatever came in one write."""
    (ada,), (room,) = await house(http, workers.urls, 1)
    async with browser_page() as page:
        await page.goto(f"{workers[0].url}/docs/errors")
        await page.evaluate(
            """([username, password]) => fetch('/v1/login', {method: 'POST', body: JSON.stringify({username, password}),
                headers: {'Content-Type': 'application/json'}})""",
            [ada.name, PASSWORD],
        )
        await page.evaluate(LISTEN, "/v1/events")
        await eventually(lambda: count_in(page, "hello"), "the browser's stream is open")
        lines = b"".join(json.dumps({"text": f"burst {number}"}).encode() + b"\n" for number in range(300))
        answer = await http.post(
            f"{workers[1].url}/v1/rooms/{room}/messages",
            data=lines,
            headers={**ada.headers, "Content-Type": "application/x-ndjson"},
        )
        assert answer.status == 200
        await answer.read()
        await eventually(lambda: has(page, 300), "the browser has the burst")
        mark = await page.evaluate("window.marks[window.marks.length - 1]")
    await ada.send(room, "after the burst")
    answer = await ada.ask("GET", "/v1/events?poll=5", headers={"Last-Event-ID": mark})
    assert [event["text"] for event in answer.json["events"]] == ["after the burst"]
