"""The program as a whole: help, version, exit codes, outputs, start-up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dchat_client import __version__
from dchat_client.cli.program import COMMANDS, dchat, exit_code
from dchat_client.errors import from_problem
from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_and_the_line_the_list_shows(dchat: Dchat, name: str) -> None:
    assert dchat(name, "--help").out.startswith(f"Usage: dchat {name}")
    assert f"  {name} " in dchat("--help").out


def test_the_version_is_the_packages() -> None:
    setup = (Path(__file__).parents[4] / "dchat_server" / "__init__.py").read_text("utf-8")
    assert re.search(r'__version__ = "(.+)"', setup)[1] == __version__  # type: ignore[index]


def test_help_version_and_completion_load_neither_network_nor_keyring_code() -> None:
    code = (
        "import sys, contextlib\n"
        "from dchat_client.cli import main\n"
        "with contextlib.suppress(SystemExit): main(sys.argv[1:])\n"
        "print([name for name in ('aiohttp', 'asyncio', 'keyring', 'platformdirs') if name in sys.modules])"
    )
    for args in (["--version"], ["--help"], ["completion", "bash"]):
        ran = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=True)
        assert ran.stdout.splitlines()[-1] == "[]", args


def test_a_command_that_talks_to_a_server_loads_no_screen_and_no_keyring(tmp_path: Path) -> None:
    code = (
        "import sys, contextlib\n"
        "from dchat_client.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--url', 'http://127.0.0.1:9', 'send', 'lobby', 'hi'])\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    env = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "DCHAT_KEYRING": "off"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert "aiohttp" in loaded
    assert not {"textual", "rich", "tkinter", "keyring", "dchat_server", "multiprocessing", "unittest"} & loaded


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, "unauthorized", 4),
        (401, "bad_credentials", 4),
        (403, "forbidden", 1),
        (404, "room_not_found", 5),
        (409, "room_taken", 1),
        (429, "rate_limited", 1),
        (500, "internal", 1),
        (503, "draining", 3),
        (502, "", 3),
    ],
)
def test_refusals_have_their_exit_codes(status: int, code: str, expected: int) -> None:
    assert exit_code(from_problem(status, {"code": code})) == expected


def test_a_failure_of_the_server_is_shown_with_what_its_operator_finds_it_by(dchat: Dchat, server: FakeServer) -> None:
    server.faults.posts.append("500")
    assert "The server's log has it as request r-4711" in dchat("send", "lobby", "hi").err
    assert "request" not in dchat("history", "nowhere").err


def test_usage_errors_end_with_2(dchat: Dchat) -> None:
    for args in ([], ["nonsense"], ["send"], ["rooms", "--nonsense"], ["history", "lobby", "--limit", "x"]):
        assert dchat(*args).code == 2


def test_a_server_that_cannot_be_reached_ends_with_3_in_words(dchat: Dchat, free_port: int) -> None:
    ran = dchat("--url", f"http://127.0.0.1:{free_port}", "whoami")
    assert ran.code == 3
    assert "cannot be reached: connection refused" in ran.err
    assert "dchat doctor" in ran.err
    assert "Traceback" not in ran.err


def test_the_next_address_is_tried_when_one_does_not_answer(dchat: Dchat, server: FakeServer, free_port: int) -> None:
    ran = dchat("--url", f"http://127.0.0.1:{free_port},{server.url}", "whoami")
    assert (ran.code, ran.out) == (0, "ada\n")


def test_nobody_signed_in_ends_with_4(dchat: Dchat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DCHAT_TOKEN")
    ran = dchat("rooms")
    assert (ran.code, "dchat login" in ran.err) == (4, True)


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"DCHAT_URL": "ftp://x"}, "not an http"),
        ({"DCHAT_URL": "http://user:pw@x"}, "without user"),
        ({"DCHAT_URL": "http://x:99999"}, "Port out of range"),
        ({"DCHAT_PROFILE": "../x"}, "cannot name a profile"),
    ],
)
def test_a_configuration_that_cannot_be_used_ends_with_2_in_words(
    dchat: Dchat, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], words: str
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    ran = dchat("whoami")
    assert (ran.code, words in ran.err) == (2, True)


def test_quiet_leaves_only_data_and_errors(dchat: Dchat) -> None:
    ran = dchat("--quiet", "create", "den")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert dchat("--quiet", "create", "den").err != ""


def test_an_output_that_nobody_reads_ends_quietly_with_141(server: FakeServer, dchat: Dchat) -> None:
    for _ in range(2000):
        server.say("lobby", "x" * 100)
    script = f"{sys.executable} -m dchat_client history lobby --all | head -1; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "141"
    assert ran.stderr == ""


def test_an_output_that_is_not_utf8_does_not_fail(server: FakeServer, dchat: Dchat) -> None:
    server.say("lobby", "日本")
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "dchat_client", "history", "lobby"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=env)
    assert "\\u65e5\\u672c" in ran.stdout


def test_there_are_no_colours_off_a_terminal(server: FakeServer, dchat: Dchat) -> None:
    server.say("lobby", "x")
    assert "\x1b" not in dchat("history", "lobby").out


def on_a_terminal(*args: str, **env: str) -> str:
    """Run dchat with a pseudo-terminal as its standard output and return what it wrote there."""
    import pty

    master, slave = pty.openpty()
    command = [sys.executable, "-m", "dchat_client", *args]
    process = subprocess.Popen(command, stdout=slave, stderr=subprocess.DEVNULL, env={**os.environ, **env})
    os.close(slave)
    out = b""
    try:
        while part := os.read(master, 4096):
            out += part
    except OSError:
        pass  # Linux says EIO when the other end is closed
    os.close(master)
    process.wait(20)
    return out.decode()


def test_there_are_colours_on_a_terminal_but_not_with_no_color(server: FakeServer, dchat: Dchat) -> None:
    server.say("lobby", "x")
    assert "\x1b[" in on_a_terminal("history", "lobby", TERM="xterm", NO_COLOR="")
    assert "\x1b" not in on_a_terminal("history", "lobby", TERM="xterm", NO_COLOR="1")
    assert "\x1b" not in on_a_terminal("history", "lobby", TERM="dumb", NO_COLOR="")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_printed(dchat: Dchat, shell: str) -> None:
    out = dchat("completion", shell).out
    assert f"{shell}_complete" in out
    assert "_DCHAT_COMPLETE" in out


def test_completion_knows_commands_and_options() -> None:
    env = {**os.environ, "_DCHAT_COMPLETE": "bash_complete", "COMP_CWORD": "1", "COMP_WORDS": "dchat hi"}
    ran = subprocess.run([sys.executable, "-m", "dchat_client"], capture_output=True, text=True, env=env, check=True)
    assert ran.stdout == "plain,history\n"
    env |= {"COMP_CWORD": "2", "COMP_WORDS": "dchat tail --js"}
    ran = subprocess.run([sys.executable, "-m", "dchat_client"], capture_output=True, text=True, env=env, check=True)
    assert ran.stdout == "plain,--json\n"


def test_docs_name_every_command_option_and_variable() -> None:
    text = (Path(__file__).parents[4] / "docs" / "cli.md").read_text("utf-8")
    context = click.Context(dchat)
    for name in COMMANDS:
        command = dchat.get_command(context, name)
        assert command is not None
        assert f"dchat {name}" in text, name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert max(parameter.opts, key=len) in text, (name, parameter.opts)
    for parameter in dchat.params:
        assert max(parameter.opts, key=len) in text
    for variable in ("DCHAT_URL", "DCHAT_TOKEN", "DCHAT_PROFILE", "DCHAT_KEYRING", "NO_COLOR"):
        assert variable in text


def test_without_its_requirements_it_says_what_to_install() -> None:
    code = (
        "import sys\n"
        "sys.modules['aiohttp'] = None\n"
        "from dchat_client.cli import main\n"
        "main(['--url', 'http://x', 'login', 'ada', '--password-stdin'])"
    )
    env = {**os.environ, "HOME": "/nonexistent"}
    ran = subprocess.run([sys.executable, "-c", code], input="pw", capture_output=True, text=True, env=env)
    assert (ran.returncode, "pip install 'd-chat[client]'" in ran.stderr) == (1, True)
