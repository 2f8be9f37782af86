"""A fake server, a home folder of one's own, and `dchat` run in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dchat_client.cli import main
from tests.unit.client.fake_server import FakeServer


@dataclass
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


Dchat = Callable[..., Ran]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A running fake server with the user ada, whose token is t-ada, and the room lobby."""
    with FakeServer() as running:
        running.room("lobby", "ada", "bob", topic="all of us")
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home; nothing of the tester's own configuration is seen or touched."""
    for name in list(os.environ):
        if name.startswith(("DCHAT_", "XDG_")) or name.endswith(("_proxy", "_PROXY")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DCHAT_KEYRING", "0")
    return tmp_path


@pytest.fixture
def dchat(home: Path, server: FakeServer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Dchat:
    """Runs a command as ada against the fake server: `dchat("send", "lobby", "hi").out`."""
    monkeypatch.setenv("DCHAT_URL", server.url)
    monkeypatch.setenv("DCHAT_TOKEN", "t-ada")

    def run(*args: str, stdin: bytes = b"") -> Ran:
        # A file rather than a buffer: the command line reads the descriptor itself in some places.
        path = home / "stdin"
        path.write_bytes(stdin)
        with path.open("r", encoding="utf-8") as file, monkeypatch.context() as patch:
            patch.setattr("sys.stdin", file)
            capfd.readouterr()
            with pytest.raises(SystemExit) as ended:
                main(list(args))
        out, err = capfd.readouterr()
        return Ran(int(ended.value.code or 0), out, err)

    return run
