"""The SQLite file of an archive: made once, private, and refused when it is not ours."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from dchat_server.adapters import sqlite_schema
from dchat_server.adapters.sqlite_schema import APPLICATION, SCHEMA, connect, prepare
from dchat_server.errors import ClusterMismatch


def run(path: Path, statement: str) -> list[object]:
    db = sqlite3.connect(path)
    with db:
        found = db.execute(statement).fetchall()
    db.close()
    return found


def test_it_is_made_with_its_folder_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "archive.sqlite3"
    identity = prepare(path, 16)
    assert prepare(path, 16) == identity
    assert path.stat().st_mode & 0o777 == 0o600
    assert run(path, "PRAGMA journal_mode") == [("wal",)]
    assert run(path, "PRAGMA application_id") == [(APPLICATION,)]
    assert run(path, "PRAGMA user_version") == [(SCHEMA,)]


def test_a_file_of_a_later_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "archive.sqlite3"
    prepare(path, 16)
    run(path, f"PRAGMA user_version = {SCHEMA + 1}")
    with pytest.raises(ClusterMismatch, match="later version"):
        prepare(path, 16)
    assert run(path, "PRAGMA user_version") == [(SCHEMA + 1,)]


def test_another_programs_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "archive.sqlite3"
    run(path, "CREATE TABLE theirs (a)")
    with pytest.raises(ClusterMismatch, match="another program"):
        prepare(path, 16)
    assert run(path, "SELECT name FROM sqlite_master") == [("theirs",)]
    assert run(path, "PRAGMA journal_mode") == [("delete",)]


def test_another_number_of_shards_is_refused(tmp_path: Path) -> None:
    prepare(tmp_path / "archive.sqlite3", 16)
    with pytest.raises(ClusterMismatch, match="DCHAT_SHARDS=16"):
        prepare(tmp_path / "archive.sqlite3", 8)


def test_a_creation_that_was_cut_short_is_done_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "archive.sqlite3"
    path.touch()  # killed after it was made, before its tables were
    assert prepare(path, 4)


def test_writes_reach_the_disk_before_they_count_and_readers_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "archive.sqlite3"
    prepare(path, 4)
    writer, reader = connect(path), connect(path, reading=True)
    assert writer.execute("PRAGMA synchronous").fetchone() == (2,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("UPDATE meta SET value = 1")
    writer.close()
    reader.close()


def test_a_folder_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        prepare(tmp_path / "file" / "archive.sqlite3", 4)
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_that_another_worker_finishes_while_it_is_looked_at_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "archive.sqlite3"
    other = threading.Thread(target=prepare, args=(path, 4))

    def connect_and_dawdle(path: Path) -> sqlite3.Connection:
        def before(statement: str) -> None:
            if statement.startswith("SELECT count") and not other.ident:
                other.start()
                other.join(0.5)  # as far as it gets: where all is well, it waits for us

        db = connect(path)
        if threading.current_thread() is not other:
            db.set_trace_callback(before)
        return db

    monkeypatch.setattr(sqlite_schema, "connect", connect_and_dawdle)
    identity = prepare(path, 4)
    other.join()
    assert prepare(path, 4) == identity
