"""The page's client against real workers: what is written, changed and read."""

from __future__ import annotations

import asyncio
import json

import pytest
from playwright.async_api import Route

from tests.harness.people import PASSWORD
from tests.harness.processes import eventually
from tests.harness.scene import Scene
from tests.harness.tabs import Tab

pytestmark = pytest.mark.asyncio(loop_scope="session")

BATCHES = "**/v1/rooms/*/messages"


async def pending(tab: Tab, room: str) -> list[tuple[str, str, str | None]]:
    """Text, state and error of what is not confirmed."""
    found = await tab.ask(f"client.model.transcript('{room}').pending")
    return [(each["text"], each["state"], each["error"] and each["error"]["code"]) for each in found]


async def test_an_answer_that_is_lost_makes_no_second_message(scene: Scene) -> None:
    tab = await scene.tab()
    lost = 0

    async def lose(route: Route) -> None:
        nonlocal lost
        if route.request.method == "POST" and lost < 2:
            lost += 1
            await route.fetch()
            await route.abort("connectionreset")
        else:
            await route.continue_()

    await tab.page.route(BATCHES, lose)
    for number in range(3):
        await tab.send(scene.room, f"ada {number}")
    await tab.sees(f"client.model.transcript('{scene.room}').pending.length === 0")
    await tab.shows(scene.room, ["ada 0", "ada 1", "ada 2"])
    assert [message["text"] for message in await scene.bob.history(scene.room)] == ["ada 0", "ada 1", "ada 2"]
    assert lost > 0


async def test_a_message_is_shown_once_when_its_echo_comes_before_the_answer(scene: Scene) -> None:
    tab = await scene.tab()
    await tab.sees("client.model.connection.phase === 'live'")
    stored, echoed = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        if route.request.method != "POST":
            await route.continue_()
            return
        response = await route.fetch()
        stored.set()
        await echoed.wait()
        await route.fulfill(response=response)

    await tab.page.route(BATCHES, hold)
    await tab.send(scene.room, "hello")
    await stored.wait()
    await tab.sees(f"client.model.transcript('{scene.room}').messages.length === 1")
    assert await tab.texts(scene.room) == ["hello"]
    echoed.set()
    await tab.page.unroute_all(behavior="wait")
    await tab.send(scene.room, "and another")
    await tab.shows(scene.room, ["hello", "and another"])


async def test_a_message_is_shown_once_when_its_answer_comes_before_the_echo(scene: Scene) -> None:
    tab = await scene.tab()
    await tab.sees("client.model.connection.phase === 'live'")
    await tab.page.route("**/v1/events", lambda route: route.abort("connectionrefused"))
    await tab.ask("client.reconnect()")
    await tab.sees("client.model.connection.phase === 'reconnecting'")
    await tab.send(scene.room, "hello")
    await tab.shows(scene.room, ["hello"])
    await tab.sees(f"client.model.transcript('{scene.room}').messages.length === 1")
    await scene.bob_says(1)
    await tab.page.unroute_all()
    await tab.ask("client.reconnect()")
    await tab.shows(scene.room, ["hello", *scene.said])


async def test_a_refused_message_fails_and_can_be_sent_again_or_taken_back(scene: Scene) -> None:
    tab = await scene.tab()
    await scene.ada.must("DELETE", f"/v1/rooms/{scene.room}/members/me")
    await tab.sees(f"client.model.rooms.get('{scene.room}') === null")
    key = await tab.send(scene.room, "from outside")
    await tab.send(scene.room, "never mind")
    await tab.sees(f"client.model.transcript('{scene.room}').pending.every((each) => each.state === 'failed')")
    assert await pending(tab, scene.room) == [
        ("from outside", "failed", "not_a_member"),
        ("never mind", "failed", "not_a_member"),
    ]
    await tab.ask(f"client.cancel(client.model.transcript('{scene.room}').pending[1].clientId)")
    await tab.ask(f"client.join('{scene.room}')")
    await tab.ask(f"client.retry('{key}')")
    await tab.shows(scene.room, ["from outside"])
    await tab.sees(f"client.model.transcript('{scene.room}').pending.length === 0")


