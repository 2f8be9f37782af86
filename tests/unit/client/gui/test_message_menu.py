from __future__ import annotations

import pytest

from dchat_client.gui.message_menu import KEYS, deeds
from dchat_client.transcript import Line, Sending


def line(**more: object) -> Line:
    made = Line("message", 7, 1, "2026-11-27T12:00:00Z", "bob", "hi")
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize(
    ("one", "own", "moderates", "found"),
    [
        (line(), False, False, ["reply", "react", "copy", "unread"]),
        (line(), True, False, ["reply", "react", "copy", "edit", "delete", "unread"]),
        (line(), False, True, ["reply", "react", "copy", "delete", "unread"]),
        (line(deleted=True), True, True, ["unread"]),
        (line(sending=Sending.PENDING), True, False, ["copy", "cancel"]),
        (line(sending=Sending.FAILED), True, False, ["retry", "copy", "cancel"]),
        (line(kind="member"), False, True, []),
    ],
)
def test_only_what_can_be_done_is_offered(one: Line, own: bool, moderates: bool, found: list[str]) -> None:
    assert deeds(one, is_own=own, may_delete=moderates) == found


def test_every_key_does_something_a_menu_offers() -> None:
    everything = deeds(line(), is_own=True, may_delete=True)
    assert set(KEYS.values()) <= set(everything)
