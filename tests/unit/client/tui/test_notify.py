"""The person's command is run for what calls them, and is never waited for."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from dchat_client.transcript import Line
from dchat_client.tui.notify import MOST_RUNNING, MOST_WAITING, Command, concerns, message_of
from tests.harness.processes import eventually

LINE = Line("message", 7, 1, "2026-11-27T10:00:00Z", "bob", "look $(touch owned) '\n", reply_to=3)


@pytest.mark.parametrize(
    ("level", "reasons"), [("all", ["mention", "dm", "message"]), ("mentions", ["mention", "dm"]), ("none", [])]
)
def test_a_rooms_level_says_what_calls(level: str, reasons: list[Any]) -> None:
    whys: tuple[Any, ...] = ("mention", "dm", "message")
    assert [why for why in whys if concerns(level, why)] == reasons


async def test_the_command_gets_the_message_as_tail_gives_it(tmp_path: Path) -> None:
    out = tmp_path / "out"
    said: list[str] = []
    command = Command(
        f"cd {tmp_path}; (cat; echo $DCHAT_ROOM $DCHAT_SENDER $DCHAT_SEQ $DCHAT_WHY) > part; mv part {out}", said.append
    )
    command.run(message_of(LINE, "lobby"), "mention")
    await eventually(out.exists, "the command has run")
    body, environment = out.read_text().splitlines()
    assert json.loads(body) == {
        "type": "message",
        "id": "lobby:7",
        "room": "lobby",
        "seq": 7,
        "ts": LINE.ts,
        "sender": "bob",
        "text": LINE.text,
        "reply_to": 3,
    }
    assert environment == "lobby bob 7 mention"
    assert not (tmp_path / "owned").exists()
    assert said == []
    await command.close()


async def test_only_so_many_run_and_wait_and_nobody_waits_for_them(tmp_path: Path) -> None:
    said: list[str] = []
    go = tmp_path / "go"
    command = Command(f"echo x >> {tmp_path}/runs; while [ ! -e {go} ]; do sleep 0.05; done", said.append)
    for _ in range(MOST_RUNNING + MOST_WAITING + 5):
        command.run(message_of(LINE, "lobby"), "mention")
    runs = tmp_path / "runs"
    await eventually(lambda: runs.exists() and len(runs.read_text().split()) >= MOST_RUNNING, "some run")
    await asyncio.sleep(0.2)
    assert len(runs.read_text().split()) == MOST_RUNNING
    assert command.dropped == 5
    assert len(said) == 1
    assert "cannot keep up" in said[0]
    await command.close()
    assert len(runs.read_text().split()) == MOST_RUNNING


async def test_a_command_that_does_not_end_is_ended_with_all_it_started(tmp_path: Path) -> None:
    said: list[str] = []
    command = Command(f"sleep 1000 & echo $! > {tmp_path}/pid; wait", said.append, longest_s=0.5)
    command.run(message_of(LINE, "lobby"), "dm")
    await eventually(lambda: said, "it was ended")
    assert "ended after 0.5 s" in said[0]
    pid = int((tmp_path / "pid").read_text())
    await eventually(lambda: not _runs(pid), "what it started has ended, too")
    await command.close()


async def test_a_command_that_fails_is_told_once() -> None:
    said: list[str] = []
    command = Command("exit 3", said.append)
    for _ in range(3):
        command.run(message_of(LINE, "lobby"), "dm")
    await eventually(lambda: not command._tasks, "all have ended")
    assert said == ["the notification command ended with 3"]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
