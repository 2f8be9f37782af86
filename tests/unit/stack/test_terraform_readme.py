"""The README of terraform/ names every input, output, module and example there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TERRAFORM = Path(__file__).parents[3] / "terraform"
README = (TERRAFORM / "README.md").read_text("utf-8")


@pytest.mark.parametrize(("file", "kind"), [("variables.tf", "variable"), ("outputs.tf", "output")])
def test_every_input_and_output_is_listed(file: str, kind: str) -> None:
    named = re.findall(rf'^{kind} "(\w+)"', (TERRAFORM / file).read_text("utf-8"), re.M)
    assert [name for name in named if f"\n| `{name}` |" not in README] == []


@pytest.mark.parametrize("folder", ["modules", "examples"])
def test_every_module_and_example_is_mentioned(folder: str) -> None:
    there = sorted(path.name for path in (TERRAFORM / folder).iterdir())
    assert [name for name in there if f"({folder}/{name})" not in README] == []


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert [link for link in links if not (TERRAFORM / link).exists()] == []


def test_what_is_described_is_described() -> None:
    for path in TERRAFORM.rglob("*.tf"):
        for block in re.findall(r'^(?:variable|output) "\w+" \{\n(.*?)^\}', path.read_text("utf-8"), re.M | re.S):
            assert re.match(r"  description += \"", block), f"{path.name} has an input or output without a word"
