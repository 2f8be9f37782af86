from __future__ import annotations

from typing import Any

import pytest

from dchat_server import wire
from dchat_server.errors import ChatError
from dchat_server.history import History, Page
from dchat_server.ports import Amendment
from tests.fakes import MemoryCluster, MemoryNodes, MemoryRoomLog, MemoryRoomStore


async def room_of(kinds: str) -> tuple[History, MemoryRoomLog]:
    """A room whose events behind the first two are messages (m) and others (x)."""
    cluster = MemoryCluster()
    nodes = MemoryNodes(cluster)
    log = MemoryRoomLog(nodes)
    await MemoryRoomStore(nodes).create("hall", "public", "ada", {"ada": "owner"}, topic="", display_name="")
    for number, kind in enumerate(kinds, 3):
        if kind == "m":
            cluster.append("hall", "message", wire.fields(sender="ada", text=str(number)))
        else:
            cluster.append("hall", "member", wire.fields(sender="ada", user="x", action="join", role="member"))
    return History(log), log


def seqs(page: Page) -> list[int]:
    return [message.event.seq for message in page.messages]


def expected(kinds: str) -> list[int]:
    return [number for number, kind in enumerate(kinds, 3) if kind == "m"]


@pytest.mark.parametrize(
    "kinds", ["", "m", "x", "mmmmm", "xxxxxm", "mxxxxxx", "mxm" * 20, "m" + "x" * 300 + "m", "x" * 100]
)
async def test_pages_hold_messages_only_and_know_whether_there_are_more(kinds: str) -> None:
    history, _ = await room_of(kinds)
    all_of_them = expected(kinds)
    for limit in (1, 2, 5, 50):
        page = await history.before("hall", None, limit)
        assert (seqs(page), page.more_before, page.more_after) == (
            all_of_them[-limit:],
            len(all_of_them) > limit,
            False,
        )
        for at in range(0, len(kinds) + 5, 1 + len(kinds) // 12):
            older = [seq for seq in all_of_them if seq < at]
            page = await history.before("hall", at, limit)
            assert (seqs(page), page.more_before) == (older[-limit:], len(older) > limit)
            newer = [seq for seq in all_of_them if seq > at]
            page = await history.after("hall", at, limit)
            assert (seqs(page), page.more_after, page.more_before) == (newer[:limit], len(newer) > limit, False)


async def test_around_is_half_before_and_the_rest_from_there_on() -> None:
    kinds = "mxm" * 20
    history, _ = await room_of(kinds)
    all_of_them = expected(kinds)
    for at in range(1, 70):
        for limit in (1, 2, 7):
            page = await history.around("hall", at, limit)
            before = [seq for seq in all_of_them if seq < at]
            after = [seq for seq in all_of_them if seq >= at]
            older = before[len(before) - min(len(before), limit // 2) :]
            newer = after[: limit - len(older)]
            assert seqs(page) == older + newer
            assert page.more_before == (len(before) > len(older))
            assert page.more_after == (len(after) > len(newer))


async def test_a_message_by_its_place() -> None:
    history, log = await room_of("mxm")
    assert (await history.one("hall", 3)).sender == "ada"
    for seq in (1, 2, 4, 6, 99):
        with pytest.raises(ChatError) as refused:
            await history.one("hall", seq)
        assert refused.value.code == "message_not_found"
    with pytest.raises(ChatError):
        await history.one("nowhere", 1)
    await log.amend("hall", "ada", Amendment("delete", 5))
    assert (await history.one("hall", 5)).deleted


async def answers_in(history: History, root: int, limit: int = 50) -> tuple[list[int], int]:
    """Seqs of a whole thread, and how many requests it took."""
    found, after, requests = [], 0, 0
    while True:
        thread = await history.thread("hall", root, after, limit)
        requests += 1
        assert thread.root.event.seq == root
        assert len(thread.replies) <= limit
        found += [message.event.seq for message in thread.replies]
        if thread.next is None:
            return found, requests
        assert thread.next > max(after, root)
        after = thread.next


async def test_a_thread_is_what_answers_the_message_itself_and_nothing_that_only_looks_so() -> None:
    cluster = MemoryCluster()
    nodes = MemoryNodes(cluster)
    log = MemoryRoomLog(nodes)
    await MemoryRoomStore(nodes).create("hall", "public", "ada", {"ada": "owner"}, topic="", display_name="")

    def say(text: str, reply_to: int | None = None) -> int:
        return cluster.append("hall", "message", wire.draft_body("ada", text, None, reply_to)).seq

    root, twenty = say("root"), [say("x") for _ in range(20)]
    first, second = say("one", root), say("an answer", root)
    say("to an answer", first)
    say("to another", twenty[0])
    say(f'"reply_to":{root} and \\"reply_to":{root}')
    say("to one whose number begins the same", int(f"{root}0"))
    third = say("three", root)
    await log.amend("hall", "ada", Amendment("delete", second))
    history = History(log)
    assert await answers_in(history, root) == ([first, second, third], 1)
    assert await answers_in(history, root, 1) == ([first, second, third], 3)
    assert [message.deleted for message in (await history.thread("hall", root, 0, 9)).replies] == [False, True, False]
    assert await answers_in(history, third) == ([], 1)
    with pytest.raises(ChatError, match="message_not_found"):
        await history.thread("hall", 1, 0, 9)


async def test_a_long_room_is_looked_through_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dchat_server.history.SCANNED_AT_ONCE", 10)
    monkeypatch.setattr("dchat_server.history.MOST_SCANNED", 30)
    history, log = await room_of("m" + "x" * 100)
    reads = 0
    read = log.read

    async def counted(room: str, after: int, limit: int) -> Any:
        nonlocal reads
        reads += 1
        return await read(room, after, limit)

    log.read = counted  # type: ignore[method-assign]
    thread = await history.thread("hall", 3, 0, 50)
    assert (thread.replies, thread.next, reads) == ([], 33, 1 + 3), "no answer yet, and no end either"
    assert await answers_in(history, 3) == ([], 4)
    assert (await history.thread("hall", 3, 1000, 50)).next is None
