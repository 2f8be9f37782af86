"""What a person may set in the terminal client: tui.toml, which lies in the configuration folder and is only read."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dchat_client.commands import LEVELS
from dchat_client.config import ConfigError
from dchat_client.tui.keymap import read_keys

THEMES = ("dark", "light", "terminal")


@dataclass(frozen=True, slots=True)
class Settings:
    """tui.toml, checked."""

    theme: str = "dark"
    notify: str = "mentions"
    bell: bool = True
    command: str | None = None
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_settings(path: Path) -> Settings:
    """Return the settings of tui.toml; the usual ones when there is none. Raises ConfigError with a sentence."""
    try:
        file = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
    kinds: dict[str, tuple[type, str]] = {
        "theme": (str, "one of " + ", ".join(THEMES)),
        "notify": (str, "one of " + ", ".join(LEVELS)),
        "bell": (bool, "true or false"),
        "command": (str, "a text, the command"),
        "keys": (dict, "a table"),
    }
    for name, value in file.items():
        if name not in kinds:
            raise ConfigError(f"{path}: there is no setting {name!r}; there are {', '.join(kinds)}.")
        kind, words = kinds[name]
        allowed = {"theme": THEMES, "notify": LEVELS}.get(name)
        if not isinstance(value, kind) or (allowed is not None and value not in allowed):
            raise ConfigError(f"{path}: {name} must be {words}.")
    keys = read_keys(file.pop("keys", {}), path)
    return Settings(**file, keys=keys)
