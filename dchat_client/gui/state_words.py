"""The connection's state as a person would say it. Pure."""

from __future__ import annotations

from typing import Literal

from dchat_client.items import Phase, Status
from dchat_client.terminal import clean, fit

Tone = Literal["good", "warn", "bad", "dim"]


def state_words(
    status: Status, since_s: float, *, catching_up: bool = False, waiting: int = 0, refused: int = 0
) -> tuple[str, Tone]:
    """Return what the state line says, and how it sounds.

    `since_s` is how long the status holds: the seconds to the next try count down by it. `catching_up`: something was
    missed and is being read anew. `waiting`, `refused`: own messages that wait to be sent, and that were refused.
    """
    words, tone = _phase(status, since_s)
    if catching_up and tone == "good":
        words, tone = "gap: reading again what was missed", "warn"
    if waiting:
        words += f" · {waiting} {'message waits' if waiting == 1 else 'messages wait'} to be sent"
    if refused:
        words += f" · {refused} {'message was' if refused == 1 else 'messages were'} not sent"
    return words, tone


def _phase(status: Status, since_s: float) -> tuple[str, Tone]:
    reason = fit(clean(status.reason), 100)
    match status.phase:
        case Phase.LIVE:
            return "live", "good"
        case Phase.CONNECTING:
            return "connecting …", "warn"
        case Phase.DEGRADED:
            return _because("degraded: the server may be late with messages", reason), "warn"
        case Phase.RECONNECTING:
            left_s = (status.retry_in_s or 0.0) - since_s
            words = f"reconnecting in {left_s:.0f} s" if left_s >= 0.5 else "reconnecting …"
            return _because(words, reason), "warn"
        case Phase.OFFLINE:
            return _because("offline", reason), "bad"


def _because(words: str, reason: str) -> str:
    return f"{words} ({reason})" if reason else words
