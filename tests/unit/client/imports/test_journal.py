"""What is in a room already."""

from __future__ import annotations

from pathlib import Path

import pytest

from dchat_client.config import ConfigError
from dchat_client.imports.journal import Journal


def test_what_was_noted_is_known_the_next_time(tmp_path: Path) -> None:
    path = tmp_path / "import" / "x.sqlite"
    with Journal(path) as journal:
        assert journal.seq(b"a") is None
        journal.note(b"a", 7)
        journal.note(b"b", 0)
        journal.note(b"a", 9)
    with Journal(path) as journal:
        assert (journal.seq(b"a"), journal.seq(b"b"), journal.seq(b"c")) == (7, 0, None)


def test_two_imports_into_one_room_are_not_run_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with Journal(path), pytest.raises(ConfigError, match="Another import"), Journal(path):
        pass
    with Journal(path):
        pass


def test_a_damaged_file_is_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    path.write_bytes(b"nonsense" * 1000)
    with pytest.raises(ConfigError, match="--forget"), Journal(path):
        pass
