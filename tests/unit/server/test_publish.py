from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from dchat_server.errors import BackendUnavailable, ChatError
from dchat_server.history import History
from dchat_server.model import Draft, Sent
from dchat_server.publish import Publisher
from tests.fakes import MemoryCluster, MemoryNodes, MemoryRoomLog, MemoryRoomStore


class Limiter:
    """Grants what is left of `tokens`."""

    def __init__(self, tokens: int = 10**6) -> None:
        self.tokens = tokens

    def try_spend(self, subject: str) -> bool:
        return False

    async def spend(self, subject: str, count: int) -> tuple[int, float]:
        granted = min(count, self.tokens)
        self.tokens -= granted
        return granted, 0.0 if granted == count else 0.7


class Here:
    def __init__(self, tokens: int = 10**6) -> None:
        nodes = MemoryNodes(MemoryCluster())
        self.log, self.store, self.limiter = MemoryRoomLog(nodes), MemoryRoomStore(nodes), Limiter(tokens)
        self.publisher = Publisher(self.log, History(self.log), self.limiter, max_message_bytes=100)

    async def begin(self) -> Here:
        members = {"ada": "owner", "bob": "member", "cat": "moderator"}
        await self.store.create("hall", "public", "ada", members, topic="", display_name="")
        return self

    async def say(self, user: str, text: str, **more: Any) -> Sent:
        return await self.publisher.send("hall", self.publisher.draft(user, {"text": text, **more}))


def code_of(error: pytest.ExceptionInfo[ChatError]) -> str:
    return error.value.code


def test_a_draft_is_what_will_be_stored() -> None:
    draft = Here().publisher.draft("ada", {"text": "hi @bob", "client_id": "k", "reply_to": 4, "colour": "red"})
    assert orjson.loads(b"{" + draft.body) == {"sender": "ada", "text": "hi @bob", "client_id": "k", "reply_to": 4}
    assert (draft.sender, draft.text, draft.client_id, draft.mentions) == ("ada", "hi @bob", "k", ("bob",))


def test_a_fingerprint_tells_drafts_apart_and_knows_the_same_one_again() -> None:
    publisher = Here().publisher
    drafts = [
        {"text": "a"},
        {"text": "b"},
        *({"text": text, "reply_to": to} for text in ("a", "a\0") for to in (1, 11)),
    ]
    prints = [publisher.draft("ada", {**fields, "client_id": "k"}).fingerprint for fields in drafts]
    assert len(set(prints)) == len(prints)
    assert prints == [publisher.draft("bob", {**fields, "client_id": "other"}).fingerprint for fields in drafts]
    assert all(print.isalnum() for print in prints)
    assert publisher.draft("ada", {"text": "a"}).fingerprint == ""


@pytest.mark.parametrize(("text", "fits"), [("x" * 100, True), ("x" * 101, False), ("é" * 50, True), ("é" * 51, False)])
def test_the_length_of_a_text_is_counted_in_bytes(text: str, fits: bool) -> None:
    if fits:
        Here().publisher.draft("ada", {"text": text})
    else:
        with pytest.raises(ChatError) as refused:
            Here().publisher.draft("ada", {"text": text})
        assert code_of(refused) == "message_too_long"


async def test_who_is_too_fast_is_refused_and_nothing_is_stored() -> None:
    here = await Here(tokens=1).begin()
    await here.say("ada", "one")
    with pytest.raises(ChatError) as refused:
        await here.say("ada", "two")
    assert (code_of(refused), refused.value.retry_after_s) == ("rate_limited", 0.7)
    assert len(await here.log.read("hall", 0, 100)) == 5
    for change in (here.publisher.edit("hall", "ada", 5, "x"), here.publisher.react("hall", "ada", 5, "x", True)):
        with pytest.raises(ChatError) as refused:
            await change
        assert code_of(refused) == "rate_limited"
    await here.publisher.delete("hall", "ada", 5)  # taking something back is never too fast