async def test_what_waited_for_most_of_a_day_is_not_sent_by_itself(scene: Scene) -> None:
    tab = await scene.tab()
    await tab.page.evaluate(
        """([user, room]) => {
            client.stop();
            const at = String(Date.now() - 23 * 3_600_000 - 360_000).padStart(15, "0");
            const entry = JSON.stringify({ room, text: "yesterday's", replyTo: null });
            localStorage.setItem(`dchat.outbox.${user}.${at}.${"ab".repeat(12)}`, entry);
        }""",
        [scene.ada.name, scene.room],
    )
    tab = await scene.tab()
    assert await pending(tab, scene.room) == [("yesterday's", "failed", "too_old")]
    await tab.send(scene.room, "today's")
    await tab.shows(scene.room, ["today's", "yesterday's"])
    assert len(await scene.bob.history(scene.room)) == 1


async def test_what_was_taken_back_offline_is_not_sent(scene: Scene) -> None:
    tab = await scene.tab()
    await tab.sees("client.model.connection.phase === 'live'")
    await scene.context.set_offline(True)
    await tab.sees("client.model.connection.phase === 'reconnecting'")
    keys = [await tab.send(scene.room, f"ada {number}") for number in range(3)]
    await tab.sees(f"client.model.transcript('{scene.room}').pending.every((each) => each.state === 'pending')")
    await tab.ask(f"client.cancel('{keys[1]}')")
    await scene.context.set_offline(False)
    await tab.sees(f"client.model.transcript('{scene.room}').pending.length === 0")
    await tab.shows(scene.room, ["ada 0", "ada 2"])


async def test_edits_reactions_and_deletions_are_seen_in_all_tabs(scene: Scene) -> None:
    tabs = [await scene.tab() for _ in range(2)]
    await scene.bob_says(1)
    for text in ("first", "second"):
        await tabs[0].send(scene.room, text)
    await tabs[0].sees(f"client.model.transcript('{scene.room}').messages.length === 3")
    bobs, first, second = await tabs[0].ask(f"client.model.transcript('{scene.room}').messages.map((each) => each.seq)")
    await tabs[1].ask(f"client.edit('{scene.room}', {first}, 'edited')")
    await tabs[0].ask(f"client.react('{scene.room}', {bobs}, '👍')")
    await tabs[1].ask(f"client.remove('{scene.room}', {second})")
    for tab in tabs:
        await tab.shows(scene.room, ["bob 0", "edited", None])  # type: ignore[list-item]
        message = f"client.model.transcript('{scene.room}').get({bobs})"
        await tab.sees(
            f"JSON.stringify({message}.reactions?.map(({{ users }}) => users)) === '[[\"{scene.ada.name}\"]]'"
        )
    await tabs[0].ask(f"client.react('{scene.room}', {bobs}, '👍', false)")
    for tab in tabs:
        await tab.sees(f"client.model.transcript('{scene.room}').get({bobs}).reactions === undefined")


async def test_badges_are_right_in_all_tabs_and_go_when_the_room_was_read_elsewhere(scene: Scene) -> None:
    tabs = [await scene.tab() for _ in range(2)]
    counts = f"(({{ unread, mentions }}) => [unread, mentions])(client.model.rooms.get('{scene.room}'))"
    await scene.bob_says(2)
    await scene.bob.send(scene.room, f"look, @{scene.ada.name}!")
    sent = await scene.bob.send(scene.room, "and this one goes")
    await scene.bob.must("DELETE", f"/v1/rooms/{scene.room}/messages/{sent['seq']}")
    for tab in tabs:
        await tab.sees(f"JSON.stringify({counts}) === '[3,1]'")
    # On another device, to the first of them: the rest is counted by the server.
    first = (await scene.bob.history(scene.room))[0]["seq"]
    await scene.ada.must("PUT", f"/v1/rooms/{scene.room}/read", {"seq": first})
    for tab in tabs:
        await tab.sees(f"JSON.stringify({counts}) === '[2,1]'")
    await tabs[0].ask(f"client.markRead('{scene.room}')")
    for tab in tabs:
        await tab.sees(f"JSON.stringify({counts}) === '[0,0]'")
    await tabs[1].ask(f"client.markUnread('{scene.room}', {first})")
    for tab in tabs:
        await tab.sees(f"JSON.stringify({counts}) === '[3,1]'")
    await tabs[1].send(scene.room, "what one writes after, one has read")
    for tab in tabs:
        await tab.sees(f"JSON.stringify({counts}) === '[0,0]'")


