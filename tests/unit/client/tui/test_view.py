"""Reading: scrolling back, what is new, and what is done with a message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dchat_client.updates import MembersAre
from tests.unit.client.tui.stage import Stage, message, room_row, stage

LONG = {"lobby": [message(seq) for seq in range(1, 501)]}


def lobby(**more: Any) -> list[dict[str, Any]]:
    return [room_row("lobby", **{"head": 500, "read": 500, **more}), room_row("quiet")]


def shown(there: Stage) -> list[str]:
    """The texts of the messages in sight."""
    return [row.partition("message ")[2].split()[0] for row in there.screen.splitlines() if "message " in row]


async def test_older_pages_come_above_and_what_one_reads_stays_where_it_is(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=lobby(), pages=LONG) as there:
        await there.shows("message 500")
        there.engine.stuck.clear()
        await there.press("ctrl+home")
        await there.was_asked("older", "lobby", 401)
        assert shown(there)[0] == "401"
        before = there.screen
        there.engine.stuck.set()
        while there.app.chat.transcript("lobby").oldest != 301:
            await there.pilot.pause(0.02)
            assert "message 401" in there.screen.splitlines()[2]
        await there.pilot.pause(0.2)
        # The first one's name goes, for there is one above it now that says it; nothing moves.
        rows = [[row[:79].rstrip() for row in screen.splitlines()[3:20]] for screen in (before, there.screen)]
        assert rows[0] == rows[1]
        assert "message 401" in there.screen.splitlines()[2]
        await there.press("pageup")
        assert shown(there)[-1] == "401"


async def test_one_can_read_back_to_the_first_message(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=lobby(), pages=LONG) as there:
        await there.shows("message 500")
        seen: set[str] = set(shown(there))
        for _ in range(60):
            await there.press("pageup")
            seen |= set(shown(there))
            if "1" in shown(there):
                break
        assert seen >= {str(seq) for seq in range(1, 501)}, "pages of reading back leave something out"


async def test_an_edit_above_and_another_width_move_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=lobby(), pages=LONG) as there:
        await there.shows("message 500")
        await there.press("pageup", "pageup")
        before = shown(there)
        edit = {"type": "edit", "room": "lobby", "seq": 501, "epoch": 1, "sender": "bob", "target": 410}
        there.happened({**edit, "text": "long\n" * 10 + "message 410"})
        there.happened({**message(502), "type": "member", "action": "join", "user": "eve", "sender": "eve"})
        await there.pilot.pause(0.1)
        assert shown(there) == before
        await there.pilot.resize_terminal(100, 24)
        await there.shows(f"message {before[0]}")
        assert shown(there) == before


async def test_the_middle_of_a_long_message_stays_where_it_is_too(tmp_path: Path) -> None:
    pages = {"lobby": [message(seq, "\n".join(f"{seq} row {row}" for row in range(7))) for seq in range(1, 101)]}
    async with stage(tmp_path, rooms=lobby(), pages=pages) as there:
        await there.shows("100 row 6")
        there.app.view._scroll(there.app.view.scroll_offset.y - 100)
        await there.pilot.pause()
        before = [row[30:60] for row in there.screen.splitlines()[1:20]]
        assert " row 0" not in before[0]
        edit = {"type": "edit", "room": "lobby", "seq": 101, "epoch": 1, "sender": "bob", "target": 3}
        there.happened({**edit, "text": "shorter"})
        await there.pilot.pause(0.1)
        assert [row[30:60] for row in there.screen.splitlines()[1:20]] == before


async def test_what_comes_while_one_reads_back_is_counted_and_a_key_goes_there(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=lobby(), pages=LONG) as there:
        await there.shows("message 500")
        await there.press("pageup")
        before = shown(there)
        there.happened(message(501))
        there.happened(message(502, sender="ada"))
        there.happened(message(503))
        await there.shows("2 new ↓")
        assert shown(there) == before
        await there.press("ctrl+end")
        await there.shows("message 503")
        await there.shows_not("new ↓")
        there.happened(message(504))
        await there.shows("message 504")


async def test_the_button_takes_a_click(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=lobby(), pages=LONG) as there:
        await there.shows("message 500")
        await there.press("pageup")
        there.happened(message(501))
        await there.shows("1 new ↓")
        view = there.app.view
        await there.pilot.click("#view", offset=(view.size.width - 4, view.size.height - 1))
        await there.shows("message 501")


async def test_one_begins_where_one_stopped_reading_and_reading_moves_the_marker(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=lobby(read=450, unread=50), pages=LONG) as there:
        screen = await there.shows("message 451", " new ──")
        rows = screen.splitlines()
        line = next(index for index, row in enumerate(rows) if " new ──" in row)
        assert "message 451" in rows[line + 1]
        assert "message 500" not in screen
        marked = [what[2] for what in there.engine.asked if what[0] == "mark_read"]
        assert marked == [int(shown(there)[-1])]
        await there.press("ctrl+end")
        await there.was_asked("mark_read", "lobby", 500)


async def test_nothing_is_read_while_nobody_looks_and_a_line_shows_where_that_began(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=lobby(), pages=LONG) as there:
        await there.shows("message 500")
        there.app.attention.go_away()
        there.happened(message(501))
        await there.shows("message 501", " new ──")
        assert ("mark_read", "lobby", 501) not in there.engine.asked
        await there.press("a")
        await there.was_asked("mark_read", "lobby", 501)


async def test_a_message_is_answered_with_its_quote_which_leads_there(tmp_path: Path) -> None:
    pages = {"lobby": [*LONG["lobby"], message(501, "the answer", sender="eve", reply_to=3)]}
    async with stage(tmp_path, rooms=lobby(), pages=pages) as there:
        await there.shows("╭ bob: message 3", "the answer")
        assert there.engine.asked.count(("message", "lobby", 3)) == 1, "it is not loaded, and fetched once"
        await there.press("ctrl+up", "r")
        await there.shows("Answering eve: the answer")
        await there.write("thanks")
        await there.press("enter")
        await there.was_asked("send", "lobby", "thanks", 501)
        await there.shows("╭ eve: the answer")
        assert "Answering" not in there.screen
        await there.press("ctrl+up", "up", "g")
        await there.shows("message 3", "message 4")
        assert there.app.view.selected == 3


async def test_an_answer_to_what_is_not_to_be_had_says_so(tmp_path: Path) -> None:
    pages = {"lobby": [message(5, "the answer", reply_to=3)]}
    async with stage(tmp_path, rooms=lobby(), pages=pages) as there:
        await there.shows("╭ an answer to message 3", "the answer")
        await there.was_asked("message", "lobby", 3)
        await there.press("ctrl+up", "g")
        await there.shows("Message 3 is not to be had")


async def test_escape_stops_answering_and_editing_and_the_draft_comes_back(tmp_path: Path) -> None:
    pages = {"lobby": [message(1, "mine", sender="ada")]}
    async with stage(tmp_path, rooms=lobby(), pages=pages) as there:
        await there.shows("mine")
        await there.write("draft")
        await there.press("ctrl+up", "i")
        await there.shows("Editing: mine")
        assert there.app.composer.text == "mine"
        await there.press("escape")
        assert there.app.composer.text == "draft"
        await there.press("ctrl+up", "i", "!", "enter")
        await there.was_asked("edit", "lobby", 1, "mine!")
        assert there.app.composer.text == "draft"


async def test_only_ones_own_message_is_edited(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=lobby(), pages={"lobby": [message(1)]}) as there:
        await there.shows("message 1")
        await there.press("ctrl+up", "i")
        await there.shows("Only the one who wrote it can edit it")


async def test_deleting_asks_first(tmp_path: Path) -> None:
    pages = {"lobby": [message(1, "mine", sender="ada"), message(2)]}
    async with stage(tmp_path, rooms=lobby(), pages=pages) as there:
        await there.shows("message 2")
        await there.press("ctrl+up", "d")
        await there.shows("Only the one who wrote it and moderators")
        await there.press("up", "d")
        await there.shows("Delete your message?")
        await there.press("n", "d", "y")
        await there.was_asked("delete", "lobby", 1)
        assert sum(what[0] == "delete" for what in there.engine.asked) == 1
        there.happened({"type": "delete", "room": "lobby", "seq": 3, "epoch": 1, "sender": "ada", "target": 1})
        await there.shows("(deleted)")
        assert "mine" not in there.screen


async def test_a_reaction_is_given_and_taken_back(tmp_path: Path) -> None:
    mine = [{"emoji": "🎉", "count": 2, "users": ["ada", "bob"]}]
    async with stage(tmp_path, rooms=lobby(), pages={"lobby": [message(1, reactions=mine)]}) as there:
        await there.shows("🎉 2")
        await there.press("ctrl+up", "e")
        await there.shows("React", "take back  ada, bob")
        await there.press("enter")
        await there.was_asked("react", "lobby", 1, "🎉", ("add", False))
        await there.press("ctrl+up", "plus")
        await there.write("thumbsup")
        await there.shows("👍  thumbsup")
        await there.press("enter")
        await there.was_asked("react", "lobby", 1, "👍", ("add", True))


async def test_a_messages_text_is_copied_as_it_was_written(tmp_path: Path) -> None:
    text = "exactly\nthis \x1b[31m 👍🏽"
    async with stage(tmp_path, rooms=lobby(), pages={"lobby": [message(1, text)]}) as there:
        await there.shows("exactly")
        await there.press("ctrl+up", "c")
        assert there.app.clipboard == text


async def test_a_message_is_marked_as_unread_and_stays_so_while_it_is_in_sight(tmp_path: Path) -> None:
    async with stage(tmp_path, rooms=lobby(), pages=LONG) as there:
        await there.shows("message 500")
        await there.press("ctrl+up", "u")
        await there.was_asked("mark_unread", "lobby", 499)
        await there.shows(" new ──")
        there.app.chat.rooms["lobby"].read = 499
        there.engine.tell(MembersAre("lobby", []))
        await there.press("a")
        assert [what for what in there.engine.asked if what[0] == "mark_read"] == []


async def test_search_finds_words_in_any_order_and_further_back_on_demand(tmp_path: Path) -> None:
    pages = {"lobby": [message(seq, "the needle" if seq == 77 else "") for seq in range(1, 501)]}
    async with stage(tmp_path, rooms=lobby(), pages=pages) as there:
        await there.shows("message 500")
        await there.press("f3")
        await there.write("450 mess")
        await there.shows("bob message 450", "… search further back")
        await there.press("enter")
        await there.shows("message 450", "message 451")
        assert there.app.view.selected == 450
        await there.press("escape", "f3")
        await there.write("needle")
        await there.shows("… search further back")
        await there.press("enter")
        await there.shows("bob the needle")
        await there.press("enter")
        await there.shows("the needle", "message 78")


async def test_nothing_others_write_acts_on_the_terminal_or_is_taken_for_markup(tmp_path: Path) -> None:
    hostile = "\x1b[2J\x1b]0;title\x07[red]markup[/red] \u202egnp.exe {x} \x9b31m\r\n/quit"
    rooms = [
        room_row("lobby", topic=hostile, display_name=hostile, head=9, read=9),
        room_row("dm-1", kind="dm", users=["ada", "[b]bob\x1b[0m"]),
    ]
    emoji = [{"emoji": "\x1b[5m", "count": 1, "users": ["\x1b[5m"]}]
    rows = [
        message(1, hostile, sender="[b]eve\x1b[0m"),
        message(2, "x", reactions=emoji, reply_to=1),
        message(3, "@a\x1b[0m[/]"),
    ]
    async with stage(tmp_path, rooms=rooms, pages={"lobby": rows}, room="lobby", size=(120, 30)) as there:
        await there.shows("␛[2J␛]0;title␇[red]markup[/red] ⟨U+202E⟩gnp.exe {x}", "/quit", "[b]eve␛[0")
        for keys in (("ctrl+k",), ("escape", "f6"), ("escape", "f3", "x"), ("escape", "ctrl+up", "e"), ("escape",)):
            await there.press(*keys)
            await there.pilot.pause()
            for strip in there.app.screen._compositor.render_strips():
                assert not set(strip.text) & {"\x1b", "\x07", "\u202e", "\x9b", "\r", "\n"}, strip.text


async def test_a_long_room_costs_no_more_than_a_short_one(tmp_path: Path) -> None:
    """What counts is what is drawn and laid out, which is counted, not how long that takes on a busy machine."""
    many = {"lobby": [message(seq, "some words " * (seq % 9 + 1)) for seq in range(1, 5001)]}
    async with stage(tmp_path, rooms=lobby(head=5000, read=5000), pages=many) as there:
        await there.shows("some words")
        transcript, view = there.app.chat.transcript("lobby"), there.app.view
        while transcript.has_older:
            await there.engine.older("lobby", transcript.oldest or 0)
        await there.pilot.pause(0.1)
        assert len(transcript.lines) == 5000
        await there.press("alt+down", "alt+down")
        await there.shows("some words")
        assert len(view._sheet.blocks) <= 300
        for _ in range(20):
            view._lay_from(view._from)
        laid = {id(block) for block in view._sheet.blocks}
        assert len(laid) == 5000
        for seq in range(5001, 5011):
            there.happened(message(seq))
        await there.shows("message 5010")
        assert len({id(block) for block in view._sheet.blocks} - laid) == 10
        assert sum(len(block.drawn) > 0 for block in view._sheet.blocks) < 200
