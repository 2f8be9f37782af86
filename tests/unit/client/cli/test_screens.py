"""dchat tui, dchat gui: the doors to the faces that are more than lines."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from tests.unit.client.conftest import Dchat


@pytest.mark.parametrize(
    ("package", "command", "given"),
    [
        ("dchat_client.tui", ["tui", "lobby"], {"room": "lobby"}),
        ("dchat_client.tui", ["tui"], {"room": None}),
        (
            "dchat_client.gui",
            ["gui", "--host", "h", "--port", "5", "--user", "ada"],
            {"host": "h", "port": 5, "user": "ada"},
        ),
        ("dchat_client.gui", ["gui"], {"host": None, "port": None, "user": None}),
    ],
)
def test_the_face_is_given_what_was_asked_for_and_its_code_is_dchats(
    dchat: Dchat, monkeypatch: pytest.MonkeyPatch, package: str, command: list[str], given: dict[str, Any]
) -> None:
    seen: dict[str, Any] = {}

    def run(face: object, **options: Any) -> int:
        seen.update(options)
        return 3

    module = ModuleType(package)
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, package, module)
    assert dchat(*command).code == 3
    assert seen == given


@pytest.mark.parametrize(
    ("command", "part", "words"),
    [("tui", "textual", "pip install 'd-chat[client]'"), ("gui", "tkinter", "apt-get install python3-tk")],
)
def test_what_is_not_installed_is_named(
    dchat: Dchat, monkeypatch: pytest.MonkeyPatch, command: str, part: str, words: str
) -> None:
    class Missing:
        """Lets the face be looked for, and fail as it does where its toolkit is not there."""

        def find_spec(self, name: str, *_: object) -> None:
            if name in ("dchat_client.tui", "dchat_client.gui"):
                raise ModuleNotFoundError(f"No module named {part!r}", name=part)

    for name in list(sys.modules):
        if name.startswith(("dchat_client.tui", "dchat_client.gui")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    ran = dchat(command)
    assert (ran.code, words in ran.err) == (1, True)
