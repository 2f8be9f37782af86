"""`make stack-test`: what is not here is told, what is wrong fails, and no script is overlooked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.stack import terraform
from tests.stack.__main__ import main
from tests.stack.check import Check, Result, Verdict, carry_out
from tests.stack.checks import CHECKS
from tests.stack.container import Image
from tests.stack.image import base_name
from tests.stack.report import failure, table
from tests.stack.scripts import files, in_compose, is_script
from tests.stack.tools import REMEDIES, ROOT, Tools


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    """A machine that has no program but those a test puts into its folder `bin`."""
    (tmp_path / "bin").mkdir()
    return Tools(tmp_path, str(tmp_path / "bin"))


def program(tools: Tools, name: str, script: str) -> None:
    path = Path(tools.path) / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def calling(name: str) -> Check:
    return Check(name, lambda tools: tools.run(name, "here"))


def test_a_program_that_finds_something_is_a_failure_told_in_its_own_words(tools: Tools) -> None:
    program(tools, "lint", "echo line 7 is wrong; echo and how >&2; exit 3")

    result = carry_out(calling("lint"), tools, strict=False)

    assert result.verdict is Verdict.FAILED
    assert "lint here" in failure(result)
    assert "line 7 is wrong\n   and how" in failure(result)


def test_a_program_that_is_not_here_is_told_with_what_to_do_and_fails_only_the_strict(tools: Tools) -> None:
    lenient = carry_out(calling("promtool"), tools, strict=False)

    assert lenient.verdict is Verdict.ABSENT
    assert "promtool is not installed" in table([lenient])
    assert REMEDIES["promtool"] in table([lenient])
    assert carry_out(calling("promtool"), tools, strict=True).verdict is Verdict.FAILED


def test_terraform_may_be_absent_even_for_the_strict(tools: Tools) -> None:
    for check in CHECKS:
        if check.name.startswith("terraform"):
            assert carry_out(check, tools, strict=True).verdict is Verdict.ABSENT, check.name


def test_every_check_says_what_it_lacks_on_a_machine_with_nothing(tools: Tools) -> None:
    results = [carry_out(check, tools, strict=False) for check in CHECKS]

    assert {result.name: result.verdict for result in results} == {check.name: Verdict.ABSENT for check in CHECKS}
    assert table(results).count("→") == len(CHECKS)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [("Error: Failed to query available provider packages", Verdict.ABSENT), ("Error: no such module", Verdict.FAILED)],
)
def test_a_registry_that_is_away_is_no_failure_but_a_mistake_in_the_code_is(
    said: str, verdict: Verdict, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DCHAT_TERRAFORM_OFFLINE", raising=False)
    monkeypatch.setattr(terraform, "BESIDE", tools.environment / "nothing")
    program(tools, "terraform", f"echo '{said}'; exit 1")

    result = carry_out(Check("terraform", terraform.validate_and_test), tools, strict=True)

    assert result.verdict is verdict


def test_with_the_provider_terraform_is_asked_in_a_copy_and_the_tests_are_counted(
    tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DCHAT_TERRAFORM_OFFLINE", raising=False)
    program(tools, "terraform", f'echo "$PWD $1" >>{tools.environment}/calls; echo "Success! 47 passed, 0 failed."')

    assert terraform.validate_and_test(tools) == "47 passed, with the provider"

    calls = [line.split() for line in (tools.environment / "calls").read_text().splitlines()]
    assert [command for _, command in calls] == ["init", "validate", "test"]
    assert str(terraform.FOLDER) not in {folder for folder, _ in calls}


def test_a_check_that_breaks_by_itself_is_a_failure(tools: Tools) -> None:
    result = carry_out(Check("odd", lambda tools: str(1 / 0)), tools, strict=False)

    assert (result.verdict, "ZeroDivisionError" in result.detail) == (Verdict.FAILED, True)


def test_the_command_fails_when_a_check_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def verdicts(*given: Verdict) -> int:
        results = [Result("one", verdict, "why", "how", 0.0) for verdict in given]
        monkeypatch.setattr("tests.stack.__main__.carry_out_all", lambda *_, **__: results)
        return main([])

    assert verdicts(Verdict.OK, Verdict.ABSENT) == 0
    assert verdicts(Verdict.OK, Verdict.FAILED) == 1
    assert "one failed: why" in capsys.readouterr().out


def test_every_script_of_the_repository_is_looked_at() -> None:
    found = set(files(Tools()))

    assert {".ci/run", "terraform/scripts/zookeeper-secrets.sh"} <= found
    assert found >= {str(path.relative_to(ROOT)) for path in (ROOT / "terraform").rglob("*.sh")}


@pytest.mark.parametrize(
    ("name", "first", "script"),
    [
        ("run", "#!/usr/bin/env bash\n", True),
        ("run", "#!/bin/sh\n", True),
        ("run.sh", "set -eu\n", True),
        ("run", "#!/usr/bin/env python3\n", False),
        ("run.txt", "bash\n", False),
        ("run", "", False),
    ],
)
def test_a_script_is_known_by_its_first_line_or_its_name(tmp_path: Path, name: str, first: str, script: bool) -> None:
    (tmp_path / name).write_text(first)
    assert is_script(tmp_path / name) is script


def test_shell_in_the_compose_file_is_looked_at_as_the_shell_gets_it() -> None:
    document = {
        "services": {
            "one": {"command": ["sh", "-c", 'echo "$$HOME"'], "healthcheck": {"test": ["CMD-SHELL", "true"]}},
            "two": {"command": ["server", "--flag"], "healthcheck": {"test": ["CMD", "true"]}},
            "three": {},
        }
    }
    assert list(in_compose(document)) == [("one", 'echo "$HOME"\n'), ("one", "true\n")]


def test_the_image_is_built_on_one_base_pinned_to_a_version() -> None:
    name, tag = base_name().split(":")
    assert name == "python"
    assert re.fullmatch(r"3\.\d+\.\d+-slim-[a-z]+", tag)


def test_an_image_is_run_as_its_settings_say(tmp_path: Path) -> None:
    image = Image.of(
        tmp_path,
        {
            "User": "5000:5000",
            "Env": ["PATH=/opt/bin:/bin", "OPTIONS=a=b"],
            "Volumes": {"/data": {}},
            "Cmd": ["server"],
            "Healthcheck": {"Test": ["CMD", "ask", "it"]},
            "StopSignal": "SIGTERM",
        },
    )
    assert image == Image(
        tmp_path,
        "5000:5000",
        {"PATH": "/opt/bin:/bin", "OPTIONS": "a=b"},
        "/data",
        ("server",),
        ("ask", "it"),
        "SIGTERM",
    )


def test_every_alarm_that_wakes_somebody_is_seen_to_fire_and_not_to() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text("utf-8"))["groups"][0]["rules"]
    tests = yaml.safe_load((ROOT / "tests/stack/alarms.yml").read_text("utf-8"))["tests"]
    cases = [(case["alertname"], bool(case["exp_alerts"])) for test in tests for case in test["alert_rule_test"]]

    critical = {rule["alert"] for rule in rules if rule["labels"]["severity"] == "critical"}
    assert len(critical) > 5
    assert critical - {name for name, fires in cases if fires} == set()
    assert critical - {name for name, fires in cases if not fires} == set()


def test_ci_makes_every_check_it_can() -> None:
    assert "make stack-test STRICT=1" in (ROOT / ".ci" / "run").read_text("utf-8")
