"""`dchat gui` as a person has it: the real program on a screen, typed into, over HAProxy and real workers."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from dchat_client.gui.palette import DARK, LIGHT
from tests.harness.people import PASSWORD, Person, house, new_name
from tests.harness.processes import Running, eventually, new_folder, plain_environment
from tests.harness.screen import Screen
from tests.harness.workers import Haproxy, Workers

READ_CLIPBOARD = """
import tkinter
root = tkinter.Tk()
root.withdraw()
try:
    print(root.clipboard_get(type="UTF8_STRING"), end="")
except tkinter.TclError:
    pass
"""


class Desk:
    """A screen, and the window of one person on it."""

    def __init__(self, screen: Screen, port: int, user: str) -> None:
        self.screen, self.port, self.user = screen, port, user
        self.folder = new_folder()
        self._env = plain_environment(
            **screen.env,
            HOME=str(self.folder),
            XDG_CONFIG_HOME=str(self.folder / "config"),
            XDG_STATE_HOME=str(self.folder / "state"),
            DCHAT_KEYRING="0",
            DCHAT_SCALE="1",
        )
        self.window = ""
        self.process: Running | None = None

    def open(self) -> None:
        """Start the program and give it the keyboard."""
        address = ["--host", "127.0.0.1", "--port", str(self.port), "--user", self.user]
        command = [sys.executable, "-m", "dchat_client", "gui", *address]
        self.process = Running("gui", command, self.folder, self._env, append=True)
        self.window = self.screen.window("D-Chat")
        self.screen.focus(self.window)

    @property
    def program(self) -> Running:
        assert self.process is not None
        assert "Traceback" not in self.process.log, self.process.log
        return self.process

    @property
    def title(self) -> str:
        return self.screen.title(self.window)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # What a person sees

    def ground(self) -> tuple[int, ...]:
        """The colour in the middle of the list of rooms."""
        pixel: tuple[int, ...] = self.screen.picture().getpixel((100, 500))
        return pixel

    def tone(self) -> str:
        """The colour of the dot at the window's foot: good, warn or bad."""
        picture = self.screen.picture()
        there = colours(picture, (8, 640, 36, 690))
        palette = LIGHT if picture.getpixel((100, 500)) == rgb(LIGHT.ground) else DARK
        return next((name for name in ("bad", "warn", "good") if rgb(getattr(palette, name)) in there), "")

    def last_message(self) -> str:
        """The text of the newest message: chosen and copied by keyboard."""
        self.screen.key("Escape", "F6", "F6", "c", "Escape")
        # In a process of its own: Tk never lets go of a screen, and ends a process whose screen has ended.
        command = [sys.executable, "-c", READ_CLIPBOARD]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=60, check=False)
        return done.stdout


def colours(picture: Any, box: tuple[int, int, int, int]) -> set[tuple[int, int, int]]:
    return {colour for _, colour in picture.crop(box).convert("RGB").getcolors(1_000_000)}


def rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


@pytest.fixture(scope="module")
def screen() -> Iterator[Screen]:
    with Screen() as screen:
        yield screen


@pytest.fixture
def haproxy(workers: Workers) -> Iterator[Haproxy]:
    with Haproxy(workers) as haproxy:
        yield haproxy


@pytest.fixture
def open_desk(screen: Screen, haproxy: Haproxy) -> Iterator[Callable[[str], Desk]]:
    """Opens the window of somebody by name."""
    desks: list[Desk] = []

    def open_(user: str) -> Desk:
        desk = Desk(screen, haproxy.port, user)
        desks.append(desk)
        desk.open()
        return desk

    yield open_
    for desk in desks:
        desk.close()


@pytest_asyncio.fixture
async def pair(http: aiohttp.ClientSession, haproxy: Haproxy) -> tuple[Person, Person, str]:
    """Alice, who will sit at the window, Bob, and the room both are in."""
    (alice, bob), (room,) = await house(http, [haproxy.url], 2)
    return alice, bob, room


async def signed_in(desk: Desk) -> None:
    """Type the password, and wait until the window is live in a room."""
    desk.screen.type(PASSWORD)
    desk.screen.key("Return")
    await eventually(lambda: " – D-Chat" in desk.title, "a room is open")
    await eventually(lambda: desk.tone() == "good", "the dot says live")


async def texts(person: Person, room: str) -> list[str]:
    return [str(message.get("text")) for message in await person.history(room)]


async def test_what_is_typed_is_seen_by_others_and_what_they_say_is_seen_here(
    open_desk: Callable[[str], Desk], pair: tuple[Person, Person, str]
) -> None:
    alice, bob, room = pair
    desk = open_desk(alice.name)
    await signed_in(desk)
    assert desk.title == f"{room} – D-Chat"
    desk.screen.type("Hello from the window")
    desk.screen.key("shift+Return")
    desk.screen.type("second line, with :tada")
    desk.screen.key("Tab", "Return")
    said = "Hello from the window\nsecond line, with 🎉 "

    async def stored() -> bool:
        return said.rstrip() in [text.rstrip() for text in await texts(bob, room)]

    await eventually(stored, "bob can read it")
    await bob.send(room, "Welcome, 你好 😀")
    await eventually(lambda: desk.last_message() == "Welcome, 你好 😀", "alice can read it", every_s=0.2)


