"""Settings of ZooKeeper: what is read, what is refused, what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from dchat_server import config as config_module
from dchat_server.adapters.zookeeper_client import Access
from dchat_server.config import Config, ConfigError


def mistakes(**env: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        Config.from_env({"HOME": "/home/ada", **env})
    return caught.value.mistakes


def test_certificates_are_files_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-")
    here = {"DCHAT_ZOOKEEPER": "zk1:2181,zk2:2181/chat", "DCHAT_ZOOKEEPER_CA": str(tmp_path / "ca.pem")}
    assert Config.from_env({"HOME": "/home/ada", **here}).zookeeper_ca == tmp_path / "ca.pem"
    (missing,) = mistakes(**{**here, "DCHAT_ZOOKEEPER_CA": str(tmp_path / "none.pem")})
    assert missing.endswith("which is not there; give a file.")
    (folder,) = mistakes(**{**here, "DCHAT_ZOOKEEPER_CA": str(tmp_path)})
    assert folder.endswith("which is no file; give one.")


def test_a_certificate_needs_its_key_and_tls(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("-")
    given = mistakes(DCHAT_ZOOKEEPER="zk:2181", DCHAT_ZOOKEEPER_CERT=str(tmp_path / "cert.pem"))
    assert [each.split()[0] for each in given] == ["DCHAT_ZOOKEEPER_CERT"] * 2
    assert "DCHAT_ZOOKEEPER_KEY" in given[0]
    assert "DCHAT_ZOOKEEPER_CA" in given[1]


def test_a_login_without_zookeeper_or_its_package_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_module.importlib.util, "find_spec", lambda name: None)
    (alone,) = mistakes(DCHAT_ZOOKEEPER_AUTH="dchat:hunter2")
    assert "DCHAT_ZOOKEEPER" in alone
    (package,) = mistakes(DCHAT_ZOOKEEPER="zk:2181", DCHAT_ZOOKEEPER_SASL="dchat:hunter2")
    assert "pip install pure-sasl" in package
    assert "hunter2" not in alone + package


def test_logins_are_never_shown() -> None:
    env = {"HOME": "/home/ada", "DCHAT_ZOOKEEPER": "zk:2181", "DCHAT_ZOOKEEPER_AUTH": "dchat:hunter2"}
    config = Config.from_env(env)
    assert "hunter2" not in f"{config!r} {config.redacted()}"
    assert config.as_env()["DCHAT_ZOOKEEPER_AUTH"] == "dchat:hunter2"
    (malformed,) = mistakes(DCHAT_ZOOKEEPER="zk:2181", DCHAT_ZOOKEEPER_SASL="hunter2")
    assert "hunter2" not in malformed
    assert "hunter2" not in repr(Access("zk:2181", digest="dchat:hunter2", sasl="dchat:hunter2"))


@pytest.mark.parametrize(
    ("hosts", "servers", "root"),
    [
        ("zk:2181", "zk:2181", "/dchat"),
        ("zk1:2181,zk2:2181/prod", "zk1:2181,zk2:2181", "/prod/dchat"),
        ("[::1]:2181/a/b", "[::1]:2181", "/a/b/dchat"),
    ],
)
def test_everything_is_kept_below_the_folder_of_the_hosts(hosts: str, servers: str, root: str) -> None:
    access = Access(hosts)
    assert (access.servers, access.root) == (servers, root)
    assert Config.from_env({"HOME": "/home/ada", "DCHAT_ZOOKEEPER": hosts}).zookeeper == hosts