def drafts(here: Here, *texts: str | ChatError) -> list[Draft | ChatError]:
    return [text if isinstance(text, ChatError) else here.publisher.draft("ada", {"text": text}) for text in texts]


def told(outcomes: Sequence[Sent | ChatError]) -> list[int | str]:
    return [outcome.code if isinstance(outcome, ChatError) else outcome.seq for outcome in outcomes]


async def test_a_batch_goes_on_over_lines_that_are_wrong_for_good() -> None:
    here = await Here().begin()
    wrong = ChatError("invalid_request")
    outcomes = await here.publisher.send_many("hall", drafts(here, wrong, "a", wrong, "b", wrong))
    assert told(outcomes) == ["invalid_request", 5, "invalid_request", 6, "invalid_request"]
    assert here.publisher.sent == 2


async def test_a_batch_ends_where_the_tokens_do() -> None:
    here = await Here(tokens=2).begin()
    wrong = ChatError("invalid_request")
    outcomes = await here.publisher.send_many("hall", drafts(here, "a", wrong, "b", wrong, "c", wrong, "d"))
    assert told(outcomes) == [5, "invalid_request", 6, "invalid_request", *["rate_limited"] * 3]


async def test_a_long_batch_is_stored_in_pieces_and_ends_where_the_log_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dchat_server.publish._PIECE", 3)
    here = await Here().begin()
    real, calls = here.log.send_many, 0

    async def sometimes(room: str, some: Sequence[Draft]) -> list[Sent | ChatError]:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise BackendUnavailable
        return await real(room, some)

    monkeypatch.setattr(here.log, "send_many", sometimes)
    outcomes = await here.publisher.send_many("hall", drafts(here, *"abcdefghijk"))
    assert told(outcomes) == [*range(5, 11), *["backend_unavailable"] * 5]
    assert calls == 3


async def test_a_refusal_of_the_room_is_every_lines_own() -> None:
    here = await Here().begin()
    outcomes = await here.publisher.send_many("nowhere", drafts(here, "a", "b"))
    assert told(outcomes) == ["room_not_found"] * 2


async def test_only_the_author_edits_and_moderators_delete() -> None:
    here = await Here().begin()
    seq = (await here.say("bob", "one @cat")).seq
    for user in ("ada", "cat", "eve"):
        with pytest.raises(ChatError) as refused:
            await here.publisher.edit("hall", user, seq, "mine now")
        assert code_of(refused) == "forbidden"
    assert (await here.publisher.edit("hall", "bob", seq, "two @ada")).fields["text"] == "two @ada"
    assert await here.store.count_since("cat", {"hall": 0}) == {"hall": (0, 0)}
    assert await here.store.count_since("ada", {"hall": 0}) == {"hall": (0, 1)}
    other = (await here.say("ada", "x")).seq
    with pytest.raises(ChatError) as refused:
        await here.publisher.delete("hall", "bob", other)
    assert code_of(refused) == "forbidden"
    await here.publisher.delete("hall", "cat", seq)
    assert await here.store.count_since("ada", {"hall": 0}) == {"hall": (1, 0)}
    with pytest.raises(ChatError) as refused:
        await here.publisher.edit("hall", "bob", seq, "three")
    assert code_of(refused) == "message_deleted"


@pytest.mark.parametrize("text", ["", None, 5, "x" * 101])
async def test_an_edit_takes_no_text_that_a_message_does_not(text: Any) -> None:
    here = await Here().begin()
    seq = (await here.say("bob", "one")).seq
    with pytest.raises(ChatError):
        await here.publisher.edit("hall", "bob", seq, text)


async def test_reactions_name_who_reacted_in_order() -> None:
    here = await Here().begin()
    seq = (await here.say("bob", "one")).seq
    for user in ("cat", "ada", "cat"):
        message = await here.publisher.react("hall", user, seq, "👍", True)
    assert message.reactions == {"👍": ["cat", "ada"]}
    message = await here.publisher.react("hall", "cat", seq, "👍", False)
    assert message.reactions == {"👍": ["ada"]}
