"""A worker that does nothing but take part in elections and lead, as a process of its own:

    python -m tests.harness.voter '{"name": "a", "hosts": "127.0.0.1:2181/x", "session_s": 2, "store": "/folder"}'

It says what happens as JSON lines on its output, with times (`at`) of a clock that all processes of the machine share.
What the leader writes goes to a file that refuses low fences, as the real stores do.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dchat_server.adapters import zookeeper_client
from dchat_server.adapters.terms import clock
from dchat_server.adapters.zookeeper import ZooKeeperLeadership
from dchat_server.adapters.zookeeper_client import Access
from dchat_server.leader import Leader
from dchat_server.ports_archive import Fenced
from dchat_server.ports_cluster import Member, Term
from tests.harness.processes import ROOT, Running, plain_environment

LOOK_S = 0.005


class FenceFile:
    """A store for all processes: the highest fence it has seen, on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def raise_fence(self, fence: int) -> None:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            seen = int(os.read(fd, 100) or b"0")
            if fence < seen:
                raise Fenced(seen)
            os.pwrite(fd, b"%d" % fence, 0)
        finally:
            os.close(fd)


class Writing:
    """The duty: writes all the time. A careless one does not ask first whether its term is still good."""

    name = "writing"

    def __init__(self, store: FenceFile, careless: bool) -> None:
        self._store, self._careless = store, careless

    async def run(self, term: Term) -> None:
        say("writes", fence=term.fence)
        while True:
            if not self._careless:
                term.check()
            try:
                await self._store.raise_fence(term.fence)
            except Fenced as error:
                say("refused", fence=term.fence, seen=error.seen)
                raise
            await asyncio.sleep(0.01)


class Watched(ZooKeeperLeadership):
    """Tells of each term."""

    def terms(self) -> Any:
        return self._told()

    async def _told(self) -> Any:
        async for term in super().terms():
            say("term", fence=term.fence)
            looking = asyncio.create_task(look(term, lambda: self._session.losses if self._session else 0))
            yield term
            await looking


async def look(term: Any, losses: Callable[[], int]) -> None:
    """Look at the term all the time; say when it is over, and what was seen first after a pause of the process."""
    last, known = clock(), losses()
    while True:
        now = clock()
        valid = term.valid
        if now - last > 1.0:
            say("woke", gap_s=now - last, valid=valid, heard=losses() != known, why=term.why)
        if not valid:
            # It was valid when we looked last, and may have been until now.
            return say("over", fence=term.fence, seen=last, why=term.why)
        last, known = now, losses()
        await asyncio.sleep(LOOK_S)


def say(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, "at": clock(), **facts}), flush=True)


async def main(about: dict[str, Any]) -> None:
    if slow_s := about.get("slow_listener_s"):
        plain = zookeeper_client.Session._latch

        def late(self: Any, state: str) -> None:
            if state != "CONNECTED":
                time.sleep(slow_s)
            plain(self, state)

        zookeeper_client.Session._latch = late  # type: ignore[method-assign]
    folder = Path(about["store"])
    leadership = Watched(Access(about["hosts"], session_s=about["session_s"]))
    archive = FenceFile(folder / "archive")
    duties = [Writing(archive, bool(about.get("careless")))]
    leader = Leader(leadership, archive, FenceFile(folder / "hot"), duties)
    await leadership.start(Member(about["name"], "127.0.0.1:1", "1", int(time.time() * 1000), 0))
    leading = asyncio.create_task(leader.run())
    state = ""
    while not leading.done():
        now = f"{leadership.state} {leader.state} {leadership.leader.worker if leadership.leader else '-'}"
        if now != state:
            state = now
            say("state", state=leadership.state, leader=leader.state, who=now.split()[2])
        await asyncio.sleep(0.02)


class Voter:
    """The process, as a test sees it."""

    def __init__(self, name: str, folder: Path, hosts: str, session_s: float, **more: Any) -> None:
        self.name = name
        about = {"name": name, "hosts": hosts, "session_s": session_s, "store": str(folder), **more}
        command = [sys.executable, "-m", "tests.harness.voter", json.dumps(about)]
        self.process = Running(f"voter-{name}", command, folder, plain_environment())

    def said(self, event: str) -> list[dict[str, Any]]:
        """All lines of this kind so far."""
        lines = (line for line in self.process.log.split("\n")[:-1] if line.startswith('{"event"'))
        return [fact for line in lines if (fact := json.loads(line))["event"] == event]

    @property
    def fence(self) -> int:
        """The fence of the present term, 0 when there is none."""
        terms, overs = self.said("term"), self.said("over")
        return int(terms[-1]["fence"]) if len(terms) > len(overs) else 0

    @property
    def state(self) -> dict[str, Any]:
        return (self.said("state") or [{}])[-1]

    def spans(self) -> list[tuple[float, float, int]]:
        """For each term, when it was seen first, when it was last seen to be valid, and its fence."""
        overs = {fact["fence"]: fact["seen"] for fact in self.said("over")}
        terms = ((fact["at"], fact["fence"]) for fact in self.said("term"))
        return [(at, overs.get(fence, at), fence) for at, fence in terms]


if __name__ == "__main__":
    assert Path.cwd() != ROOT
    asyncio.run(main(json.loads(sys.argv[1])))
