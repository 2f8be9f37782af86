"""`dchat-server backup` and `restore` as a person meets them: what is refused, and that nothing is touched then."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from dchat_server import cli
from dchat_server.adapters.redis_keys import Keys
from dchat_server.backup_file import BackupWriter
from dchat_server.data_folder import DataFolder
from dchat_server.embedded import EmbeddedRedis
from dchat_server.ports_archive import Chunk, Mark, RoomRecord, UserRecord
from tests.harness.processes import ROOT, free_port, plain_environment


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The data folder that is set; it is not there."""
    for name in [name for name in os.environ if name.startswith("DCHAT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DCHAT_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "chat.backup"
    with BackupWriter(path, backup="abc", made=1_795_000_000_000, shards=16, identity="i", complete=True) as out:
        out.shard(3, Mark(6, 120))
        out.person(3, UserRecord("ada", {"password": "x"}, {}, ["lobby"], {}))
        out.room(3, RoomRecord("lobby", watermark=1, facts={"kind": "public"}), [b"people"])
        out.chunk(Chunk(1, 1, 1, 1, b"one"))
        out.finish()
    return path


def run(*words: str | Path) -> int:
    return cli.main([str(word) for word in words])


def test_a_backup_is_restored_once(data: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("restore", file, "--check") == 0
    assert not data.exists()
    assert run("restore", file) == 0
    told = "everything acknowledged before 2026-11-18 11:06:40 UTC: 1 people, 1 rooms, 1 chunks"
    assert capsys.readouterr().out.count(told) == 2
    with sqlite3.connect(data / "archive.sqlite3") as archive:
        assert archive.execute("SELECT room FROM rooms").fetchall() == [("lobby",)]
    archive.close()
    assert run("restore", file) == 1
    assert "archive.sqlite3 is not empty" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["flipped", "cut", "other"])
def test_a_damaged_file_is_refused_and_nothing_is_touched(
    data: Path, file: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = file.read_bytes()
    at = len(whole) // 2
    file.write_bytes(
        {"flipped": whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], "cut": whole[:-1], "other": b"?"}[damage]
    )
    assert run("restore", file) == 1
    said = {"flipped": "is damaged at byte", "cut": "is cut off", "other": "is no backup"}[damage]
    assert said in capsys.readouterr().err
    assert not data.exists()


def test_another_number_of_shards_is_refused(data: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("restore", file, "--shards", "4") == 1
    assert "set DCHAT_SHARDS=16" in capsys.readouterr().err
    assert not data.exists()


def test_a_folder_that_a_server_uses_or_has_used_is_refused(
    data: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = DataFolder(data)
    try:
        assert run("restore", file) == 1
        assert "in use" in capsys.readouterr().err
    finally:
        folder.close()
    with EmbeddedRedis(data) as server, redis.Redis.from_url(server.url) as client:
        client.hset(Keys(16).state(0), "epoch", "1")
    assert run("restore", file) == 1
    assert "belongs with an archive already" in capsys.readouterr().err
    assert not (data / "archive.sqlite3").exists()


def test_what_was_interrupted_goes_on_also_when_a_server_was_started_in_between(
    data: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server refuses to run on a part, and leaves a Redis of its own behind, an empty one."""
    with monkeypatch.context() as patch:
        patch.setattr("dchat_server.adapters.sqlite_archive.SqliteArchive.commit", dies)
        with pytest.raises(RuntimeError):
            run("restore", file)
    server = [sys.executable, "-m", "dchat_server", "--port", str(free_port()), "--data-dir", data]
    ended = subprocess.run(server, cwd=ROOT, env=plain_environment(), capture_output=True, text=True)
    assert (ended.returncode, "repeat dchat-server restore" in ended.stderr) == (1, True)
    assert (data / "redis" / "appendonlydir").exists()
    assert run("restore", file) == 0


async def dies(*_: object) -> None:
    raise RuntimeError


def test_a_redis_that_does_not_answer_is_told(data: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("restore", file, "--redis-url", f"unix://{data}/none.sock") == 1
    assert "message log does not answer" in capsys.readouterr().err
    assert not data.exists()


def test_without_a_server_there_is_nothing_to_back_up(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("backup", tmp_path / "file") == 1
    assert "No D-Chat server runs on" in capsys.readouterr().err
    assert not (tmp_path / "file").exists()
    assert run("restore", tmp_path / "file") == 1
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["backup"], "Name the file"),
        (["restore", "--check"], "Name the file"),
        (["backup", "x", "--wait", "long"], "--wait takes seconds"),
        (["backup", "x", "--check"], "--check"),
    ],
)
def test_what_is_wrong_with_the_words_is_told(
    data: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    assert said in capsys.readouterr().err
