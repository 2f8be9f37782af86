"""The programs that checks call: where they are, what to do when one is not, and what they said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 900
"""How long a program may take. Only a program that hangs takes longer; the longest needs about a minute."""

REMEDIES = {
    "buildah": "apt-get install buildah",
    "cloud-init": "on Debian and Ubuntu: apt-get install cloud-init (there is none for macOS)",
    "debootstrap": "apt-get install debootstrap",
    "git": "install git, and run this in a clone of the repository",
    "haproxy": "apt-get install haproxy, or brew install haproxy",
    "promtool": "apt-get install prometheus, or brew install prometheus",
    "terraform": "install 1.11 or later: https://developer.hashicorp.com/terraform/install",
}


class Absent(Exception):
    """A check cannot be made on this machine: `why`, and by which `remedy` it could be.

    `published` says whether what lacks can be had from Debian, PyPI or npm.
    """

    def __init__(self, why: str, remedy: str, *, published: bool = True) -> None:
        super().__init__(why)
        self.why, self.remedy, self.published = why, remedy, published


class Broken(Exception):
    """A program found something wrong. `output` is all it printed."""

    def __init__(self, command: str, output: str) -> None:
        super().__init__(command)
        self.command, self.output = command, output


class Tools:
    """Programs by name: from the virtual environment that runs this, else from PATH."""

    def __init__(self, environment: Path = Path(sys.prefix), path: str | None = None) -> None:
        self.environment = environment
        # Debian keeps haproxy where an ordinary user's PATH does not look.
        everywhere = [str(environment / "bin"), os.environ.get("PATH", ""), "/usr/sbin"]
        self.path = os.pathsep.join(everywhere) if path is None else path

    def find(self, name: str) -> str:
        """The path of the program `name`. Raises Absent."""
        if found := shutil.which(name, path=self.path):
            return found
        remedy = REMEDIES.get(name, f"rm -r {self.environment.name}, and once more: make stack-test")
        raise Absent(f"{name} is not installed", remedy, published=name != "terraform")

    def run(
        self, name: str, *arguments: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None, say: str = ""
    ) -> str:
        """Run the program `name`, or the one at that path, with `say` as its input, and return what it printed.

        Raises Absent when it is not there, Broken when it ends with anything but 0.
        """
        command = [self.find(name), *map(str, arguments)]
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "PATH": self.path, **(env or {})},
            input=say,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if done.returncode:
            raise Broken(" ".join([Path(name).name, *map(str, arguments)]), done.stdout)
        return done.stdout
