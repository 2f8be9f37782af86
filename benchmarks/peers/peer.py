"""What a peer is: a name, what to type where it is missing, and how it is started."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import Generator, Server
from benchmarks.setting import Setting

HERE = Path(__file__).resolve().parent
CONNECTIONS = 32_768
"""How many a peer is to take."""


@dataclass(frozen=True)
class Peer:
    """One of the servers beside D-Chat."""

    name: str
    missing: Callable[[Generator], str]
    """What to type to have it here; empty when it is."""
    running: Callable[[Setting, Generator], AbstractContextManager[Server]]
    """One that has just been started. Raises NoServer."""
    version: Callable[[], str]
    """Its versions, for the record."""


def program(name: str) -> str:
    """Where a program is, also where daemons are; empty when it is nowhere."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])) or ""


def debian(package: str, *needed: str) -> str:
    """The command that installs `package`; empty when all that is `needed` is there: programs, or files."""
    there = all(Path(name).exists() if name.startswith("/") else program(name) for name in needed)
    return "" if there else f"apt-get install {package}"


def version(*command: str) -> str:
    """The first thing like a version that a program says of itself."""
    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout + said.stderr)
    return found[0] if found else ""


def written(template: str, to: Path, **words: object) -> Path:
    """A configuration with its `@WORDS@` filled in. Returns `to`."""
    text = (HERE / template).read_text("utf-8")
    for word, value in words.items():
        text = text.replace(f"@{word.upper()}@", str(value))
    to.write_text(text, "utf-8")
    return to
