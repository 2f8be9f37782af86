"""Profiles and folders."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from dchat_client.config import ConfigError, Folders, Profile, load_profile, read_file, save_profile, write_private


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "config", tmp_path / "state")


def test_the_folders_are_those_of_xdg(home: Path) -> None:
    folders = Folders.of_user()
    assert folders.config_file == home / "config" / "dchat" / "config.toml"
    assert folders.bookmark_file("p", "n") == home / "state" / "dchat" / "tail" / "p" / "n.json"


def test_without_anything_it_is_this_machine(folders: Folders) -> None:
    assert load_profile(folders, environ={}) == Profile("default", ("http://127.0.0.1:5000",))


def test_a_flag_wins_over_the_environment_and_that_over_the_file(folders: Folders) -> None:
    save_profile(folders, Profile("work", ("http://file:1",), "ada"))
    assert load_profile(folders, name="work", environ={}) == Profile("work", ("http://file:1",), "ada")
    environ = {"DCHAT_PROFILE": "work", "DCHAT_URL": "http://env:2, http://env:3/", "DCHAT_TOKEN": " t "}
    found = load_profile(folders, environ=environ)
    assert (found.name, found.urls, found.token) == ("work", ("http://env:2", "http://env:3"), "t")
    assert load_profile(folders, url="flag", environ=environ).urls == ("http://flag",)
    assert "t" not in repr(found).replace("default", "").split("urls=")[0]


def test_profiles_are_kept_side_by_side_and_the_chosen_one_stays(folders: Folders) -> None:
    folders.config.mkdir()
    folders.config_file.write_text('profile = "b"\n[profiles.b]\nurl = "http://b"\n')
    save_profile(folders, Profile("a", ("http://a",), 'quo"te\\ ü\x7f'))
    assert read_file(folders)["profiles"]["a"]["username"] == 'quo"te\\ ü\x7f'
    assert load_profile(folders, environ={}).name == "b"
    assert stat.S_IMODE(folders.config_file.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["x = ", "profile = 1", "profiles = 1", "[profiles]\na = 1", "[profiles.a]\nurl = 1"])
def test_a_damaged_file_is_a_sentence(folders: Folders, text: str) -> None:
    folders.config.mkdir()
    folders.config_file.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.toml"):
        load_profile(folders, environ={})


@pytest.mark.parametrize("name", ["../x", "", ".x", "a/b", "a" * 65, "a\n"])
def test_a_name_that_could_be_a_path_is_refused(folders: Folders, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a profile"):
        load_profile(folders, name=name or " ", environ={})


def test_a_file_is_replaced_in_one_step_and_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_private(path, "one")
    write_private(path, "two")
    assert path.read_text() == "two"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_private(tmp_path / "file" / "inside", "x")
    assert os.listdir(tmp_path) == ["file"]
