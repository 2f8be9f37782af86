"""`dchat-server` as a person meets it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dchat_server import __version__, cli
from dchat_server.config import Config, flag, options
from dchat_server.embedded import EmbeddedRedis


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("DCHAT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DCHAT_DATA_DIR", str(tmp_path / "data"))


def test_help_names_every_flag_and_every_exit_code(capsys):
    assert cli.main(["--help"]) == 0
    out, err = capsys.readouterr()
    for name in options():
        assert f"{flag(name)} " in out or f"{flag(name)}\n" in out
    assert "Exit codes" in out
    assert max(map(len, out.splitlines())) <= 100
    assert err == ""
    assert cli.main(["check", "-h"]) == 0


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"dchat-server {__version__}\n"


@pytest.mark.parametrize("command", ["run", "check", "config"])
def test_wrong_settings_are_all_told_and_nothing_is_started(command, capsys, tmp_path):
    assert cli.main([command, "--port", "x", "--nonsense"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("dchat-server: ") == 2
    assert not (tmp_path / "data").exists()


def test_config_shows_where_each_value_comes_from_and_no_password(capsys, monkeypatch):
    monkeypatch.setenv("DCHAT_REDIS_URL", "redis://:hunter2@h")
    monkeypatch.setenv("DCHAT_SHARD", "1")
    assert cli.main(["config", "--port", "5001"]) == 0
    out, err = capsys.readouterr()
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert rows["DCHAT_PORT"] == ["5001", "--port"]
    assert rows["DCHAT_REDIS_URL"] == ["redis://:***@h", "DCHAT_REDIS_URL"]
    assert rows["DCHAT_SHARDS"] == ["16", "default"]
    assert "DCHAT_SHARD." in err
    assert len(rows) == len(options())


def test_config_gives_the_table_for_the_documentation(capsys):
    assert cli.main(["config", "--markdown"]) == 0
    assert "| `DCHAT_PORT` | `--port PORT` | 5000 |" in capsys.readouterr().out


def test_check_says_whether_it_would_run(capsys, free_port):
    assert cli.main(["check", "--port", str(free_port)]) == 0
    assert capsys.readouterr().out.endswith("This would run.\n")
    with socket.create_server(("127.0.0.1", free_port)):
        assert cli.main(["check", "--port", str(free_port)]) == 1
    assert capsys.readouterr().out.endswith("This would not run.\n")


def test_a_port_in_use_is_a_sentence_with_the_next_step(capsys, free_port, tmp_path):
    with socket.create_server(("127.0.0.1", free_port)):
        assert cli.main(["--port", str(free_port)]) == 1
    err = capsys.readouterr().err
    assert f"Port {free_port} on 127.0.0.1 is in use" in err
    assert f"--port {free_port + 1}" in err
    assert "Traceback" not in err
    assert not (tmp_path / "data").exists()


def test_a_second_server_on_the_same_folder_is_a_sentence(capsys, free_port, tmp_path):
    with EmbeddedRedis(tmp_path / "data"):
        assert cli.main(["--port", str(free_port)]) == 1
    err = capsys.readouterr().err
    assert f"process {os.getpid()}" in err
    assert "Traceback" not in err


def test_worker_is_not_for_people(capsys):
    assert cli.main(["worker"]) == 2
    assert "--workers" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_crash():
    process = subprocess.run(
        f"{sys.executable} -m dchat_server config | head -1; echo ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Traceback" not in process.stderr
    assert "Exception" not in process.stderr


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://127.0.0.1:5000"),
        ({"host": "0.0.0.0", "port": 80}, "http://127.0.0.1:80"),
        ({"host": "::"}, "http://[::1]:5000"),
        ({"host": "fe80::1"}, "http://[fe80::1]:5000"),
        ({"public_url": "https://chat.example.org"}, "https://chat.example.org"),
    ],
)
def test_the_address_shown_is_one_that_a_browser_can_open(settings, url):
    assert cli.reach(Config(**settings)) == url


def test_the_banner_says_where_it_is_what_it_keeps_and_how_to_chat(tmp_path):
    with EmbeddedRedis(tmp_path) as embedded:
        text = cli.banner(Config(data_dir=tmp_path, workers=2), embedded)
    assert "http://127.0.0.1:5000" in text
    assert str(tmp_path) in text
    assert embedded.binary is not None
    assert embedded.binary.name in text
    assert "on disk before it counts as sent" in text
    assert "workers 2" in text
    assert "browser" in text
    assert "send lobby" in text
    assert "--url" not in text, "dchat looks there by itself"
    elsewhere = cli.banner(Config(redis_url="redis://:hunter2@h", port=5001), None)
    assert "--url http://127.0.0.1:5001" in elsewhere
    assert "hunter2" not in elsewhere


def test_commands_are_shown_as_they_can_be_called_from_here(tmp_path, monkeypatch):
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    program = folder / "dchat"
    program.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.chdir(tmp_path)
    assert cli.command("dchat") == ".venv/bin/dchat"
    monkeypatch.chdir("/")
    assert cli.command("dchat") == str(program.relative_to("/"))
    monkeypatch.setenv("PATH", str(folder))
    assert cli.command("dchat") == "dchat"
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "dchat"
    other.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(other.parent))
    monkeypatch.chdir(other.parent)
    assert cli.command("dchat") == str(program)


def printed_by(code: str) -> str:
    """What a new interpreter prints that runs this."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_starting_imports_nothing_that_help_does_not_need():
    code = "import sys, dchat_server.cli; print('\\n'.join(sys.modules))"
    loaded = printed_by(code)
    assert not {"aiohttp", "redis", "structlog", "asyncio", "ctypes"} & set(loaded.split())


def test_a_worker_starts_without_parts_it_is_not_told_to_use_and_collects_garbage_once_it_is_loaded():
    code = (
        "import gc, sys; from dchat_server.supervisor import _real_worker; _real_worker();"
        "import dchat_server.adapters.sqlite_archive;"
        "print(gc.isenabled(), gc.get_freeze_count() > 0, *{name.partition('.')[0] for name in sys.modules})"
    )
    said = printed_by(code)
    enabled, frozen, *loaded = said.split()
    assert (enabled, frozen) == ("True", "True")
    assert {"aiohttp", "redis"} <= set(loaded)
    # (redis-py imports opentelemetry where it finds it.)
    assert not {"boto3", "botocore", "kazoo", "click", "multiprocessing", "unittest"} & set(loaded)


def test_open_files_are_raised_as_far_as_they_may():
    code = (
        "import resource; from dchat_server.cli import raise_open_files;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 512)); raise_open_files();"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    shown = printed_by(code)
    assert shown.strip() == "(512, 512)"


def test_the_module_is_the_command():
    root = Path(cli.__file__).parents[1]
    shown = subprocess.run(
        [sys.executable, "-m", "dchat_server", "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    )
    assert shown.stdout == f"dchat-server {__version__}\n"
