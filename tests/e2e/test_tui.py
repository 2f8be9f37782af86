"""`dchat tui`, the real program in a real terminal, against real workers."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from tests.harness.people import Person, new_name
from tests.harness.processes import plain_environment, until
from tests.harness.terminals import Terminal
from tests.harness.workers import Workers

LIVE = "● live"


@dataclass
class Seat:
    """A person with a home folder, who opens terminals."""

    person: Person
    home: Path
    urls: str

    def open(self, stack: ExitStack, room: str, **env: str) -> Terminal:
        """A terminal with the client in `room`, connected."""
        command = [sys.executable, "-m", "dchat_client", "--url", self.urls, "tui", room]
        home = str(self.home)
        mine = plain_environment(
            HOME=home,
            XDG_CONFIG_HOME=f"{home}/config",
            XDG_STATE_HOME=f"{home}/state",
            DCHAT_KEYRING="0",
            DCHAT_TOKEN=self.person.token,
            **env,
        )
        terminal = stack.enter_context(Terminal(command, mine))
        terminal.shows(LIVE)
        return terminal


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest_asyncio.fixture
async def seats(workers: Workers, http: aiohttp.ClientSession, tmp_path: Path) -> AsyncIterator[tuple[Seat, Seat, str]]:
    """Two people in one room."""
    ada, bob = [await Person(http, workers.urls, new_name(stem)).register() for stem in ("ada", "bob")]
    room = await ada.create(new_name("room"))
    await bob.join(room)
    urls = ",".join(workers.urls[:2])
    yield Seat(ada, tmp_path / "ada", urls), Seat(bob, tmp_path / "bob", urls), room


def texts(terminal: Terminal) -> list[str]:
    """What was said, as it stands on the screen: the words that begin with "say-"."""
    return re.findall(r"say-\S+", terminal.screen)


def shows_exactly(terminal: Terminal, said: Sequence[str]) -> None:
    """Wait until the screen has these texts once each. The input and the messages are drawn one after the other: for a
    moment what was just sent may stand in neither, or in both.
    """
    try:
        until(lambda: sorted(texts(terminal)) == sorted(said), f"the terminal shows {said}", every_s=0.1)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{terminal.screen}") from None


def test_two_people_chat_on_when_their_worker_is_killed_and_nothing_is_lost_or_doubled(
    workers: Workers, seats: tuple[Seat, Seat, str], stack: ExitStack
) -> None:
    ada, bob, room = seats
    one, other = ada.open(stack, room), bob.open(stack, room)
    one.write("say-1")
    one.press("Enter")
    other.shows("say-1")
    other.write("say-2 two rows")
    other.press("M-Enter")
    other.write("say-3 of 漢字 👍")
    other.press("Enter")
    one.shows("say-2 two rows", "say-3 of 漢字 👍")

    workers[0].kill()
    # Keys go on while the connection is away.
    one.write("say-4")
    one.press("Enter")
    other.write("say-5")
    other.press("Enter")
    for terminal in (one, other):
        terminal.shows("say-4", "say-5", LIVE)
        terminal.shows_not("not sent")
    other.write("say-6")
    other.press("Enter")
    one.shows("say-6")

    said = ["say-1", "say-2", "say-3", "say-4", "say-5", "say-6"]
    for terminal in (one, other):
        shows_exactly(terminal, said)
        assert "ended with" not in terminal.screen
    assert texts(one) == texts(other), "both see one order"
    one.press("C-q")
    one.shows("ended with 0")


def test_what_is_not_sent_outlives_the_program_and_is_sent_once(
    workers: Workers, seats: tuple[Seat, Seat, str], stack: ExitStack
) -> None:
    ada, bob, room = seats
    one, other = ada.open(stack, room), bob.open(stack, room)
    try:
        for worker in workers:
            assert worker.process is not None
            worker.process.freeze()
        one.write("say-late")
        one.press("Enter")
        one.shows("…   ", "say-late", "1 not sent yet")
        one.write("half a thought")
        drafts = (ada.home / "state").rglob
        until(lambda: any("half a" in path.read_text() for path in drafts("drafts.json")), "the draft is kept")
        one.press("C-q")
        one.shows("One message is not sent yet. Quit?")
        one.press("y")
        one.shows("kept, and sent when you start dchat tui again", "ended with 0")
    finally:
        for worker in workers:
            assert worker.process is not None
            worker.process.thaw()
    again = ada.open(stack, room)
    again.shows("say-late", "half a thought")
    again.shows_not("not sent yet")
    other.shows("say-late", LIVE)
    again.press("C-u")
    again.write("say-end")
    again.press("Enter")
    for terminal in (again, other):
        shows_exactly(terminal, ["say-late", "say-end"])
    assert texts(again) == texts(other) == ["say-late", "say-end"]


async def test_what_others_write_does_nothing_to_the_terminal_and_no_colour_means_none(
    seats: tuple[Seat, Seat, str], stack: ExitStack
) -> None:
    ada, bob, room = seats
    hostile = "\x1b]0;owned\x07\x1b[2J\x1b[31mred \u202egnp [bold]x[/bold]\r\nsay-end"
    await bob.person.send(room, hostile)
    terminal = ada.open(stack, room, NO_COLOR="1")
    terminal.shows("␛]0;owned␇␛[2J␛[31mred ⟨U+202E⟩gnp", "[bold]x[/bold]", "say-end")
    assert "owned" not in terminal.title
    terminal.press("C-k")
    terminal.shows("Go to")
    terminal.press("Escape")
    terminal.shows_not("Go to")
    terminal.press("C-Up")
    terminal.shows("▌", "r answer")
    colours = re.findall(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]", terminal.coloured)
    assert colours == []
    screen = terminal.screen.splitlines()
    assert len(screen) <= 24
    assert all(len(row) <= 80 for row in screen)
