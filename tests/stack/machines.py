"""The user data of the machines that terraform/ makes, as cloud-init will read it."""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path

from tests.stack.terraform import FOLDER, QUIET
from tests.stack.tools import Tools

MODULES = FOLDER / "modules"


def user_data(tools: Tools) -> str:
    """Let terraform fill the templates in and cloud-init judge them. Files are the real ones, settings are made up."""
    tools.find("cloud-init")
    for module in ("workers", "ensemble"):
        with tempfile.TemporaryDirectory(prefix="dchat-machine-") as folder:
            written = Path(folder) / "user-data"
            written.write_text(rendered(tools, MODULES / module / "files"), "utf-8")
            tools.run("cloud-init", "schema", "--config-file", written)
    return "workers and ensemble, filled in by terraform"


def rendered(tools: Tools, files: Path) -> str:
    """The template of user data in `files` with every variable of either machine. Raises Absent, Broken."""
    some = base64.b64encode(b"NAME=value\n").decode()
    contents = {path.name: base64.b64encode(path.read_bytes()).decode() for path in sorted(files.iterdir())}
    variables = {
        "stack": some,
        "settings": some,
        "zoo_cfg": some,
        "unit": some,
        "scripts": {name: content for name, content in contents.items() if name.endswith(".sh")},
        "units": {name: content for name, content in contents.items() if name.endswith((".service", ".timer"))},
    }
    template = json.dumps(str(files / "cloud-init.yaml.tftpl"))
    # JSON is an expression of terraform's, but for `${`, which base64 does not have.
    expression = f"base64encode(templatefile({template}, {json.dumps(variables)}))"
    with tempfile.TemporaryDirectory(prefix="dchat-console-") as nothing:
        said = tools.run("terraform", "console", "-no-color", cwd=Path(nothing), env=QUIET, say=expression)
    return base64.b64decode(said.strip().splitlines()[-1].strip('"')).decode()
