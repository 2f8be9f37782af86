from __future__ import annotations

from datetime import date
from typing import Any

from dchat_client.errors import Refused
from dchat_client.gui.blocks import Block, Composer, day_words
from dchat_client.outbox import Entry
from dchat_client.transcript import Transcript

TODAY = date(2026, 11, 27)


def said(seq: int, sender: str, text: str, minute: int = 0, **more: Any) -> dict[str, Any]:
    ts = f"2026-11-27T12:{minute:02}:00.000Z"
    return {
        "type": "message",
        "room": "lobby",
        "seq": seq,
        "epoch": 1,
        "ts": ts,
        "sender": sender,
        "text": text,
        **more,
    }


def transcript(*messages: dict[str, Any]) -> Transcript:
    found = Transcript("lobby")
    found.page(messages, messages[-1]["seq"] if messages else 0, False, before=None)
    return found


def composer() -> Composer:
    return Composer("ada", {"bob": "Bob B."}, 12)


def shown(found: Transcript, by: Composer | None = None) -> list[Block]:
    return (by or composer()).blocks(found, found.lines, TODAY)


def words(block: Block) -> str:
    return "".join(text for text, _ in block.pieces)


def tags(block: Block, text: str) -> tuple[str, ...]:
    return next(tags for piece, tags in block.pieces if text in piece)


def test_a_person_is_named_once_for_messages_that_follow_each_other() -> None:
    blocks = shown(transcript(said(1, "bob", "one"), said(2, "bob", "two", 1), said(3, "bob", "later", 30)))
    assert [words(block).count("Bob B.") for block in blocks] == [0, 1, 0, 1]


def test_each_day_has_its_line() -> None:
    found = transcript({**said(1, "bob", "a"), "ts": "2026-11-20T12:00:00Z"}, said(2, "bob", "b"))
    assert [words(block) for block in shown(found)][::2] == ["Friday, 20 November 2026\n", "Today\n"]
    assert day_words(date(2026, 11, 26), TODAY) == "Yesterday"


def test_the_unread_line_stands_before_the_first_message_not_read() -> None:
    found = transcript(said(1, "bob", "one"), said(2, "bob", "two"))
    found.unread_after = 1
    assert [block.key for block in shown(found)][1:] == ["m1", "unread", "m2"]
    found.unread_after = 2
    assert "unread" not in [block.key for block in shown(found)]


def test_nothing_that_people_wrote_can_act() -> None:
    evil = "\x1b[31mred\u202egnp.exe \u200bhidden"
    found = transcript(said(1, "bob", evil, reactions=[{"emoji": "\u202ex", "count": 1, "users": ["ada"]}]))
    text = "".join(words(block) for block in shown(found))
    assert not set(text) & {"\x1b", "\u202e", "\u200b"}
    assert "⟨U+202E⟩" in text


def test_a_tombstone_shows_nothing_of_what_was_said() -> None:
    block = shown(transcript({**said(1, "bob", "secret"), "deleted": True, "text": ""}))[1]
    assert "message deleted" in words(block)


def test_edits_are_marked_and_reactions_counted() -> None:
    message = said(1, "bob", "x", edited_at="2026-11-27T12:01:00Z")
    message["reactions"] = [
        {"emoji": "👍", "count": 2, "users": ["ada", "bob"]},
        {"emoji": "🎉", "count": 1, "users": ["bob"]},
    ]
    block = shown(transcript(message))[1]
    assert "(edited)" in words(block)
    assert "mine" in tags(block, "👍")
    assert "mine" not in tags(block, "🎉")
    assert "react:👍" in tags(block, "👍")


def test_an_answer_quotes_what_it_answers_as_it_is_now() -> None:
    found = transcript(
        said(1, "bob", "first\nline"), said(2, "ada", "yes", reply_to=1), said(3, "ada", "no", reply_to=99)
    )
    by = composer()
    assert "↪ Bob B.: first line" in words(shown(found, by)[2])
    assert "an earlier message" in words(shown(found, by)[3])
    found.happened({"type": "edit", "room": "lobby", "seq": 4, "target": 1, "text": "changed", "sender": "bob"})
    assert "↪ Bob B.: changed" in words(shown(found, by)[2])


def test_being_called_is_seen_and_others_being_called_is_not() -> None:
    mine, other = shown(transcript(said(1, "bob", "@ada look"), said(2, "bob", "@eve look")))[1:]
    assert "calls" in tags(mine, "look")
    assert "me" in tags(mine, "@ada")
    assert "calls" not in tags(other, "look")


def test_links_are_found_without_what_ends_the_sentence() -> None:
    block = shown(transcript(said(1, "bob", "see https://example.org/a?b=1, and (http://x.y/z).")))[1]
    links = [text for text, tags in block.pieces if "link" in tags]
    assert links == ["https://example.org/a?b=1", "http://x.y/z"]


def test_no_other_address_is_a_link() -> None:
    block = shown(transcript(said(1, "bob", "javascript:alert(1) file:///etc/passwd data:text/html,x")))[1]
    assert not any("link" in tags for _, tags in block.pieces)


