"""The processes of a server: real ones, which are really killed. The worker in them is a stand-in."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import dchat_server
from dchat_server.data_folder import user_of
from dchat_server.listening import ListenError, PortInUse, check_port
from dchat_server.supervisor import new_worker_id

# Answers each connection with its id, its Redis and its port. How it behaves otherwise is told by files.
WORKER = """
import os, signal, socket, sys, time
from pathlib import Path
from dchat_server.supervisor import worker_main

notes = Path(os.environ["TEST_NOTES"])

def run_worker(config, *, redis_url, worker_id, on_ready):
    if (notes / "broken").exists():
        print("the worker is broken", file=sys.stderr)
        return 3
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if config.reuse_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((config.host, config.port))
        listener.listen(64)
        ended = []
        def end(*_):
            if not (notes / "stubborn").exists():
                ended.append(1)
        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        listener.settimeout(0.05)
        (notes / f"worker-{os.getpid()}").touch()
        on_ready()
        while not ended:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            connection.sendall(f"{os.getpid()} {worker_id} {config.port} {redis_url}".encode())
            connection.close()
        (notes / f"drained-{os.getpid()}").touch()
    return 0

if __name__ == "__main__":
    sys.exit(worker_main(os.environ, run_worker))
"""

SERVER = """
import os, sys
sys.path.insert(0, os.environ["TEST_NOTES"])
from dchat_server.config import Config
from dchat_server.supervisor import serve
from stand_in import run_worker
config = Config.from_env(os.environ)
print("code", serve(
    config,
    on_ready=lambda embedded: print("ready", embedded.pid if embedded else 0, flush=True),
    say=lambda text: print("said", text, flush=True),
    run_worker=run_worker,
    worker_command=[sys.executable, os.environ["TEST_NOTES"] + "/stand_in.py"],
), flush=True)
"""


class Server:
    """A running `serve` with stand-in workers."""

    def __init__(self, notes: Path, port: int, **settings: Any) -> None:
        self.notes, self.port = notes, port
        (notes / "stand_in.py").write_text(WORKER)
        self.folder = notes / "data"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DCHAT_")}
        environment |= {"TEST_NOTES": str(notes), "PYTHONPATH": str(Path(dchat_server.__file__).parents[1])}
        environment |= {"DCHAT_PORT": str(port), "DCHAT_DATA_DIR": str(self.folder), "DCHAT_DRAIN_S": "30"}
        environment |= {f"DCHAT_{name.upper()}": str(value) for name, value in settings.items()}
        with (notes / "stderr").open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVER],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                process_group=0,
            )
        self.lines: list[str] = []
        self.redis_pid = 0

    def hear(self, word: str) -> str:
        """Return the next line that begins with `word`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if line.startswith(word):
                return line
        raise AssertionError(f"it ended: {self.lines} {(self.notes / 'stderr').read_text()}")

    def ready(self) -> Server:
        self.redis_pid = int(self.hear("ready").split()[1])
        return self

    def ask(self, port: int | None = None) -> list[str]:
        with socket.create_connection(("127.0.0.1", port or self.port), 10) as connection:
            return connection.makefile().read().split(" ", 3)

    def answering(self) -> set[int]:
        """Return the pids of the workers that answer, out of many connections."""
        found = set()
        for _ in range(60):
            try:
                found.add(int(self.ask()[0]))
            except (OSError, ValueError):  # one that is just ending
                continue
        return found

    def workers(self) -> list[int]:
        return [int(note.name.partition("-")[2]) for note in self.notes.glob("worker-*")]

    def end(self, signum: int = signal.SIGTERM) -> int:
        self.process.send_signal(signum)
        code = self.process.wait(60)
        assert self.process.stdout is not None
        self.lines += self.process.stdout.readlines()
        self.process.stdout.close()
        return code


@pytest.fixture
def serving(tmp_path, free_port) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(**settings: Any) -> Server:
        servers.append(Server(tmp_path, free_port, **settings))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)
        elif server.process.stdout is not None:
            server.process.stdout.close()
        for pid in (*server.workers(), server.redis_pid):
            until(lambda pid=pid: not alive(pid))


def alive(pid: int) -> bool:
    try:
        return pid > 0 and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def test_one_worker_runs_in_the_servers_own_process_with_a_redis_of_its_own(serving):
    server = serving().ready()
    pid, _, port, redis_url = server.ask()
    assert int(pid) == server.process.pid
    assert int(port) == server.port
    assert redis_url == f"unix://{server.folder}/redis/redis.sock"
    assert alive(server.redis_pid)
    assert server.end() == 0
    assert "code 0\n" in server.lines
    assert not alive(server.redis_pid)
    assert user_of(server.folder) is None


