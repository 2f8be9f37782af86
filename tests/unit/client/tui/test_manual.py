"""docs/tui.md tells the commands and keys that there are."""

from __future__ import annotations

import tomllib
from pathlib import Path

from dchat_client.tui.keymap import KEYS
from dchat_client.tui.manual import tables
from dchat_client.tui.prefs import read_settings

DOCUMENT = (Path(__file__).parents[4] / "docs" / "tui.md").read_text("utf-8")


def test_the_document_has_the_tables_of_the_program() -> None:
    assert tables() in DOCUMENT, "put what dchat_client.tui.manual.tables() gives into docs/tui.md"


def test_the_settings_in_the_document_are_read_as_they_stand_there(tmp_path: Path) -> None:
    text = DOCUMENT.partition("```toml\n")[2].partition("```")[0]
    path = tmp_path / "tui.toml"
    path.write_text(text)
    settings = read_settings(path)
    assert settings.theme == "dark"
    assert settings.command == tomllib.loads(text)["command"]
    usual = {key.name: key.keys for key in KEYS}
    assert settings.keys == {name: usual[name] for name in settings.keys}
