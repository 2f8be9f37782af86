"""The scripts on the machines of terraform/, with everything they call replaced by something that takes notes."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.processes import new_folder

MODULES = Path(__file__).parents[3] / "terraform" / "modules"
FAKE = """#!/usr/bin/env bash
name=$(basename "$0")
{ printf '%q ' "$name" "$@"; echo; } >>"$NOTES/calls"
[[ -e $NOTES/$name ]] || exit 0
. "$NOTES/$name"
"""
SECRET = {"password": "a-password", "ca": "the ca", "cert": "the cert", "key": "the key", "server": "key and cert"}
STACK = {
    "IMAGE": "111122223333.dkr.ecr.eu-central-1.amazonaws.com/dchat@sha256:00",
    "REGION": "eu-central-1",
    "PORT": "5000",
    "SECRET_ARN": "arn:secret",
    "LOG_GROUP": "/chat/workers",
    "METRICS_NAMESPACE": "DChat",
    "CHAT": "chat",
    "GROUP": "chat-workers",
    "HOOK": "drain",
    "POLL_S": "5",
    "SETTLE_S": "6",
    "ID": "2",
    "VOLUME_ID": "vol-1",
}


class Machine:
    """A machine of `module`. `says` tells what a command does, as shell; `run` runs a script and returns its calls."""

    def __init__(self, module: str, home: str) -> None:
        self._scripts, self._home = MODULES / module / "files", home
        self.folder = new_folder()
        self.run_folder = self.folder / "run" / home
        etc = self.folder / "etc" / home
        etc.mkdir(parents=True)
        (etc / "stack.env").write_text("".join(f"{name}={value}\n" for name, value in STACK.items()))
        self._bin = self.folder / "bin"
        self._bin.mkdir()
        for name in ("aws", "curl", "docker", "systemctl", "sleep", "chown"):
            (self._bin / name).write_text(FAKE)
            (self._bin / name).chmod(0o755)

    def says(self, command: str, script: str) -> None:
        (self.folder / command).write_text(script)

    def run(self, script: str) -> list[list[str]]:
        text = (self._scripts / script).read_text("utf-8")
        for place in ("etc", "run"):
            text = text.replace(f"/{place}/{self._home}", f"{self.folder}/{place}/{self._home}")
        env = {"PATH": f"{self._bin}:{os.environ['PATH']}", "NOTES": str(self.folder)}
        done = subprocess.run(["bash", "-c", text], env=env, capture_output=True, text=True, timeout=60, check=False)
        self.status, self.output = done.returncode, done.stdout + done.stderr
        calls = self.folder / "calls"
        return [shlex.split(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def worker() -> Iterator[Machine]:
    machine = Machine("workers", "dchat")
    yield machine
    machine.close()


@pytest.fixture
def server() -> Iterator[Machine]:
    machine = Machine("ensemble", "zookeeper")
    yield machine
    machine.close()


IMDS = """
case $* in
    *api/token) echo token ;;
    *instance-id) echo i-1 ;;
    *target-lifecycle-state)
        echo x >>"$NOTES/asked"
        (($(wc -l <"$NOTES/asked") < 3)) && echo InService || echo Terminated ;;
