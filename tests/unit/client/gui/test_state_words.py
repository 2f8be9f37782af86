from __future__ import annotations

import pytest

from dchat_client.gui.state_words import state_words
from dchat_client.items import Phase, Status


@pytest.mark.parametrize(
    ("status", "since_s", "words", "tone"),
    [
        (Status(Phase.LIVE), 5, "live", "good"),
        (Status(Phase.CONNECTING), 0, "connecting …", "warn"),
        (Status(Phase.RECONNECTING, 8.0, "refused"), 0, "reconnecting in 8 s (refused)", "warn"),
        (Status(Phase.RECONNECTING, 8.0, "refused"), 3, "reconnecting in 5 s (refused)", "warn"),
        (Status(Phase.RECONNECTING, 8.0, ""), 20, "reconnecting …", "warn"),
        (Status(Phase.OFFLINE, reason="signed out"), 0, "offline (signed out)", "bad"),
        (Status(Phase.DEGRADED), 0, "degraded: the server may be late with messages", "warn"),
    ],
)
def test_every_phase_is_said_as_it_is(status: Status, since_s: float, words: str, tone: str) -> None:
    assert state_words(status, since_s) == (words, tone)


def test_a_gap_is_said_while_it_is_being_filled() -> None:
    words, tone = state_words(Status(Phase.LIVE), 0, catching_up=True)
    assert words.startswith("gap")
    assert tone == "warn"


def test_nobody_is_told_of_a_gap_before_there_is_a_connection() -> None:
    assert state_words(Status(Phase.RECONNECTING, 2.0), 0, catching_up=True)[0] == "reconnecting in 2 s"


def test_what_waits_is_counted() -> None:
    assert state_words(Status(Phase.LIVE), 0, waiting=1)[0] == "live · 1 message waits to be sent"
    assert state_words(Status(Phase.LIVE), 0, waiting=3)[0] == "live · 3 messages wait to be sent"
    assert state_words(Status(Phase.LIVE), 0, refused=1)[0] == "live · 1 message was not sent"


def test_a_reason_cannot_act_or_fill_the_line() -> None:
    words, _ = state_words(Status(Phase.OFFLINE, reason="\x1b[2J\u202e" + "x" * 500), 0)
    assert "\x1b" not in words
    assert "\u202e" not in words
    assert len(words) < 130
