"""dchat export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer

HOSTILE = "a\x1b[31m\u202e\n\u2028b\x00 日本 \ud83d 🎉"


@pytest.fixture(autouse=True)
def _past(server: FakeServer) -> None:
    for number in range(1, 451):
        server.say("lobby", f"m{number}")
    server.say("lobby", HOSTILE, reply_to=3)


def lines(path: Path) -> list[dict[str, Any]]:
    raw = path.read_bytes()
    assert raw.endswith(b"\n")
    return [json.loads(line) for line in raw.splitlines()]


def whole(path: Path, server: FakeServer) -> bool:
    """Whether the file is the room, to the letter."""
    first, *messages, last = lines(path)
    pages = [{key: value for key, value in event.items() if key != "type"} for event in server.rooms["lobby"]]
    end = {"type": "end", "messages": len(pages), "head": len(pages)}
    return first["room"] == "lobby" and messages == pages and last == end


def test_a_file_holds_the_room_to_the_letter(dchat: Dchat, server: FakeServer, home: Path) -> None:
    path = home / "lobby.ndjson"
    ran = dchat("export", "lobby", "-o", str(path))
    assert (ran.code, ran.out) == (0, "")
    assert f"451 messages of lobby are in {path}" in ran.err
    assert whole(path, server)
    assert lines(path)[0] == {
        "type": "room",
        "format": "dchat-export",
        "version": 1,
        "room": "lobby",
        "kind": "public",
        "topic": "all of us",
        "users": ["ada", "bob"],
    }
    assert path.stat().st_mode & 0o777 == 0o600


def test_standard_output_gets_the_same_lines(dchat: Dchat, home: Path) -> None:
    dchat("export", "lobby", "-o", str(home / "x"))
    assert dchat("export", "lobby").out == dchat("export", "lobby", "-o", "-").out == (home / "x").read_text()


@pytest.mark.parametrize("kept", [0.0, 0.0001, 0.3, 0.5, 0.99, 0.9999])
def test_wherever_it_was_cut_it_goes_on_after_the_last_whole_line(
    dchat: Dchat, server: FakeServer, home: Path, kept: float
) -> None:
    path = home / "lobby.ndjson"
    dchat("export", "lobby", "-o", str(path))
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * kept)])
    assert dchat("export", "lobby", "-o", str(path)).code == 0
    assert path.read_bytes() == raw


def test_a_torn_line_that_is_longer_than_all_that_follows_is_cut(dchat: Dchat, server: FakeServer, home: Path) -> None:
    path = home / "lobby.ndjson"
    dchat("export", "lobby", "-o", str(path))
    raw = path.read_bytes()
    whole_lines = raw.removesuffix(raw.splitlines(keepends=True)[-1])
    path.write_bytes(whole_lines + b'{"seq":' + b"x" * 100_000)
    assert dchat("export", "lobby", "-o", str(path)).code == 0
    assert path.read_bytes() == raw


def test_a_server_that_stops_in_the_middle_leaves_what_was_there_and_says_how_to_go_on(
    dchat: Dchat, server: FakeServer, home: Path
) -> None:
    path = home / "lobby.ndjson"
    server.faults.pages += ["", "refuse"]
    ran = dchat("export", "lobby", "-o", str(path))
    assert (ran.code, "the same command goes on" in ran.err) == (1, True)
    assert [line.get("seq") for line in lines(path)] == [None, *range(1, 201)]
    ran = dchat("export", "lobby", "-o", str(path))
    assert (ran.code, "which has 200 messages" in ran.err) == (0, True)
    assert whole(path, server)


def test_a_whole_file_gets_what_was_said_since_and_asks_for_nothing_else(
    dchat: Dchat, server: FakeServer, home: Path
) -> None:
    path = home / "lobby.ndjson"
    dchat("export", "lobby", "-o", str(path))
    server.say("lobby", "new")
    server.requests.clear()
    assert dchat("export", "lobby", "-o", str(path)).code == 0
    assert whole(path, server)
    assert [address for _, address in server.requests if "messages" in address] == [
        "/v1/rooms/lobby/messages?after=451&limit=200"
    ]


def test_anew_takes_the_messages_as_they_are_now_and_replaces_the_file_when_it_is_whole(
    dchat: Dchat, server: FakeServer, home: Path
) -> None:
    path = home / "lobby.ndjson"
    dchat("export", "lobby", "-o", str(path))
    before = path.read_bytes()
    server.rooms["lobby"][0]["text"] = "changed"
    dchat("export", "lobby", "-o", str(path))
    assert path.read_bytes() == before
    server.faults.pages += ["", "refuse"]
    assert dchat("export", "lobby", "-o", str(path), "--anew").code == 1
    assert path.read_bytes() == before
    assert dchat("export", "lobby", "-o", str(path), "--anew").code == 0
    assert whole(path, server)


def test_what_is_no_export_of_this_room_is_never_written_to(dchat: Dchat, server: FakeServer, home: Path) -> None:
    server.room("other")
    path = home / "file"
    for text in ("my diary\n", '{"a":1}\n', "x\n" * 5, "my diary", "my\ndiary", '{"type":"room","x'):
        path.write_text(text)
        ran = dchat("export", "lobby", "-o", str(path))
        assert (ran.code, "is no export" in ran.err, path.read_text()) == (1, True, text)
    path.unlink()
    dchat("export", "other", "-o", str(path))
    before = path.read_text()
    assert (dchat("export", "lobby", "-o", str(path)).code, path.read_text()) == (1, before)


def test_all_rooms_go_into_a_folder_and_one_that_is_closed_stops_no_other(
    dchat: Dchat, server: FakeServer, home: Path
) -> None:
    for name in ("den", "attic", "zoo"):
        server.room(name, "bob" if name == "zoo" else "ada")
        server.say(name, f"in {name}")
    server.faults.pages.append("refuse")
    ran = dchat("export", "--all", "-o", str(home / "out"))
    assert (ran.code, "attic: forbidden" in ran.err) == (1, True)
    assert dchat("export", "--all", "-o", str(home / "out"), "--joined").code == 0
    found = {path.name: lines(path)[1]["text"] for path in (home / "out").iterdir()}
    assert found == {"attic.ndjson": "in attic", "den.ndjson": "in den", "lobby.ndjson": "m1", "zoo.ndjson": "in zoo"}


def test_a_rooms_name_cannot_lead_out_of_the_folder(dchat: Dchat, server: FakeServer, home: Path) -> None:
    server.room("../../evil")
    ran = dchat("export", "--all", "-o", str(home / "a" / "b"))
    assert (ran.code, "cannot name a file" in ran.err) == (1, True)
    assert [path.name for path in (home / "a").rglob("*")] == ["b", "lobby.ndjson"]


def test_usage(dchat: Dchat) -> None:
    for args in ([], ["lobby", "--all"], ["--all"], ["lobby", "--joined"], ["lobby", "--anew"], ["--all", "-o", "-"]):
        assert dchat("export", *args).code == 2, args
    assert dchat("export", "nope").code == 5
