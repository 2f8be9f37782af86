"""tui.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from dchat_client.config import ConfigError
from dchat_client.tui.prefs import Settings, read_settings


def test_settings_are_read_and_the_usual_ones_need_no_file(tmp_path: Path) -> None:
    path = tmp_path / "tui.toml"
    assert read_settings(path) == Settings()
    path.write_text('theme = "light"\nnotify = "all"\nbell = false\ncommand = "say"\n[keys]\nquit = "f10"\n')
    assert read_settings(path) == Settings("light", "all", False, "say", {"quit": ("f10",)})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("theme = ", "cannot be read"),
        ('theme = "pink"', "theme must be one of dark, light, terminal"),
        ("bell = 1", "bell must be true or false"),
        ('colour = "red"', "there is no setting 'colour'"),
        ("keys = 3", "keys must be a table"),
        ('[keys]\nfly = "f1"', "no key named 'fly'"),
    ],
)
def test_a_mistake_in_the_settings_is_told(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "tui.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_settings(path)
    assert str(path) in str(raised.value)
    assert words in str(raised.value)
