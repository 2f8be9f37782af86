"""What `web/vendor` ships is what its authors published."""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from pathlib import Path

import pytest

VENDOR = Path(str(resources.files("dchat_server"))) / "web" / "vendor"
ROW = re.compile(r"^\| \[[^]]+\]\([^)]+\) \| ([\d.]+) \| ([^|]+) \| `([^`]+)` \| `([0-9a-f]{64})` \|$", re.MULTILINE)
ROWS = ROW.findall((VENDOR / "README.md").read_text("utf-8"))


@pytest.mark.parametrize(("version", "licence", "file", "sha256"), ROWS, ids=[row[2] for row in ROWS])
def test_a_vendored_file_is_unchanged_and_has_its_licence(version: str, licence: str, file: str, sha256: str) -> None:
    data = (VENDOR / file).read_bytes()
    assert hashlib.sha256(data).hexdigest() == sha256
    assert (VENDOR / file).parent.joinpath("LICENSE").stat().st_size > 500


def test_every_vendored_file_is_in_the_table() -> None:
    files = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    assert {file for file in files if not file.endswith(("LICENSE", "README.md"))} == {row[2] for row in ROWS}
