from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dchat_client.gui.notify import MOST_WAITING, Note, Notifier, notify_send, wanted
from dchat_client.transcript import Line
from tests.harness.processes import until

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
FRESH, OLD = "2026-11-27T11:59:30.000Z", "2026-11-27T11:00:00.000Z"


def line(text: str) -> Line:
    return Line("message", 7, 1, FRESH, "bob", text)


@pytest.mark.parametrize(
    ("level", "why", "ts", "is_wanted"),
    [
        ("mentions", "mention", FRESH, True),
        ("mentions", "dm", FRESH, True),
        ("mentions", "message", FRESH, False),
        ("all", "message", FRESH, True),
        ("none", "mention", FRESH, False),
        ("all", "mention", OLD, False),
        ("all", "mention", "nonsense", False),
    ],
)
def test_one_is_told_of_what_one_asked_for_and_of_nothing_old(level: str, why: str, ts: str, is_wanted: bool) -> None:
    assert wanted(level, why, ts, NOW) is is_wanted


def test_the_desktops_pop_up_gets_text_and_no_markup() -> None:
    command = notify_send(Note("lobby", "Lobby", "bob", line("<b>hi</b> & \x1b[31m\u202ebye\nnow"), "mention"))
    assert command[:1] == ["notify-send"]
    assert command[-3:-1] == ["--", "bob in Lobby"]
    assert command[-1] == "&lt;b&gt;hi&lt;/b&gt; &amp; ␛[31m⟨U+202E⟩bye now"


def test_a_name_that_looks_like_an_option_stays_a_name() -> None:
    assert notify_send(Note("r", "r", "--help", line("x"), "dm"))[-3:] == ["--", "--help", "x"]


def test_ones_own_command_gets_the_message_on_its_standard_input(tmp_path: Path) -> None:
    out = tmp_path / "told"
    notifier = Notifier({"DCHAT_NOTIFY": f'cat > "{out}.tmp"; mv "{out}.tmp" "{out}"', "PATH": "/usr/bin:/bin"})
    assert notifier.tell("lobby", "Lobby", "bob", line("$(touch /tmp/never) 😀"), "mention")
    until(out.exists, "the command has run")
    told = json.loads(out.read_text())
    assert told["text"] == "$(touch /tmp/never) 😀"
    assert (told["id"], told["room"], told["seq"], told["sender"]) == ("lobby:7", "lobby", 7, "bob")


def test_a_command_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    notifier = Notifier({"DCHAT_NOTIFY": "sleep 2", "PATH": "/usr/bin:/bin"})
    taken = [notifier.tell("lobby", "Lobby", "bob", line("x"), "mention") for _ in range(MOST_WAITING + 20)]
    assert taken.count(True) <= MOST_WAITING + 1
    assert taken[-1] is False


def test_without_anything_to_run_nothing_is_told() -> None:
    assert not Notifier({"PATH": "/nowhere"}).tell("lobby", "Lobby", "bob", line("x"), "mention")
