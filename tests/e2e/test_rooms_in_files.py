"""`dchat export` and `dchat import` against real workers, killed in the middle: every message once, to the letter."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.chatlog import TRAPS, chat_log
from tests.data.slack_export import GENERAL, write_zip
from tests.harness.home import DCHAT, Home
from tests.harness.people import new_name
from tests.harness.processes import ROOT, until
from tests.harness.workers import Workers

MESSAGES = 2000


def messages(home: Home, room: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in home.dchat("history", room, "--all", "--json").split(b"\n") if line]


def head(home: Home, workers: Workers, room: str) -> int:
    """The newest seq of a room; 0 when it is not there, or nobody says."""
    kept = json.loads((home.folder / ".config/dchat/tokens/default.json").read_text())
    request = urllib.request.Request(
        f"{workers[1].url}/v1/rooms/{room}", headers={"Authorization": f"Bearer {kept['token']}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(json.load(response)["room"]["head"])
    except OSError:
        return 0


def begin(home: Home, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*DCHAT, *words], stderr=subprocess.DEVNULL, env=home.env, cwd=ROOT)


def kill_in_the_middle(home: Home, words: list[str], how_far: Callable[[], int], times: int = 2) -> int:
    """Run a command again and again, kill it each time when it got somewhere, then let it end.

    Counts the kills that met it in the middle.
    """
    met = 0
    for _ in range(times):
        before = how_far()
        process = begin(home, *words)
        until(
            lambda before=before, process=process: how_far() > before or process.poll() is not None, "it gets somewhere"
        )
        met += process.poll() is None
        process.kill()
        process.wait()
    process = begin(home, *words)
    assert process.wait(120) == 0
    return met


@pytest.fixture
def ada(workers: Workers, tmp_path: Path) -> Home:
    return Home(tmp_path / "ada", "ada", workers.urls)


def test_a_room_goes_through_a_file_into_another_and_both_are_killed_on_the_way(
    ada: Home, workers: Workers, tmp_path: Path
) -> None:
    old, new = new_name("old"), new_name("new")
    ada.dchat("create", old, "--topic", "what was")
    said = [line for _, line in chat_log(MESSAGES)]
    sending = ada.send(old, [*TRAPS, *said])
    assert sending.wait(120) == 0
    first = messages(ada, old)[0]["seq"]
    ada.dchat("send", old, "answered", "--reply-to", str(first))
    ada.dchat("edit", old, str(first + 3), "edited")
    ada.dchat("delete", old, str(first + 5), "--yes")
    ada.dchat("react", old, str(first + 6), ":tada:")
    room = messages(ada, old)
    path = tmp_path / "old.ndjson"

    def size() -> int:
        return path.stat().st_size if path.exists() else 0

    met = kill_in_the_middle(ada, ["export", old, "-o", str(path)], size)
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert lines[1:-1] == room
    assert lines[-1]["messages"] == len(room)

    # Into another room, while a worker is killed, too.
    def stored() -> int:
        count = head(ada, workers, new)
        if count > 1000 and workers[0].alive:
            workers[0].kill()
        return count

    met += kill_in_the_middle(ada, ["import", "ndjson", str(path), "--room", new, "--as-is"], stored)
    kept = [message for message in room if not message.get("deleted")]
    place = {message["seq"]: at for at, message in enumerate(kept)}
    brought = messages(ada, new)
    new_place = {message["seq"]: at for at, message in enumerate(brought)}
    assert [message["text"] for message in brought] == [message["text"] for message in kept]
    assert [new_place.get(message.get("reply_to")) for message in brought] == [
        place.get(message.get("reply_to")) for message in kept
    ]
    assert met > 0, "no kill met anything in the middle: the room is too small for this machine"


def test_slacks_channels_arrive_with_their_threads_and_call_nobody(ada: Home, tmp_path: Path) -> None:
    general, secret = new_name("gen"), new_name("sec")
    path = str(write_zip(tmp_path / "export.zip"))
    args = ["import", "slack", path, "--room", f"general={general}", "--room", f"secret={secret}"]
    ada.dchat(*args)
    ada.dchat(*args)
    brought = messages(ada, general)
    assert [message["text"] for message in brought] == GENERAL
    root = next(message["seq"] for message in brought if "see #" in message["text"])
    thread = [json.loads(line) for line in ada.dchat("thread", general, str(root), "--json").splitlines()]
    assert [message["text"].split(": ")[1] for message in thread[1:]] == ["hi yourself", "too"]
    rooms = {room["room"]: room for line in ada.dchat("rooms", "--json").splitlines() for room in [json.loads(line)]}
    assert (rooms[general]["kind"], rooms[secret]["kind"], rooms[general]["mentions"]) == ("public", "private", 0)
    assert rooms[general]["topic"] == "all of @Ada"
    found = ada.dchat("search", "HERE ci.example", "--room", general, "--json")
    assert [json.loads(line)["seq"] for line in found.splitlines()] == [brought[5]["seq"]]


def test_an_irc_log_that_grows_is_brought_line_by_line(ada: Home, tmp_path: Path) -> None:
    room, path = new_name("irc"), tmp_path / "2024-05-01.log"
    for lines in (1000, 1500):
        path.write_text("".join(f"[{at // 60:02}:{at % 60:02}] <bob> @{ada.account} {at}\n" for at in range(1, lines)))
        ada.dchat("import", "irc", str(path), "--room", room)
    assert [message["text"].rpartition(" ")[2] for message in messages(ada, room)] == [
        str(at) for at in range(1, 1440)
    ] + [str(at) for at in range(1440, 1500)]
    assert json.loads(ada.dchat("topic", room, "--json"))["mentions"] == 0
