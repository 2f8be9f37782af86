"""A person at a terminal of their own: `dchat` as a program, with a home folder that nobody else has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.harness.people import PASSWORD, new_name
from tests.harness.processes import ROOT, plain_environment

DCHAT = [sys.executable, "-m", "dchat_client"]


class Home:
    """A person at a terminal of their own: a home folder, signed in by `dchat register`."""

    def __init__(self, folder: Path, name: str, urls: list[str]) -> None:
        self.name, self.folder, self.account = name, folder, new_name(name)
        folder.mkdir()
        self.env = plain_environment(HOME=str(folder), DCHAT_URL=",".join(urls), DCHAT_KEYRING="off", NO_COLOR="1")
        self.dchat("register", self.account, "--password-stdin", data=PASSWORD.encode())

    def dchat(self, *words: str, data: bytes = b"") -> bytes:
        """Run a command to its end and return what it wrote; it must succeed."""
        done = subprocess.run([*DCHAT, *words], input=data, capture_output=True, env=self.env, cwd=ROOT, timeout=200)
        assert done.returncode == 0, f"dchat {' '.join(words)}: {done.returncode}\n{done.stderr.decode()}"
        return done.stdout

    def send(self, room: str, lines: list[str]) -> subprocess.Popen[bytes]:
        """Begin to send the lines."""
        source = self.folder / "said.txt"
        source.write_bytes("".join(line + "\n" for line in lines).encode())
        with source.open("rb") as file, (self.folder / "send.err").open("wb") as errors:
            command = [*DCHAT, "send", room, "--stream"]
            return subprocess.Popen(
                command, stdin=file, stdout=subprocess.DEVNULL, stderr=errors, env=self.env, cwd=ROOT
            )
