from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dchat_client.cli.face import Face
from dchat_client.config import ConfigError, Folders, Profile, load_profile, save_profile
from dchat_client.errors import Refused, SignInNeeded
from dchat_client.gui.account import Wish, profile_for, sign_in, sign_out, token_of
from dchat_client.tokens import Token, keep_token, kept_token
from tests.unit.client.fake_server import FakeServer

HERE = "http://127.0.0.1:5000"


@pytest.fixture
def folders(home: Path) -> Folders:
    return Folders.of_user()


def signed_in(folders: Folders, name: str, url: str, user: str) -> None:
    keep_token(folders, name, Token("t", (url,), user))
    save_profile(folders, Profile(name, (url,), user))


def test_without_anything_the_window_is_for_the_profile_in_force(folders: Folders) -> None:
    signed_in(folders, "default", "http://chat.example.org", "ada")
    assert profile_for(Face(), None, None, None) == Profile("default", ("http://chat.example.org",), "ada")


def test_on_a_fresh_machine_host_and_user_become_the_profile(folders: Folders) -> None:
    assert profile_for(Face(), "127.0.0.1", 5000, "alice") == Profile("default", (HERE,), "alice")
    assert profile_for(Face(), "::1", None, None).urls == ("http://[::1]:5000",)


def test_somebody_else_gets_a_profile_of_their_own_and_nobody_loses_a_sign_in(folders: Folders) -> None:
    signed_in(folders, "default", HERE, "alice")
    bob = profile_for(Face(), "127.0.0.1", 5000, "bob")
    assert bob == Profile("bob-127.0.0.1-5000", (HERE,), "bob")
    elsewhere = profile_for(Face(), "10.0.0.9", None, "alice")
    assert elsewhere.name == "alice-10.0.0.9-5000"
    assert token_of(folders, elsewhere) is None
    assert kept_token(folders, "default") is not None


def test_the_same_user_of_the_same_server_is_straight_in(folders: Folders) -> None:
    signed_in(folders, "default", HERE, "alice")
    profile = profile_for(Face(), "127.0.0.1", 5000, "alice")
    assert profile.name == "default"
    assert token_of(folders, profile) == "t"


def test_an_address_that_is_none_is_said(folders: Folders) -> None:
    with pytest.raises(ConfigError, match="not usable"):
        profile_for(Face(), "a b/c?d", 5000, "x")


async def test_signing_in_keeps_the_token_for_next_time(folders: Folders, server: FakeServer) -> None:
    profile = Profile("default", (server.url,), None)
    account = await sign_in(folders, profile, Wish(server.url, "eve", "correct horse battery", new=True))
    assert account.profile.username == "eve"
    assert token_of(folders, load_profile(folders)) == account.token
    await sign_out(folders, account)
    assert kept_token(folders, "default") is None


async def test_a_wrong_password_is_told(folders: Folders, server: FakeServer) -> None:
    profile = Profile("default", (server.url,), None)
    with pytest.raises(SignInNeeded):
        await sign_in(folders, profile, Wish(server.url, "ada", "wrong"))
    assert kept_token(folders, "default") is None


async def test_a_password_goes_openly_over_a_network_only_when_told_to(folders: Folders) -> None:
    profile = Profile("default", ("http://192.0.2.1:9",), None)
    with pytest.raises(Refused) as refused:
        await sign_in(folders, profile, Wish(profile.url, "ada", "secret"))
    assert refused.value.code == "not_private"


def test_neither_token_nor_password_is_shown_by_accident() -> None:
    wish = Wish("u", "ada", "hunter2")
    assert "hunter2" not in repr(replace(wish, new=True))
