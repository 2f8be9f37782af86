"""Every line of shell in the repository: scripts, and what docker-compose.yml has a shell do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.stack.tools import ROOT, Broken, Tools


def shellcheck(tools: Tools) -> str:
    found = files(tools)
    tools.run("shellcheck", *found)
    written = ("--profile", "small", "config", "--no-interpolate", "--format", "json")
    lines = list(in_compose(json.loads(tools.run("docker-compose", *written))))
    for service, line in lines:
        try:
            tools.run("shellcheck", "--shell=sh", "-", say=line)
        except Broken as error:
            raise Broken(f"shellcheck of what {service} runs in docker-compose.yml", error.output) from None
    return f"{len(found)} scripts, {len(lines)} commands of docker-compose.yml"


def files(tools: Tools) -> list[str]:
    """Paths from the root of all shell scripts, those that git does not know yet among them."""
    listed = tools.run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return [path for path in listed.split("\0") if path and is_script(ROOT / path)]


def is_script(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as script:
        first = script.readline(200)
    return path.suffix == ".sh" or (first.startswith(b"#!") and first.split()[-1].endswith((b"sh", b"bash")))


def in_compose(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What `sh -c` runs in each service's command and health check, as the shell gets it."""
    for name, service in document["services"].items():
        for argv in (service.get("command"), service.get("healthcheck", {}).get("test")):
            if argv and (argv[0] == "CMD-SHELL" or argv[:2] == ["sh", "-c"]):
                # `$$` is how Compose is told not to fill a variable in itself.
                yield name, str(argv[-1]).replace("$$", "$") + "\n"
