"""What others write stays text in the page: nothing runs, nothing hides, nothing freezes."""

from __future__ import annotations

import random
import sys
import unicodedata

import aiohttp
import pytest
from playwright.async_api import Page

from dchat_client.terminal import clean
from tests.harness.browser import Browser
from tests.harness.chatpage import PHONE, ChatPage
from tests.harness.people import house
from tests.harness.processes import eventually
from tests.harness.workers import Workers

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARKUP = [
    "<script>window.pwned = 1; alert(1)</script>",
    '<img src=x onerror="window.pwned = 1; alert(1)">',
    "<svg/onload=alert(1)><iframe src=javascript:alert(1)></iframe>",
    "<style>* { display: none }</style><b style=position:fixed>over</b>",
    "<!--><math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "`<script>alert(1)</script>` and\n```\n</code></pre><script>alert(1)</script>\n```",
    '[x](https://e.example/"onmouseover="alert(1))',
    "![pixel](https://tracker.example/p.png)",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#x202e;",
    '<form action="https://evil.example"><input name=username id=app></form>',
]
LINKS = [
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](java\tscript:alert(1))",
    "[click](&#106;avascript:alert(1))",
    "[click](data:text/html,<script>alert(1)</script>)",
    "[click](vbscript:msgbox(1))",
    "[click](file:///etc/passwd)",
    "[click](//evil.example)",
    "[click](/v1/logout)",
    "<javascript:alert(1)>",
]
BOMBS = [
    ">" * 16_000,
    "> " * 8000,
    "> " * 100 + "deep",
    "- " * 8000,
    "1. " * 5300,
    "[" * 16_000,
    "[a](" * 4000,
    "**a _b " * 2280,
    "***a" * 4000,
    "`" * 16_000,
    "~~a " * 4000,
    "a@" * 8000,
    "a" * 8000 + "@" + "b" * 8000,
    "@a " * 5300,
    "\n" * 15_000 + "x",
    "- a\n" * 4000,
    "\u200b" * 5000,
    "e" + "\u0301" * 8000,
]


async def shown(browser: Browser, workers: Workers, session_http: aiohttp.ClientSession, texts: list[str]) -> ChatPage:
    """A page that shows `texts`, each a message of somebody else, with a mark behind the last."""
    (ada, mallory), (room,) = await house(session_http, workers.urls, 2)
    for text in texts:
        await mallory.send(room, text)
    await mallory.send(room, "that was all")
    chat = await ChatPage.open(browser, workers[0].url, ada, room)
    chat.page.on("dialog", lambda dialog: browser.complaints.append(f"a dialog: {dialog.message}"))
    await chat.message("that was all").wait_for()
    return chat


async def test_markup_in_messages_stays_text(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    chat = await shown(browser, workers, session_http, MARKUP)
    texts = await chat.texts()
    assert texts[0] == MARKUP[0]
    assert texts[1] == MARKUP[1]
    assert texts[8] == MARKUP[8]
    inside = "#lines .text :is(script, img, svg, iframe, style, form, input, table, math, [style], [onerror], [id])"
    assert await chat.page.locator(inside).count() == 0
    assert await chat.page.evaluate("window.pwned") is None


async def test_links_lead_to_the_web_and_nowhere_else(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    good = "[good](https://good.example/a?b=c) and mail@good.example"
    lie = "[https://bank.example](https://evil.example/login)"
    chat = await shown(browser, workers, session_http, [*LINKS, good, lie])
    links = await chat.page.locator("#lines a").evaluate_all("all => all.map(a => [a.href, a.target, a.rel])")
    apart = ["_blank", "noopener noreferrer nofollow"]
    wanted = ["https://good.example/a?b=c", "mailto:mail@good.example", "https://evil.example/login"]
    assert links == [[href, *apart] for href in wanted]
    assert "evil.example" in await chat.message("bank.example").inner_text(), "a link that lies is given away"


async def test_hidden_and_turning_characters_are_seen(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    chat = await shown(
        browser, workers, session_http, ["invoice\u202etxt.exe", "pay\u200bpal **b\u2066old**", "\u200f", "\x1b[31mred"]
    )
    assert (await chat.texts())[:-1] == [
        "invoice⟨U+202E⟩txt.exe",
        "pay⟨U+200B⟩pal b⟨U+2066⟩old",
        "⟨U+200F⟩",
        "␛[31mred",
    ]
    isolation = "all => all.map(each => getComputedStyle(each).unicodeBidi)"
    assert set(await chat.page.locator("#lines .text").evaluate_all(isolation)) == {"isolate"}


async def test_sixteen_kibibytes_of_one_letter_wrap_and_can_be_unfolded(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    chat = await shown(browser, workers, session_http, ["W" * 16_384])
    await chat.page.set_viewport_size(PHONE["viewport"])  # type: ignore[arg-type]
    wide = "document.scrollingElement.scrollWidth > innerWidth || log.scrollWidth > log.clientWidth"
    assert not await chat.page.evaluate(f"(log => {wide})(document.getElementById('log'))")
    text = chat.page.locator("#lines .text").first
    folded = (await text.bounding_box() or {})["height"]
    await chat.page.get_by_role("button", name="Show all of it").click()
    await eventually(lambda: _is_higher(text, 2 * folded), "all of it is there")


async def _is_higher(text, height: float) -> bool:  # type: ignore[no-untyped-def]
    return (await text.bounding_box())["height"] > height


async def test_texts_made_to_keep_a_parser_busy_do_not(
    browser: Browser, workers: Workers, session_http: aiohttp.ClientSession
) -> None:
    chat = await shown(browser, workers, session_http, BOMBS)
    assert await chat.messages.count() == len(BOMBS) + 1
    # Deep structure and thousands of marks are not built: what is too much is shown as it was typed.
    assert await chat.page.locator("#lines .text *").count() < 12_000
    assert await chat.page.locator("#lines " + ":is(blockquote, ul, ol) " * 6).count() == 0
    await chat.say("still here")
    await chat.reads("still here")


def mixtures() -> list[str]:
    """Every invisible or combining sign alone, and thousands of rows of those whose neighbours matter."""
    signs = [chr(code) for code in range(0x80, sys.maxunicode) if unicodedata.category(chr(code))[0] in "CZM"]
    alone = [sign for sign in signs if unicodedata.category(sign) not in ("Cn", "Co", "Cs")]
    flag = "\U0001f3f4\U000e0067\U000e0062\U000e007f"
    dice = random.Random(7)
    pool = [
        "\u200c",
        "\u200d",
        "a",
        "م",
        "क",
        "👩",
        "❤",
        "\ufe0f",
        "\u202e",
        " ",
        "🏽",
        "\u3164",
        "\U000e0100",
        *flag,
        flag,
    ]
    return [*alone, *("".join(dice.choices(pool, k=dice.randint(2, 9))) for _ in range(5000))]


async def test_what_is_made_visible_is_the_same_in_page_and_terminal(browser: Browser, workers: Workers) -> None:
    texts = mixtures()
    page = await browser.open(workers[0].url + "/")
    seen = await _visible(page, texts)
    assert [(text, got) for text, got in zip(texts, seen, strict=True) if got != clean(text)] == []


async def _visible(page: Page, texts: list[str]) -> list[str]:
    script = "async (texts) => texts.map((await import('/web/chat/visible.js')).visibleLine)"
    seen: list[str] = await page.evaluate(script, texts)
    return seen
