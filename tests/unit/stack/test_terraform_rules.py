"""What holds for every file of terraform/, whichever module it is in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TERRAFORM = Path(__file__).parents[3] / "terraform"
FILES = sorted(TERRAFORM.rglob("*.tf"))


def blocks(kind: str) -> Iterator[tuple[Path, str, str]]:
    """File, labels and text of each top-level block of `kind`: `resource`, `variable`, …"""
    for path in FILES:
        for labels, body in re.findall(rf"^{kind} (.*?) ?\{{\n(.*?)^\}}", path.read_text("utf-8"), re.M | re.S):
            yield path, labels, body


def resources(kind: str) -> list[tuple[Path, str]]:
    return [(path, body) for path, labels, body in blocks("resource") if labels.startswith(f'"{kind}"')]


def test_only_the_balancer_lets_addresses_in_and_all_else_security_groups() -> None:
    rules = resources("aws_vpc_security_group_ingress_rule")
    assert {path.parent.name for path, body in rules if "cidr_" in body} == {"balancer"}
    assert all("referenced_security_group_id" in body for path, body in rules if path.parent.name != "balancer")


def test_no_security_group_has_rules_inside_of_it() -> None:
    assert [path for path, body in resources("aws_security_group") if re.search(r"^  (in|e)gress", body, re.M)] == []


@pytest.mark.parametrize("kind", ["aws_instance", "aws_launch_template"])
def test_every_machine_has_imds_of_version_2_with_one_hop_and_no_key(kind: str) -> None:
    machines = resources(kind)
    assert machines
    for _, body in machines:
        assert re.search(r"http_tokens += \"required\"", body)
        assert re.search(r"http_put_response_hop_limit += 1\n", body)
        assert "key_name" not in body


def test_every_input_has_a_type() -> None:
    assert [labels for _, labels, body in blocks("variable") if not re.search(r"^  type +=", body, re.M)] == []


def test_every_log_group_forgets_one_day() -> None:
    assert all("retention_in_days" in body for _, body in resources("aws_cloudwatch_log_group"))


def test_only_workers_are_given_actions_of_the_archive_and_of_the_log() -> None:
    givers = {path.parent.name for path in FILES if re.search(r'"dynamodb:\w+Item"', path.read_text("utf-8"))}
    assert givers == {"workers"}


def test_no_secret_has_a_value_that_terraform_keeps() -> None:
    versions = resources("aws_secretsmanager_secret_version")
    assert versions
    assert [path for path, body in versions if re.search(r"secret_(string|binary) +=", body)] == []


def test_every_skipped_check_says_why() -> None:
    skips = [line for path in FILES for line in path.read_text("utf-8").splitlines() if "checkov:skip" in line]
    assert skips
    assert [line for line in skips if not re.search(r"skip=CKV\w*_\d+:\w.{20,}\.$", line)] == []
