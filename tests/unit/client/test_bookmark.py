"""A place kept in a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dchat_client.bookmark import BookmarkFile, BookmarkInUse
from dchat_client.config import ConfigError
from dchat_client.position import Bookmark, Position

PLACE = Bookmark("c1", {"lobby": Position(3, 7), "日": Position(-1, 2)})
ABOUT = {"rooms": "lobby"}


def test_what_is_stored_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "place.json"
    with BookmarkFile(path, ABOUT) as file:
        assert file.load() is None
        file.store(PLACE)
    with BookmarkFile(path, ABOUT) as file:
        assert file.load() == PLACE


def test_an_unchanged_place_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "place"
    with BookmarkFile(path, ABOUT) as file:
        file.store(PLACE)
        path.unlink()
        file.store(PLACE.copy())
        assert not path.exists()
        file.store(Bookmark("c2"))
        assert path.exists()


def test_one_reader_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "place"
    with BookmarkFile(path, ABOUT) as file:
        with pytest.raises(BookmarkInUse):
            BookmarkFile(path, ABOUT).__enter__()
        file.store(PLACE)
        with pytest.raises(BookmarkInUse):
            BookmarkFile(path, ABOUT).__enter__()
    with BookmarkFile(path, ABOUT):
        pass


def test_a_child_that_has_inherited_the_open_file_does_not_keep_the_place(tmp_path: Path) -> None:
    """As one has between its fork and its exec."""
    path = tmp_path / "place"
    with BookmarkFile(path, ABOUT) as file:
        assert file._lock is not None
        inherited = os.dup(file._lock.fileno())
    try:
        with BookmarkFile(path, ABOUT):
            pass
    finally:
        os.close(inherited)


def test_the_place_of_another_stream_is_not_used(tmp_path: Path) -> None:
    with BookmarkFile(tmp_path / "place", ABOUT) as file:
        file.store(PLACE)
    with BookmarkFile(tmp_path / "place", {"rooms": "den"}) as file, pytest.raises(ConfigError, match="rooms lobby"):
        file.load()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"version": 2}',
        '{"version": 1, "about": {"rooms": "lobby"}}',
        '{"version": 1, "about": {"rooms": "lobby"}, "bookmark": {"cursor": 1, "positions": {}}}',
        '{"version": 1, "about": {"rooms": "lobby"}, "bookmark": {"cursor": "", "positions": {}}}',
        '{"version": 1, "about": {"rooms": "lobby"}, "bookmark": {"cursor": "c", "positions": {"r": [1]}}}',
        '{"version": 1, "about": {"rooms": "lobby"}, "bookmark": {"cursor": "c", "positions": {"r": [1, true]}}}',
    ],
)
def test_a_damaged_file_says_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "place").write_text(text)
    with BookmarkFile(tmp_path / "place", ABOUT) as file, pytest.raises(ConfigError, match="remove it"):
        file.load()