async def test_a_badge_comes_and_goes_and_the_look_changes_by_key(
    open_desk: Callable[[str], Desk], pair: tuple[Person, Person, str]
) -> None:
    alice, bob, _ = pair
    desk = open_desk(alice.name)
    await signed_in(desk)
    dm = (await bob.must("POST", "/v1/dms", {"users": [alice.name]}))["room"]["room"]
    await bob.send(dm, "psst")
    await eventually(lambda: desk.title.startswith("(1) "), "the title counts one call")
    desk.screen.key("ctrl+k")
    desk.screen.type(bob.name)
    desk.screen.key("Return")
    await eventually(lambda: desk.title == f"{bob.name} – D-Chat", "the conversation is open, and read")

    async def read() -> bool:
        rooms = (await alice.must("GET", "/v1/sync"))["rooms"]
        return next(row["unread"] for row in rooms if row["room"] == dm) == 0

    await eventually(read, "the server knows that it was read")
    assert desk.ground() == rgb(LIGHT.ground)
    desk.screen.key("F9")
    await eventually(lambda: desk.ground() == rgb(DARK.ground), "it is dark")
    desk.screen.key("F9")
    await eventually(lambda: desk.ground() == rgb(LIGHT.ground), "it is light")


async def test_whoever_has_no_account_is_asked_and_makes_one_and_is_straight_in_the_next_time(
    open_desk: Callable[[str], Desk], pair: tuple[Person, Person, str]
) -> None:
    _, _, room = pair
    name = new_name("new")
    desk = open_desk(name)
    desk.screen.type(PASSWORD)
    desk.screen.key("Return")
    await eventually(lambda: rgb(LIGHT.bad) in colours(desk.screen.picture(), (300, 340, 700, 480)), "it is refused")
    desk.screen.key("Tab", "Tab", "Return")
    desk.screen.type(PASSWORD)
    desk.screen.key("Return")
    await eventually(lambda: desk.tone() == "good", "the new account is in")
    desk.screen.type(f"/join {room}")
    desk.screen.key("Return")
    await eventually(lambda: desk.title == f"{room} – D-Chat", "the room is open")
    desk.screen.key("ctrl+q")
    assert desk.program.wait() == 0
    desk.open()
    await eventually(lambda: desk.title == f"{room} – D-Chat", "the same room is open without a password")


async def test_a_worker_that_dies_costs_no_message_and_the_window_says_what_is_so(
    open_desk: Callable[[str], Desk], pair: tuple[Person, Person, str], workers: Workers, haproxy: Haproxy
) -> None:
    alice, bob, room = pair
    desk = open_desk(alice.name)
    await signed_in(desk)
    for number, worker in enumerate(workers):
        worker.kill()
        desk.screen.type(f"mine {number}")
        desk.screen.key("Return")
        if number + 1 < len(workers):
            await bob.send(room, f"his {number}")
    await eventually(lambda: desk.tone() == "warn", "the window says that there is no connection")
    workers.revive()
    for worker in workers:
        haproxy.wait_for(worker, "UP")
    desk.screen.key("F5")
    await eventually(lambda: desk.tone() == "good", "and that there is one again")

    async def all_there() -> bool:
        return {"mine 0", "mine 1", "mine 2", "his 0", "his 1"} <= set(await texts(bob, room))

    await eventually(all_there, "everything was stored")
    found = await texts(bob, room)
    assert [text for text in found if text.startswith("mine")] == ["mine 0", "mine 1", "mine 2"]
    await bob.send(room, "still here?")
    await eventually(lambda: desk.last_message() == "still here?", "it goes on", every_s=0.2)


@contextmanager
def frozen(workers: Workers) -> Iterator[None]:
    """The workers are there, take connections, and do nothing."""
    for worker in workers:
        assert worker.process is not None
        worker.process.freeze()
    yield
    for worker in workers:
        assert worker.process is not None
        worker.process.thaw()


async def test_servers_that_hang_freeze_neither_the_window_nor_its_end(
    open_desk: Callable[[str], Desk], pair: tuple[Person, Person, str], workers: Workers, haproxy: Haproxy
) -> None:
    alice, bob, room = pair
    desk = open_desk(alice.name)
    await signed_in(desk)
    with frozen(workers):
        desk.screen.type("while you sleep")
        desk.screen.key("Return")
        for ground in (DARK.ground, LIGHT.ground, DARK.ground):
            began = time.monotonic()
            desk.screen.key("F9")
            await eventually(lambda ground=ground: desk.ground() == rgb(ground), "F9 is obeyed")
            assert time.monotonic() - began < 20, "the window was not there for its person"
    for worker in workers:
        haproxy.wait_for(worker, "UP")

    async def stored() -> bool:
        return (await texts(bob, room)).count("while you sleep") == 1

    await eventually(stored, "what was written meanwhile was sent, once")
    with frozen(workers):
        desk.screen.key("ctrl+q")
        assert desk.program.wait() == 0