async def test_a_marker_moved_while_nobody_listened_is_seen_after_the_break(scene: Scene) -> None:
    tab = await scene.tab()
    await scene.bob_says(2)
    await tab.sees(f"client.model.rooms.get('{scene.room}').unread === 2")
    await scene.context.set_offline(True)
    await tab.sees("client.model.connection.phase === 'reconnecting'")
    await scene.ada.must("PUT", f"/v1/rooms/{scene.room}/read", {"seq": await scene.ada.head(scene.room)})
    await scene.context.set_offline(False)
    await tab.sees(f"client.model.rooms.get('{scene.room}').unread === 0")


async def test_rooms_come_and_go_with_ones_memberships(scene: Scene) -> None:
    tabs = [await scene.tab() for _ in range(2)]
    room = await scene.bob.create(kind="private")
    await scene.bob.invite(room, scene.ada.name)
    for tab in tabs:
        await tab.sees(f"client.model.rooms.get('{room}')?.kind === 'private'")
    await scene.bob.must("DELETE", f"/v1/rooms/{room}/members/{scene.ada.name}")
    for tab in tabs:
        await tab.sees(f"client.model.rooms.get('{room}') === null")
    direct = await tabs[0].ask(f"client.dm(['{scene.bob.name}'])")
    made = await tabs[0].ask("client.create({ room: 'made-' + Date.now(), topic: 'new' })")
    for tab in tabs:
        await tab.sees(f"client.model.rooms.get('{direct}')?.users.length === 2")
        await tab.sees(f"client.model.rooms.get('{made}')?.topic === 'new'")
    await tabs[1].ask(f"client.topic('{made}', 'newer')")
    await tabs[0].sees(f"client.model.rooms.get('{made}').topic === 'newer'")
    await tabs[1].ask(f"client.leave('{made}')")
    await tabs[0].sees(f"client.model.rooms.get('{made}') === null")


async def test_older_pages_go_on_top_and_a_long_room_is_whole(scene: Scene) -> None:
    lines = "".join(json.dumps({"text": f"line {number}"}) + "\n" for number in range(130))
    headers = {**scene.bob.headers, "Content-Type": "application/x-ndjson"}
    url = f"{scene.url}/v1/rooms/{scene.room}/messages"
    async with scene.bob.http.post(url, data=lines, headers=headers) as response:
        await response.read()
    tab = await scene.tab()
    loads = 0
    while await tab.ask(f"client.model.transcript('{scene.room}').hasOlder"):
        await tab.ask(f"Promise.all([client.older('{scene.room}'), client.older('{scene.room}')])")
        loads += 1
    assert loads == 2
    assert await tab.texts(scene.room) == [f"line {number}" for number in range(130)]


async def test_who_is_typing_is_seen_and_forgotten_when_they_have_said_it_or_stopped(scene: Scene) -> None:
    tab = await scene.tab()
    await tab.sees("client.model.connection.phase === 'live'")
    await scene.bob.must("POST", f"/v1/rooms/{scene.room}/typing")
    await tab.sees(f"client.model.typing('{scene.room}').includes('{scene.bob.name}')")
    await scene.bob_says(1)
    await tab.sees(f"client.model.typing('{scene.room}').length === 0")
    # Told anew, and then no more: the page hears of nothing and is told all the same.
    await tab.page.evaluate(
        "globalThis.typing = []; client.on('change', (each) => each.typing && typing.push(each)); null"
    )
    again = f"/v1/rooms/{scene.room}/typing"
    await eventually(lambda: _typed(scene, tab, again), "Bob's typing is passed on")
    await tab.sees(f"client.model.typing('{scene.room}').length === 0 && typing.length >= 2")


async def _typed(scene: Scene, tab: Tab, path: str) -> bool:
    await scene.bob.must("POST", path)
    return bool(await tab.ask(f"client.model.typing('{scene.room}').length === 1"))


async def test_a_session_that_was_revoked_leads_back_to_signing_in(scene: Scene) -> None:
    tabs = [await scene.tab() for _ in range(2)]
    await tabs[0].sees("client.model.connection.phase === 'live'")
    tokens = (await scene.ada.must("GET", "/v1/tokens"))["tokens"]
    for token in tokens:
        if not token["current"]:
            await scene.ada.must("DELETE", f"/v1/tokens/{token['id']}")
    for tab in tabs:
        await tab.sees("client.state === 'signed-out' && client.problem.status === 401")
    await tabs[0].ask(f"client.signIn('{scene.ada.name}', '{PASSWORD}')")
    for tab in tabs:
        await tab.sees("client.state === 'signed-in'")
