"""Ties the life of a child process to that of its parent, also when the parent is killed outright.

Linux can do it: a process may ask for a signal when its parent dies. The asking has to happen inside the
child, so a foreign program is started through this file, run as a script: it asks, and then becomes that
program (about 14 ms). Doing the same between fork and exec would run Python in a forked copy of a process
with threads, which may hang.

Elsewhere a shell waits on a pipe that only the parent holds open, and signals the child when the pipe closes.

This file imports nothing of ours: it runs with `python -I -S`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_LINUX = sys.platform == "linux"


def follow_parent(parent_pid: int, signum: int = signal.SIGKILL) -> None:
    """Have the kernel send `signum` to this process when its parent, `parent_pid`, dies. Linux only; else
    nothing.

    The parent is, strictly, the thread that started us: it must live as long as we should.
    """
    if not _LINUX:
        return
    import ctypes  # here, because most who import this module do not need it

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before we asked
        os.kill(os.getpid(), signum)


def tied(command: list[str], signum: int = signal.SIGTERM) -> list[str]:
    """Return the command that runs `command` as a child which gets `signum` when this process dies."""
    if not _LINUX:
        return command
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(signum)), *command]


class Watchdog:
    """Ends the process `pid` when this process dies, on systems where `tied` cannot."""

    def __init__(self, pid: int, *, needed: bool = not _LINUX) -> None:
        self._shell: subprocess.Popen[bytes] | None = None
        if needed:
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", "read _; kill -TERM $0", str(pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                process_group=0,
            )

    def close(self) -> None:
        """Let go of the process: it has ended, and its number may soon be another's."""
        if self._shell is not None:
            self._shell.kill()
            self._shell.wait()
            assert self._shell.stdin is not None
            self._shell.stdin.close()
            self._shell = None


if __name__ == "__main__":
    follow_parent(int(sys.argv[1]), int(sys.argv[2]))
    os.execv(sys.argv[3], sys.argv[3:])  # noqa: S606 - it is the point to become that program
