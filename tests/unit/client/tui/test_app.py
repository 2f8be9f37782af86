"""The client on a screen: rooms, reading, writing; with an engine that only notes what it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from dchat_client.errors import Refused
from dchat_client.items import Phase, Status
from dchat_client.kept import Kept
from dchat_client.outbox import Entry
from dchat_client.tui.app import ChatApp
from dchat_client.tui.prefs import Settings
from dchat_client.unsent import UnsentFiles
from dchat_client.updates import Failed, Missed, StatusIs, Synced
from tests.harness.processes import eventually
from tests.unit.client.tui.stage import message, room_row, stage

LOBBY = {"lobby": [message(seq) for seq in range(1, 4)]}
ROOMS = [room_row("dev", unread=3, mentions=1), room_row("lobby", topic="All of us"), room_row("quiet")]


async def test_rooms_are_listed_with_what_is_unread_in_them(tmp_path: Path) -> None:
    rooms = [*ROOMS, room_row("dm-1", kind="dm", users=["ada", "bob"], unread=2), room_row("big", unread=1200)]
    async with stage(tmp_path, rooms=rooms, room="lobby", pages=LOBBY) as there:
        screen = await there.shows("message 3", "All of us", "3 people")
        rows = [line[:21] for line in screen.splitlines()]
        assert [row.split() for row in rows[:7]] == [
            ["Rooms"],
            ["big", "999+"],
            ["dev", "@1", "3"],
            ["▌lobby"],
            ["quiet"],
            ["People"],
            ["bob", "@2"],
        ]


async def test_the_room_to_begin_with_is_the_named_one_else_the_last_one_else_one_with_something_unread(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path, rooms=ROOMS) as there:
        await there.shows("▌dev")
        assert there.app.room == "dev"
    Kept(tmp_path).set_room("quiet")
    async with stage(tmp_path, rooms=ROOMS) as there:
        await there.shows("▌quiet")
        assert there.app.room == "quiet"
    async with stage(tmp_path, rooms=ROOMS, room="lobby") as there:
        await there.shows("▌lobby")
        assert there.app.room == "lobby"
    async with stage(tmp_path, rooms=ROOMS, room="garden") as there:
        await there.was_asked("join", "garden")
        await there.shows("▌garden")
    async with stage(tmp_path, rooms=ROOMS, room="nowhere") as there:
        await there.shows("Room nowhere was not joined", "▌")


async def test_a_room_is_found_by_some_of_its_letters(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        await there.press("ctrl+k")
        await there.shows("Go to", "# dev", "# quiet", "+ garden")
        await there.write("qt")
        await there.press("enter")
        await there.shows("▌quiet")


async def test_a_room_one_is_not_in_and_a_person_can_be_gone_to(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        await there.press("ctrl+k")
        await there.write("gard")
        await there.shows("+ garden  join")
        await there.press("enter")
        await there.was_asked("join", "garden")
        await there.shows("▌garden")
        await there.press("ctrl+k")
        await there.write("zo")
        await there.shows("@ zoe  Zoe")
        await there.press("enter")
        await there.was_asked("dm", ["zoe"])
        await there.shows("▌zoe")


async def test_keys_go_through_the_rooms(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        await there.press("alt+down")
        await there.shows("▌quiet")
        await there.press("alt+down", "alt+up", "alt+up")
        await there.shows("▌lobby")
        await there.press("alt+a")
        await there.shows("▌dev")


async def test_a_click_opens_a_room(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        await there.pilot.click("#rooms", offset=(3, 3))
        await there.shows("▌quiet")


async def test_what_is_written_is_shown_at_once_then_as_sent_or_failed(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        await there.write("hello")
        await there.press("enter")
        await there.shows("…   ada        hello", "1 not sent yet")
        assert "hello" in (tmp_path / "unsent.json").read_text(), "kept at once, for the program may be killed"
        there.engine.store(there.engine.waiting[0])
        screen = await there.shows_not("not sent yet")
        assert screen.count("hello") == 1
        assert "hello" not in (tmp_path / "unsent.json").read_text()
        await there.write("again")
        await there.press("enter")
        await there.shows("…   ada        again")
        there.engine.refuse(there.engine.waiting[0], "the room is \x1b[31m closed")
        await there.shows("✗   ada        again", "not sent: the room is ␛[31m closed")


async def test_a_failed_message_is_tried_again_or_taken_back(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        await there.write("hello")
        await there.press("enter")
        there.engine.refuse(there.engine.waiting[0], "no")
        await there.shows("✗   ada")
        await there.press("ctrl+up")
        await there.shows("t try again", "x take back")
        key = there.engine.failed[0].client_id
        await there.press("t")
        await there.was_asked("retry", key)
        await there.press("ctrl+up", "x")
        await there.was_asked("cancel", key)
        await there.shows_not("hello")


async def test_keys_that_come_at_once_do_what_they_say_in_their_order(tmp_path: Path) -> None:
    """A fast hand, or a slow machine: Enter sends what stood before it, in the room where it was written."""
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        from textual import events

        for key in ("a", "b", "enter", "alt+down", "c", "ctrl+j", "d", "enter", "ctrl+up", "e"):
            there.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await there.was_asked("send", "quiet", "c\nd", None)
        sent = [what for what in there.engine.asked if what[0] == "send"]
        assert sent == [("send", "lobby", "ab", None), ("send", "quiet", "c\nd", None)]


async def test_a_paste_is_text_whatever_is_in_it(tmp_path: Path) -> None:
    from textual import events

    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        there.app.post_message(events.Paste("one\r\ntwo\n/quit\n"))
        there.app.post_message(events.Key("enter", None))
        await there.was_asked("send", "lobby", "one\ntwo\n/quit", None)


async def test_commands_do_what_they_say(tmp_path: Path) -> None:
    commands: dict[str, tuple[object, ...]] = {
        "/topic new one": ("topic", "lobby", "new one"),
        "/invite eve": ("invite", "lobby", "eve"),
        "/me waves": ("send", "lobby", "_waves_", None),
        "//me waves": ("send", "lobby", "/me waves", None),
        "/reconnect": ("reconnect",),
        "/leave dev": ("leave", "dev"),
        "/leave": ("leave", "lobby"),
        "/join garden": ("join", "garden"),
        "/create den": ("create", "den"),
        "/msg bob hi there": ("send", "dm-1", "hi there", None),
    }
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        for text, asked in commands.items():
            there.app.composer.put(text)
            await there.press("enter")
            await there.was_asked(*asked)
            assert there.app.composer.text == ""
        await there.shows("▌bob")


async def test_commands_that_show_something(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        for text, shown in (
            ("/topic", "Topic: All of us"),
            ("/notify none", "lobby notifies of nothing"),
            ("/notify", "lobby notifies of none"),
            ("/members", "@ eve"),
            ("/search message 2", "bob message 2"),
            ("/help", "Ctrl-K"),
        ):
            there.app.composer.put(text)
            await there.press("enter")
            await there.shows(shown)
            await there.press("escape")


async def test_an_unknown_command_is_explained_and_nothing_is_sent(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        await there.write("/shrug [red]x")
        await there.press("enter")
        await there.shows("There is no command /shrug")
        assert there.app.composer.text == "/shrug [red]x"
        assert not [what for what in there.engine.asked if what[0] == "send"]


async def test_a_text_that_is_too_long_stays_in_the_input(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        there.app.composer.put("漢" * 6000)
        await there.press("enter")
        await there.shows("18000 bytes")
        assert there.app.composer.text == "漢" * 6000


async def test_a_draft_stays_in_its_room_and_is_there_the_next_time(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        await there.write("half a thou")
        await there.press("alt+down")
        await there.shows("▌quiet", "✎lobby")
        assert there.app.composer.text == ""
        await there.press("alt+up")
        await there.shows("half a thou")
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        await there.shows("half a thou")
        await there.press("enter")
        await there.was_asked("send", "lobby", "half a thou", None)
    assert Kept(tmp_path).draft("lobby") == ""


async def test_what_is_begun_before_there_is_a_connection_is_not_lost(tmp_path: Path) -> None:
    async with stage(tmp_path, pages=LOBBY) as there:
        await there.shows("connecting")
        await there.write("early")
        there.engine.tell(Synced({"username": "ada"}, ROOMS))
        await there.shows("▌dev", "early")


async def test_the_connections_state_is_always_told(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        there.engine.tell(StatusIs(Status(Phase.RECONNECTING, 9.0, "it broke")))
        await there.shows("reconnecting in 9 s: it broke")
        await there.shows("reconnecting in 8 s")
        there.engine.tell(StatusIs(Status(Phase.DEGRADED, reason="slow")))
        await there.shows("the server has trouble: slow")
        there.live()
        there.engine.pages = {}
        there.engine.tell(Missed(("lobby",)))
        await there.shows("gap: reading again what was missed")
        there.engine.tell(StatusIs(Status(Phase.OFFLINE, reason="signed out")))
        await there.shows("offline: signed out")


async def test_what_could_not_be_done_is_told_and_not_as_markup(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        there.engine.tell(Failed("The topic was not changed", Refused("[bold]no\x1b[0m", code="x"), "lobby"))
        await there.shows("The topic was not changed", "[bold]no␛[0m")


async def test_quitting_with_something_unsent_asks_and_keeps_it(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        await there.write("wait for me")
        await there.press("enter")
        await there.shows("1 not sent yet")
        await there.press("ctrl+q")
        await there.shows("One message is not sent yet. Quit?")
        await there.press("n")
        await there.shows_not("Quit?")
        await there.press("ctrl+q", "y")
        await there.pilot.pause()
        assert there.app.return_code == 0
    async with stage(tmp_path, rooms=None) as there:
        assert [entry.text for entry in there.engine.waiting] == ["wait for me"]
        await there.shows("1 not sent last time; sending it now")


async def test_what_waited_for_a_day_is_not_sent_by_itself(tmp_path: Path) -> None:
    with UnsentFiles(tmp_path) as files:
        files.take_over(0)
        files.keep([Entry("lobby", "old news", "k", None, 1.0)], [])
    async with stage(tmp_path, rooms=None) as there:
        assert there.engine.waiting == []
        assert [entry.text for entry in there.engine.failed] == ["old news"]
        await there.shows("1 failed or waited for too long")


async def test_everything_fits_into_80_by_24_and_less(tmp_path: Path) -> None:
    for size in ((80, 24), (50, 12), (24, 6)):
        async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY, size=size) as there:
            await there.shows("message 3"[: size[0]], "live")
            await there.press("ctrl+k")
            await there.press("escape", "f1", "escape")


async def test_the_list_of_rooms_can_be_hidden(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY) as there:
        await there.press("f2")
        await there.shows_not("quiet")
        await there.press("f2")
        await there.shows("quiet")


async def test_keys_of_the_persons_own_are_in_force_and_in_the_help(tmp_path: Path) -> None:
    settings = Settings(keys={"switch_room": ("f9",), "reconnect": ()})
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY, settings=settings) as there:
        await there.shows("F9 rooms")
        await there.press("f9")
        await there.shows("Go to")
        await there.press("escape", "f5", "f1")
        await there.shows("F9 ", "go to a room by some letters")
        assert ("reconnect",) not in there.engine.asked


async def test_without_colours_the_screen_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with stage(tmp_path, rooms=ROOMS, room="lobby", pages=LOBBY, colours=False) as there:
        await there.shows("message 3")
        app: ChatApp = there.app

        def stand_out() -> list[str]:
            strips = app.screen._compositor.render_strips()
            styled = [segment for strip in strips for segment in strip if segment.style is not None]
            return [segment.text.strip() for segment in styled if segment.style.reverse or segment.style.underline]

        await there.press("ctrl+up")
        await there.shows("Esc back")
        assert "message 3" in stand_out()
        await there.press("escape", "ctrl+k")
        await there.shows("# dev")
        assert any("# dev" in text for text in stand_out())
        for strip in app.screen._compositor.render_strips():
            for segment in strip:
                style = segment.style
                if style is not None:
                    assert style.color is None or style.color.is_default, (segment, strip.text)
                    assert style.bgcolor is None or style.bgcolor.is_default, (segment, strip.text)


async def test_what_calls_one_rings_and_runs_the_command_unless_one_sees_it(tmp_path: Path) -> None:
    settings = Settings(command=f"echo $DCHAT_ROOM $DCHAT_SEQ $DCHAT_WHY >> {tmp_path}/ran")
    rooms = [*ROOMS, room_row("dm-1", kind="dm", users=["ada", "bob"])]
    async with stage(tmp_path, rooms=rooms, room="lobby", pages=LOBBY, settings=settings) as there:
        await there.shows("message 3")
        rung: list[None] = []
        there.app.bell = lambda: rung.append(None)  # type: ignore[method-assign]
        there.happened(message(4, "@ada in sight"))
        there.happened(message(10, "nothing much", room="dev"))
        there.happened(message(11, "@ada and @ada", room="dev"))
        there.happened(message(12, "hi", room="dm-1"))
        there.app.kept.set_level("quiet", "none")
        there.happened(message(13, "@ada but muted", room="quiet"))
        there.happened(message(14, "@ada says oneself", room="dev", sender="ada"))
        ran = tmp_path / "ran"
        await eventually(lambda: ran.exists() and len(ran.read_text().splitlines()) == 2, "the command ran for both")
        assert sorted(ran.read_text().splitlines()) == ["dev 11 mention", "dm-1 12 dm"]
        assert len(rung) == 1, "what comes together rings once"
        there.app.attention.go_away()
        there.happened(message(5, "@ada nobody looks"))
        await eventually(lambda: len(ran.read_text().splitlines()) == 3, "the command ran again")
        await there.shows("@ada nobody looks")