esac
"""


def test_a_machine_that_is_to_end_drains_and_then_says_so(worker: Machine) -> None:
    worker.says("curl", IMDS)

    calls = [call for call in worker.run("lifecycle.sh") if call[0] != "curl"]

    assert worker.status == 0
    assert calls[:4] == [["sleep", "5"], ["sleep", "5"], ["sleep", "6"], ["systemctl", "stop", "dchat.service"]]
    (done,) = calls[4:]
    assert done[:5] == ["aws", "--region", "eu-central-1", "autoscaling", "complete-lifecycle-action"]
    assert done[5:] == [
        *("--auto-scaling-group-name", "chat-workers", "--lifecycle-hook-name", "drain"),
        *("--instance-id", "i-1", "--lifecycle-action-result", "CONTINUE"),
    ]


def test_a_group_that_still_waits_for_the_balancer_is_told_again(worker: Machine) -> None:
    worker.says("curl", IMDS)
    worker.says("aws", 'echo x >>"$NOTES/told"; (($(wc -l <"$NOTES/told") > 2))')

    calls = worker.run("lifecycle.sh")

    assert worker.status == 0
    assert len([call for call in calls if call[0] == "aws"]) == 3


def test_an_imds_that_does_not_answer_is_asked_again_and_nothing_is_stopped(worker: Machine) -> None:
    worker.says("curl", 'echo x >>"$NOTES/asked"; (($(wc -l <"$NOTES/asked") > 4)) || exit 7\n' + IMDS)

    calls = worker.run("lifecycle.sh")

    stopped = calls.index(["systemctl", "stop", "dchat.service"])
    assert len([call for call in calls[:stopped] if call == ["sleep", "5"]]) >= 4


METRICS = """# HELP dchat_streams Open streams.
# TYPE dchat_streams gauge
dchat_streams{worker="a1"} 1234.0
dchat_leader{worker="a1"} 1.0
dchat_log_reader_alive{worker="a1"} 1.0
dchat_compaction_lag_seconds{worker="a1"} 0.25
dchat_loop_lag_seconds{worker="a1"} 1e-05
dchat_compaction_rooms_stuck{worker="a1"} NaN
dchat_leader_fence{worker="a1"} 4294967338.0
process_open_fds 12.0
"""


def test_what_scaling_and_alarms_look_at_is_told_to_cloudwatch(worker: Machine) -> None:
    worker.says("curl", f"cat <<'END'\n{METRICS}END\n")

    calls = worker.run("metrics.sh")

    assert worker.status == 0, worker.output
    (told,) = [call for call in calls if call[0] == "aws"]
    assert told[1:7] == ["--region", "eu-central-1", "cloudwatch", "put-metric-data", "--namespace", "DChat"]
    data = json.loads(told[-1])
    assert {each["MetricName"]: each["Value"] for each in data} == {
        "Streams": 1234.0,
        "Leader": 1.0,
        "LogReaderAlive": 1.0,
        "CompactionLag": 0.25,
        "LoopLag": 1e-05,
        "RefusedForTheLog": 0.0,
        "Mistakes": 0.0,
    }
    assert all(each["Dimensions"] == [{"Name": "Chat", "Value": "chat"}] for each in data)


def refused(worker: Machine, unavailable: int, internal: int) -> dict[str, float]:
    """What CloudWatch is told of refusals when the worker has counted so many."""
    worker.says(
        "curl",
        f"""cat <<'END'
{METRICS}dchat_refused_requests_total{{worker="a1",code="backend_unavailable"}} {unavailable}.0
dchat_refused_requests_total{{worker="a1",code="internal"}} {internal}.0
dchat_refused_requests_total{{worker="a1",code="room_not_found"}} 99.0
END
""",
    )
    told = [call for call in worker.run("metrics.sh") if call[0] == "aws"][-1]
    return {each["MetricName"]: each["Value"] for each in json.loads(told[-1]) if each["MetricName"] in COUNTED}


COUNTED = ("RefusedForTheLog", "Mistakes")


def test_refusals_are_told_as_how_many_came_since_the_last_time(worker: Machine) -> None:
    assert refused(worker, 3, 1) == {"RefusedForTheLog": 3, "Mistakes": 1}
    assert refused(worker, 10, 1) == {"RefusedForTheLog": 7, "Mistakes": 0}
    assert refused(worker, 2, 0) == {"RefusedForTheLog": 2, "Mistakes": 0}  # a new worker's
    worker.says("aws", "exit 255")
    refused(worker, 5, 0)
    assert worker.status != 0
    worker.says("aws", "")
    assert refused(worker, 6, 0) == {"RefusedForTheLog": 4, "Mistakes": 0}  # with what could not be told


def test_a_worker_that_tells_no_metrics_is_a_failure_of_the_unit(worker: Machine) -> None:
    worker.says("curl", "exit 7")

    assert not [call for call in worker.run("metrics.sh") if call[0] == "aws"]
    assert worker.status != 0


def test_each_metric_that_is_told_is_one_that_workers_have() -> None:
    told = re.findall(r'name\["(dchat_\w+)"\]', (MODULES / "workers/files/metrics.sh").read_text("utf-8"))
    documented = (MODULES.parents[1] / "docs" / "operations.md").read_text("utf-8")
    assert told
    assert [name for name in told if f"`{name}`" not in documented] == []


def test_each_alarm_and_graph_looks_at_a_metric_that_is_told() -> None:
    script = (MODULES / "workers/files/metrics.sh").read_text("utf-8")
    told = set(re.findall(r'= "(\w+)"; +unit', script)) | set(re.findall(r"\bmetric=([A-Z]\w+)", script))
    alarms = (MODULES / "alarms/main.tf").read_text("utf-8")
    looked = set(re.findall(r'merge\(local\.chat, \{[^}]*?metric +=\s*"(\w+)"', alarms))
    graphs = (MODULES / "alarms/dashboard.tf").read_text("utf-8")
    looked |= set(re.findall(r'metrics_namespace\}", "(\w+)"', graphs))
    assert "Leader" in looked
    assert looked <= told


def test_each_alarm_is_in_the_document_with_what_to_do() -> None:
    alarms = (MODULES / "alarms/main.tf").read_text("utf-8")
    names = re.findall(r"^      ([a-z0-9-]+) += merge\(", alarms, re.M)
    names += [f"{name}-…" for name in re.findall(r'"([a-z-]+)-\$\{place\}" =>', alarms)]
    document = (MODULES.parents[1] / "docs" / "aws.md").read_text("utf-8")
    assert len(names) > 15
    assert [name for name in names if f"`{name}`" not in document] == []


def test_a_workers_secrets_are_files_of_its_own_in_memory(worker: Machine) -> None:
    worker.says("aws", f"cat <<'END'\n{json.dumps(SECRET)}\nEND\n")

    worker.run("secrets.sh")

    assert worker.status == 0, worker.output
    kept = {path.name: path.read_text() for path in worker.run_folder.rglob("*") if path.is_file()}
    assert kept == {
        "ca.pem": "the ca\n",
        "worker.pem": "the cert\n",
        "worker.key": "the key\n",
        "secret.env": "DCHAT_ZOOKEEPER_SASL=dchat:a-password\n",
    }
    for path in worker.run_folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_secret_that_lacks_something_stops_the_start(worker: Machine) -> None:
    worker.says("aws", 'echo \'{"ca": "the ca"}\'')

    worker.run("secrets.sh")

    assert worker.status != 0


def test_a_server_gets_its_login_file(server: Machine) -> None:
    server.says("aws", f"cat <<'END'\n{json.dumps(SECRET)}\nEND\n")

    server.run("secrets.sh")

    assert server.status == 0, server.output
    assert (server.run_folder / "jaas.conf").read_text() == (
        'Server {\n  org.apache.zookeeper.server.auth.DigestLoginModule required\n    user_dchat="a-password";\n};\n'
    )
    assert (server.run_folder / "server.pem").read_text() == "key and cert\n"


@pytest.mark.parametrize("who", ["worker", "server"])
def test_the_container_may_do_next_to_nothing(who: str, request: pytest.FixtureRequest) -> None:
    machine: Machine = request.getfixturevalue(who)
    machine.says("curl", IMDS)

    *_, run = machine.run("run.sh")

    assert run[:2] == ["docker", "run"]
    assert run[-1] == STACK["IMAGE"]
    options = " ".join(run)
    for wanted in (
        "--read-only",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "--network host",
        "--ulimit nofile=",
    ):
        assert wanted in options
    user = run[run.index("--user") + 1]
    assert not user.startswith("0")
    assert "a-password" not in options


def test_an_image_of_ones_own_registry_is_pulled_once_and_with_the_role(worker: Machine) -> None:
    worker.says("docker", "[[ $1 != image ]]")

    calls = [call[:3] for call in worker.run("pull.sh")]

    assert worker.status == 0
    assert ["docker", "login", "--username"] in calls
    assert calls[-1] == ["docker", "pull", "--quiet"]


def test_an_image_that_is_here_is_not_pulled_again(worker: Machine) -> None:
    assert worker.run("pull.sh") == [["docker", "image", "inspect", STACK["IMAGE"]]]
