"""The page's client against real workers: several tabs share one stream, and nothing is lost or repeated."""

from __future__ import annotations

import asyncio

import pytest

from tests.harness.people import PASSWORD
from tests.harness.processes import eventually
from tests.harness.scene import Scene
from tests.harness.tabs import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def owner_of(tabs: list[Tab]) -> Tab:
    """The one tab that has the stream."""

    async def find() -> Tab | None:
        owners = [tab for tab in tabs if await tab.owns]
        return owners[0] if len(owners) == 1 else None

    found: Tab = await eventually(find, "one tab has the stream")
    return found


async def test_many_tabs_have_one_stream_and_all_show_everything_once(scene: Scene) -> None:
    tabs = [await scene.tab() for _ in range(4)]
    await owner_of(tabs)
    await scene.bob_says(5)
    await tabs[-1].send(scene.room, "from the last tab")
    await tabs[0].sees(f"client.model.transcript('{scene.room}').messages.length === 6")
    for tab in tabs:
        await tab.shows(scene.room, [*scene.said, "from the last tab"])
        await tab.sees("client.model.connection.phase === 'live'")
    assert await scene.streams() == 1


async def test_when_the_owner_is_closed_another_tab_goes_on_without_hole_or_repeat(scene: Scene) -> None:
    tabs = [await scene.tab() for _ in range(3)]
    talking = asyncio.create_task(scene.bob_says(40, 0.03))
    while len(tabs) > 1:
        owner = await owner_of(tabs)
        await asyncio.sleep(0.3)
        tabs.remove(owner)
        await owner.close()
    await talking
    await tabs[0].shows(scene.room, scene.said)
    assert await scene.streams() == 1


async def test_a_tab_that_joins_amid_a_conversation_has_all_of_it(scene: Scene) -> None:
    first = await scene.tab()
    talking = asyncio.create_task(scene.bob_says(40, 0.03))
    late = [await scene.tab() for _ in range(2)]
    await talking
    for tab in [first, *late]:
        await tab.shows(scene.room, scene.said)
        unread = await tab.ask(f"client.model.rooms.get('{scene.room}').unread")
        assert unread == len(scene.said)


async def test_a_killed_worker_is_not_noticed(scene: Scene) -> None:
    tabs = [await scene.tab() for _ in range(2)]
    await tabs[0].sees("client.model.connection.phase === 'live'")
    busy = next(worker for worker in scene.workers if worker.metric("dchat_streams") == 1)
    talking = asyncio.create_task(scene.bob_says(40, 0.02))
    await asyncio.sleep(0.2)
    busy.kill()
    for number in range(5):
        await tabs[1].send(scene.room, f"ada {number}")
    await talking
    for tab in tabs:
        await tab.sees(f"client.model.transcript('{scene.room}').pending.length === 0")
        await tab.sees(f"client.model.transcript('{scene.room}').messages.length === 45")
        texts = await tab.texts(scene.room)
        assert [text for text in texts if text.startswith("bob")] == scene.said
        assert [text for text in texts if text.startswith("ada")] == [f"ada {number}" for number in range(5)]


async def test_what_is_typed_offline_is_sent_later_in_order_and_what_others_said_is_there(scene: Scene) -> None:
    tab = await scene.tab()
    await tab.sees("client.model.connection.phase === 'live'")
    await scene.context.set_offline(True)
    await tab.sees("client.model.connection.phase === 'reconnecting'")
    for number in range(3):
        await tab.send(scene.room, f"ada {number}")
    await scene.bob_says(3)
    assert await tab.texts(scene.room) == ["ada 0", "ada 1", "ada 2"]
    await scene.context.set_offline(False)
    await tab.shows(scene.room, [*scene.said, "ada 0", "ada 1", "ada 2"])
    await tab.sees(f"client.model.transcript('{scene.room}').pending.length === 0")


