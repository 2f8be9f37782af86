"""Where tokens lie."""

from __future__ import annotations

import json
import stat
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dchat_client import tokens
from dchat_client.config import ConfigError, Folders, Profile
from dchat_client.tokens import Token, drop_token, keep_token, kept_token, token_for

TOKEN = Token("secret", ("http://a", "http://b"), "ada", "2026-12-01T00:00:00.000Z")


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "config", tmp_path / "state")


class Keyring:
    """A keyring in memory, which may be told to fail."""

    def __init__(self, priority: float = 5, fails: bool = False) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.priority = priority
        self.fails = fails

    def get_keyring(self) -> Any:
        return SimpleNamespace(priority=self.priority)

    def set_password(self, service: str, name: str, secret: str) -> None:
        if self.fails:
            raise RuntimeError("locked")
        self.kept[service, name] = secret

    def get_password(self, service: str, name: str) -> str | None:
        return self.kept.get((service, name))

    def delete_password(self, service: str, name: str) -> None:
        del self.kept[service, name]


def use(monkeypatch: pytest.MonkeyPatch, keyring: object) -> None:
    monkeypatch.setitem(sys.modules, "keyring", keyring)  # type: ignore[arg-type]


def test_a_token_in_a_file_is_its_owners_alone(folders: Folders) -> None:
    kept = keep_token(folders, "p", TOKEN, environ={"DCHAT_KEYRING": "0"})
    assert kept == TOKEN
    path = folders.token_file("p")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kept_token(folders, "p") == TOKEN
    assert "secret" not in repr(kept)


def test_a_file_that_others_could_read_is_closed_to_them(folders: Folders) -> None:
    keep_token(folders, "p", TOKEN, environ={"DCHAT_KEYRING": "0"})
    folders.token_file("p").chmod(0o644)
    assert kept_token(folders, "p") == TOKEN
    assert stat.S_IMODE(folders.token_file("p").stat().st_mode) == 0o600


def test_a_usable_keyring_takes_the_secret_and_the_file_does_not(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = Keyring()
    use(monkeypatch, keyring)
    assert keep_token(folders, "p", TOKEN, environ={}).in_keyring
    assert "secret" not in folders.token_file("p").read_text()
    found = kept_token(folders, "p")
    assert found is not None
    assert (found.secret, found.in_keyring) == ("secret", True)
    drop_token(folders, "p")
    assert keyring.kept == {}
    assert kept_token(folders, "p") is None


@pytest.mark.parametrize("keyring", [Keyring(priority=0), Keyring(fails=True), None, SimpleNamespace()])
def test_a_keyring_that_cannot_be_used_is_no_failure(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, keyring: object
) -> None:
    use(monkeypatch, keyring)
    assert not keep_token(folders, "p", TOKEN, environ={}).in_keyring
    assert kept_token(folders, "p") == TOKEN


def test_a_keyring_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Keyring())
    never = threading.Event()
    assert tokens._with_keyring(lambda keyring: never.wait(), timeout_s=0.05) is None
    never.set()


def test_a_keyring_that_lost_the_secret_means_signed_out(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = Keyring()
    use(monkeypatch, keyring)
    keep_token(folders, "p", TOKEN, environ={})
    keyring.kept.clear()
    assert kept_token(folders, "p") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({"in_keyring": False, "token": "x"})])
def test_a_damaged_file_says_what_to_do(folders: Folders, text: str) -> None:
    keep_token(folders, "p", TOKEN, environ={"DCHAT_KEYRING": "0"})
    folders.token_file("p").write_text(text)
    with pytest.raises(ConfigError, match="sign in again"):
        kept_token(folders, "p")
    drop_token(folders, "p")
    assert kept_token(folders, "p") is None


def test_a_token_goes_to_the_addresses_it_came_from_and_no_other(folders: Folders) -> None:
    keep_token(folders, "p", TOKEN, environ={"DCHAT_KEYRING": "0"})
    assert token_for(folders, Profile("p", ("http://b",))) == "secret"
    for urls in (("http://evil",), ("http://a", "http://evil")):
        with pytest.raises(ConfigError, match="Sign in there"):
            token_for(folders, Profile("p", urls))
    assert token_for(folders, Profile("p", ("http://evil",), token="given")) == "given"
    assert token_for(folders, Profile("other", ("http://a",))) is None
