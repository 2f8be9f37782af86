"""`dchat-server` with nothing configured, as a person starts it: killed outright, it has kept what it acknowledged."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SENDERS = 4


class DChatServer:
    """A `dchat-server` process with a Redis of its own."""

    def __init__(self, port: int, folder: Path, *flags: str) -> None:
        self.port, self.folder = port, folder
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DCHAT_")}
        command = [sys.executable, "-m", "dchat_server", "--port", str(port), "--data-dir", str(folder), *flags]
        self.log = folder.with_suffix(".log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stderr=log, env=environment)
        until(lambda: self.call("GET", "/readyz")[0] == 200)

    @property
    def redis_pid(self) -> int:
        return int((self.folder / "lock").read_text().split()[1])

    def call(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        """Return status and answer; (0, None) when there was none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text.startswith(b"{") else text
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()

    def messages(self, room: str, token: str) -> list[dict[str, Any]]:
        """Return all messages of a room."""
        found: list[dict[str, Any]] = []
        after = 0
        while True:
            status, page = self.call("GET", f"/v1/rooms/{room}/messages?after={after}&limit=200", token=token)
            assert status == 200, page
            found += page["messages"]
            if not page["has_more"]:
                return found
            after = page["messages"][-1]["seq"]

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@pytest.fixture
def serving(tmp_path, free_port) -> Iterator[Callable[..., DChatServer]]:
    servers: list[DChatServer] = []

    def start(*flags: str) -> DChatServer:
        servers.append(DChatServer(free_port, tmp_path / "data", *flags))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            assert server.end() == 0
        assert "Traceback" not in server.log.read_text()


def until(holds: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def a_room(server: DChatServer) -> str:
    """Return the token of a new user who has made the room `lobby`."""
    status, account = server.call("POST", "/v1/register", {"username": "ada", "password": "correct horse battery"})
    assert status == 201, account
    token: str = account["token"]
    status, answer = server.call("POST", "/v1/rooms", {"room": "lobby", "kind": "public"}, token)
    assert status == 201, answer
    return token


class Sending:
    """Senders at work. Each sends its next message only when the last was acknowledged, until told to stop.

    A message without an answer is sent again under the same `client_id`, as every client does.
    """

    def __init__(self, server: DChatServer, token: str, name: str) -> None:
        self.server, self.token, self.name = server, token, name
        self.acknowledged: dict[str, dict[str, Any]] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def _send(self, number: int) -> None:
        for count in range(100_000):
            text = f"{self.name} {number} {count}"
            while True:
                if self._stop.is_set():
                    return
                message = {"text": text, "client_id": text.replace(" ", "-")}
                status, answer = self.server.call("POST", "/v1/rooms/lobby/messages", message, self.token)
                if status in (200, 201):
                    self.acknowledged[text] = answer["message"]
                    break
                assert status in (0, 503), answer
                time.sleep(0.05)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def until_acknowledged(self, many: int) -> None:
        until(lambda: len(self.acknowledged) >= many)


def check_history(server: DChatServer, token: str, acknowledged: dict[str, dict[str, Any]]) -> None:
    """Every acknowledged message is there once, where it was said to be, and a sender's own order holds."""
    messages = server.messages("lobby", token)
    texts = [message["text"] for message in messages]
    assert len(texts) == len(set(texts)), "none is there twice"
    lost = [text for text in acknowledged if text not in set(texts)]
    assert not lost
    places = {message["text"]: message["seq"] for message in messages}
    assert {text: answer["seq"] for text, answer in acknowledged.items()} == {
        text: places[text] for text in acknowledged
    }
    assert [message["seq"] for message in messages] == sorted(places.values())
    own: dict[str, int] = {}
    for text in texts:
        sender, _, count = text.rpartition(" ")
        assert int(count) == own.get(sender, -1) + 1
        own[sender] = int(count)
    status, room = server.call("GET", "/v1/rooms/lobby", token=token)
    assert status == 200
    assert room["room"]["head"] == len(messages) + 2, "dense: the room's creation and the first join come before"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_server_has_kept_every_message_it_acknowledged(serving, workers):
    flags = ("--workers", workers, "--rate-messages", "0")
    server = serving(*flags)
    token = a_room(server)
    acknowledged: dict[str, dict[str, Any]] = {}
    for round_number in range(3):
        sending = Sending(server, token, f"round{round_number}")
        sending.until_acknowledged(150)
        os.kill(server.redis_pid, signal.SIGKILL)
        server.process.kill()
        server.process.wait()
        sending.stop()
        acknowledged |= sending.acknowledged
        server = serving(*flags)
        check_history(server, token, acknowledged)


def test_a_server_whose_redis_is_killed_goes_on_by_itself(serving):
    server = serving("--rate-messages", "0")
    token = a_room(server)
    sending = Sending(server, token, "sender")
    for round_number in range(1, 4):
        sending.until_acknowledged(100 * round_number)
        os.kill(server.redis_pid, signal.SIGKILL)
        before = len(sending.acknowledged)
        sending.until_acknowledged(before + 50)
    sending.stop()
    check_history(server, token, sending.acknowledged)
    assert server.process.poll() is None


def test_a_second_server_on_the_folder_says_who_has_it(serving, free_port):
    server = serving()
    command = [sys.executable, "-m", "dchat_server", "--port", str(free_port), "--data-dir", str(server.folder)]
    same_port = subprocess.run(command, capture_output=True, text=True, check=False)
    assert same_port.returncode == 1
    assert f"Port {free_port}" in same_port.stderr
    command[command.index(str(free_port))] = str(free_port + 1 if free_port < 65535 else free_port - 1)
    same_folder = subprocess.run(command, capture_output=True, text=True, check=False)
    assert same_folder.returncode == 1
    assert f"process {server.process.pid}" in same_folder.stderr
    assert server.call("GET", "/readyz")[0] == 200
