"""docs/cli.md."""

from __future__ import annotations

from pathlib import Path

from dchat_client.cli.manual import manual
from dchat_client.cli.program import COMMANDS

DOCS = Path(__file__).parents[4] / "docs" / "cli.md"


def test_the_manual_is_what_the_commands_say() -> None:
    again = "run: python -m dchat_client.cli.manual > docs/cli.md"
    assert DOCS.read_text("utf-8") == manual(), again


def test_the_manual_has_every_command() -> None:
    text = manual()
    for name in COMMANDS:
        assert f"\n### `dchat {name}`\n" in text or f"\n### `dchat {name} " in text, name
    assert "<!-- dchat:" not in text


def test_lines_are_as_wide_as_those_of_the_other_documents() -> None:
    for line in manual().splitlines():
        assert len(line) <= 140 or line.startswith("|"), line
