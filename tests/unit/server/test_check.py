"""What `dchat-server check` says about real servers, and about those that would not do."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dchat_server.check import Finding, _judge, findings
from dchat_server.config import Config
from dchat_server.embedded import EmbeddedRedis
from dchat_server.redis_binary import find_binaries


def failed(found: list[Finding]) -> list[Finding]:
    return [each for each in found if each.state == "failed"]


@pytest.fixture
def shared_redis(tmp_path: Path) -> Iterator[str]:
    """A Redis as an operator would run one, with a password."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    binary = next(iter(find_binaries()))
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--requirepass", "hunter2", "--save", ""]
    server = subprocess.Popen([binary.path, *arguments, "--dir", str(tmp_path)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    yield f"redis://:hunter2@127.0.0.1:{port}/0"
    server.kill()
    server.wait()


def test_a_fresh_machine_would_run_and_is_left_as_it_was(tmp_path, free_port):
    found = list(findings(Config(port=free_port, data_dir=tmp_path / "data")))
    assert not failed(found)
    assert any("answers after" in each.text for each in found)
    assert not (tmp_path / "data").exists()


def test_a_folder_and_a_port_in_use_are_told(tmp_path, free_port):
    with EmbeddedRedis(tmp_path), socket.create_server(("127.0.0.1", free_port)):
        found = failed(list(findings(Config(port=free_port, data_dir=tmp_path))))
    assert [each.part for each in found] == ["port", "data folder"]


def test_a_shared_redis_is_asked_and_its_password_kept(shared_redis, free_port):
    found = list(findings(Config(redis_url=shared_redis, port=free_port, ack="memory")))
    assert not failed(found)
    assert any("answers in" in each.text for each in found)
    assert any("no append-only file" in each.text for each in found if each.state == "warning")
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    "form",
    [
        "redis://:{}@127.0.0.1:{}",
        "redis+cluster://:{}@127.0.0.1:{}",
        "redis+sentinel://:{}@127.0.0.1:{}/mymaster",
    ],
)
def test_a_redis_that_does_not_answer_is_a_failure(form, free_port):
    config = Config(redis_url=form.format("hunter2", free_port), port=free_port, ack="memory")
    found = list(findings(config))
    assert [each.part for each in failed(found)] == ["Redis"]
    assert "hunter2" not in str(found)


def test_a_wrong_password_is_a_failure(shared_redis, free_port):
    config = Config(redis_url=shared_redis.replace("hunter2", "wrong"), port=free_port, ack="memory")
    assert failed(list(findings(config)))


GOOD = {
    "redis_version": "7.2.5",
    "role": "master",
    "aof_enabled": "1",
    "connected_slaves": "1",
    "maxmemory": "0",
    "maxmemory_policy": "noeviction",
}


@pytest.mark.parametrize(
    ("change", "ack", "state", "says"),
    [
        ({"redis_version": "6.2.0"}, "memory", "failed", "too old"),
        ({"role": "slave"}, "memory", "failed", "is a replica"),
        ({"maxmemory": "9", "maxmemory_policy": "allkeys-lru"}, "memory", "warning", "noeviction"),
        ({"aof_enabled": "0"}, "memory", "warning", "append-only"),
        ({"connected_slaves": "0"}, "replicated", "failed", "no replica"),
        ({"redis_version": "7.0.15"}, "fsync", "failed", "on disk"),
    ],
)
def test_a_redis_that_would_not_keep_the_promise_is_told(change, ack, state, says):
    config = Config(redis_url="redis://h", ack=ack)
    assert [each.state for each in _judge("h", 1, GOOD, config, always_synced=False)] == ["ok"]
    found = list(_judge("h", 1, GOOD | change, config, always_synced=False))
    assert (found[-1].state, len(found)) == (state, 2)
    assert says in found[-1].text


def test_appendfsync_always_keeps_the_promise_on_an_older_redis():
    config = Config(redis_url="redis://h", ack="fsync")
    older = GOOD | {"redis_version": "7.0.15"}
    assert [each.state for each in _judge("h", 1, older, config, always_synced=True)] == ["ok"]


def test_no_event_loop_is_left_behind(tmp_path, free_port):
    list(findings(Config(redis_url=f"redis://127.0.0.1:{free_port}", port=free_port)))
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def by_part(found: list[Finding], part: str) -> Finding:
    (finding,) = [each for each in found if each.part == part]
    return finding


def test_a_file_as_archive_is_fine_for_one_machine_and_worth_a_warning_for_several(tmp_path, free_port):
    alone = list(findings(Config(data_dir=tmp_path, port=free_port)))
    assert by_part(alone, "archive").state == "ok"
    assert not [each for each in alone if each.part == "leader"]
    several = list(findings(Config(data_dir=tmp_path, port=free_port, redis_url=f"redis://127.0.0.1:{free_port}")))
    assert by_part(several, "archive").state == by_part(several, "leader").state == "warning"


def test_an_archive_and_a_zookeeper_that_do_not_answer_are_failures(free_port):
    nowhere = f"127.0.0.1:{free_port}"
    config = Config(
        port=free_port,
        redis_url=f"redis://{nowhere}",
        zookeeper=nowhere,
        zookeeper_session_s=1.0,
        dynamodb_table="dchat",
        dynamodb_endpoint=f"http://{nowhere}",
    )
    found = list(findings(config))
    assert by_part(found, "archive").state == by_part(found, "leader").state == "failed"
    assert "no answer" in by_part(found, "archive").text
    assert nowhere in by_part(found, "leader").text
