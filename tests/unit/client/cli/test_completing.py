"""What the shell completes: rooms, people, profiles, emoji."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest
from click.shell_completion import ShellComplete

from dchat_client.cli import completing
from dchat_client.cli.program import dchat as dchat_program
from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer


def completed(words: str) -> list[str]:
    """What a shell would offer for the last of these words."""
    *args, incomplete = words.split(" ")[1:]
    return [item.value for item in ShellComplete(dchat_program, {}, "dchat", "X").get_completions(args, incomplete)]


@pytest.fixture(autouse=True)
def _rooms(dchat: Dchat, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completing, "WITHIN_S", 60.0)
    server.room("attic", "ada")
    server.room("aula", "bob")
    server.room("a$(reboot)\n", "ada")
    server.users |= {"bob": "pw", "bea": "pw"}


def test_rooms_and_people_are_completed(server: FakeServer) -> None:
    assert completed("dchat send l") == ["lobby"]
    assert completed("dchat tail lobby at") == ["attic"]
    assert completed("dchat join au") == ["aula"]
    assert completed("dchat dm ada,b") == ["ada,bea", "ada,bob"]
    assert completed("dchat search x --room at") == ["attic"]


def test_what_is_no_name_never_reaches_the_shell(server: FakeServer) -> None:
    assert completed("dchat history a") == ["attic"]


def test_profiles_and_emoji_are_completed(dchat: Dchat) -> None:
    dchat("--profile", "work", "login", "ada", "--password-stdin", stdin=b"pw")
    assert completed("dchat --profile w") == ["work"]
    assert completed("dchat profile use ") == ["work"]
    assert completed("dchat react lobby 1 :thumbs") == [":thumbsup:", ":thumbsdown:"]


def test_without_a_server_or_a_sign_in_nothing_is_offered_and_nothing_said(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    assert completed(f"dchat --url http://127.0.0.1:{free_port} send l") == []
    assert completed("dchat --url ftp://x send l") == []
    monkeypatch.delenv("DCHAT_TOKEN")
    assert completed("dchat send l") == []


def test_a_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completing, "WITHIN_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        began = time.monotonic()
        assert completed(f"dchat --url http://127.0.0.1:{deaf.getsockname()[1]} send l") == []
        assert time.monotonic() - began < 10, "a request would be given 15 s, and then repeated"


def test_the_shell_gets_nothing_but_what_is_offered(server: FakeServer, free_port: int) -> None:
    words = f"dchat --url http://127.0.0.1:{free_port} send l"
    env = {**os.environ, "_DCHAT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "4"}
    ran = subprocess.run([sys.executable, "-m", "dchat_client"], capture_output=True, text=True, env=env)
    assert (ran.stdout.strip(), ran.stderr) == ("", "")
