"""All checks of the deployment stack, those that take longest first."""

from __future__ import annotations

from tests.stack import image, machines, scripts, terraform
from tests.stack.check import Check
from tests.stack.tools import Tools

PROMETHEUS = "deploy/prometheus"


def checkov(tools: Tools) -> str:
    """Its configuration, terraform/.checkov.yaml, and the reasons for what is skipped are with the code."""
    tools.run("checkov", "--directory", "terraform")
    return ""


def compose(tools: Tools) -> str:
    tools.run("docker-compose", "config", "--quiet")
    tools.run("docker-compose", "--profile", "small", "config", "--quiet")
    # Not filled in: with TLS there are no passwords but one's own.
    both = ("--file", "docker-compose.yml", "--file", "deploy/tls/docker-compose.tls.yml")
    tools.run("docker-compose", *both, "config", "--no-interpolate", "--quiet")
    return "both profiles, and with TLS"


def dockerfile(tools: Tools) -> str:
    tools.run("hadolint", "Dockerfile")
    return ""


def balancer(tools: Tools) -> str:
    tools.run("haproxy", "-c", "-f", "deploy/haproxy/haproxy.cfg")
    return ""


def alarms(tools: Tools) -> str:
    tools.run("promtool", "check", "config", f"{PROMETHEUS}/prometheus.yml")
    tools.run("promtool", "check", "rules", f"{PROMETHEUS}/rules.yml")
    tools.run("promtool", "test", "rules", "tests/stack/alarms.yml")
    return "configuration, rules, and when they fire"


CHECKS = (
    Check("terraform validate, test", terraform.validate_and_test),
    Check("checkov", checkov),
    Check("cloud-init schema", machines.user_data),
    Check("terraform fmt", terraform.formatted),
    Check("docker-compose config", compose),
    Check("shellcheck", scripts.shellcheck),
    Check("promtool", alarms),
    Check("hadolint", dockerfile),
    Check("haproxy -c", balancer),
)

IMAGE = Check("image", image.image)
"""Made only when it is asked for: it takes minutes."""
