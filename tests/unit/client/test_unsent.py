"""What was not sent is there the next time, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from dchat_client.config import ConfigError
from dchat_client.outbox import Entry
from dchat_client.unsent import SAFE_S, UnsentFiles

NOW_S = 1_800_000_000.0


def entry(number: int, *, written_s: float = NOW_S) -> Entry:
    return Entry("lobby", f"text {number}", f"key-{number}", None if number % 2 else 7, written_s)


def test_what_one_face_left_the_next_one_sends_and_no_third_one(tmp_path: Path) -> None:
    with UnsentFiles(tmp_path) as files:
        assert files.take_over(NOW_S) == ([], [])
        files.keep([entry(1), entry(2)], [entry(3)])
    with UnsentFiles(tmp_path) as files:
        assert files.take_over(NOW_S + 5) == ([entry(1), entry(2)], [entry(3)])
        with UnsentFiles(tmp_path) as third:
            assert third.take_over(NOW_S + 5) == ([], [])
        files.keep([], [])
    with UnsentFiles(tmp_path) as files:
        assert files.take_over(NOW_S + 10) == ([], [])


def test_what_a_face_took_over_is_not_lost_when_it_is_killed_at_once(tmp_path: Path) -> None:
    with UnsentFiles(tmp_path) as files:
        files.take_over(NOW_S)
        files.keep([entry(1)], [])
    for _ in range(2):
        with UnsentFiles(tmp_path) as files:
            assert files.take_over(NOW_S)[0] == [entry(1)]


def test_two_faces_at_once_have_files_of_their_own_and_the_next_one_has_both(tmp_path: Path) -> None:
    with UnsentFiles(tmp_path) as one, UnsentFiles(tmp_path) as other:
        one.take_over(NOW_S)
        other.take_over(NOW_S)
        other.keep([entry(2, written_s=NOW_S - 1)], [])
        one.keep([entry(1)], [])
    with UnsentFiles(tmp_path) as files:
        assert files.take_over(NOW_S)[0] == [entry(2, written_s=NOW_S - 1), entry(1)]


@pytest.mark.parametrize(("age_s", "is_late"), [(0, False), (SAFE_S - 1, False), (SAFE_S, True), (-60, True)])
def test_what_the_server_may_have_forgotten_the_key_of_is_not_sent_by_itself(
    tmp_path: Path, age_s: float, is_late: bool
) -> None:
    with UnsentFiles(tmp_path) as files:
        files.take_over(NOW_S)
        files.keep([entry(1)], [])
    with UnsentFiles(tmp_path) as files:
        waiting, failed = files.take_over(NOW_S + age_s)
        assert (waiting, failed) == (([], [entry(1)]) if is_late else ([entry(1)], []))


def test_a_file_that_cannot_be_read_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "unsent.json").write_text('[{"room": "lobby"}]')
    with UnsentFiles(tmp_path) as files:
        assert files.take_over(NOW_S) == ([], [])
    assert (tmp_path / "unsent.unreadable").exists()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    with UnsentFiles(tmp_path / "folder") as files, pytest.raises(ConfigError, match="cannot be opened"):
        files.take_over(NOW_S)
