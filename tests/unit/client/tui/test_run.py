"""`dchat tui` starts only where it can be seen, and says what is wrong before the screen is taken."""

from __future__ import annotations

import pytest

from dchat_client.config import Folders
from tests.unit.client.conftest import Dchat


def test_without_a_terminal_it_says_what_to_use_instead(dchat: Dchat) -> None:
    ran = dchat("tui")
    assert ran.code == 2
    assert "needs a terminal" in ran.err
    assert "dchat tail" in ran.err


@pytest.mark.parametrize(
    ("text", "words"), [("[keys]\nfly = 'f1'", "no key named 'fly'"), ("theme = 3", "theme must be")]
)
def test_a_mistake_in_the_settings_is_told_on_the_command_line(
    dchat: Dchat, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    folder = Folders.of_user().config
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tui.toml").write_text(text)
    monkeypatch.setattr("dchat_client.tui._is_seen", lambda: True)
    ran = dchat("tui")
    assert ran.code != 0
    assert words in ran.err
    assert "Traceback" not in ran.err
