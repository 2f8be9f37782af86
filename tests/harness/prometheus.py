"""A real Prometheus that runs what lies in `deploy/prometheus`, only faster and against other addresses."""

from __future__ import annotations

import json
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import yaml

from tests.harness.processes import ROOT, Running, free_port, new_folder, until

DEPLOYED = ROOT / "deploy" / "prometheus"


class Prometheus:
    """Prometheus with the project's own configuration and rules. `targets` are the addresses of each job, in place of
    those of compose; alarms wait `patience` instead of minutes (but hours, which are for what is so for a while after
    each start). All else is as it lies there."""

    def __init__(
        self, targets: Mapping[str, Sequence[str]], *, interval: str = "500ms", patience: str = "500ms"
    ) -> None:
        found = shutil.which("prometheus")
        assert found is not None, "there is no prometheus on this machine: apt-get install prometheus"
        self.port, self.folder = free_port(), new_folder()
        config = yaml.safe_load((DEPLOYED / "prometheus.yml").read_text("utf-8"))
        config["global"] |= {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
        assert {job["job_name"] for job in config["scrape_configs"]} == set(targets)
        for job in config["scrape_configs"]:
            job["static_configs"][0]["targets"] = list(targets[job["job_name"]])
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
        rules = (DEPLOYED / "rules.yml").read_text("utf-8")
        (self.folder / "rules.yml").write_text(re.sub(r"(?m)^( +for:) \d+m$", rf"\1 {patience}", rules), "utf-8")
        command = [found, f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data"]
        command += [f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"]
        self.process = Running("prometheus", command, self.folder)
        until(self._ready, "Prometheus is ready", every_s=0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, path: str, **query: str) -> Any:
        """The `data` of an answer of its API. Raises AssertionError with what it says when it is an error."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{path} {query}: {error.read().decode()}") from None

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The present value of each series of an expression."""
        rows = self.ask("query", query=expression)["result"]
        return [(row["metric"], float(row["value"][1])) for row in rows]

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]

    def firing(self) -> set[str]:
        """The names of the alarms that fire."""
        return {alert["labels"]["alertname"] for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"}

    def _ready(self) -> bool:
        assert self.process.alive, self.process.log
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5):
                return True
        except OSError:
            return False
