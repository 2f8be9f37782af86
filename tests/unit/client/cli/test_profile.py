"""dchat profile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer


@pytest.fixture(autouse=True)
def _signed_in(dchat: Dchat, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ada in the profile `default`, bob in `work`; nothing in the environment."""
    monkeypatch.delenv("DCHAT_TOKEN")
    server.users["bob"] = "pw"
    dchat("login", "ada", "--password-stdin", stdin=b"pw")
    dchat("--profile", "work", "login", "bob", "--password-stdin", stdin=b"pw")
    monkeypatch.delenv("DCHAT_URL")


def test_profiles_are_listed_and_the_one_in_force_is_marked(dchat: Dchat, server: FakeServer) -> None:
    rows = [line.split("\t") for line in dchat("profile").out.splitlines()]
    assert rows == [
        ["*", "default", "ada", server.url, "signed in"],
        ["", "work", "bob", server.url, "signed in"],
    ]
    assert json.loads(dchat("--profile", "work", "profile", "list", "--json").out.splitlines()[1])["in_force"] is True


def test_the_profile_chosen_is_used_from_then_on(dchat: Dchat, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dchat("profile", "use", "work").code == 0
    assert dchat("whoami").out == "bob\n"
    monkeypatch.setenv("DCHAT_PROFILE", "default")
    assert dchat("whoami").out == "ada\n"
    assert dchat("profile", "use", "nope").code == 2


def test_a_profile_that_is_removed_is_signed_out_and_gone(dchat: Dchat, server: FakeServer, home: Path) -> None:
    dchat("profile", "use", "work")
    assert dchat("profile", "remove", "work").code == 0
    assert ("POST", "/v1/logout") in server.requests
    assert "t-bob" not in server.tokens
    assert not (home / "config/dchat/tokens/work.json").exists()
    assert dchat("whoami").out == "ada\n"
    assert dchat("profile", "remove", "work").code == 2


def test_a_profile_is_removed_also_when_its_server_is_gone(dchat: Dchat, home: Path, free_port: int) -> None:
    path = home / "config/dchat/tokens/work.json"
    record = json.loads(path.read_text()) | {"urls": [f"http://127.0.0.1:{free_port}"]}
    path.write_text(json.dumps(record))
    ran = dchat("profile", "remove", "work")
    assert (ran.code, "could not be told" in ran.err, path.exists()) == (0, True, False)
