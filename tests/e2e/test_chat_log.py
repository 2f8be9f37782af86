"""The main job: a chat log of several people goes in through `dchat send --stream`, and comes back the same."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.data.chatlog import SPEAKERS, chat_log, of_each
from tests.harness.home import DCHAT, Home
from tests.harness.people import new_name
from tests.harness.processes import ROOT, until
from tests.harness.workers import Workers


class Tail:
    """A `dchat tail --json` that writes to a file."""

    def __init__(self, home: Home, room: str, name: str, *flags: str) -> None:
        self._home, self._room, self._name, self._flags = home, room, name, flags
        self.path = home.folder / f"{name}.out"
        self.errors = home.folder / f"{name}.err"
        self.start(*flags)

    def start(self, *flags: str) -> None:
        with self.path.open("ab") as out, self.errors.open("ab") as errors:
            command = [*DCHAT, "tail", self._room, "--json", *flags]
            self.process = subprocess.Popen(command, stdout=out, stderr=errors, env=self._home.env, cwd=ROOT)

    def end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(60)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The complete lines so far."""
        raw = self.path.read_bytes()
        return [json.loads(line) for line in raw[: raw.rfind(b"\n") + 1].split(b"\n") if line]

    @property
    def connected(self) -> bool:
        assert self.process.poll() is None, self.errors.read_text()
        return "onnected" in self.errors.read_text()


@pytest.fixture
def tails() -> Iterator[list[Tail]]:
    found: list[Tail] = []
    yield found
    for tail in found:
        if tail.process.poll() is None:
            tail.end(signal.SIGKILL)


def said(events: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    """(seq, sender, text) of the messages."""
    return [
        (event["seq"], event["sender"], event["text"]) for event in events if event.get("type", "message") == "message"
    ]


def test_a_chat_log_of_several_people_comes_back_identical_while_a_worker_is_killed(
    workers: Workers, tmp_path: Path, tails: list[Tail]
) -> None:
    log = of_each(chat_log(4000))
    urls = workers.urls
    # Everybody knows all workers and begins with another one.
    homes = {name: Home(tmp_path / name, name, urls[at % 3 :] + urls[: at % 3]) for at, name in enumerate(SPEAKERS)}
    room = new_name("log")
    first, *others = homes.values()
    first.dchat("create", room)
    for home in others:
        home.dchat("join", room)
    steady = Tail(homes["bao"], room, "steady", "-n", "0")
    leaving = Tail(homes["chiara"], room, "leaving", "-n", "0")
    dying = Tail(homes["farid"], room, "dying", "-n", "0")
    tails += [steady, leaving, dying]
    for tail in tails:
        until(lambda tail=tail: tail.connected, "the tail is connected")
    began = time.monotonic()
    sending = {name: homes[name].send(room, log[name]) for name in SPEAKERS}
    try:
        for number, how in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGINT)):
            until(lambda number=number: len(leaving.lines) > 300 * (number + 1), "the tails have something")
            leaving.end(how)
            dying.end(signal.SIGKILL)
            if number == 1:
                workers[1].kill()
            leaving.start()
            dying.start()
        for name, process in sending.items():
            assert process.wait(200) == 0, (homes[name].folder / "send.err").read_text()
    finally:
        for process in sending.values():
            if process.poll() is None:
                process.kill()
                process.wait()
    took = time.monotonic() - began
    history = said([json.loads(line) for line in first.dchat("history", room, "--all", "--json").split(b"\n") if line])
    total = sum(map(len, log.values()))
    assert len(history) == total
    for tail in tails:
        until(lambda tail=tail: tail.lines and tail.lines[-1]["seq"] >= history[-1][0], "the tail has the last message")
        tail.end(signal.SIGINT)
    names = {home.account: name for name, home in homes.items()}
    for name, lines in log.items():
        assert [text for _, who, text in history if names[who] == name] == lines, f"{name}'s lines"
    assert said(steady.lines) == history, "a tail that was never stopped"
    assert said(leaving.lines) == history, "a tail that was stopped and went on, without hole or repeat"
    # One that is killed outright may write again what it had no time to note, and misses nothing.
    seen = said(dying.lines)
    assert list(dict.fromkeys(seen)) == history
    print(f"{total} lines by {len(log)} people in {took:.1f} s; the killed tail wrote {len(seen) - total} lines again")


def test_pages_tail_and_history_of_every_trap_agree_to_the_byte(
    workers: Workers, tmp_path: Path, tails: list[Tail]
) -> None:
    from tests.data.chatlog import TRAPS

    home = Home(tmp_path / "ada", "ada", workers.urls)
    room = new_name("traps")
    home.dchat("create", room)
    tails.append(Tail(home, room, "tail", "--from-start"))
    until(lambda: tails[0].connected, "the tail is connected")
    process = home.send(room, list(TRAPS))
    assert process.wait(120) == 0, (home.folder / "send.err").read_text()
    pages = [json.loads(line) for line in home.dchat("history", room, "--all", "--json").split(b"\n") if line]
    assert [message["text"] for message in pages] == list(TRAPS)
    until(lambda: len(said(tails[0].lines)) == len(TRAPS), "the tail has all of it")
    assert [text for _, _, text in said(tails[0].lines)] == list(TRAPS)
    # As text, for eyes: a line a message, and nothing in it that acts on a terminal.
    shown = home.dchat("history", room, "--all").decode()
    acting = {character for character in shown if character < " " or "\x7f" <= character <= "\x9f"} - {"\n"}
    assert acting == set()
    assert not any(mark in shown for mark in "\u202e\u2067\u2028\u2029\u200b\ufeff")
    assert len(shown.splitlines()) == len(TRAPS)


def test_what_a_stopped_send_left_over_is_sent_by_repeating_it(workers: Workers, tmp_path: Path) -> None:
    """`send --stream` killed in the middle and run again with the same key: every line once, in order."""
    home = Home(tmp_path / "ada", "ada", workers.urls)
    room = new_name("again")
    home.dchat("create", room)
    lines = [f"line {number} " + "ö" * 900 for number in range(3000)]
    source = tmp_path / "lines.txt"
    source.write_text("".join(line + "\n" for line in lines))
    command = [*DCHAT, "send", room, "--stream", "--key", "the-key"]
    for attempt in range(4):
        with source.open("rb") as file:
            process = subprocess.Popen(command, stdin=file, stderr=subprocess.DEVNULL, env=home.env, cwd=ROOT)
        if attempt == 3:
            assert process.wait(120) == 0
            break
        before = _count(home, room)
        until(
            lambda before=before, process=process: _count(home, room) > before or process.poll() is not None,
            "some arrive",
        )
        process.kill()
        process.wait()
        if attempt == 1:
            workers[0].restart()
    pages = [json.loads(line) for line in home.dchat("history", room, "--all", "--json").split(b"\n") if line]
    assert [message["text"] for message in pages] == lines


def _count(home: Home, room: str) -> int:
    rooms = [json.loads(line) for line in home.dchat("rooms", "--json").split(b"\n") if line]
    return int(next(each["head"] for each in rooms if each["room"] == room))
