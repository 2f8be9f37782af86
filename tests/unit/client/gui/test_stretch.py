from __future__ import annotations

from dchat_client.gui.stretch import ASK_AGAIN_S, MOST_SHOWN, SHOWN, Stretch
from dchat_client.transcript import Transcript


def transcript(last: int, *, has_more: bool = False) -> Transcript:
    found = Transcript("lobby")
    page = [{"seq": seq, "epoch": 1, "sender": "bob", "text": "x"} for seq in range(1, last + 1)]
    found.page(page, last, has_more, before=None)
    return found


def test_it_begins_with_the_last_few_hundred() -> None:
    stretch = Stretch(transcript(1000))
    stretch.cut()
    assert [line.seq for line in stretch.lines] == list(range(1001 - SHOWN, 1001))


def test_it_is_cut_again_only_when_it_has_grown_long() -> None:
    stretch = Stretch(transcript(1000))
    stretch.cut()
    assert stretch.grow()
    stretch.cut()
    assert len(stretch.lines) == 2 * SHOWN
    for _ in range(3):
        stretch.grow()
    assert len(stretch.lines) > MOST_SHOWN
    stretch.cut()
    assert len(stretch.lines) == SHOWN


def test_a_page_is_asked_for_when_the_transcript_has_no_more_and_not_at_every_turn() -> None:
    stretch = Stretch(transcript(50, has_more=True))
    assert not stretch.grow()
    assert stretch.page_to_ask(10.0) == 1
    assert stretch.page_to_ask(10.0 + ASK_AGAIN_S / 2) is None
    assert stretch.page_to_ask(10.0 + ASK_AGAIN_S) == 1
    stretch.replaced()
    assert stretch.page_to_ask(10.1 + ASK_AGAIN_S) == 1


def test_no_page_is_asked_for_where_the_room_begins() -> None:
    assert Stretch(transcript(50)).page_to_ask(1.0) is None
    assert Stretch(Transcript("lobby")).page_to_ask(1.0) is None


def test_what_stands_above_says_what_is_so() -> None:
    assert Stretch(Transcript("lobby")).words == "Loading …"
    assert Stretch(transcript(0)).words == "Nobody has said anything yet."
    assert Stretch(transcript(5)).words == "This is where the room begins."
    assert "scroll up" in Stretch(transcript(5, has_more=True)).words