def test_code_keeps_its_spaces_and_its_fences_are_not_shown() -> None:
    block = shown(transcript(said(1, "bob", "look:\n```py\nif x:\n    y\n```\nand `z`")))[1]
    assert "```" not in words(block)
    assert "code" in tags(block, "    y")
    assert "code" in tags(block, "`z`")


def test_a_fence_without_its_end_is_text() -> None:
    block = shown(transcript(said(1, "bob", "```\nonly begun")))[1]
    assert "```" in words(block)
    assert "code" not in tags(block, "only begun")


def test_an_action_is_told_of_its_person() -> None:
    block = shown(transcript(said(1, "bob", "_waves_")))[1]
    assert "Bob B. waves" in words(block)


def test_own_messages_say_that_they_wait_and_why_they_failed() -> None:
    found = transcript(said(1, "bob", "x"))
    entry = Entry("lobby", "mine", "k1")
    found.queued(entry, "ada", "2026-11-27T12:00:00Z")
    by = composer()
    assert "sending …" in words(shown(found, by)[-1])
    found.refused("k1", Refused("you may not\x1b write here", code="forbidden"))
    failed = shown(found, by)[-1]
    assert "not sent: you may not␛ write here" in words(failed)
    assert "retry" in tags(failed, "Try again")
    assert "cancel" in tags(failed, "Take back")


def test_a_line_that_has_not_changed_is_not_made_again() -> None:
    found = transcript(said(1, "bob", "one"), said(2, "bob", "two"))
    by = composer()
    before = shown(found, by)
    found.happened(said(3, "bob", "three"))
    after = shown(found, by)
    assert [new is old for new, old in zip(after[1:], before[1:], strict=False)] == [True, True]


def test_comings_and_goings_are_told_in_words() -> None:
    found = transcript(said(1, "bob", "x"))
    found.happened({"type": "member", "room": "lobby", "seq": 2, "sender": "eve", "user": "eve", "action": "join"})
    assert "eve joined" in words(shown(found)[-1])


def test_pictures_have_a_font_of_their_own_and_a_few_alone_are_large() -> None:
    mixed, alone = shown(transcript(said(1, "bob", "hi 😀!"), said(2, "bob", "🎉🎉")))[1:]
    assert "emoji" in tags(mixed, "😀")
    assert "emoji" not in tags(mixed, "hi")
    assert "big" in tags(alone, "🎉")


def test_a_time_that_is_none_does_no_harm() -> None:
    found = transcript({**said(1, "bob", "x"), "ts": "yesterday"})
    assert "--:--" in words(shown(found)[0])


def test_right_to_left_text_is_turned_line_by_line_and_keeps_its_looks() -> None:
    by = Composer("ada", {}, 12, fits=lambda text: len(text.rstrip()) <= 12)
    found = transcript(said(1, "bob", "שלום @ada עולם טוב"))
    block = by.blocks(found, found.lines, TODAY)[1]
    assert words(block).split("\n")[1:3] == [" ada@ םולש", "בוט םלוע"], "as a browser shows it, too"
    assert "me" in tags(block, "ada@")
    assert "turned" in tags(block, "בוט")


def test_left_to_right_text_is_left_as_it_is_and_where_tk_turns_nothing_is_done() -> None:
    found = transcript(said(1, "bob", "hello"), said(2, "bob", "שלום"))
    ours = Composer("ada", {}, 12, fits=lambda text: True).blocks(found, found.lines, TODAY)
    theirs = shown(found)
    assert "hello" in words(ours[1])
    assert "םולש" in words(ours[2])
    assert "שלום" in words(theirs[2])


def test_when_lines_get_longer_only_turned_ones_are_made_anew() -> None:
    by = Composer("ada", {}, 12, fits=lambda text: True)
    plain, mixed = transcript(said(1, "bob", "a")), transcript(said(1, "bob", "a"), said(2, "bob", "ש"))
    by.blocks(plain, plain.lines, TODAY)
    assert not by.reflow()
    before = by.blocks(mixed, mixed.lines, TODAY)
    assert by.reflow()
    after = by.blocks(mixed, mixed.lines, TODAY)
    assert [new is old for new, old in zip(after[1:], before[1:], strict=True)] == [True, False]


def test_a_long_message_is_folded_until_somebody_wants_all_of_it() -> None:
    found = transcript(said(1, "bob", "line\n" * 500), said(2, "bob", "x" * 16_000), said(3, "bob", "short"))
    by = composer()
    lines, letters, short = shown(found, by)[1:]
    assert words(lines).count("line") < 60
    assert words(letters).count("x") < 4000
    assert "unfold" in tags(lines, "Show all of it")
    assert not any("unfold" in tags for _, tags in short.pieces)
    by.unfold(found.lines[0])
    assert words(shown(found, by)[1]).count("line") == 500


def test_a_message_made_of_marks_does_not_become_thousands_of_pieces() -> None:
    for text in ("@a " * 1200, "`x` " * 900, "a😀" * 1900, "http://a " * 400):
        block = shown(transcript(said(1, "bob", text)))[1]
        assert len(block.pieces) < 500, text[:6]
        assert words(block).count(text[:2]) > 300
