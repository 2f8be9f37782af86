"""Profiles and folders: which server, as whom, and where things lie.

A profile is a name for "this server, this user". `config.toml` holds them; tokens are kept apart
(tokens.py), so that this file can be shown to others. What is set in the environment wins over the file,
and a flag over both.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dchat_client.address import parse_urls

DEFAULT_URL = "http://127.0.0.1:5000"
DEFAULT_PROFILE = "default"
_PROFILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ConfigError(Exception):
    """Something in the configuration cannot be used; the text says what and where."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where files lie: `config` for what a person may edit, `state` for what the program keeps."""

    config: Path
    state: Path

    @classmethod
    def of_user(cls) -> Folders:
        """Return the folders of this user: XDG on Linux, the platform's own elsewhere."""
        import platformdirs

        dirs = platformdirs.PlatformDirs("dchat", appauthor=False)
        return cls(Path(dirs.user_config_path), Path(dirs.user_state_path))

    @property
    def config_file(self) -> Path:
        """The profiles."""
        return self.config / "config.toml"

    def token_file(self, profile: str) -> Path:
        """The token of a profile, readable by its owner only."""
        return self.config / "tokens" / f"{profile}.json"

    def bookmark_file(self, profile: str, name: str) -> Path:
        """A place kept by `dchat tail`."""
        return self.state / "tail" / profile / f"{name}.json"


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile as it is in force: the file, the environment and the flags taken together."""

    name: str
    urls: tuple[str, ...]
    username: str | None = None
    token: str | None = field(default=None, repr=False)
    """From DCHAT_TOKEN; None: the one that was kept at sign-in."""

    @property
    def url(self) -> str:
        """The addresses as one text, as --url takes them."""
        return ",".join(self.urls)


def load_profile(
    folders: Folders,
    *,
    name: str | None = None,
    url: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Profile:
    """Return the profile in force. Raises ConfigError with a sentence when something in it cannot be used."""
    file = read_file(folders)
    name = check_name(name or environ.get("DCHAT_PROFILE") or file.get("profile") or DEFAULT_PROFILE)
    kept = file.get("profiles", {}).get(name, {})
    text = url or environ.get("DCHAT_URL") or kept.get("url") or DEFAULT_URL
    try:
        urls = parse_urls(text)
    except ValueError as error:
        raise ConfigError(f"The server address is not usable: {error}.") from None
    return Profile(name, urls, kept.get("username"), environ.get("DCHAT_TOKEN", "").strip() or None)


def save_profile(folders: Folders, profile: Profile) -> None:
    """Keep the address and the user of `profile`; other profiles stay as they are. Raises ConfigError."""
    file = read_file(folders)
    profiles = dict(file.get("profiles", {}))
    entry = {"url": profile.url} | ({"username": profile.username} if profile.username else {})
    if profiles.get(profile.name) != entry:
        _write_file(folders, file.get("profile"), profiles | {profile.name: entry})


def use_profile(folders: Folders, name: str) -> None:
    """Make `name` the profile that is in force when none is named. Raises ConfigError when there is none of it."""
    file = read_file(folders)
    profiles = file.get("profiles", {})
    if name not in profiles:
        raise ConfigError(f"There is no profile {name!r}. Make it by signing in: dchat --profile NAME login")
    _write_file(folders, name, profiles)


def remove_profile(folders: Folders, name: str) -> None:
    """Forget the address and the user of `name`. Raises ConfigError when there is none of it."""
    file = read_file(folders)
    profiles = dict(file.get("profiles", {}))
    if profiles.pop(name, None) is None:
        raise ConfigError(f"There is no profile {name!r}; dchat profile lists them.")
    chosen = file.get("profile")
    _write_file(folders, None if chosen == name else chosen, profiles)


def _write_file(folders: Folders, chosen: str | None, profiles: Mapping[str, Mapping[str, str]]) -> None:
    lines = ["# Profiles of dchat. `dchat login` writes this file; it may be edited, comments are not kept."]
    if chosen:
        lines.append(f"profile = {_toml(chosen)}")
    for name, values in sorted(profiles.items()):
        lines += [
            "",
            f"[profiles.{_toml(name)}]",
            *(f"{key} = {_toml(value)}" for key, value in values.items()),
        ]
    write_private(folders.config_file, "\n".join(lines) + "\n")


def read_file(folders: Folders) -> dict[str, Any]:
    """Return config.toml, checked; {} when there is none. Raises ConfigError."""
    path = folders.config_file
    try:
        file = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
    profiles = file.get("profiles", {})
    if not isinstance(file.get("profile", ""), str) or not isinstance(profiles, dict):
        raise ConfigError(f"{path}: `profile` must be a text and `profiles` a table.")
    for name, values in profiles.items():
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise ConfigError(f"{path}: profile {name!r} must be a table of texts, url and username.")
    return file


def check_name(name: str) -> str:
    """Return `name` if it may name a profile (it becomes part of a path). Raises ConfigError."""
    if not _PROFILE_NAME.fullmatch(name):
        raise ConfigError(f"{name!r} cannot name a profile: letters, digits, dot, dash and underscore, at most 64.")
    return name


def write_private(path: Path, text: str) -> None:
    """Replace `path` by `text` in one step, readable by its owner only. Raises ConfigError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes the file 0600 from the start; a reader sees the old file or the new one, nothing
        # between.
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}.") from None


def _toml(text: str) -> str:
    # JSON's text form is TOML's, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
