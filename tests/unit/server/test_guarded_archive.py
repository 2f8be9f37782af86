"""An archive that belongs with another message log is not used."""

from __future__ import annotations

import asyncio

import pytest

from dchat_server.adapters import guarded_archive
from dchat_server.adapters.guarded_archive import GuardedArchive
from dchat_server.errors import ArchiveUnavailable, ClusterMismatch
from tests.archives import MemoryArchive


async def fits(identity: str) -> None:
    assert identity


async def fits_not(identity: str) -> None:
    raise ClusterMismatch("another one")


async def test_an_archive_that_belongs_here_is_just_itself() -> None:
    archive = GuardedArchive(MemoryArchive())
    await archive.check(fits)
    await archive.raise_fence(3)
    assert await archive.fence() == 3


async def test_a_foreign_one_answers_nothing_but_can_be_stopped() -> None:
    archive = GuardedArchive(MemoryArchive())
    with pytest.raises(ArchiveUnavailable):
        await archive.check(fits_not)
    for call in (archive.fence(), archive.marks(), archive.rooms(["hall"]), archive.raise_fence(3)):
        with pytest.raises(ArchiveUnavailable):
            await call
    await archive.stop()


async def test_one_that_is_away_is_checked_once_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guarded_archive, "AGAIN_S", 0.001)
    below = MemoryArchive()
    tries = 0

    async def identity() -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ArchiveUnavailable
        return "this one"

    monkeypatch.setattr(below, "identity", identity)
    archive = GuardedArchive(below)
    async with asyncio.timeout(30):
        await archive.check_later(fits_not)
    assert (tries, archive.foreign) == (3, True)
