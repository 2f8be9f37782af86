"""dchat react, edit, delete."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer


@pytest.fixture(autouse=True)
def _said(server: FakeServer) -> None:
    server.say("lobby", "helo", sender="ada")
    server.say("lobby", "hi ada", sender="bob")


def test_a_reaction_is_given_by_emoji_or_short_name_and_taken_back(dchat: Dchat, server: FakeServer) -> None:
    assert dchat("react", "lobby", "2", ":tada:").out.endswith("#2 bob: hi ada  🎉 1\n")
    assert json.loads(dchat("react", "lobby", "2", "👍", "--json").out)["reactions"][1]["emoji"] == "👍"
    assert "🎉" not in dchat("react", "lobby", "2", ":tada:", "--remove").out
    assert dchat("react", "lobby", "9", "👍").code == 5


def test_an_emoji_cannot_reach_another_address(dchat: Dchat, server: FakeServer) -> None:
    dchat("react", "lobby", "2", "a/../../x?y#")
    assert server.requests == [("PUT", "/v1/rooms/lobby/messages/2/reactions/a%2F..%2F..%2Fx%3Fy%23")]


def test_a_text_is_changed_by_argument_or_from_standard_input(dchat: Dchat, server: FakeServer) -> None:
    assert dchat("edit", "lobby", "1", "hello").out.endswith("#1 ada: hello (edited)\n")
    assert dchat("edit", "lobby", "1", "-", stdin=b"a\nb\n").code == 0
    assert server.rooms["lobby"][0]["text"] == "a\nb"
    assert (dchat("edit", "lobby", "2", "mine now").code, server.rooms["lobby"][1]["text"]) == (1, "hi ada")


def test_a_message_is_deleted_with_yes_and_never_unasked(dchat: Dchat, server: FakeServer) -> None:
    ran = dchat("delete", "lobby", "1")
    assert (ran.code, "--yes" in ran.err, server.rooms["lobby"][0].get("deleted")) == (2, True, None)
    assert dchat("delete", "lobby", "1", "--yes").code == 0
    assert server.rooms["lobby"][0]["deleted"] is True


def typed(keys: str, *args: str, **env: str) -> tuple[int, str]:
    """Run dchat with a pseudo-terminal as all three of its files, type `keys`, return its code and what was shown."""
    import pty

    master, slave = pty.openpty()
    command = [sys.executable, "-m", "dchat_client", *args]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, **env})
    os.close(slave)
    os.write(master, keys.encode())
    shown = b""
    try:
        while part := os.read(master, 4096):
            shown += part
    except OSError:
        pass  # Linux says EIO when the other end is closed
    os.close(master)
    return process.wait(60), shown.decode()


def test_on_a_terminal_the_message_is_shown_before_it_is_deleted(dchat: Dchat, server: FakeServer) -> None:
    code, shown = typed("n\n", "delete", "lobby", "1", NO_COLOR="1")
    assert (code, "ada: helo" in shown, server.rooms["lobby"][0].get("deleted")) == (130, True, None)
    assert typed("y\n", "delete", "lobby", "1")[0] == 0
    assert server.rooms["lobby"][0]["deleted"] is True


def test_on_a_terminal_a_text_is_changed_in_the_editor(dchat: Dchat, server: FakeServer, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/helo/hello/ "$1"\n')
    editor.chmod(0o755)
    assert typed("", "edit", "lobby", "1", VISUAL=str(editor))[0] == 0
    assert server.rooms["lobby"][0]["text"] == "hello"
    before = len(server.requests)
    code, shown = typed("", "edit", "lobby", "1", VISUAL="true")
    assert (code, "Nothing was changed" in shown, len(server.requests)) == (0, True, before + 1)
