"""What an acknowledgement means: `DCHAT_ACK`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dchat_server.errors import BackendUnavailable


class Durability:
    """What an acknowledgement means, `DCHAT_ACK`.

    memory: Redis accepted it. replicated: at least one replica has it (`WAIT`). fsync: it is on the primary's disk
    (`WAITAOF`, or nothing to wait for where the server runs with `appendfsync always`).
    """

    def __init__(self, ack: str, *, always_synced: bool = False) -> None:
        self.commands: list[tuple[str | int, ...]] = []
        self._needed = 0
        if ack == "replicated":
            self.commands, self._needed = [("WAIT", 1, 1000)], 1
        elif ack == "fsync" and not always_synced:
            self.commands, self._needed = [("WAITAOF", 1, 0, 1500)], 1

    def check(self, replies: Sequence[Any]) -> None:
        """Raises BackendUnavailable when the promise is not met: with no replica, WAIT answers 0 at once."""
        for reply in replies:
            have = int(reply[0]) if isinstance(reply, list) else int(reply)
            if have < self._needed:
                raise BackendUnavailable("Accepted, but not yet safe; repeat it with the same client_id.")
