"""The leader of one machine: the one that holds a file's lock. What every leadership must do is in contract/."""

from __future__ import annotations

import asyncio
import fcntl
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from dchat_server.adapters.local_leadership import LocalLeadership
from dchat_server.errors import ArchiveUnavailable
from dchat_server.ports_cluster import Member, Term
from tests.harness.processes import Running, eventually, plain_environment

HOLDER = """
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(fd, fcntl.LOCK_EX)
os.pwrite(fd, b'{"worker": "other", "fence": 41}', 0)
time.sleep(600)
"""


class Candidate:
    def __init__(self, path: Path) -> None:
        self.terms: list[Term] = []
        self.fence = 0
        self.failing = 0
        self.port = LocalLeadership(path, self._next_fence)
        self._reader = asyncio.create_task(self._read())

    async def _next_fence(self) -> int:
        if self.failing:
            self.failing -= 1
            raise ArchiveUnavailable()
        self.fence += 1
        return self.fence

    async def _read(self) -> None:
        async for term in self.port.terms():
            self.terms.append(term)
            await term.over()

    async def start(self) -> None:
        await self.port.start(Member("me", "me:1", "1", 1, 0))

    async def stop(self) -> None:
        await self.port.stop()
        await self._reader


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dchat_server.adapters.local_leadership.TRY_S", 0.05)
    monkeypatch.setattr("dchat_server.adapters.local_leadership.AFTER_YOU_S", 0.2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "leader.lock"


@pytest_asyncio.fixture
async def candidate(path: Path) -> AsyncIterator[Candidate]:
    candidate = Candidate(path)
    try:
        yield candidate
    finally:
        await candidate.stop()


def free(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


async def test_the_kernel_frees_the_lock_when_its_holder_is_killed(candidate: Candidate, path: Path) -> None:
    path.parent.mkdir()
    with Running("holder", [sys.executable, "-c", HOLDER, str(path)], path.parent, plain_environment()) as holder:
        await eventually(lambda: path.exists() and path.read_bytes(), "the other one holds it")
        await candidate.start()
        await eventually(lambda: candidate.port.leader is not None, "it sees who leads")
        assert candidate.port.leader is not None
        assert (candidate.port.leader.worker, candidate.port.leader.fence) == ("other", 41)
        assert not candidate.terms
        holder.freeze()
        await asyncio.sleep(0.3)
        assert not candidate.terms
        holder.kill()
        await eventually(lambda: candidate.terms, "it leads now")
    assert json.loads(path.read_text()) == {"worker": "me", "fence": 1}


async def test_a_lock_file_that_is_deleted_or_replaced_ends_the_term(candidate: Candidate, path: Path) -> None:
    await candidate.start()
    await eventually(lambda: candidate.terms, "it leads")
    path.unlink()
    await eventually(lambda: not candidate.terms[0].valid, "it notices")
    await eventually(lambda: len(candidate.terms) == 2, "it leads with a new file")
    path.rename(path.with_name("old"))
    path.write_text("")
    await eventually(lambda: len(candidate.terms) == 3, "it leads with the file that is there now")
    assert not free(path)


async def test_without_a_fence_it_does_not_lead_and_goes_on_asking(candidate: Candidate, path: Path) -> None:
    candidate.failing = 2
    with capture_logs() as lines:
        await candidate.start()
        await eventually(lambda: candidate.terms, "it leads")
    assert [line["event"] for line in lines][:2] == ["cannot_lead", "cannot_lead"]


async def test_stopping_leaves_neither_a_lock_nor_a_name(candidate: Candidate, path: Path) -> None:
    await candidate.start()
    await eventually(lambda: candidate.terms, "it leads")
    await candidate.port.stop()
    assert free(path)
    assert path.read_bytes() == b""
    assert candidate.port.leader is None


async def test_a_lock_that_cannot_be_made_is_reported_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    candidate = Candidate(tmp_path / "file" / "leader.lock")
    with capture_logs() as lines:
        await candidate.start()
        await eventually(lambda: lines, "it says so")
    assert lines[0]["event"] == "cannot_lead"
    (tmp_path / "file").unlink()
    await eventually(lambda: candidate.terms, "it leads")
    await candidate.stop()
