"""Drafts, levels, sent texts and the open room, kept for next time."""

from __future__ import annotations

from pathlib import Path

from dchat_client.config import Folders, Profile
from dchat_client.kept import MOST_DRAFTS, MOST_SENT, Kept


def test_what_is_kept_is_there_the_next_time(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.keep_draft("lobby", "half a th\nought 漢 \ud800")
    kept.set_level("dev", "none")
    kept.add_sent("one")
    kept.add_sent("two")
    kept.set_room("dev")
    again = Kept(tmp_path)
    assert again.draft("lobby") == "half a th\nought 漢 \ud800"
    assert again.rooms_with_draft() == {"lobby"}
    assert (again.level("dev"), again.level("lobby")) == ("none", None)
    assert again.sent == ["one", "two"]
    assert again.room == "dev"


def test_a_draft_that_was_sent_is_forgotten(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.keep_draft("lobby", "x")
    kept.keep_draft("lobby", "  ")
    assert Kept(tmp_path).rooms_with_draft() == set()


def test_two_clients_at_once_lose_none_of_each_others_drafts(tmp_path: Path) -> None:
    one, other = Kept(tmp_path), Kept(tmp_path)
    one.keep_draft("lobby", "mine")
    other.keep_draft("dev", "yours")
    one.add_sent("a")
    other.add_sent("b")
    last = Kept(tmp_path)
    assert (last.draft("lobby"), last.draft("dev"), last.sent) == ("mine", "yours", ["a", "b"])


def test_a_file_that_cannot_be_read_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "drafts.json").write_text("{")
    (tmp_path / "sent.json").write_text('{"not": "a list"}')
    kept = Kept(tmp_path)
    assert kept.draft("lobby") == ""
    assert kept.sent == []
    assert (tmp_path / "drafts.unreadable").read_text() == "{"
    kept.keep_draft("lobby", "new")
    assert Kept(tmp_path).draft("lobby") == "new"


def test_what_is_kept_has_bounds(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    for number in range(MOST_DRAFTS + 5):
        kept.keep_draft(f"r{number}", "x")
    for number in range(MOST_SENT + 5):
        kept.add_sent(str(number))
    kept.add_sent("x" * 5000)
    kept.add_sent(str(MOST_SENT + 4))
    assert len(kept.rooms_with_draft()) == MOST_DRAFTS
    assert "r0" not in kept.rooms_with_draft()
    assert kept.sent[0] == "5"
    assert kept.sent[-1] == str(MOST_SENT + 4)
    assert len(kept.sent) == MOST_SENT


def test_only_its_owner_can_read_what_is_kept(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "new")
    kept.keep_draft("lobby", "secret")
    assert (tmp_path / "new" / "drafts.json").stat().st_mode & 0o77 == 0


def test_another_server_or_user_has_another_folder(tmp_path: Path) -> None:
    folders = Folders(tmp_path, tmp_path)
    here = Kept.of(folders, Profile("default", ("http://a",), "ada")).folder
    assert here == Kept.of(folders, Profile("default", ("http://a",), "ada")).folder
    assert here != Kept.of(folders, Profile("default", ("http://b",), "ada")).folder
    assert here != Kept.of(folders, Profile("default", ("http://a",), "bob")).folder
