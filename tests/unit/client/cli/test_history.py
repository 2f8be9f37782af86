"""dchat history, read."""

from __future__ import annotations

import json

import pytest

from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer


@pytest.fixture(autouse=True)
def _past(server: FakeServer) -> None:
    for number in range(1, 451):
        server.say("lobby", f"m{number}")


def seqs(out: str) -> list[int]:
    return [json.loads(line)["seq"] for line in out.splitlines()]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], range(401, 451)),
        (["--limit", "3"], range(448, 451)),
        (["--limit", "300"], range(151, 451)),
        (["--all"], range(1, 451)),
        (["--before", "10"], range(1, 10)),
        (["--before", "400", "--limit", "250"], range(150, 400)),
        (["--after", "440"], range(441, 451)),
        (["--after", "10", "--limit", "5"], range(11, 16)),
        (["--after", "10", "--all"], range(11, 451)),
        (["--after", "10", "--before", "14"], range(11, 14)),
        (["--all", "--before", "5"], range(1, 5)),
        (["--before", "1"], range(0)),
    ],
)
def test_the_messages_asked_for_come_oldest_first(dchat: Dchat, args: list[str], expected: range) -> None:
    assert seqs(dchat("history", "lobby", "--json", *args).out) == list(expected)


def test_text_is_safe_json_is_exact(dchat: Dchat, server: FakeServer) -> None:
    hostile = "a\x1b[31m\u202e\nb\u0000"
    server.say("lobby", hostile, sender="m\x1b")
    ran = dchat("history", "lobby", "--limit", "1", "--ids")
    first, second = ran.out.splitlines()
    assert first.endswith("#451 m␛: a␛[31m⟨U+202E⟩")
    assert second == "    │ b␀"
    assert json.loads(dchat("history", "lobby", "--limit", "1", "--json").out)["text"] == hostile


def test_all_and_limit_exclude_each_other(dchat: Dchat) -> None:
    assert dchat("history", "lobby", "--all", "--limit", "3").code == 2


def test_a_room_is_read_up_to_a_message_or_to_its_head(dchat: Dchat, server: FakeServer) -> None:
    assert dchat("read", "lobby", "440").out == "10\n"
    assert dchat("read", "lobby").out == "0\n"
    assert server.read["lobby"] == 450
    assert json.loads(dchat("read", "lobby", "7", "--unread", "--json").out)["read"] == 7
    assert dchat("read", "lobby", "--unread").code == 2