def test_ctrl_c_reaches_the_server_only_and_redis_ends_last(serving):
    server = serving().ready()
    os.killpg(server.process.pid, signal.SIGINT)
    server.process.wait(60)
    assert server.end() == 0
    assert not any(line.startswith("said") for line in server.lines)


def test_several_workers_share_a_port_and_a_redis(serving):
    server = serving(workers=3).ready()
    until(lambda: len(server.answering()) == 3)
    assert server.process.pid not in server.answering()
    assert server.ask()[3] == f"unix://{server.folder}/redis/redis.sock"
    assert server.end() == 0
    assert not any(alive(pid) for pid in server.workers())
    assert len(list(server.notes.glob("drained-*"))) == 3
    assert not alive(server.redis_pid)


def test_each_worker_has_a_port_behind_a_balancer(serving):
    server = serving(workers=2, port_per_worker="yes", redis_url="redis://:p%40ss@10.0.0.5/1").ready()
    first, second = server.ask(), server.ask(server.port + 1)
    assert first[0] != second[0]
    assert [first[2], second[2]] == [str(server.port), str(server.port + 1)]
    assert first[3] == "redis://:p%40ss@10.0.0.5/1", "its own Redis is not started, and the password arrives"
    assert not server.folder.exists()
    assert server.end() == 0


def test_a_killed_worker_is_started_again(serving):
    server = serving(workers=2).ready()
    until(lambda: len(server.answering()) == 2)
    before = server.answering()
    victim = before.pop()
    os.kill(victim, signal.SIGKILL)
    assert "SIGKILL" in server.hear("said")
    until(lambda: len(server.answering() - {victim}) == 2)
    assert before <= server.answering(), "the other one went on"
    assert server.end() == 0


def test_redis_killed_under_several_workers_is_started_again(serving):
    server = serving(workers=2).ready()
    os.kill(server.redis_pid, signal.SIGKILL)
    server.hear("said Redis ended by itself")
    server.hear("said Redis answers again")
    assert server.end() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_outlives_a_killed_server(serving, workers):
    server = serving(workers=workers).ready()
    assert alive(server.redis_pid)
    server.end(signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in (*server.workers(), server.redis_pid)))
    again = serving(workers=workers).ready()
    assert again.end() == 0


def test_a_worker_that_does_not_end_is_killed_in_the_end(serving):
    server = serving(workers=2, drain_s=0.1).ready()
    (server.notes / "stubborn").touch()
    server.end()
    assert "code 1\n" in server.lines
    assert not any(alive(pid) for pid in server.workers())


def test_a_second_signal_does_not_wait_for_the_drain(serving):
    server = serving(workers=2, drain_s=600).ready()
    (server.notes / "stubborn").touch()
    server.process.terminate()
    time.sleep(0.3)
    assert server.process.poll() is None
    server.end(signal.SIGINT)
    assert "code 1\n" in server.lines
    assert not any(alive(pid) for pid in server.workers())


def test_workers_that_never_start_end_the_server_instead_of_trying_for_ever(serving):
    server = serving(workers=2)
    (server.notes / "broken").touch()
    server.hear("code 1")
    server.process.wait(60)
    assert any("cannot be started" in line for line in server.lines)
    assert "the worker is broken" in (server.notes / "stderr").read_text()


def test_a_port_in_use_is_found_before_anything_is_started(serving, free_port):
    for reuse in (False, True):
        with socket.socket() as other:
            if reuse:
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            other.bind(("127.0.0.1", free_port))
            other.listen()
            with pytest.raises(PortInUse) as caught:
                check_port("127.0.0.1", free_port)
            assert str(free_port) in str(caught.value)
            assert "--port" in str(caught.value)
    check_port("127.0.0.1", free_port)


def test_a_port_whose_last_connections_have_just_ended_is_free(free_port):
    with socket.create_server(("127.0.0.1", free_port)) as listener:
        client = socket.create_connection(("127.0.0.1", free_port))
        accepted, _ = listener.accept()
        accepted.close()  # the server closes first, so its side waits
        client.close()
    check_port("127.0.0.1", free_port)


def test_an_address_of_another_machine_is_refused_with_a_sentence(free_port):
    with pytest.raises(ListenError, match="Choose an address of this machine"):
        check_port("192.0.2.1", free_port)
    with pytest.raises(ListenError, match="Choose an address of this machine"):
        check_port("no.such.host.invalid", free_port)


def test_a_name_with_an_address_of_a_family_that_is_off_can_be_listened_on(free_port, monkeypatch):
    here = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", free_port))
    elsewhere = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("192.0.2.1", free_port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: [elsewhere, here])
    check_port("localhost", free_port)
    with socket.create_server(("127.0.0.1", free_port)), pytest.raises(PortInUse):
        check_port("localhost", free_port)


def test_worker_ids_are_never_the_same():
    assert len({new_worker_id() for _ in range(100)}) > 90
    assert str(os.getpid()) in new_worker_id()
