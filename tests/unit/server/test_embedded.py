"""The embedded Redis, with real servers that are really killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from dchat_server.data_folder import DataFolder, DataFolderError, FolderInUse, user_of
from dchat_server.embedded import NO_SERVER, EmbeddedError, EmbeddedRedis, url_of
from dchat_server.lifeline import Watchdog
from dchat_server.redis_binary import RedisBinary, carried_binary, describe, find_binaries

BINARIES = list(find_binaries())
each_server = pytest.mark.parametrize("binary", BINARIES, ids=lambda binary: binary.name)

# A server process that owns an embedded Redis and does nothing else. It prints the address and Redis's pid.
OWNER = """
import sys, time
from pathlib import Path
from dchat_server.embedded import EmbeddedRedis
from dchat_server.redis_binary import describe
owned = EmbeddedRedis(Path(sys.argv[1]), ack=sys.argv[2], binaries=lambda: [describe(sys.argv[3])])
with owned:
    print(owned.url, owned.pid, flush=True)
    time.sleep(3600)
"""


class Owner:
    """A running server process with its Redis."""

    def __init__(self, folder: Path, binary: RedisBinary, ack: str = "fsync") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(folder), ack, binary.path], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.url, pid = self.process.stdout.readline().split()
        self.redis_pid = int(pid)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def own() -> Iterator[Callable[..., Owner]]:
    owners: list[Owner] = []

    def start(folder: Path, binary: RedisBinary, ack: str = "fsync") -> Owner:
        owners.append(Owner(folder, binary, ack))
        return owners[-1]

    yield start
    for owner in owners:
        if owner.process.poll() is None:
            owner.kill()
        until(lambda pid=owner.redis_pid: not alive(pid))


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def until(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


@pytest.fixture
def client() -> Iterator[Callable[[str], redis.Redis]]:
    clients: list[redis.Redis] = []

    def connect(url: str) -> redis.Redis:
        clients.append(redis.Redis.from_url(url, retry=None))
        return clients[-1]

    yield connect
    for each in clients:
        each.close()


def test_this_machine_has_a_server_to_test_with():
    assert BINARIES
    assert carried_binary() is not None


@each_server
@pytest.mark.parametrize(("ack", "fsync"), [("fsync", "always"), ("memory", "everysec")])
def test_it_is_durable_as_asked_and_private(tmp_path, client, binary, ack, fsync):
    folder = tmp_path / "data"
    with EmbeddedRedis(folder, ack=ack, binaries=lambda: [binary]) as embedded:
        connection = client(embedded.url)
        settings = connection.config_get("*")
        assert settings["appendonly"] == "yes"
        assert settings["appendfsync"] == fsync
        assert settings["save"] == ""
        assert settings["maxmemory-policy"] == "noeviction"
        assert settings["port"] == "0"
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "redis").stat().st_mode & 0o077 == 0
        assert (folder / "redis" / "redis.sock").stat().st_mode & 0o077 == 0
        assert os.getpgid(embedded.pid) != os.getpgid(0), "Ctrl-C in the terminal must not reach Redis"
        pid = embedded.pid
    assert not alive(pid)
    assert user_of(folder) is None


def test_redis_does_not_inherit_our_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("DCHAT_REDIS_URL", "redis://:hunter2@elsewhere")
    with EmbeddedRedis(tmp_path) as embedded:
        assert b"hunter2" not in Path(f"/proc/{embedded.pid}/environ").read_bytes()


def test_a_folder_that_others_made_and_may_read_keeps_its_mode_and_still_hides_the_data(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "redis").mkdir(mode=0o777)
    with EmbeddedRedis(tmp_path):
        assert tmp_path.stat().st_mode & 0o777 == 0o755
        assert (tmp_path / "redis").stat().st_mode & 0o777 == 0o700


@each_server
@pytest.mark.parametrize("who", ["server", "redis", "both"])
def test_every_acknowledged_write_is_there_after_a_kill(tmp_path, client, own, binary, who):
    """`appendfsync always`: an answer means it is on disk, at whatever moment the processes are killed."""
    acknowledged: list[int] = []
    for round_number in range(3):
        owner = own(tmp_path, binary)
        connection = client(owner.url)
        stored = [int(fields[b"n"]) for _, fields in connection.xrange("log")]
        lost = set(acknowledged) - set(stored)
        assert not lost
        assert stored == sorted(set(stored))
        begun = len(acknowledged)
        killed = False
        for n in range(10_000 * round_number, 10_000 * round_number + 10_000):
            try:
                with connection.pipeline(transaction=False) as pipe:
                    pipe.xadd("log", {"n": n, "padding": "x" * 500})
                    pipe.incr("count")
                    pipe.execute()
            except redis.RedisError:
                break
            acknowledged.append(n)
            if len(acknowledged) - begun >= 200 and not killed:
                killed = True
                if who in ("redis", "both"):
                    os.kill(owner.redis_pid, signal.SIGKILL)
                if who in ("server", "both"):
                    owner.process.kill()
        assert killed
        owner.kill()
    owner = own(tmp_path, binary)
    stored = [int(fields[b"n"]) for _, fields in client(owner.url).xrange("log")]
    assert set(acknowledged) <= set(stored)


@each_server
def test_without_fsync_a_kill_takes_a_tail_at_most(tmp_path, client, own, binary):
    """`everysec` promises less: what is lost is the newest, never something in the middle."""
    owner = own(tmp_path, binary, "memory")
    connection = client(owner.url)
    for n in range(500):
        connection.xadd("log", {"n": n})
    os.kill(owner.redis_pid, signal.SIGKILL)
    owner.kill()
    again = own(tmp_path, binary, "memory")
    stored = [int(fields[b"n"]) for _, fields in client(again.url).xrange("log")]
    assert stored == list(range(len(stored)))


@each_server
def test_redis_ends_when_its_server_is_killed(tmp_path, own, binary):
    owner = own(tmp_path, binary)
    assert alive(owner.redis_pid)
    owner.kill()
    until(lambda: not alive(owner.redis_pid))


@each_server
def test_redis_that_dies_alone_is_started_again_on_the_same_socket(tmp_path, client, binary):
    said: list[str] = []
    with EmbeddedRedis(tmp_path, binaries=lambda: [binary], say=said.append) as embedded:
        url, connection = embedded.url, client(embedded.url)
        for n in range(1, 4):
            assert connection.incr("n") == n
            dead = embedded.pid
            os.kill(dead, signal.SIGKILL)
            until(lambda dead=dead: embedded.pid not in (0, dead) and answers(connection))
        assert connection.incr("n") == 4
        assert embedded.url == url
        until(lambda: any("answers again" in sentence for sentence in said))
    assert "killed by SIGKILL" in said[0]


def answers(connection: redis.Redis) -> bool:
    try:
        return bool(connection.ping())
    except redis.RedisError:
        return False


def test_stopping_while_redis_is_being_started_again_leaves_nothing_behind(tmp_path):
    for _ in range(5):
        embedded = EmbeddedRedis(tmp_path)
        with embedded:
            os.kill(embedded.pid, signal.SIGKILL)
        assert embedded.pid == 0
        assert user_of(tmp_path) is None


def test_a_redis_that_ignores_the_request_to_end_is_killed(tmp_path):
    embedded = EmbeddedRedis(tmp_path)
    with embedded:
        pid = embedded.pid
        os.kill(pid, signal.SIGSTOP)
        embedded.stop(timeout_s=0.2)
        assert not alive(pid)


def test_a_second_start_on_the_folder_says_who_uses_it(tmp_path):
    with EmbeddedRedis(tmp_path) as embedded:
        with pytest.raises(FolderInUse) as caught:
            DataFolder(tmp_path, wait_s=0.1)
        assert caught.value.pid == os.getpid()
        assert f"kill {os.getpid()}" in str(caught.value)
        assert str(tmp_path) in str(caught.value)
        assert isinstance(user_of(tmp_path), FolderInUse)
        assert embedded.pid
    DataFolder(tmp_path, wait_s=0.1).close()


# A server that is gone at once and leaves a child behind which has the lock, as Redis would.
LEAVER = """
import subprocess, sys
from pathlib import Path
from dchat_server.data_folder import DataFolder
folder = DataFolder(Path(sys.argv[1]))
child = subprocess.Popen(["sleep", "3600"], pass_fds=[folder.lock_fd], stdout=-3, stderr=-3)
folder.note(child.pid)
print(child.pid, flush=True)
"""


def test_a_child_left_behind_still_holds_the_folder_until_it_ends(tmp_path):
    left = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LEAVER, str(tmp_path)], capture_output=True, text=True, check=True
    )
    pid = int(left.stdout)
    with pytest.raises(FolderInUse) as caught:
        DataFolder(tmp_path, wait_s=0.1)
    assert caught.value.pid == pid
    assert f"kill {pid}" in str(caught.value)
    ending = threading.Timer(0.5, os.kill, (pid, signal.SIGTERM))
    ending.start()
    with EmbeddedRedis(tmp_path) as embedded:  # it waits for that
        assert embedded.pid
    ending.join()


@pytest.mark.parametrize("name", ["with space", "quo'te\"s", "per%20cent#?&", "世界", "back\\slash"])
def test_any_folder_name_will_do(tmp_path, client, name):
    with EmbeddedRedis(tmp_path / name) as embedded:
        assert client(embedded.url).ping()
        assert (tmp_path / name / "redis" / "appendonlydir").is_dir()


def test_a_folder_with_a_path_too_long_for_a_socket_gets_a_short_one(tmp_path, client, own):
    folder = tmp_path / ("long" * 20) / ("longer" * 20)
    with EmbeddedRedis(folder) as embedded:
        assert client(embedded.url).set("here", 1)
        short = Path(embedded.url.removeprefix("unix://")).parent
        assert short.stat().st_mode & 0o777 == 0o700
    assert not short.exists()
    owner = own(folder, BINARIES[0])
    left = Path(owner.url.removeprefix("unix://")).parent
    owner.kill()
    with EmbeddedRedis(folder) as embedded:
        assert client(embedded.url).get("here") == b"1"
        assert not left.exists(), "what a killed server left in /tmp is cleared away"


@pytest.mark.skipif(len(BINARIES) < 2, reason="needs Redis on PATH beside the carried Valkey")
def test_a_folder_written_by_a_newer_server_is_opened_by_it(tmp_path, client):
    older, newer = BINARIES
    with EmbeddedRedis(tmp_path, binaries=lambda: [newer]) as embedded:
        client(embedded.url).set("kept", 1)
    with EmbeddedRedis(tmp_path, binaries=lambda: [older, newer]) as embedded:
        assert embedded.binary == newer
        assert client(embedded.url).get("kept") == b"1"
    # Also when the folder does not say who wrote it.
    (tmp_path / "redis" / "written-by").unlink()
    with EmbeddedRedis(tmp_path, binaries=lambda: [older, newer]) as embedded:
        assert client(embedded.url).get("kept") == b"1"


@each_server
def test_a_write_cut_short_by_a_loss_of_power_costs_nothing_else(tmp_path, client, binary):
    with EmbeddedRedis(tmp_path, binaries=lambda: [binary]) as embedded:
        client(embedded.url).set("kept", 1)
    (log,) = (tmp_path / "redis" / "appendonlydir").glob("*.incr.aof")
    with log.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nke")
    with EmbeddedRedis(tmp_path, binaries=lambda: [binary]) as embedded:
        assert client(embedded.url).get("kept") == b"1"


def test_a_machine_without_a_server_is_told_what_to_install(tmp_path):
    with pytest.raises(EmbeddedError) as caught, EmbeddedRedis(tmp_path, binaries=list):
        pass
    assert str(caught.value) == NO_SERVER
    assert user_of(tmp_path) is None


def test_a_server_that_does_not_start_is_quoted(tmp_path):
    broken = program(tmp_path / "redis-server", "echo '1:M 1 Jan # Fatal: the moon is full'; exit 1")
    binary = RedisBinary(broken, "Redis", (7, 0))
    with pytest.raises(EmbeddedError, match="the moon is full") as caught:
        EmbeddedRedis(tmp_path / "data", binaries=lambda: [binary]).__enter__()
    assert str(tmp_path / "data" / "redis.log") in str(caught.value)


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderError, match="--data-dir"):
        EmbeddedRedis(tmp_path / "file" / "data").start()


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("answer", "flavour", "version"),
    [
        ("Redis server v=8.2.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "Redis", (8, 2, 1)),
        ("Valkey server v=8.0.0 sha=0", "Valkey", (8, 0, 0)),
        ("Server v=9.0.0 sha=0", "Redis", (9, 0, 0)),
    ],
)
def test_servers_say_what_they_are(tmp_path, answer, flavour, version):
    found = describe(program(tmp_path / "s", f"echo '{answer}'"))
    assert found is not None
    assert (found.flavour, found.version) == (flavour, version)


def test_what_is_no_server_is_not_taken_for_one(tmp_path):
    assert describe(program(tmp_path / "s", "echo 'KeyDB server v=6.3.4'")) is None
    assert describe(program(tmp_path / "t", "exit 3")) is None
    assert describe(str(tmp_path / "missing")) is None


def test_path_comes_first_and_old_servers_are_passed_over(tmp_path):
    program(tmp_path / "redis-server", "echo 'Redis server v=6.2.14 sha=0'")
    program(tmp_path / "valkey-server", "echo 'Valkey server v=8.0.1 sha=0'")
    names = [each.name for each in find_binaries(str(tmp_path))]
    assert names[0] == "Valkey 8.0.1"
    assert len(names) == 2, "then the carried one"


WATCHED = """
import subprocess, sys, time
from dchat_server.lifeline import Watchdog
child = subprocess.Popen(["sleep", "3600"], start_new_session=True)
dog = Watchdog(child.pid, needed=True)
print(child.pid, flush=True)
time.sleep(3600)
"""


def test_where_the_kernel_cannot_a_watchdog_ends_the_child():
    owner = subprocess.Popen([sys.executable, "-c", WATCHED], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    assert alive(pid)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    until(lambda: not alive(pid))


def test_a_watchdog_that_is_let_go_harms_nobody():
    child = subprocess.Popen(["sleep", "3600"])
    Watchdog(child.pid, needed=True).close()
    time.sleep(0.2)
    assert child.poll() is None
    child.kill()
    child.wait()


def test_whoever_names_the_folder_finds_the_redis_that_serves_it_now(tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / ("long" * 30)):
        with EmbeddedRedis(folder) as redis:
            assert url_of(folder) == redis.url
        with pytest.raises(EmbeddedError, match="No D-Chat server runs"):
            url_of(folder)
