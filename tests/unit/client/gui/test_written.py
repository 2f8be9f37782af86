from __future__ import annotations

from dchat_client.gui.written import MOST, Written


def test_the_arrow_keys_walk_through_what_was_sent_and_back_to_what_is_being_written() -> None:
    written = Written()
    for text in ("one", "two", "two", "three"):
        written.add(text)
    assert written.earlier("half") == "three"
    assert written.earlier("three") == "two"
    assert written.earlier("two") == "one"
    assert written.earlier("one") is None
    assert written.later() == "two"
    assert written.later() == "three"
    assert written.later() == "half"
    assert written.later() is None


def test_nothing_was_written_yet() -> None:
    written = Written()
    assert written.earlier("") is None
    assert not written.is_walking


def test_only_so_much_is_remembered() -> None:
    written = Written(str(number) for number in range(MOST + 50))
    written.add("last")
    seen = []
    while (text := written.earlier("")) is not None:
        seen.append(text)
    assert len(seen) == MOST
    assert seen[0] == "last"
