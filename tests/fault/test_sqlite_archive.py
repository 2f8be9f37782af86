"""The archive's SQLite file when its writer is killed, when two processes write, when the disk is full or the file
damaged."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import structlog

from dchat_server.adapters.sqlite_archive import FILE, SqliteArchive
from dchat_server.errors import ArchiveUnavailable
from dchat_server.ports_archive import Chunk, Fenced, RoomChange, RoomRecord
from tests.harness.processes import Running, eventually, new_folder, plain_environment

SHARDS = 4
WRITER = """
    import asyncio, sys
    from pathlib import Path
    from dchat_server.adapters.sqlite_archive import SqliteArchive
    from dchat_server.ports_archive import Chunk, Fenced, RoomChange, RoomRecord

    async def main(path, fence, rooms):
        archive = SqliteArchive(Path(path), 4)
        await archive.start()
        await archive.raise_fence(fence)
        print("ready", flush=True)

        async def work(room):
            version = (await archive.rooms([room])).get(room, RoomRecord(room)).version
            while True:
                version += 1
                first = version * 10 - 9
                chunk = Chunk(first, first + 9, first, first, b"%d" % version * 500)
                record = RoomRecord(room, version=version, commit=f"{fence}-{version}", watermark=first + 9)
                await archive.commit(fence, RoomChange(record, put=[chunk], roster=[b"%d" % version]))
                print("done", room, version, flush=True)

        try:
            await asyncio.gather(*(work(room) for room in rooms))
        except Fenced as refused:
            print("fenced", refused.seen, flush=True)
            await archive.stop()

    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = new_folder()
    yield folder
    shutil.rmtree(folder)


@pytest_asyncio.fixture
async def archive(folder: Path) -> AsyncIterator[SqliteArchive]:
    archive = SqliteArchive(folder / FILE, SHARDS)
    await archive.start()
    await archive.raise_fence(1)
    yield archive
    await archive.stop()


def writer(folder: Path, fence: int, *rooms: str) -> Running:
    """A process that commits to rooms, and says so after each commit."""
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(folder / FILE), str(fence), *rooms]
    return Running(f"writer{fence}", command, folder, plain_environment())


def acknowledged(log: str) -> dict[str, int]:
    """room → the last version that the writer said is stored."""
    lines = [line.split() for line in log.splitlines(keepends=True) if line.startswith("done") and line.endswith("\n")]
    return {room: int(version) for _, room, version in lines}


async def check_rooms(folder: Path, at_least: dict[str, int]) -> None:
    """Everything acknowledged is there, and each room's record, roster and chunks agree."""
    archive = SqliteArchive(folder / FILE, SHARDS)
    await archive.start()
    for room, version in at_least.items():
        record = (await archive.rooms([room]))[room]
        assert version <= record.version <= version + 1
        chunks = await archive.chunks(room, 0, 10**6)
        assert [chunk.first for chunk in chunks] == list(range(1, record.watermark, 10))
        assert chunks[-1].last == record.watermark == record.version * 10
        assert await archive.roster(room) == (0, [b"%d" % record.version])
    await archive.stop()


async def test_a_killed_writer_leaves_everything_it_acknowledged_and_no_half_step(folder: Path) -> None:
    rooms = [f"room-{number}" for number in range(8)]
    for fence in (1, 2, 3):
        process = writer(folder, fence, *rooms)
        with process:
            await eventually(lambda process=process: len(acknowledged(process.log)) == 8, "all rooms are written to")
            await asyncio.sleep(0.2)
        await check_rooms(folder, acknowledged(process.log))


async def test_of_two_processes_the_one_of_the_earlier_term_is_refused(folder: Path) -> None:
    old = writer(folder, 5, "lobby")
    with old:
        await eventually(lambda: acknowledged(old.log).get("lobby", 0) > 3, "the first leader writes")
        new = writer(folder, 6, "lobby", "team")
        with new:
            assert await asyncio.to_thread(old.wait) == 0
            assert old.log.endswith("fenced 6\n")
            behind = acknowledged(old.log)["lobby"]
            await eventually(lambda: acknowledged(new.log).get("lobby", 0) > behind + 3, "the second goes on")
    await check_rooms(folder, acknowledged(new.log))


