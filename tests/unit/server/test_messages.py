"""Messages over HTTP: sending, paging, changing."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from dchat_server.errors import BackendUnavailable
from tests.one_worker import Here, one_worker

PATH = "/v1/rooms/hall/messages"


@pytest_asyncio.fixture
async def here() -> AsyncIterator[Here]:
    async with one_worker() as here:
        await here.room("hall", "ada", "bob")
        await here.room("den", "ada", kind="private")
        yield here


async def batch(here: Here, lines: list[Any], user: str = "ada", room: str = "hall") -> list[dict[str, Any]]:
    data = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    headers = {"Authorization": f"Bearer {user}", "Content-Type": "application/x-ndjson"}
    url = f"http://127.0.0.1:{here.port}/v1/rooms/{room}/messages"
    async with here.http.post(url, data=data.encode(), headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "application/x-ndjson"
        return [json.loads(line) for line in (await response.read()).splitlines()]


async def test_a_message_is_answered_as_readers_will_see_it(here: Here) -> None:
    status, told = await here.call("POST", PATH, json={"text": "hi\n", "client_id": "k", "reply_to": 2})
    assert status == 201
    message = told["message"]
    assert message.pop("ts").endswith("Z")
    place = {"id": "hall:4", "room": "hall", "seq": 4, "epoch": 1000}
    assert message == {**place, "sender": "ada", "text": "hi\n", "client_id": "k", "reply_to": 2}
    _, page = await here.call("GET", PATH)
    assert {name: page["messages"][0][name] for name in message} == message


async def test_a_repeat_is_200_with_the_first_message_and_another_text_a_conflict(here: Here) -> None:
    first = await here.call("POST", PATH, json={"text": "hi", "client_id": "k"})
    again = await here.call("POST", PATH, json={"text": "hi", "client_id": "k"})
    assert (again[0], again[1]) == (200, first[1])
    for other in ({"text": "ho"}, {"text": "hi", "reply_to": 1}):
        status, problem = await here.call("POST", PATH, json={**other, "client_id": "k"})
        assert (status, problem["code"]) == (409, "idempotency_conflict")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"text": ""},
        {"text": 5},
        {"text": None},
        {"text": ["x"]},
        {"text": "x", "client_id": ""},
        {"text": "x", "client_id": "x" * 65},
        {"text": "x", "client_id": "a\nb"},
        {"text": "x", "client_id": 7},
        {"text": "x", "reply_to": 0},
        {"text": "x", "reply_to": "3"},
        {"text": "x", "reply_to": True},
        {"text": "x", "reply_to": 2**60},
        {"text": "x", "attachments": [1]},
    ],
)
async def test_a_draft_of_the_wrong_form_is_refused(here: Here, fields: dict[str, Any]) -> None:
    status, problem = await here.call("POST", PATH, json=fields)
    assert (status, problem["code"]) == (400, "invalid_request")
    assert (await here.log.read("hall", 3, 10)) == []


@pytest.mark.parametrize("room", ["nowhere", "den", "UPPER", "a%2Fb", "..", "x" * 40, "%00"])
async def test_a_room_one_may_not_see_is_as_good_as_none(here: Here, room: str) -> None:
    answers = [
        await here.call("POST", f"/v1/rooms/{room}/messages", "eve", json={"text": "x"}),
        await here.call("GET", f"/v1/rooms/{room}/messages", "eve"),
        await here.call("GET", f"/v1/rooms/{room}/messages/1", "eve"),
        await here.call("PATCH", f"/v1/rooms/{room}/messages/1", "eve", json={"text": "x"}),
        await here.call("DELETE", f"/v1/rooms/{room}/messages/1", "eve"),
        await here.call("PUT", f"/v1/rooms/{room}/messages/1/reactions/x", "eve"),
        await here.call("PUT", f"/v1/rooms/{room}/read", "eve", json={"seq": 1}),
    ]
    assert {status for status, _ in answers} == {404}
    if room not in ("..",):  # that one the client itself takes for another path
        assert {problem["code"] for _, problem in answers} <= {"room_not_found", "not_found"}


async def test_an_unknown_room_and_a_hidden_one_answer_the_very_same(here: Here) -> None:
    calls = (("GET", "messages", None), ("POST", "messages", {"text": "x"}), ("PUT", "read", {"seq": 1}))
    for method, path, sent in (*calls, ("GET", "messages/1", None)):
        hidden = await here.call(method, f"/v1/rooms/den/{path}", "eve", json=sent)
        unknown = await here.call(method, f"/v1/rooms/nowhere/{path}", "eve", json=sent)
        assert hidden == unknown


async def test_a_batch_is_answered_line_by_line(here: Here) -> None:
    await here.call("POST", PATH, json={"text": "first", "client_id": "k"})
    lines = [
        {"text": "a"},
        {"text": "first", "client_id": "k"},
        "{",
        {"text": ""},
        {"text": "x" * 20000},
        "",
        {"text": "b"},
    ]
    told = await batch(here, lines)
    assert [line["status"] for line in told] == [201, 200, 400, 400, 413, 201]
    assert [line["message"]["seq"] for line in told if "message" in line] == [5, 4, 6]
    assert [line["error"]["code"] for line in told if "error" in line] == ["invalid_request"] * 2 + ["message_too_long"]
    assert not any("retry_after" in line for line in told)


async def test_a_batch_has_bounds(here: Here) -> None:
    assert len(await batch(here, [{"text": "x"}] * 500)) == 500
    for lines in ([], [{"text": "x"}] * 501):
        data = "\n".join(json.dumps(line) for line in lines)
        headers = {"Content-Type": "application/x-ndjson"}
        status, problem = await here.call("POST", PATH, data=data, headers=headers)
        assert (status, problem["code"]) == (400, "invalid_request")
    headers = {"Content-Type": "application/x-ndjson"}
    status, problem = await here.call("POST", PATH, data=io.BytesIO(b" " * (1 << 21)), headers=headers)
    assert (status, problem["code"]) == (413, "body_too_large")


async def test_a_batch_that_is_too_fast_is_refused_from_there_to_its_end() -> None:
    async with one_worker(settings={"DCHAT_RATE_MESSAGES": "1", "DCHAT_RATE_BURST": "5"}) as here:
        await here.room("hall", "ada")
        told = await batch(here, [{"text": str(number)} for number in range(5)] + ["{"] + [{"text": "x"}] * 4)
        assert [line["status"] for line in told] == [201] * 5 + [400] + [429] * 4
        assert all(line["retry_after"] > 0 for line in told[6:])
        status, problem = await here.call("POST", PATH, json={"text": "x"})
        assert (status, problem["code"]) == (429, "rate_limited")


async def test_a_batch_the_log_does_not_take_is_refused_from_there_to_its_end(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = here.worker.publisher._log.send_many
    calls = 0

    async def sometimes(room: str, drafts: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise BackendUnavailable
        return await real(room, drafts)

    monkeypatch.setattr(here.worker.publisher._log, "send_many", sometimes)
    told = await batch(here, [{"text": "x"}] * 500)
    assert {line["status"] for line in told[:250]} == {201}
    assert {(line["status"], line["error"]["code"]) for line in told[250:]} == {(503, "backend_unavailable")}
    assert len(told) == 500


async def test_pages_meet_without_a_hole_or_a_repeat(here: Here) -> None:
    for number in range(30):
        await here.call("POST", PATH, json={"text": str(number)})
        if number % 3 == 0:
            await here.call("PUT", f"{PATH}/{number + 4}/reactions/x")
    _, all_of_it = await here.call("GET", PATH, params={"limit": 200})
    seqs = [message["seq"] for message in all_of_it["messages"]]
    assert (len(seqs), all_of_it["has_more"]) == (30, False)
    back: list[int] = []
    before, more = None, True
    while more:
        params = {"limit": 7} | ({} if before is None else {"before": before})
        _, page = await here.call("GET", PATH, params=params)
        back = [message["seq"] for message in page["messages"]] + back
        before, more = back[0], page["has_more"]
    forth: list[int] = []
    more = True
    while more:
        _, page = await here.call("GET", PATH, params={"limit": 7, "after": forth[-1] if forth else 0})
        forth += [message["seq"] for message in page["messages"]]
        more = page["has_more"]
    assert back == forth == seqs
    assert page["head"] == all_of_it["head"] == (await here.log.read_back("hall", None, 1))[0].seq


async def test_a_page_around_a_message(here: Here) -> None:
    for number in range(20):
        await here.call("POST", PATH, json={"text": str(number)})
    for at in (1, 4, 12, 23, 99):
        _, page = await here.call("GET", PATH, params={"around": at, "limit": 6})
        seqs = [message["seq"] for message in page["messages"]]
        assert seqs == list(range(seqs[0], seqs[-1] + 1))
        assert at in seqs or at in (1, 99)
        assert page["has_more_before"] == (seqs[0] > 4)
        assert page["has_more_after"] == (seqs[-1] < 23)


async def test_only_one_side_may_be_asked_for(here: Here) -> None:
    status, problem = await here.call("GET", PATH, params={"before": 5, "after": 1})
    assert (status, problem["code"]) == (400, "invalid_request")


async def test_changing_messages(here: Here) -> None:
    await here.call("POST", PATH, "bob", json={"text": "one"})
    status, told = await here.call("PATCH", f"{PATH}/4", "bob", json={"text": "two"})
    assert (status, told["message"]["text"]) == (200, "two")
    assert "edited_at" in told["message"]
    status, problem = await here.call("PATCH", f"{PATH}/4", "ada", json={"text": "x"})
    assert (status, problem["code"]) == (403, "forbidden")
    status, told = await here.call("PUT", f"{PATH}/4/reactions/%F0%9F%91%8D", "ada")
    assert told["message"]["reactions"] == [{"emoji": "👍", "count": 1, "users": ["ada"]}]
    status, told = await here.call("DELETE", f"{PATH}/4/reactions/%F0%9F%91%8D", "ada")
    assert "reactions" not in told["message"]
    assert await here.call("DELETE", f"{PATH}/4", "ada") == (204, None)  # the room's owner
    assert await here.call("DELETE", f"{PATH}/4", "ada") == (204, None)
    _, told = await here.call("GET", f"{PATH}/4")
    assert told["message"]["deleted"] is True
    assert "text" not in told["message"]
    status, problem = await here.call("PATCH", f"{PATH}/4", "bob", json={"text": "x"})
    assert (status, problem["code"]) == (409, "message_deleted")


@pytest.mark.parametrize("seq", ["0", "-1", "x", "1", "99", "9" * 20, "٣"])
async def test_what_is_no_message_is_not_found(here: Here, seq: str) -> None:
    for method, path in (("GET", f"{PATH}/{seq}"), ("DELETE", f"{PATH}/{seq}"), ("PUT", f"{PATH}/{seq}/reactions/x")):
        status, problem = await here.call(method, path)
        assert (status, problem["code"]) == (404, "message_not_found")


@pytest.mark.parametrize("emoji", ["%20", "a%20b", "x" * 33, "%00", "%0A", "%E2%80%A8"])
async def test_what_is_no_reaction_is_refused(here: Here, emoji: str) -> None:
    await here.call("POST", PATH, json={"text": "x"})
    status, problem = await here.call("PUT", f"{PATH}/4/reactions/{emoji}")
    assert (status, problem["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("emoji", ["👍", "👩‍👩‍👧‍👦", "🏳️‍🌈", ":ok:", "\U0001fae9", "%", "/", "?", "+1"])
async def test_reactions_of_every_kind(here: Here, emoji: str) -> None:
    """One of them is younger than this Python's tables."""
    from urllib.parse import quote

    await here.call("POST", PATH, json={"text": "x"})
    url = f"{PATH}/4/reactions/{quote(emoji, safe='')}"
    status, told = await here.call("PUT", url)
    assert status == 200, told
    assert told["message"]["reactions"][0]["emoji"] == emoji


