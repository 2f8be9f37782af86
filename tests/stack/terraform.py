"""terraform's own checks of terraform/: with the provider from its registry, or with a stand-in for it.

The registry is all that `terraform init` needs, and the one thing here that Debian, PyPI and npm do not have. Where it
cannot be reached, a program that serves the provider's schema may take the provider's place: tests mock the provider,
so the schema is all they need of it. DCHAT_TERRAFORM_OFFLINE names that program; else it is looked for beside the
repository. The stand-in does not know which values an argument takes: with the real provider more is checked.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from tests.stack.tools import ROOT, Absent, Broken, Tools

FOLDER = ROOT / "terraform"
BESIDE = ROOT.parent / "shared" / "tools" / "terraform" / "tf_offline.py"
NEEDED_BY_STAND_IN = ("grpcio==1.85.1", "msgpack==1.2.4", "python-hcl2==8.1.4")
SCHEMA = "cdktn-provider-aws==25.8.1"
"""Bindings made from the schema of hashicorp/aws 6.69 (71 MB)."""

# GOGC: a third of its time terraform would collect garbage.
QUIET = {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1", "GOGC": "400"}
UNREACHABLE = ("could not connect to", "failed to query available provider packages", "failed to install provider")


def formatted(tools: Tools) -> str:
    tools.run("terraform", "fmt", "-check", "-diff", "-recursive", FOLDER)
    return ""


def validate_and_test(tools: Tools) -> str:
    """Prefers the provider. Raises Absent when there is neither provider nor stand-in."""
    tools.find("terraform")
    if named := os.environ.get("DCHAT_TERRAFORM_OFFLINE"):
        return _with_stand_in(tools, Path(named).resolve())
    try:
        return _with_provider(tools)
    except Absent:
        if not BESIDE.exists():
            raise
    return _with_stand_in(tools, BESIDE)


def _with_provider(tools: Tools) -> str:
    """In a copy: `init` writes a lock file beside the code. The provider (700 MB) is kept for the next time."""
    kept = Path(os.environ.get("TF_PLUGIN_CACHE_DIR") or tools.environment / "terraform-plugins")
    kept.mkdir(exist_ok=True)
    # Nothing but this throw-away lock file is "broken" by taking a provider out of the cache.
    env = {**QUIET, "TF_PLUGIN_CACHE_DIR": str(kept), "TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE": "1"}
    with tempfile.TemporaryDirectory(prefix="dchat-terraform-") as folder:
        copy = Path(folder) / "terraform"
        shutil.copytree(FOLDER, copy, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
        try:
            tools.run("terraform", "init", "-backend=false", "-input=false", "-no-color", cwd=copy, env=env)
        except Broken as error:
            if any(sign in error.output.lower() for sign in UNREACHABLE):
                raise Absent(
                    "terraform init cannot fetch the provider hashicorp/aws",
                    "let this machine reach registry.terraform.io, or see TF_CLI_CONFIG_FILE for a mirror of yours",
                    published=False,
                ) from None
            raise
        tools.run("terraform", "validate", "-no-color", cwd=copy, env=env)
        said = tools.run("terraform", "test", "-no-color", cwd=copy, env=env)
    return f"{_tests_in(said)}, with the provider"


def _with_stand_in(tools: Tools, program: Path) -> str:
    python = _home_of_stand_in(tools)
    wheel = _bindings(tools)
    with tempfile.TemporaryDirectory(prefix="dchat-schema-") as folder:
        schema = Path(folder) / "schema.json"
        tools.run(str(python), program.with_name("tf_schema_check.py"), FOLDER, "--schema", wheel, "--dump", schema)
        said = tools.run(str(python), program, "--schema", schema, FOLDER, env=QUIET)
    return f"{_tests_in(said)}, with the provider's schema only"


def _home_of_stand_in(tools: Tools) -> Path:
    """The interpreter of a virtual environment with what the stand-in needs; made once."""
    home = tools.environment / "stand-in"
    python = home / "bin" / "python"
    tools.run("uv", "venv", "--quiet", "--allow-existing", "--python", tools.environment / "bin" / "python", home)
    tools.run("uv", "pip", "install", "--quiet", "--python", python, *NEEDED_BY_STAND_IN)
    return python


def _bindings(tools: Tools) -> Path:
    """The wheel that has the provider's schema; downloaded once."""
    kept = tools.environment / "provider-schema"
    if not list(kept.glob("*.whl")):
        tools.run("pip", "download", "--quiet", "--no-deps", "--dest", kept, SCHEMA)
    (wheel,) = kept.glob("*.whl")
    return wheel


def _tests_in(said: str) -> str:
    """How many tests passed, of the last line that `terraform test` prints: "Success! 47 passed, 0 failed."."""
    return said.strip().splitlines()[-1].removeprefix("Success! ").split(",")[0]