async def test_processes_that_start_at_once_make_one_archive(folder: Path) -> None:
    code = """
        import asyncio, sys
        from pathlib import Path
        from dchat_server.adapters.sqlite_archive import SqliteArchive

        async def main(path):
            archive = SqliteArchive(Path(path), 4)
            sys.stdin.readline()
            await archive.start()
            print(await archive.identity())
            await archive.stop()

        asyncio.run(main(sys.argv[1]))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(folder / FILE)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    started = [subprocess.Popen(command, env=plain_environment(), text=True, **pipes) for _ in range(6)]  # type: ignore[call-overload]
    try:
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [await asyncio.to_thread(process.communicate, timeout=60) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert len({out for out, _ in said}) == 1
    assert len(said[0][0].strip()) == 32


async def test_a_leader_waits_for_another_process_that_writes_and_gives_up_in_time(
    folder: Path, archive: SqliteArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(folder / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(archive.commit(1, RoomChange(RoomRecord("lobby", version=1, commit="a"))))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    assert await archive.rooms(["lobby"]) == {}  # readers do not wait
    other.execute("ROLLBACK")
    await waiting
    other.execute("BEGIN IMMEDIATE")
    with structlog.testing.capture_logs() as lines, pytest.raises(ArchiveUnavailable):
        await archive.commit(1, RoomChange(RoomRecord("lobby", version=2, commit="b")))
    assert [(line["event"], line["error"]) for line in lines] == [("archive_write_failed", "database is locked")]
    other.close()
    await archive.commit(1, RoomChange(RoomRecord("lobby", version=2, commit="b")))


async def test_a_full_disk_refuses_what_does_not_fit_and_keeps_what_is_there(folder: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("mounting a small disk takes root")
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        archive = SqliteArchive(disk / FILE, SHARDS)
        await archive.start()
        await archive.raise_fence(1)
        version = 0

        async def fill() -> None:
            nonlocal version
            while version < 200:
                first = version * 10 + 1
                record = RoomRecord("lobby", version=version + 1, commit=f"{version}")
                put = [Chunk(first, first + 9, first, first, os.urandom(60_000))]
                await archive.commit(1, RoomChange(record, put=put))
                version += 1

        with structlog.testing.capture_logs() as lines, pytest.raises(ArchiveUnavailable):
            await fill()
        assert version > 10
        assert lines[0]["event"] == "archive_write_failed"
        assert "full" in lines[0]["error"]
        assert (await archive.rooms(["lobby"]))["lobby"].version == version
        assert len(await archive.chunks("lobby", 0, 1000)) == version
        subprocess.run(["mount", "-o", "remount,size=32m", str(disk)], check=True)
        await archive.commit(1, RoomChange(RoomRecord("lobby", version=version + 1, commit="later")))
        await archive.stop()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


async def test_a_damaged_file_is_unavailable_and_says_so(folder: Path, archive: SqliteArchive) -> None:
    put = [Chunk(first, first, first, first, b"x" * 50_000) for first in range(1, 30)]
    await archive.commit(1, RoomChange(RoomRecord("lobby", version=1, commit="a"), put=put))
    await archive.stop()
    size = (folder / FILE).stat().st_size
    with (folder / FILE).open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    damaged = SqliteArchive(folder / FILE, SHARDS)
    with structlog.testing.capture_logs() as lines:
        with pytest.raises(ArchiveUnavailable):
            await damaged.start()
        with pytest.raises(ArchiveUnavailable):
            await damaged.chunks("lobby", 1, 10)
        with pytest.raises(ArchiveUnavailable):
            await damaged.commit(1, RoomChange(RoomRecord("lobby", version=2, commit="b")))
    assert {line["event"] for line in lines} == {"archive_start_failed", "archive_read_failed", "archive_write_failed"}
    assert any("malformed" in line["error"] for line in lines)
    await damaged.stop()


async def test_a_file_that_was_taken_away_does_not_come_back_empty(folder: Path, archive: SqliteArchive) -> None:
    late = SqliteArchive(folder / FILE, SHARDS)
    (folder / FILE).unlink()
    with pytest.raises(ArchiveUnavailable):
        await late.commit(1, RoomChange(RoomRecord("lobby", version=1, commit="a")))
    with pytest.raises(ArchiveUnavailable):
        await late.rooms(["lobby"])
    assert not (folder / FILE).exists()
    await late.stop()


async def test_each_of_many_steps_that_are_written_together_has_its_own_outcome(archive: SqliteArchive) -> None:
    def change(room: str, version: int) -> RoomChange:
        put = [Chunk(version, version, version, version, b"x")]
        return RoomChange(RoomRecord(room, version=version, commit=f"{room}-{version}"), put=put)

    await archive.commit(1, change("there", 1))
    outcomes = await asyncio.gather(
        archive.commit(1, change("a", 1)),
        archive.commit(0, change("b", 1)),
        archive.commit(1, change("there", 3)),
        archive.commit(1, change("a", 2)),
        archive.raise_fence(2),
        archive.commit(1, change("a", 3)),
        archive.commit(2, change("a", 3)),
        return_exceptions=True,
    )
    assert [type(each).__name__ for each in outcomes] == [
        "NoneType", "Fenced", "Conflict", "NoneType", "NoneType", "Fenced", "NoneType"
    ]  # fmt: skip
    assert isinstance(outcomes[5], Fenced)
    assert outcomes[5].seen == 2
    records = await archive.rooms(["a", "b", "there"])
    assert {room: record.version for room, record in records.items()} == {"a": 3, "there": 1}


async def test_a_worker_that_ends_leaves_the_log_under_another_ones_connections(folder: Path) -> None:
    path = folder / FILE
    archive = SqliteArchive(path, SHARDS)
    await archive.start()
    await archive.raise_fence(1)
    assert await archive.identity() == await archive.identity()
    come_and_go = "import pathlib, sys; from dchat_server.adapters.sqlite_schema import prepare; "
    come_and_go += "prepare(pathlib.Path(sys.argv[1]), 4)"
    command = [sys.executable, "-c", come_and_go, str(path)]
    await asyncio.to_thread(subprocess.run, command, check=True, env=plain_environment())
    assert Path(f"{path}-wal").exists()
    await archive.raise_fence(2)
    assert await archive.fence() == 2
    await archive.stop()
