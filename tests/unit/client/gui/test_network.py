from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dchat_client.errors import Refused
from dchat_client.gui.mailbox import Mailbox
from dchat_client.gui.network import Ended, Letter, Network, Reply
from dchat_client.updates import Queued, Settled, StatusIs, Synced
from tests.harness.processes import until


class Window:
    """The other side: takes letters, in this thread."""

    def __init__(self) -> None:
        self.mailbox: Mailbox[Letter] = Mailbox(100)
        self.network = Network(self.mailbox)
        self.letters: list[Letter] = []

    def take(self) -> list[Letter]:
        for letter in self.mailbox.take(0.05):
            if isinstance(letter, Reply):
                letter.then(letter.value)
            self.letters.append(letter)
        return self.letters

    def wait(self, condition: Callable[[Letter], bool], what: str) -> Letter:
        found = until(lambda: [letter for letter in self.take() if condition(letter)], what)
        letter: Letter = found[0]
        return letter


@pytest.fixture
def window() -> Iterator[Window]:
    window = Window()
    window.network.start()
    yield window
    assert window.network.close(30), "the thread did not end"


def test_a_request_is_answered_in_the_thread_that_asked(window: Window) -> None:
    answers: list[tuple[Any, int]] = []

    async def work() -> int:
        return threading.get_ident()

    window.network.do(work, lambda value: answers.append((value, threading.get_ident())))
    window.wait(lambda letter: isinstance(letter, Reply), "the answer")
    assert answers[0][0] != threading.get_ident()
    assert answers[0][1] == threading.get_ident()


def test_what_went_wrong_is_the_answer(window: Window) -> None:
    answers: list[Any] = []

    async def work() -> int:
        raise Refused("no", code="no")

    window.network.do(work, answers.append)
    window.wait(lambda letter: isinstance(letter, Reply), "the answer")
    assert isinstance(answers[0], Refused)


def test_a_fault_of_ours_is_an_answer_too(window: Window) -> None:
    answers: list[Any] = []

    async def work() -> int:
        raise ValueError("oh")

    window.network.do(work, answers.append)
    window.wait(lambda letter: isinstance(letter, Reply), "the answer")
    assert "ValueError: oh" in str(answers[0])


def test_signing_in_brings_the_rooms_and_a_refused_token_ends_it(window: Window, server: Any, tmp_path: Path) -> None:
    window.network.sign_in([server.url], "t-ada", tmp_path)
    synced = window.wait(lambda letter: isinstance(letter, Synced), "the rooms")
    assert isinstance(synced, Synced)
    assert [row["room"] for row in synced.rooms] == ["lobby"]
    window.network.sign_in([server.url], "not a token", tmp_path)
    ended = window.wait(lambda letter: isinstance(letter, Ended), "the refusal")
    assert isinstance(ended, Ended)
    assert ended.run == window.network.run


def test_after_signing_out_nothing_is_asked_any_more(window: Window, server: Any, tmp_path: Path) -> None:
    window.network.sign_in([server.url], "t-ada", tmp_path)
    window.wait(lambda letter: isinstance(letter, Synced), "the rooms")
    window.network.sign_out()
    asked: list[Any] = []
    window.network.tell(asked.append)

    async def last() -> None:
        await asyncio.sleep(0)

    window.network.do(last, lambda _: None)
    window.wait(lambda letter: isinstance(letter, Reply), "what was asked last")
    assert asked == []


def test_a_server_that_does_not_answer_holds_up_neither_asking_nor_closing(free_port: int, tmp_path: Path) -> None:
    window = Window()
    with socket.create_server(("127.0.0.1", free_port)):  # takes connections and says nothing
        window.network.start()
        window.network.sign_in([f"http://127.0.0.1:{free_port}"], "t", tmp_path)
        window.wait(lambda letter: isinstance(letter, StatusIs), "it says that it connects")
        began = time.monotonic()
        for _ in range(1000):
            window.network.tell(lambda engine: engine.open_room("lobby"))
        assert time.monotonic() - began < 30
        assert window.network.close(30)


def test_what_could_not_be_sent_is_sent_the_next_time(server: Any, tmp_path: Path) -> None:
    before = Window()
    before.network.start()
    before.network.sign_in([server.url], "t-ada", tmp_path)
    before.wait(lambda letter: isinstance(letter, Synced), "the rooms")
    server.faults.posts.extend(["busy"] * 1000)
    before.network.tell(lambda engine: engine.send("lobby", "later"))
    before.wait(lambda letter: isinstance(letter, Queued), "it waits")
    assert before.network.close(30)
    server.faults.posts.clear()
    after = Window()
    after.network.start()
    after.network.sign_in([server.url], "t-ada", tmp_path)
    after.wait(lambda letter: isinstance(letter, Settled), "it was sent")
    assert [event["text"] for event in server.rooms["lobby"]] == ["later"]
    assert after.network.close(30)


def test_a_closed_network_takes_what_is_asked_without_a_fault() -> None:
    window = Window()
    window.network.start()
    assert window.network.close(30)
    window.network.tell(lambda engine: None)
    assert window.network.close(1)
