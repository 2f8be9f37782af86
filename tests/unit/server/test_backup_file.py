"""A backup's file: what was put in comes out, and no damage goes unnoticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from dchat_server.backup_file import (
    MAGIC,
    BackupWriter,
    BadBackup,
    chunk_from,
    parts,
    person_from,
    room_from,
    shard_from,
    verify,
)
from dchat_server.ports_archive import Chunk, Mark, RoomRecord, UserRecord

ADA = UserRecord("ada", {"password": "$argon2id$"}, {"t1": '{"digest": "aa"}'}, ["lobby"], {"lobby": "3 2"})
LOBBY = RoomRecord("lobby", version=7, watermark=12, messages=9, epochs=((5, 1), (6, 10)), facts={"topic": "Grüße"})
CHUNKS = [Chunk(1, 9, 90, 900, b"\x00one"), Chunk(10, 12, 120, 1200, b"two" * 5)]


def writer(path: Path) -> BackupWriter:
    return BackupWriter(path, backup="abc", made=1_795_000_000_000, shards=16, identity="i", complete=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    with writer(path) as out:
        out.shard(3, Mark(6, 120))
        out.person(3, ADA)
        out.room(4, LOBBY, [b"people", b"more people"])
        for chunk in CHUNKS:
            out.chunk(chunk)
        out.finish()
    return path


def test_what_was_put_in_comes_out(file: Path) -> None:
    head, shard, person, room, *roster = list(parts(file))[:6]
    assert (head.kind, shard_from(shard.body), person_from(person.body)) == (b"H", (3, Mark(6, 120)), (3, ADA))
    assert room_from(room.body) == (4, LOBBY, 2)
    assert [part.body for part in roster] == [b"people", b"more people"]
    assert [chunk_from(part.body) for part in list(parts(file))[6:8]] == CHUNKS
    summary = verify(file)
    assert dict(summary.counts) == {"people": 1, "rooms": 1, "chunks": 2}
    assert (summary.backup, summary.shards, summary.complete) == ("abc", 16, True)


def test_it_is_for_its_owner_only_and_nothing_else_is_left_beside_it(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_every_flipped_byte_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x41]) + whole[at + 1 :])
        with pytest.raises(BadBackup):
            verify(file)


def test_every_cut_is_noticed_and_so_is_what_was_added(file: Path) -> None:
    whole = file.read_bytes()
    for end in range(len(whole)):
        file.write_bytes(whole[:end])
        with pytest.raises(BadBackup):
            verify(file)
    file.write_bytes(whole + b"x")
    with pytest.raises(BadBackup, match="added"):
        verify(file)


def test_a_part_that_is_missing_as_a_whole_is_noticed(file: Path) -> None:
    whole = file.read_bytes()
    start = whole.index(b"C", whole.index(b"more people"))
    length = 9 + 32 + len(CHUNKS[0].data)
    assert whole[start : start + 1] == whole[start + length : start + length + 1] == b"C"
    file.write_bytes(whole[:start] + whole[start + length :])
    with pytest.raises(BadBackup, match="parts"):
        verify(file)


@pytest.mark.parametrize(
    ("data", "why"), [(b"", "no backup"), (b"PK\x03\x04 something", "no backup"), (MAGIC[:-1] + b"2", "later version")]
)
def test_other_files_are_told_for_what_they_are(tmp_path: Path, data: bytes, why: str) -> None:
    (tmp_path / "other").write_bytes(data)
    with pytest.raises(BadBackup, match=why):
        verify(tmp_path / "other")


def test_what_was_taken_back_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with writer(path) as out:
        out.room(4, LOBBY, [])
        out.chunk(CHUNKS[0])
        place = out.place()
        for _ in range(2):
            out.rewind(place)
            out.chunk(CHUNKS[1])
        out.finish()
    assert [part.kind for part in parts(path)] == [b"H", b"R", b"C", b"C", b"E"]
    assert verify(path).counts["chunks"] == 2


def test_no_file_is_written_over(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(FileExistsError, match="another name"):
        writer(file)
    with writer(file.with_name("second")) as out:
        with pytest.raises(FileExistsError, match="another backup"):
            writer(file.with_name("second"))
        file.rename(file.with_name("second"))  # it came meanwhile
        with pytest.raises(FileExistsError):
            out.finish()
    assert file.with_name("second").read_bytes() == before


def test_what_was_not_finished_is_taken_away(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), writer(tmp_path / "file"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
