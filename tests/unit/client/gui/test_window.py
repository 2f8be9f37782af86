"""The whole window, over a server that is a fake one, with its own thread and its own mailbox."""

from __future__ import annotations

import json
import os
import time
import tkinter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from dchat_client.config import Folders, Profile, save_profile
from dchat_client.gui.notify import Notifier
from dchat_client.gui.preferences import Preferences
from dchat_client.gui.window import Window
from dchat_client.kept import Kept
from dchat_client.tokens import Token, keep_token
from dchat_client.updates import Happened
from tests.harness.processes import PATIENCE_S
from tests.unit.client.fake_server import FakeServer


class Opened:
    """A window that somebody signed in as ada looks at."""

    def __init__(self, folders: Folders, url: str) -> None:
        self.folders = folders
        self.faults: list[BaseException] = []
        self.window = Window(folders, Profile("default", (url,), "ada"))
        self.window.root.report_callback_exception = self._fault  # type: ignore[assignment]
        self.beats: list[tuple[float, float]] = []
        self.window.open()
        self._beat()

    def _fault(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        self.faults.append(error)

    def _beat(self) -> None:
        self.beats.append((time.monotonic(), time.thread_time()))
        self.window.root.after(5, self._beat)

    @property
    def longest_gap_s(self) -> float:
        """The longest time in which the window did nothing for anybody."""
        return max(later[0] - earlier[0] for earlier, later in pairwise(self.beats))

    @property
    def longest_work_s(self) -> float:
        """The longest time in which its thread worked without letting anybody have a turn; of its own CPU time, which
        a busy machine does not stretch."""
        return max(later[1] - earlier[1] for earlier, later in pairwise(self.beats))

    def until(self, condition: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited for: {what}"
            self.window.root.update()
            assert self.faults == []
            time.sleep(0.002)

    @property
    def words(self) -> str:
        page = self.window.page
        return page.view.text.get("1.0", "end") if page is not None else ""

    @property
    def state(self) -> str:
        page = self.window.page
        return page.state_line.words if page is not None else ""

    def write(self, text: str) -> None:
        page = self.window.page
        assert page is not None
        page.entry.set(text)
        page.entry.text.event_generate("<Return>")

    def close(self) -> None:
        self.window.quit()
        assert self.window.network.close(30), "the thread did not end"
        assert self.faults == []


@pytest.fixture
def folders(home: Path, tk: None, monkeypatch: pytest.MonkeyPatch) -> Folders:
    monkeypatch.setenv("DCHAT_SCALE", "1")
    return Folders.of_user()


@pytest.fixture
def opened(folders: Folders, server: FakeServer) -> Iterator[Opened]:
    """The window of ada, who is signed in, once it is live in the lobby."""
    keep_token(folders, "default", Token("t-ada", (server.url,), "ada"))
    server.say("lobby", "good morning")
    opened = Opened(folders, server.url)
    opened.until(lambda: "good morning" in opened.words and opened.state == "live", "the lobby is there")
    yield opened
    opened.close()


def test_whoever_is_signed_in_is_straight_in(opened: Opened) -> None:
    page = opened.window.page
    assert page is not None
    assert page.opened == "lobby"
    assert opened.window.root.title() == "lobby – D-Chat"


def test_what_is_written_is_sent_and_stands_there_once(opened: Opened, server: FakeServer) -> None:
    opened.write("hello all")
    opened.until(lambda: any(event.get("text") == "hello all" for event in server.rooms["lobby"]), "the server has it")
    opened.until(lambda: "hello all" in opened.words and "sending" not in opened.words, "it is shown as stored")
    assert opened.words.count("hello all") == 1


def test_two_slashes_say_one_and_an_unknown_command_stays_in_the_input(opened: Opened, server: FakeServer) -> None:
    opened.write("//etc/hosts")
    opened.until(lambda: any(event.get("text") == "/etc/hosts" for event in server.rooms["lobby"]), "it was said")
    opened.write("/dance")
    page = opened.window.page
    assert page is not None
    assert page.entry.value == "/dance"
    assert "no command /dance" in page.said.cget("text")


def test_a_mention_elsewhere_gets_a_badge_which_goes_when_the_room_is_opened(
    opened: Opened, server: FakeServer
) -> None:
    page = opened.window.page
    assert page is not None
    server.room("builds", "ada", "bob")
    opened.write("/reconnect")
    opened.until(lambda: page.rooms.tree.exists("builds"), "the new room is listed")
    server.say("builds", "@ada it is red")
    opened.until(lambda: page.rooms.tree.set("builds", "badge") == "● 1", "there is a badge")
    assert opened.window.root.title().startswith("(1)")
    page.open("builds")
    opened.until(lambda: page.rooms.tree.set("builds", "badge") == "", "it has gone")
    opened.until(lambda: not opened.window.root.title().startswith("("), "it has gone from the title, too")


def test_an_edit_is_begun_with_the_old_text_and_esc_gives_back_what_was_being_written(opened: Opened) -> None:
    page = opened.window.page
    assert page is not None
    opened.write("firts")
    opened.until(lambda: "firts" in opened.words and "sending" not in opened.words, "it is there")
    page.entry.set("a draft")
    opened.window.root.event_generate("<F2>")
    opened.until(lambda: page.entry.value == "firts", "the old text is in the input")
    page.entry.text.event_generate("<Escape>")
    assert page.entry.value == "a draft"


def test_drafts_stay_with_their_room_and_are_there_next_time(opened: Opened, server: FakeServer) -> None:
    page = opened.window.page
    assert page is not None
    server.room("builds", "ada", "bob")
    opened.write("/reconnect")
    opened.until(lambda: page.rooms.tree.exists("builds"), "the new room is listed")
    page.entry.set("for the lobby")
    page.open("builds")
    assert page.entry.value == ""
    page.open("lobby")
    assert page.entry.value == "for the lobby"
    opened.window.set_theme("dark")
    opened.window._keep()
    assert Preferences.load(opened.folders.state / "gui" / "default.json").theme == "dark"
    kept = Kept(page.kept.folder)
    assert kept.draft("lobby") == "for the lobby"
    assert kept.room == "lobby"


def test_dark_and_light_change_everything_that_is_shown(opened: Opened) -> None:
    page = opened.window.page
    assert page is not None
    light = page.view.text.cget("background")
    opened.window.set_theme("dark")
    opened.window.root.update()
    assert page.view.text.cget("background") != light
    assert page.entry.text.cget("background") == page.view.text.cget("background")
    opened.window.set_theme("light")
    assert page.view.text.cget("background") == light


def test_ten_thousand_messages_at_once_do_not_freeze_the_window(opened: Opened) -> None:
    page, network, mailbox = opened.window.page, opened.window.network, opened.window._mailbox
    assert page is not None
    head = page.chat.transcript("lobby").newest

    async def flood() -> None:
        for seq in range(head + 1, head + 10_001):
            await mailbox.drained()
            event = {
                "type": "message",
                "room": "lobby",
                "seq": seq,
                "epoch": 9,
                "sender": "bob",
                "text": f"flood {seq}.",
            }
            mailbox.put(Happened(event | {"ts": "2026-11-27T12:00:00.000Z"}))

    opened.beats.clear()
    network.do(flood, lambda _: None)
    opened.until(lambda: f"flood {head + 10_000}." in opened.words, "all of it is there")
    # A slice is 8 ms and a drawing some more. All at once it would be seconds.
    assert opened.longest_work_s < 0.4
    assert len(opened.beats) > 20


def test_a_server_that_says_nothing_does_not_freeze_the_window(folders: Folders, free_port: int) -> None:
    import socket

    url = f"http://127.0.0.1:{free_port}"
    keep_token(folders, "default", Token("t-ada", (url,), "ada"))
    with socket.create_server(("127.0.0.1", free_port)):  # takes connections and never answers
        opened = Opened(folders, url)
        opened.until(lambda: opened.state.startswith("connecting"), "it says that it connects")
        opened.beats.clear()
        ends_at = time.monotonic() + 2
        opened.until(lambda: time.monotonic() > ends_at, "two seconds")
        assert opened.longest_gap_s < 10, "a request takes 15 s to be given up"
        began = time.monotonic()
        opened.close()
        assert time.monotonic() - began < 30


def test_the_form_signs_in_and_a_wrong_password_offers_to_make_the_account(
    folders: Folders, server: FakeServer
) -> None:
    save_profile(folders, Profile("default", (server.url,), "eve"))
    opened = Opened(folders, server.url)
    form = opened.window.form
    assert form is not None
    form._user.set("eve")
    form._password.set("correct horse battery")
    form.submit()
    opened.until(lambda: "no account eve" in form._said.cget("text"), "it is refused")
    form._toggle()
    form._again.set("correct horse battery")
    form.submit()
    opened.until(lambda: opened.window.page is not None and opened.state == "live", "eve is in")
    opened.close()


def test_a_sign_in_that_is_taken_back_leads_to_the_form(opened: Opened, server: FakeServer) -> None:
    server.tokens.clear()
    opened.write("/reconnect")
    opened.until(lambda: opened.window.form is not None, "the form is there")
    assert "Signed out" in str(opened.window.form and opened.window.form._said.cget("text"))


def test_without_a_screen_there_is_a_sentence_and_a_code(home: Path, tk: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from dchat_client.cli.face import Face
    from dchat_client.gui import run

    monkeypatch.delenv("DISPLAY", raising=False)
    said: list[str] = []
    monkeypatch.setattr(Face, "error", lambda self, text, next_step=None: said.append(text))
    assert run(Face()) == 1
    assert "no screen" in said[0]
    assert "DISPLAY" not in os.environ


def test_without_the_theme_package_the_window_works_as_well(
    folders: Folders, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import builtins

    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name in ("sv_ttk", "darkdetect"):
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    keep_token(folders, "default", Token("t-ada", (server.url,), "ada"))
    server.say("lobby", "good morning")
    opened = Opened(folders, server.url)
    opened.until(lambda: "good morning" in opened.words and opened.state == "live", "the lobby is there")
    opened.window.set_theme("dark")
    opened.window.root.update()
    assert isinstance(opened.window.root, tkinter.Tk)
    opened.close()


def test_the_desktop_is_told_of_a_mention_only_when_nobody_looks_on(
    opened: Opened, server: FakeServer, tmp_path: Path
) -> None:
    page = opened.window.page
    assert page is not None
    told = tmp_path / "told"
    page._notifier = Notifier({"DCHAT_NOTIFY": f'cat >> "{told}"', "PATH": "/usr/bin:/bin"})
    now = datetime.now(UTC).isoformat()
    page.focused(True)
    server.say("lobby", "@ada seen", ts=now)
    opened.until(lambda: "@ada seen" in opened.words, "it is there")
    page.focused(False)
    server.say("lobby", "nobody in particular", ts=now)
    server.say("lobby", "@ada unseen", ts=now)
    opened.until(lambda: told.exists() and "\n" in told.read_text(), "the desktop was told")
    assert [json.loads(row)["text"] for row in told.read_text().splitlines()] == ["@ada unseen"]
    assert page.transcript is not None
    assert page.transcript.unread_after is not None, "the line that says new stands above what nobody saw"


def test_what_is_written_while_the_list_of_rooms_has_the_keyboard_goes_to_the_input(opened: Opened) -> None:
    page = opened.window.page
    assert page is not None
    page.rooms.tree.focus_force()
    opened.window.root.update()
    page.rooms.tree.event_generate("<Key>", keysym="h")
    opened.until(lambda: page.entry.value == "h", "it is in the input")
