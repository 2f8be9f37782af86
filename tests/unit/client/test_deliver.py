"""The loop that empties an outbox, with a connection and a clock made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from dchat_client.backoff import Backoff
from dchat_client.connection import Connection
from dchat_client.deliver import deliver
from dchat_client.errors import Busy, ChatError, Refused, ServerFault, SignInNeeded, Unreachable
from dchat_client.outbox import Answer, Entry, Outbox, Outcome

LIMIT = Answer(429, error=Busy("slow", code="rate_limited", status=429))


class Scripted:
    """A connection that stores what it is told to, by number of entries, or raises."""

    def __init__(self, *script: int | list[Answer] | ChatError) -> None:
        self.script = list(script)
        self.keys: dict[str, int] = {}
        self.now = 0.0
        self.slept: list[float] = []

    async def post_batch(self, room: str, entries: Sequence[Entry]) -> list[Answer]:
        step = self.script.pop(0) if self.script else len(entries)
        if isinstance(step, ChatError):
            raise step
        if isinstance(step, list):
            return step
        answers = []
        for entry in entries[:step]:
            status = 200 if entry.client_id in self.keys else 201
            seq = self.keys.setdefault(entry.client_id, len(self.keys) + 1)
            answers.append(Answer(status, message={"seq": seq, "text": entry.text}))
        return answers

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


async def run(scripted: Scripted, outbox: Outbox, patience_s: float | None = None) -> list[Outcome]:
    outcomes: list[Outcome] = []
    await deliver(
        cast(Connection, scripted),
        outbox,
        outcomes.append,
        patience_s=patience_s,
        clock=scripted.clock,
        sleep=scripted.sleep,
    )
    return outcomes


def filled(count: int = 6) -> Outbox:
    outbox = Outbox(backoff=Backoff(base_s=1.0, dice=lambda: 0.5))
    for number in range(count):
        outbox.add("r", str(number))
    return outbox


async def test_everything_is_settled_in_order_over_every_kind_of_trouble() -> None:
    scripted = Scripted(
        Unreachable("gone", code="unreachable"),
        2,
        [LIMIT],
        ServerFault("oops", code="internal", status=500),
        0,
        Busy("busy", code="overloaded", status=503),
    )
    outcomes = await run(scripted, filled())
    assert [outcome.entry.text for outcome in outcomes] == [str(number) for number in range(6)]
    assert [outcome.message and outcome.message["seq"] for outcome in outcomes] == [1, 2, 3, 4, 5, 6]


async def test_a_definite_refusal_settles_and_does_not_stop_the_rest() -> None:
    scripted = Scripted(Refused("no", code="not_a_member", status=403))
    outcomes = await run(scripted, filled(2))
    assert [outcome.error and outcome.error.code for outcome in outcomes] == ["not_a_member", "not_a_member"]


async def test_without_progress_it_gives_up_after_its_patience_and_keeps_what_is_left() -> None:
    outbox = filled()
    scripted = Scripted(2, *[Unreachable("gone", code="unreachable")] * 99)
    with pytest.raises(Unreachable):
        await run(scripted, outbox, patience_s=20.0)
    assert len(outbox) == 4
    assert scripted.now <= 21


async def test_a_server_that_answers_nothing_does_not_keep_it_for_ever() -> None:
    with pytest.raises(Unreachable, match="cut off"):
        await run(Scripted(*[0] * 99), filled(), patience_s=20.0)


async def test_signed_out_raises_and_keeps_everything() -> None:
    outbox = filled()
    with pytest.raises(SignInNeeded):
        await run(Scripted(SignInNeeded("no", code="unauthorized", status=401)), outbox)
    assert len(outbox) == 6
