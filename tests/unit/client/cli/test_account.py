"""dchat login, register, logout, whoami."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer


@pytest.fixture(autouse=True)
def _no_token_in_the_environment(dchat: Dchat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DCHAT_TOKEN")


def token_file(home: Path, profile: str = "default") -> Path:
    return home / "config" / "dchat" / "tokens" / f"{profile}.json"


def test_signing_in_keeps_a_token_only_its_owner_can_read(dchat: Dchat, home: Path) -> None:
    ran = dchat("login", "ada", "--password-stdin", stdin=b"pw\n")
    assert (ran.code, ran.out) == (0, "")
    assert "Signed in as ada" in ran.err
    assert stat.S_IMODE(token_file(home).stat().st_mode) == 0o600
    assert stat.S_IMODE(token_file(home).parent.stat().st_mode) == 0o700
    assert dchat("whoami").out == "ada\n"


def test_the_address_is_kept_with_the_profile(
    dchat: Dchat, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DCHAT_URL")
    dchat("--url", server.url, "--profile", "work", "login", "ada", "--password-stdin", stdin=b"pw")
    assert dchat("--profile", "work", "whoami").out == "ada\n"
    assert dchat("whoami").code == 4


def test_a_wrong_password_is_said_with_code_4_and_keeps_nothing(dchat: Dchat, home: Path) -> None:
    ran = dchat("login", "ada", "--password-stdin", stdin=b"wrong")
    assert ran.code == 4
    assert "Check the user name and the password" in ran.err
    assert not token_file(home).exists()


def test_a_password_is_never_asked_where_nobody_can_answer(dchat: Dchat) -> None:
    ran = dchat("login", "ada")
    assert ran.code == 2
    assert "--password-stdin" in ran.err


@pytest.mark.parametrize("stdin", [b"", b"\n", b"\xff"])
def test_a_password_that_is_none_is_a_usage_error(dchat: Dchat, stdin: bytes) -> None:
    assert dchat("login", "ada", "--password-stdin", stdin=stdin).code == 2


def test_registering_signs_in(dchat: Dchat, server: FakeServer) -> None:
    ran = dchat("register", "eve", "--display-name", "Eve", "--invite", "i1", "--password-stdin", stdin=b"pw\n")
    assert ran.code == 0
    assert server.bodies[-1] == {"username": "eve", "password": "pw", "display_name": "Eve", "invite": "i1"}
    assert dchat("whoami").out == "eve\n"


def test_a_taken_name_is_refused_with_a_next_step(dchat: Dchat) -> None:
    ran = dchat("register", "ada", "--password-stdin", stdin=b"pw")
    assert ran.code == 1
    assert "Choose another name" in ran.err


def test_signing_out_revokes_the_token_and_forgets_it(dchat: Dchat, server: FakeServer, home: Path) -> None:
    dchat("login", "ada", "--password-stdin", stdin=b"pw")
    assert dchat("logout").code == 0
    assert "t-ada" not in server.tokens
    assert not token_file(home).exists()
    assert dchat("logout").code == 0


def test_signing_out_of_a_server_that_forgot_us_is_done_too(dchat: Dchat, server: FakeServer, home: Path) -> None:
    dchat("login", "ada", "--password-stdin", stdin=b"pw")
    server.tokens.clear()
    assert dchat("logout").code == 0
    assert not token_file(home).exists()


def test_an_api_token_can_be_kept(dchat: Dchat) -> None:
    assert dchat("login", "--token-stdin", stdin=b"t-ada\n").code == 0
    assert json.loads(dchat("whoami", "--json").out)["username"] == "ada"
    assert dchat("login", "--token-stdin", stdin=b"wrong\n").code == 4


def test_a_kept_token_is_not_sent_to_another_server(dchat: Dchat, server: FakeServer) -> None:
    dchat("login", "ada", "--password-stdin", stdin=b"pw")
    with FakeServer() as other:
        ran = dchat("--url", other.url, "whoami")
        assert ran.code == 2
        assert other.requests == []
    assert "Sign in there" in ran.err
