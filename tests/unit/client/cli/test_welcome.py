"""First use: `dchat` without a command, in a pseudo-terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.dialogue import Dialogue
from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer

Start = Callable[..., Dialogue]

# The real program; only the screen that it ends in is replaced, by one line.
PROGRAM = """
import sys, types
screen = types.ModuleType("dchat_client.tui")
screen.run = lambda face, room=None: print("SCREEN", face.profile.username, face.profile.url, face.token) or 0
sys.modules["dchat_client.tui"] = screen
import dchat_client.config
if sys.argv[1:2] == ["--local"]:
    dchat_client.config.DEFAULT_URL = sys.argv[2]
    del sys.argv[1:3]
if "--open-way" in sys.argv:
    import dchat_client.entrance
    dchat_client.entrance.is_private = lambda urls: False
    sys.argv.remove("--open-way")
from dchat_client.cli import main
main()
"""


@pytest.fixture
def start(home: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Start:
    """Begins a dialogue on a fresh machine. `local` is the address where a server of this machine would be."""

    def begin(*args: str, local: str) -> Dialogue:
        dialogue = Dialogue([sys.executable, "-c", PROGRAM, "--local", local, *args], os.environ)
        request.addfinalizer(lambda: dialogue.__exit__(None, None, None))
        return dialogue

    return begin


def kept(home: Path) -> dict[str, object]:
    return dict(json.loads((home / "config/dchat/tokens/default.json").read_text()))


def test_a_local_server_is_found_an_account_made_and_the_screen_opened(
    server: FakeServer, start: Start, home: Path
) -> None:
    dialogue = start(local=server.url)
    dialogue.expect("Welcome to D-Chat")
    dialogue.expect(f"A server answers on this machine: {server.url}")
    dialogue.expect(f"Server address [{server.url}]: ")
    dialogue.answer("")
    dialogue.expect("already? [y/N]: ")
    dialogue.answer("")
    dialogue.expect(f"Making a new account at {server.url}")
    dialogue.expect("User name")
    dialogue.answer("eve")
    dialogue.expect("New password: ")
    dialogue.answer("opensesame")
    dialogue.expect("Repeat for confirmation: ")
    dialogue.answer("opensesame")
    dialogue.expect("Signed in as eve")
    dialogue.expect(f"SCREEN eve {server.url} t-eve")
    assert dialogue.ended() == 0
    assert "opensesame" not in dialogue.shown
    assert kept(home)["token"] == "t-eve"


def test_who_is_signed_in_is_asked_nothing(server: FakeServer, dchat: Dchat, start: Start) -> None:
    dchat("login", "ada", "--password-stdin", stdin=b"pw")
    del os.environ["DCHAT_TOKEN"]
    dialogue = start(local=server.url)
    dialogue.expect("SCREEN ada")
    assert dialogue.ended() == 0
    assert dialogue.shown.count("\n") == 1


def test_a_sign_in_that_ended_is_renewed_with_the_name_that_is_known(
    server: FakeServer, dchat: Dchat, start: Start
) -> None:
    dchat("login", "ada", "--password-stdin", stdin=b"pw")
    del os.environ["DCHAT_TOKEN"]
    server.tokens.clear()
    dialogue = start(local=server.url)
    dialogue.expect("not valid any more")
    dialogue.expect("already? [Y/n]: ")
    dialogue.answer("")
    dialogue.expect("Signing in at")
    dialogue.expect("User name [ada]: ")
    dialogue.answer("")
    dialogue.expect("Password: ")
    dialogue.answer("pw")
    dialogue.expect("SCREEN ada")
    assert dialogue.ended() == 0


def test_without_a_local_server_an_address_is_asked_for_until_one_answers(
    server: FakeServer, start: Start, free_port: int
) -> None:
    gone = f"http://127.0.0.1:{free_port}"
    dialogue = start(local=gone)
    dialogue.expect("No server answers on this machine")
    dialogue.expect("Server address: ")
    dialogue.answer("ftp://x")
    dialogue.expect("not an http")
    dialogue.expect("Server address: ")
    dialogue.answer(gone.removeprefix("http://"))
    dialogue.expect("cannot be reached: connection refused.")
    dialogue.expect("Server address: ")
    dialogue.answer(server.url.removeprefix("http://"))
    dialogue.expect("already?")
    dialogue.answer("y")
    dialogue.expect("User name: ")
    dialogue.answer("ada")
    dialogue.expect("Password: ")
    dialogue.answer("wrong")
    dialogue.expect("That is not the name and the password")
    dialogue.expect("already? [Y/n]: ")
    dialogue.answer("")
    dialogue.expect("User name: ")
    dialogue.answer("ada")
    dialogue.expect("Password: ")
    dialogue.answer("pw")
    dialogue.expect(f"SCREEN ada {server.url}")
    assert dialogue.ended() == 0


def test_over_a_way_that_others_can_read_no_password_is_asked_for_unasked(server: FakeServer, start: Start) -> None:
    dialogue = start("--open-way", local=server.url)
    for answer in ("n", "y"):
        dialogue.expect("Server address")
        dialogue.answer("")
        dialogue.expect("is not encrypted: others on it could read along")
        dialogue.expect("[y/N]: ")
        dialogue.answer(answer)
    dialogue.expect("already?")
    assert dialogue.ended(pressing="\x03") == 130


def test_an_address_that_was_given_is_used_without_asking_and_an_invite_is_asked_for(
    server: FakeServer, start: Start, free_port: int
) -> None:
    server.invite = "dchati_0_x"
    dialogue = start("--url", server.url, local=f"http://127.0.0.1:{free_port}")
    dialogue.expect(f"A server answers there: {server.url}")
    dialogue.expect("already?")
    dialogue.answer("n")
    dialogue.expect("User name")
    dialogue.answer("eve")
    dialogue.expect("New password: ")
    dialogue.answer("pw")
    dialogue.expect("confirmation: ")
    dialogue.answer("pw")
    dialogue.expect("registration_closed")
    dialogue.expect("Invite (Enter: you have none): ")
    dialogue.answer("dchati_0_x")
    dialogue.expect("SCREEN eve")
    assert dialogue.ended() == 0


def test_the_administrator_of_an_empty_server_is_offered_a_first_room(server: FakeServer, start: Start) -> None:
    server.rooms.clear()
    dialogue = start("--url", server.url, local=server.url + "0")
    dialogue.expect("already?")
    dialogue.answer("y")
    dialogue.expect("User name: ")
    dialogue.answer("ada")
    dialogue.expect("Password: ")
    dialogue.answer("pw")
    dialogue.expect("There are no rooms yet. Name of the first one [lobby]: ")
    dialogue.answer("")
    dialogue.expect("SCREEN ada")
    assert dialogue.ended() == 0
    assert list(server.rooms) == ["lobby"]


def test_ctrl_c_and_ctrl_d_leave_with_130_and_nothing_kept(server: FakeServer, start: Start, home: Path) -> None:
    for key in ("\x03", "\x04"):
        dialogue = start(local=server.url)
        dialogue.expect("Server address")
        assert dialogue.ended(pressing=key) == 130
    assert not (home / "config").exists()


def test_without_a_terminal_the_help_is_shown_as_ever(dchat: Dchat) -> None:
    ran = dchat()
    assert (ran.code, ran.out, ran.err.startswith("Usage: dchat")) == (2, "", True)
