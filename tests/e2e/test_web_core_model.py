"""The page's model of the chat, in a real browser: when all has calmed down it shows what the server has."""

from __future__ import annotations

import pytest

from tests.harness.browser import Browser

pytestmark = pytest.mark.asyncio(loop_scope="session")

CASES = [
    "an amendment that a page knew already does not take it back",
    "what came while a page was under way is in it",
    "a page that does not fit any more is not put on top",
    "a message that was deleted stays so",
    "who reads far up keeps what they read",
]


@pytest.mark.parametrize(("count", "steps"), [(800, 40), (50, 150)])
async def test_after_a_storm_the_page_shows_what_the_server_has(browser: Browser, count: int, steps: int) -> None:
    page = await browser.nowhere()
    storms = "async ([count, steps]) => (await import('/tests/web/model.js')).storms(1, count, steps)"
    assert await page.evaluate(storms, [count, steps]) == {}


async def test_of_a_transcript_each_small_case_holds(browser: Browser) -> None:
    page = await browser.nowhere()
    for case in CASES:
        told = "async (name) => (await import('/tests/web/transcripts.js')).cases[name]()"
        seen, should = await page.evaluate(told, case)
        assert seen == should, case


EARLY = """async () => {
    const { Rooms } = await import('/web/lib/rooms.js');
    const rooms = new Rooms('ada');
    const event = { type: 'message', room: 'new', seq: 3, epoch: 1, ts: 't', sender: 'bob', text: '@ada' };
    const row = { room: 'new', kind: 'public', joined: true, topic: '', members: 2, read: 0, mentions: 0 };
    rooms.deliver(event);
    rooms.baseline({ ...row, head: 2, unread: 0 });
    const { unread, mentions, head } = rooms.get('new');
    rooms.deliver({ ...event, room: 'other' });
    rooms.baseline({ ...row, room: 'other', head: 3, unread: 1 });
    return [unread, mentions, head, rooms.get('other').unread];
}"""


async def test_what_is_said_in_a_new_room_before_it_is_known_counts_once(browser: Browser) -> None:
    page = await browser.nowhere()
    assert await page.evaluate(EARLY) == [1, 1, 3, 1]
