"""The input: readline's keys, what was sent before, completion."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dchat_client.kept import Kept
from dchat_client.tui.composer import MOST_CHARS
from tests.unit.client.tui.stage import Stage, message, room_row, stage

ROOMS = [room_row("lobby"), room_row("dev"), room_row("design")]
PAGES = {"lobby": [message(1, sender="zoe"), message(2, sender="bob")]}


@asynccontextmanager
async def desk(folder: Path, *sent: str) -> AsyncIterator[Stage]:
    """The app with something sent before."""
    for text in sent:
        Kept(folder).add_sent(text)
    async with stage(folder, rooms=ROOMS, room="lobby", pages=PAGES) as there:
        await there.shows("message 2")
        yield there


async def test_readline_keys_move_cut_and_put_back(tmp_path: Path) -> None:
    async with desk(tmp_path) as there:
        composer = there.app.composer

        async def after(*keys: str) -> str:
            await there.press(*keys)
            row, column = composer.cursor_location
            lines = composer.text.split("\n")
            lines[row] = lines[row][:column] + "|" + lines[row][column:]
            return "\n".join(lines)

        await there.write("one two three")
        assert await after("ctrl+a") == "|one two three"
        assert await after("alt+f", "ctrl+f") == "one |two three"
        assert await after("alt+d") == "one | three"
        assert await after("ctrl+e", "ctrl+w") == "one  |"
        assert await after("ctrl+y") == "one  three|"
        assert await after("ctrl+b", "ctrl+t") == "one  three|"
        assert await after("ctrl+u") == "|"
        assert await after("ctrl+y", "ctrl+a", "ctrl+d") == "|ne  there"[:0] + "|ne  three"
        assert await after("alt+k") == "|"
        assert await after("a", "alt+enter", "b", "ctrl+j", "c") == "a\nb\nc|"
        assert await after("up", "home", "backspace") == "a|b\nc"
        assert await after("ctrl+c") == "|"
        assert await after("up") == "ab\nc|"


async def test_what_was_sent_comes_back_and_what_one_was_writing_too(tmp_path: Path) -> None:
    async with desk(tmp_path, "first", "second\nrow", "third") as there:
        composer = there.app.composer
        await there.write("new")
        seen = []
        for key in ("up", "up", "ctrl+p", "ctrl+p", "ctrl+p", "down", "ctrl+n", "ctrl+n", "ctrl+n"):
            await there.press(key)
            seen.append(composer.text)
        # In the text of two rows Up goes to its first row before it goes further back.
        assert seen == ["third", "second\nrow", "second\nrow", "first", "first", "second\nrow", "third", "new", "new"]


async def test_what_was_sent_is_found_by_a_part_of_it(tmp_path: Path) -> None:
    async with desk(tmp_path, "make test", "ls", "make run", "cd") as there:
        await there.write("make")
        await there.press("ctrl+r")
        assert there.app.composer.text == "make run"
        await there.press("ctrl+r")
        assert there.app.composer.text == "make test"
        await there.press("ctrl+r")
        await there.shows("Nothing you sent has 'make' in it, further back")


async def test_sent_texts_and_commands_are_in_the_history(tmp_path: Path) -> None:
    async with desk(tmp_path) as there:
        await there.write("hi")
        await there.press("enter")
        await there.write("/topic")
        await there.press("enter", "up")
        assert there.app.composer.text == "/topic"
        await there.press("up")
        assert there.app.composer.text == "hi"


async def test_completion_is_shown_and_put_in_and_goes_round(tmp_path: Path) -> None:
    async with desk(tmp_path) as there:
        composer = there.app.composer
        await there.write("see #de")
        await there.shows(" #design   #dev")
        await there.press("tab")
        assert composer.text == "see #design "
        await there.press("tab")
        assert composer.text == "see #dev "
        await there.press("shift+tab")
        assert composer.text == "see #design "
        await there.write("@")
        # Who spoke last stands first.
        screen = await there.shows(" @bob   @zoe")
        assert "@ada" not in screen, "nobody calls oneself"
        await there.press("escape")
        await there.shows_not("@zoe")
        await there.press("tab")
        assert composer.text == "see #design @bob "


async def test_a_click_puts_an_option_in(tmp_path: Path) -> None:
    async with desk(tmp_path) as there:
        await there.write("#de")
        await there.shows("#dev")
        row = there.screen.splitlines()[-3]
        await there.pilot.click("#ledge", offset=(row.index("#dev") - 22, 0))
        assert there.app.composer.text == "#dev "


async def test_the_input_grows_with_its_text_to_a_part_of_the_screen(tmp_path: Path) -> None:
    async with desk(tmp_path) as there:
        there.app.composer.put("\n".join("abc"))
        await there.pilot.pause()
        assert there.app.composer.size.height == 3
        there.app.composer.put("x\n" * 50)
        await there.pilot.pause()
        assert there.app.composer.size.height == 8
        await there.shows("message 2")


async def test_a_text_beyond_all_reason_is_not_taken(tmp_path: Path) -> None:
    async with desk(tmp_path) as there:
        there.app.composer.write("x" * (MOST_CHARS + 1))
        await there.shows("too long to be sent from here")
        assert there.app.composer.text == ""


async def test_that_one_is_writing_is_told_now_and_then_and_not_for_commands(tmp_path: Path) -> None:
    async with desk(tmp_path) as there:
        await there.write("/topic")
        assert ("typing", "lobby") not in there.engine.asked
        await there.press("ctrl+u")
        await there.write("hello there")
        await there.was_asked("typing", "lobby")
        assert there.engine.asked.count(("typing", "lobby")) == 1