async def test_what_was_typed_offline_survives_the_tab(scene: Scene) -> None:
    tab = await scene.tab()
    await scene.context.set_offline(True)
    await tab.send(scene.room, "written in a tunnel")
    await tab.close()
    await scene.context.set_offline(False)
    tab = await scene.tab()
    await tab.shows(scene.room, ["written in a tunnel"])
    await tab.sees(f"client.model.transcript('{scene.room}').pending.length === 0")
    assert len(await scene.bob.history(scene.room)) == 1


async def test_a_frozen_owner_lets_go_and_comes_back_without_hole_or_repeat(scene: Scene) -> None:
    tabs = [await scene.tab() for _ in range(2)]
    frozen = await owner_of(tabs)
    other = next(tab for tab in tabs if tab is not frozen)
    # Headless Chromium takes every page for visible and does not freeze it; so it is told, and stopped.
    await frozen.page.evaluate("document.dispatchEvent(new Event('freeze'))")
    async with scene.stopped(frozen):
        await other.sees("client.isOwner")
        await scene.bob_says(5)
        await other.shows(scene.room, scene.said)
    await frozen.page.evaluate("document.dispatchEvent(new Event('resume'))")
    await scene.bob_says(5)
    await frozen.shows(scene.room, scene.said)
    assert await scene.streams() == 1


async def test_an_owner_that_is_stopped_without_a_word_loses_its_lock(scene: Scene) -> None:
    tabs = [await scene.tab() for _ in range(2)]
    owner = await owner_of(tabs)
    other = next(tab for tab in tabs if tab is not owner)
    async with scene.stopped(owner):
        await scene.bob_says(3)
        await other.page.evaluate("dispatchEvent(new Event('focus'))")  # as when its person looks at it
        await other.sees("client.isOwner")
        await other.shows(scene.room, scene.said)
    await scene.bob_says(3)
    for tab in tabs:
        await tab.shows(scene.room, scene.said)
    await owner_of(tabs)


async def test_what_is_lost_between_two_tabs_is_noticed_and_fetched(scene: Scene) -> None:
    tabs = [await scene.tab() for _ in range(2)]
    owner = await owner_of(tabs)
    other = next(tab for tab in tabs if tab is not owner)
    await other.sees("client.model.connection.phase === 'live'")
    await owner.page.evaluate("""() => {
        const post = BroadcastChannel.prototype.postMessage;
        globalThis.losing = true;
        BroadcastChannel.prototype.postMessage = function (message) {
            if (!(losing && message.kind === "word")) post.call(this, message);
        };
    }""")
    await scene.bob_says(3)
    await owner.shows(scene.room, scene.said)
    await owner.page.evaluate("losing = false")
    await other.shows(scene.room, scene.said)
    await other.sees(f"client.model.rooms.get('{scene.room}').unread === 3")


async def test_without_web_locks_the_tabs_share_one_stream_all_the_same(scene: Scene) -> None:
    tabs = [await scene.tab(locks=None) for _ in range(3)]
    owner = await owner_of(tabs)
    for number, tab in enumerate(tabs * 2):
        await tab.send(scene.room, f"ada {number}")
    for tab in tabs:
        await tab.sees(f"client.model.transcript('{scene.room}').messages.length === 6")
        await tab.sees(f"client.model.transcript('{scene.room}').pending.length === 0")
    assert await scene.streams() == 1
    tabs.remove(owner)
    await owner.close()
    await scene.bob_says(3)
    await owner_of(tabs)
    for tab in tabs:
        await tab.sees(f"client.model.transcript('{scene.room}').messages.length === 9")
    assert len(await scene.bob.history(scene.room)) == 9


async def test_signing_out_in_one_tab_signs_out_all_and_signing_in_brings_them_back(scene: Scene) -> None:
    tabs = [await scene.tab() for _ in range(2)]
    await tabs[0].ask("client.signOut()")
    for tab in tabs:
        await tab.sees("client.state === 'signed-out'")
    await tabs[1].ask(f"client.signIn('{scene.bob.name}', '{PASSWORD}')")
    for tab in tabs:
        await tab.sees(f"client.state === 'signed-in' && client.model.me.username === '{scene.bob.name}'")
