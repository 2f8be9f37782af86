"""The documents name every setting, every error code and every file they point to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dchat_server.config import markdown_table
from dchat_server.errors import FAILURES

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def test_every_setting_is_listed_as_the_server_lists_it() -> None:
    assert markdown_table() in (ROOT / "docs/configuration.md").read_text("utf-8")


def test_every_error_code_is_listed_with_its_status() -> None:
    text = (ROOT / "docs/api.md").read_text("utf-8")
    missing = [code for code, row in FAILURES.items() if f"| `{code}` | {row.status} | {row.title} |" not in text]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_of_a_document_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text("utf-8"))
    broken = [link for link in links if not (document.parent / link).exists()]
    assert not broken


def test_every_variable_a_document_names_is_a_setting() -> None:
    known = set(re.findall(r"`(DCHAT_[A-Z_]+)`", markdown_table()))
    known |= {
        "DCHAT_URL",
        "DCHAT_TOKEN",
        "DCHAT_PROFILE",
        "DCHAT_KEYRING",
        "DCHAT_INVITE",
        "DCHAT_ROOM",
        "DCHAT_SENDER",
        "DCHAT_SEQ",
        "DCHAT_NOTIFY",
        "DCHAT_SCALE",
        "DCHAT_WHY",
        # of docker-compose.yml
        "DCHAT_REDIS_PASSWORD",
        "DCHAT_REDIS_PASSWORD_BEFORE",
    }
    for document in DOCUMENTS:
        named = set(re.findall(r"DCHAT_[A-Z_]+[A-Z]", document.read_text("utf-8")))
        assert named <= known | {"DCHAT_"}, f"{document.name} names {named - known}"


def test_every_command_of_the_web_chat_is_in_its_document() -> None:
    commands = re.findall(r'name: "(\w+)"', (ROOT / "dchat_server/web/chat/commands.js").read_text("utf-8"))
    text = (ROOT / "docs/web-chat.md").read_text("utf-8")
    assert [name for name in commands if f"`/{name}" not in text] == []
    assert len(commands) > 8
