"""What the machine says: CPU and memory of processes, its load, and what runs on it. Linux."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import subprocess
import time
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

PACKAGES = ("aiohttp", "uvloop", "hiredis", "redis", "orjson")
CALM_CORES = 0.2
"""What others may use without being worth a word."""
NOT_CALM = "The machine was not calm: rates are lower than it could do, CPU and tail latency higher."


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, that the living threads of a process have used."""
    total = 0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def pss_kb(pid: int) -> int:
    """The process' memory in KB, shared pages counted in part; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def children(pid: int) -> list[int]:
    """The processes that this one started and that still run."""
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


class CpuClock:
    """CPU seconds used by some processes, by name, since the clock was made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._start = {name: cpu_s(pid) for name, pid in self._pids.items()}

    def used(self) -> dict[str, float]:
        return {name: cpu_s(pid) - self._start[name] for name, pid in self._pids.items()}


def load() -> str:
    """Runnable processes of all users, mean over 1, 5 and 15 minutes; our own are among them."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


class Others:
    """What the machine's other programs use while we measure."""

    def __init__(self) -> None:
        self._begun, self._busy, self._ours = time.monotonic(), _busy_s(), _ours_s()

    def cores(self) -> float:
        """Cores, on average since this was made. Call it when the children of the run have ended."""
        theirs = (_busy_s() - self._busy) - (_ours_s() - self._ours)
        return max(0.0, theirs / (time.monotonic() - self._begun))


def raise_open_files() -> None:
    """The worker and the generator inherit it: each stream is a file to both."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def describe(redis: str) -> dict[str, str]:
    """Hardware and versions, for the record. `redis` names the Redis that is measured."""
    return {
        "CPU": f"{_cpu_model()}, {cores()} cores usable",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Redis": redis,
        "packages": ", ".join(_versions(PACKAGES)),
        "commit": _commit(),
    }


def _busy_s() -> float:
    """CPU seconds all programs of the machine have used, interrupts included."""
    with contextlib.suppress(OSError):
        user, nice, system, _, _, irq, soft, *_ = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:])
        return float(user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _ours_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _versions(packages: Iterable[str]) -> list[str]:
    found = []
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return found


def _commit() -> str:
    """The commit of the tree; `+` when files that are tracked differ from it."""
    here = Path(__file__).parent
    try:
        named = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return named.stdout.strip()
