"""dchat tail, as a process of its own, because it ends only when it is ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer

pytestmark = pytest.mark.usefixtures("dchat")


class Tail:
    """A running `dchat tail`; its outputs are collected as they come."""

    def __init__(self, *args: str) -> None:
        command = [sys.executable, "-m", "dchat_client", "tail", *args]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.out: list[str] = []
        self.err: list[str] = []
        self._threads = [
            threading.Thread(target=self._collect, args=(stream, kept))
            for stream, kept in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    def _collect(self, stream: Iterator[str], kept: list[str]) -> None:
        for line in stream:
            kept.append(line.rstrip("\n"))

    def until(self, met: Callable[[], object]) -> None:
        """Wait until something holds, at most 20 s."""
        give_up_at = time.monotonic() + 20
        while not met():
            assert time.monotonic() < give_up_at, (self.out, self.err, self.process.poll())
            time.sleep(0.01)

    def said(self, words: str) -> bool:
        return any(words in line for line in self.err)

    def texts(self) -> list[str]:
        return [json.loads(line)["text"] for line in self.out]

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.ended()

    def ended(self) -> int:
        code = self.process.wait(20)
        for thread in self._threads:
            thread.join(20)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code


Start = Callable[..., Tail]


@pytest.fixture
def tail() -> Iterator[Start]:
    running: list[Tail] = []

    def start(*args: str) -> Tail:
        running.append(Tail(*args))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.stop(signal.SIGKILL)


def kept(home: Path) -> dict[str, list[int]]:
    """The positions that are stored; {} before there are any."""
    files = [path for path in (home / "state").rglob("*.json") if not path.name.startswith(".")]
    positions: dict[str, list[int]] = json.loads(files[0].read_text())["bookmark"]["positions"] if files else {}
    return positions


def live(one: Tail) -> Tail:
    one.until(lambda: one.said("Connected"))
    return one


def test_it_begins_with_the_last_messages_and_goes_on_live(server: FakeServer, tail: Start) -> None:
    for number in range(20):
        server.say("lobby", f"old{number}")
    one = live(tail("lobby", "--json", "-n", "3"))
    server.say("lobby", "new")
    one.until(lambda: len(one.out) == 4)
    assert one.texts() == ["old17", "old18", "old19", "new"]
    assert all(json.loads(line)["type"] == "message" for line in one.out)
    assert one.stop() == 130
    assert not any("Traceback" in line for line in one.err)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_restart_goes_on_without_hole_or_repeat(
    server: FakeServer, tail: Start, home: Path, how: signal.Signals
) -> None:
    server.say("lobby", "1")
    one = live(tail("lobby", "--json"))
    server.say("lobby", "2")
    # The place is stored right after the output; being killed exactly between the two would repeat a line.
    one.until(lambda: kept(home) == {"lobby": [1, 2]})
    one.stop(how)
    server.say("lobby", "3")
    two = live(tail("lobby", "--json"))
    server.say("lobby", "4")
    two.until(lambda: len(two.out) == 2)
    assert one.texts() + two.texts() == ["1", "2", "3", "4"]
    assert two.said("Going on where it stopped")


def test_a_lost_connection_is_shown_and_nothing_is_lost_by_it(server: FakeServer, tail: Start) -> None:
    one = live(tail("lobby", "--json"))
    server.faults.streams.extend(["busy"])
    server.cut()
    one.until(lambda: one.said("Connection lost"))
    server.say("lobby", "meanwhile")
    one.until(lambda: one.said("Connected again"))
    server.say("lobby", "after")
    one.until(lambda: len(one.out) == 2)
    assert one.texts() == ["meanwhile", "after"]


def test_a_planned_reconnect_loses_nothing(server: FakeServer, tail: Start) -> None:
    server.faults.streams.append("away")
    one = tail("lobby", "--json")
    one.until(lambda: one.said("asked to reconnect"))
    server.say("lobby", "x")
    one.until(lambda: one.out)
    assert one.texts() == ["x"]


def test_a_hole_is_filled_from_pages_in_order_and_told(server: FakeServer, tail: Start) -> None:
    server.faults.hidden.update({("lobby", 2), ("lobby", 3)})
    one = live(tail("lobby", "--json"))
    for number in range(1, 6):
        server.say("lobby", str(number))
    one.until(lambda: len(one.out) == 5)
    assert one.texts() == ["1", "2", "3", "4", "5"]
    assert one.said("lobby 2–3 did not come over the stream; 2 messages")


def test_a_forgotten_cursor_is_made_up_for_from_pages_without_a_repeat(server: FakeServer, tail: Start) -> None:
    one = live(tail("lobby", "--json"))
    for number in range(1, 4):
        server.say("lobby", str(number))
    one.until(lambda: len(one.out) == 3)
    server.faults.streams.extend(["busy", "forget"])
    server.faults.pages.append("busy")
    server.cut()
    one.until(lambda: one.said("Connection lost"))
    for number in range(4, 7):
        server.say("lobby", str(number))
    one.until(lambda: len(one.out) == 6)
    server.say("lobby", "7")
    one.until(lambda: len(one.out) == 7)
    assert one.texts() == [str(number) for number in range(1, 8)]


def test_a_gap_that_cannot_be_fetched_is_said(server: FakeServer, tail: Start) -> None:
    server.faults.hidden.add(("lobby", 2))
    one = live(tail("lobby", "--json"))
    server.faults.pages.append("refuse")
    for number in range(1, 4):
        server.say("lobby", str(number))
    one.until(lambda: len(one.out) == 2)
    assert one.said("lobby 2–2 did not come and cannot be fetched")


def test_without_a_room_all_of_ones_rooms_are_followed_and_named(server: FakeServer, tail: Start) -> None:
    server.room("den", "ada")
    server.room("else", "bob")
    one = live(tail())
    server.say("den", "here")
    server.say("else", "there")
    server.say("lobby", "and here")
    one.until(lambda: len(one.out) == 2)
    assert one.out[0].endswith(" den bob: here")
    assert one.out[1].endswith(" lobby bob: and here")


def test_from_start_shows_everything_once(server: FakeServer, tail: Start) -> None:
    for number in range(250):
        server.say("lobby", str(number))
    server.say("lobby", "", type="member", user="eve", action="join")
    one = live(tail("lobby", "--json", "--from-start"))
    server.say("lobby", "250")
    one.until(lambda: len(one.out) == 251)
    assert one.texts() == [str(number) for number in range(251)]
    assert not one.said("Gap")


def test_catching_up_that_was_killed_goes_on_where_it_was(server: FakeServer, tail: Start, home: Path) -> None:
    for number in range(450):
        server.say("lobby", str(number))
    server.faults.pages.extend(["", "", "busy", "busy", "busy", "busy", "busy", "busy", "busy", "busy"])
    one = tail("lobby", "--json", "--from-start")
    one.until(lambda: kept(home) == {"lobby": [1, 200]})
    one.stop(signal.SIGKILL)
    server.faults.pages.clear()
    two = tail("lobby", "--json")
    two.until(lambda: len(one.out) + len(two.out) == 450)
    assert one.texts() + two.texts() == [str(number) for number in range(450)]


def test_since_is_asked_of_the_server(server: FakeServer, tail: Start) -> None:
    server.say("lobby", "old")
    one = tail("lobby", "--json", "--since", "10m")
    one.until(lambda: one.out)
    assert one.texts() == ["old"]
    assert server.attached[0] == {"cursor": None, "since": "10m", "rooms": "lobby"}


def test_exec_gets_the_message_on_standard_input_and_nothing_of_it_on_a_command_line(
    server: FakeServer, tail: Start, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    one = live(tail("lobby", "--exec", f'cat >> {log}; echo "$DCHAT_ROOM $DCHAT_SENDER $DCHAT_SEQ"'))
    server.say("lobby", "$(touch evil); `x` \"'\n\x1b")
    server.say("lobby", "", type="reaction", target=1, emoji="x", action="add")
    server.say("lobby", "second")
    one.until(lambda: len(one.out) == 2)
    assert one.out == ["lobby bob 1", "lobby bob 3"]
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    assert [line["text"] for line in lines] == ["$(touch evil); `x` \"'\n\x1b", "second"]
    assert not Path("evil").exists()


def test_exec_that_fails_stops_and_is_run_again_for_the_same_message(
    server: FakeServer, tail: Start, tmp_path: Path
) -> None:
    command = f'cat > {tmp_path}/last; echo "$DCHAT_SEQ"; test -e {tmp_path}/works'
    live_one = live(tail("lobby", "--exec", command))
    server.say("lobby", "one")
    server.say("lobby", "two")
    assert live_one.ended() == 1
    assert live_one.out == ["1"]
    assert live_one.said("ended with 1 at lobby:1")
    (tmp_path / "works").touch()
    again = tail("lobby", "--exec", command)
    again.until(lambda: len(again.out) == 2)
    assert again.out == ["1", "2"]


def test_two_tails_of_the_same_do_not_take_from_each_other(server: FakeServer, tail: Start) -> None:
    one = live(tail("lobby", "--json"))
    two = live(tail("lobby", "--json"))
    assert two.said("does not keep its place")
    server.say("lobby", "x")
    for each in (one, two):
        each.until(lambda each=each: each.out)
        assert each.texts() == ["x"]


def test_a_cursor_file_is_its_own_place_and_belongs_to_its_rooms(
    server: FakeServer, tail: Start, tmp_path: Path
) -> None:
    server.room("den", "ada")
    path = str(tmp_path / "deep" / "place.json")
    one = live(tail("lobby", "--json", "--cursor-file", path))
    server.say("lobby", "x")
    one.until(lambda: one.out)
    one.stop()
    wrong = tail("den", "--cursor-file", path)
    assert wrong.ended() == 2
    assert wrong.said("keeps the place of another stream")
    Path(path).write_text("{")
    broken = tail("lobby", "--cursor-file", path)
    assert broken.ended() == 2
    assert broken.said("remove it")


def test_it_ends_quietly_as_soon_as_its_reader_is_gone(server: FakeServer, home: Path) -> None:
    server.say("lobby", "x")
    command = f"{sys.executable} -m dchat_client tail lobby 2>err; echo $? > code"
    env = {**os.environ, "PYTHONPATH": os.getcwd()}
    # No message comes after the first: it must notice by itself that nobody reads on.
    shell = subprocess.Popen(["bash", "-c", f"({command}) | head -1"], cwd=home, env=env, start_new_session=True)
    try:
        assert shell.wait(20) == 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
    assert (home / "code").read_text() == "141\n"
    assert "Traceback" not in (home / "err").read_text()


def test_being_signed_out_ends_it_with_4(server: FakeServer, tail: Start) -> None:
    server.faults.streams.append("expire")
    one = tail("lobby")
    assert one.ended() == 4
    assert one.said("the token was revoked")


def test_what_cannot_work_ends_it_at_once(server: FakeServer, tail: Start, dchat: Dchat) -> None:
    assert tail("nope").ended() == 5
    server.faults.streams.append("html")
    assert tail("lobby").ended() == 3
    assert dchat("tail", "lobby", "-n", "3", "--since", "1m").code == 2
    assert dchat("tail", "lobby", "--no-resume", "--cursor-file", "x").code == 2
    assert dchat("tail", "lobby", "--exec", "x", "--json").code == 2
