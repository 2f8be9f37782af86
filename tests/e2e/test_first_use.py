"""`dchat` alone on a fresh machine, in a real terminal, with a real server and the real screen."""

from __future__ import annotations

from pathlib import Path

from tests.harness.dialogue import Dialogue
from tests.harness.home import DCHAT, Home
from tests.harness.people import PASSWORD, new_name
from tests.harness.processes import plain_environment
from tests.harness.workers import Workers


def test_somebody_new_finds_the_server_makes_an_account_and_is_in_the_chat(workers: Workers, tmp_path: Path) -> None:
    Home(tmp_path / "ada", "ada", workers.urls)  # somebody was there before
    env = plain_environment(HOME=str(tmp_path), DCHAT_KEYRING="off", TERM="xterm-256color")
    name = new_name("eve")
    with Dialogue(DCHAT, env, size=(30, 100)) as dialogue:
        dialogue.expect("Welcome to D-Chat.")
        dialogue.expect("Server address")
        dialogue.answer(workers[0].url.removeprefix("http://"))
        dialogue.expect("already? [y/N]: ")
        dialogue.answer("")
        dialogue.expect("User name")
        dialogue.answer(name)
        dialogue.expect("New password: ")
        dialogue.answer(PASSWORD)
        dialogue.expect("Repeat for confirmation: ")
        dialogue.answer(PASSWORD)
        dialogue.expect(f"Signed in as {name}")
        dialogue.expect("live")
        dialogue.answer("/quit")
        assert dialogue.ended() == 0
        assert PASSWORD not in dialogue.shown
    with Dialogue(DCHAT, env, size=(30, 100)) as dialogue:
        dialogue.expect("live")
        assert "Welcome" not in dialogue.shown
        dialogue.answer("/quit")
        assert dialogue.ended() == 0