async def test_the_read_marker(here: Here) -> None:
    for number in range(5):
        await here.call("POST", PATH, "bob", json={"text": str(number)})
    path = "/v1/rooms/hall/read"
    assert await here.call("PUT", path, json={"seq": 6}) == (
        200,
        {"room": "hall", "read": 6, "unread": 2, "mentions": 0},
    )
    assert (await here.call("PUT", path, json={"seq": 4}))[1]["read"] == 6
    assert (await here.call("PUT", path, json={"seq": 4, "unread": True}))[1] == {
        "room": "hall", "read": 4, "unread": 4, "mentions": 0,
    }  # fmt: skip
    assert (await here.call("PUT", path, json={"seq": 2**53 - 1}))[1]["unread"] == 0
    for wrong in ({}, {"seq": -1}, {"seq": "1"}, {"seq": True}, {"seq": 1, "unread": 1}, {"seq": 2**53}, {"seq": 1.5}):
        status, problem = await here.call("PUT", path, json=wrong)
        assert (status, problem["code"]) == (400, "invalid_request")
    status, problem = await here.call("PUT", path, "eve", json={"seq": 1})
    assert (status, problem["code"]) == (403, "not_a_member")


async def test_a_thread_is_read_in_pages_in_its_present_state(here: Here) -> None:
    async def say(text: str, reply_to: int | None = None) -> int:
        body = {"text": text} if reply_to is None else {"text": text, "reply_to": reply_to}
        return int((await here.call("POST", "/v1/rooms/hall/messages", json=body))[1]["message"]["seq"])

    root = await say("root")
    one, _, two, three = [await say("a", root), await say("b"), await say("c", root), await say("d", root)]
    await here.call("PATCH", f"/v1/rooms/hall/messages/{one}", json={"text": "edited"})
    await here.call("DELETE", f"/v1/rooms/hall/messages/{two}")
    path = f"/v1/rooms/hall/messages/{root}/thread"
    status, told = await here.call("GET", path)
    assert status == 200
    assert (told["root"]["text"], told["has_more"], "next" in told) == ("root", False, False)
    assert [(each["seq"], each.get("text")) for each in told["messages"]] == [
        (one, "edited"),
        (two, None),
        (three, "d"),
    ]
    assert told["messages"][1]["deleted"]
    assert told["head"] >= three
    _, first = await here.call("GET", f"{path}?limit=2")
    assert ([each["seq"] for each in first["messages"]], first["has_more"]) == ([one, two], True)
    _, rest = await here.call("GET", f"{path}?limit=2&after={first['next']}")
    assert ([each["seq"] for each in rest["messages"]], rest["has_more"]) == ([three], False)
    await here.call("DELETE", f"/v1/rooms/hall/messages/{root}")
    _, told = await here.call("GET", path)
    assert (told["root"]["deleted"], len(told["messages"])) == (True, 3)


async def test_a_thread_is_shown_to_those_who_may_read_the_room(here: Here) -> None:
    sent = (await here.call("POST", "/v1/rooms/hall/messages", json={"text": "root"}))[1]["message"]["seq"]
    assert (await here.call("GET", f"/v1/rooms/hall/messages/{sent}/thread", "eve"))[0] == 200, "the room is public"
    await here.room("cave", "ada", kind="private")
    sent = (await here.call("POST", "/v1/rooms/cave/messages", json={"text": "root"}))[1]["message"]["seq"]
    for room in ("cave", "nowhere"):
        assert (await here.call("GET", f"/v1/rooms/{room}/messages/{sent}/thread", "eve"))[1][
            "code"
        ] == "room_not_found"
    for seq, query, code in (
        ("1", "", "message_not_found"),
        ("999", "", "message_not_found"),
        (sent, "?limit=0", "invalid_request"),
        (sent, "?after=-1", "invalid_request"),
    ):
        assert (await here.call("GET", f"/v1/rooms/cave/messages/{seq}/thread{query}"))[1]["code"] == code
