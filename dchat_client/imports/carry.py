"""From a source into a room: in order, each message once, however often it is begun again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dchat_client.connection import Connection
from dchat_client.deliver import deliver
from dchat_client.errors import ChatError
from dchat_client.imports.journal import Journal
from dchat_client.imports.said import Said, Source, client_id, digest_of
from dchat_client.outbox import Outbox, Outcome
from dchat_client.texts import pieces

_PATIENCE_S = 300.0
_FIRST_PATIENCE_S = 20.0


@dataclass(slots=True)
class Carried:
    """How far it is: messages `sent` by this run and `before` by earlier ones; `done` bytes of the source
    are in the room.
    """

    sent: int = 0
    before: int = 0
    done: int = 0


class Carrier:
    """Carries one source into one room.

    `text` gives the text of a message, "" to leave it out. `told` is called after each message, `waiting` before each
    wait. Memory: one batch of messages (500, or 4 MiB), and the journal's own.
    """

    def __init__(
        self,
        connection: Connection,
        room: str,
        journal: Journal,
        *,
        text: Callable[[Said], str],
        max_bytes: int,
        told: Callable[[Carried], None] = lambda carried: None,
        waiting: Callable[[float, ChatError | None], None] | None = None,
    ) -> None:
        self.carried = Carried()
        self._connection = connection
        self._room = room
        self._journal = journal
        self._text = text
        self._max_bytes = max_bytes
        self._told = told
        self._waiting = waiting
        self._outbox = Outbox(max_entries=500)
        self._pending: set[bytes] = set()
        self._first_seq = 0
        self._refused: Outcome | None = None

    async def carry(self, source: Source) -> Carried:
        """Send what is not there yet, to the end. Raises ChatError, UnfitSource; what was sent is noted then, too."""
        for said in source:
            digest = said.digest
            if digest in self._pending:
                continue
            if self._journal.seq(digest) is not None:
                self.carried.before += 1
                self.carried.done = source.done if not self._pending else self.carried.done
                self._told(self.carried)
                continue
            await self._add(said, digest, source.done)
        await self._send()
        return self.carried

    async def _add(self, said: Said, digest: bytes, done: int) -> None:
        text = self._text(said)
        if not text:
            return
        reply_to = None
        if said.answers is not None:
            root = digest_of(said.answers)
            if root in self._pending:
                await self._send()  # its number is needed now
            reply_to = self._journal.seq(root) or None
        parts = pieces(text, split=True, max_bytes=self._max_bytes)
        for number, part in enumerate(parts, 1):
            if not self._outbox.has_room:
                await self._send()
            self._pending.add(digest)
            key = client_id(digest, number, len(parts))
            self._outbox.add(self._room, part, client_id=key, reply_to=reply_to, tag=(digest, number, len(parts), done))

    async def _send(self) -> None:
        patience_s = _PATIENCE_S if self.carried.sent or self.carried.before else _FIRST_PATIENCE_S
        await deliver(self._connection, self._outbox, self._settled, patience_s=patience_s, waiting=self._waiting)
        if self._refused is not None and self._refused.error is not None:
            raise self._refused.error

    def _settled(self, outcome: Outcome) -> None:
        digest, number, parts, done = outcome.entry.tag
        known = outcome.error is not None and outcome.error.code == "idempotency_conflict"
        if outcome.error is not None and not known:
            self._refused = self._refused or outcome
            return
        # A conflict: it was brought in an earlier state, before an edit or with other options. It stays as it is.
        seq = _seq(outcome.message)
        if number == 1:
            self._first_seq = seq
        if number < parts:
            return
        self._pending.discard(digest)
        self.carried.done = done
        self._journal.note(digest, self._first_seq)
        if outcome.repeat or known:
            self.carried.before += 1
        else:
            self.carried.sent += 1
        self._told(self.carried)


def _seq(message: dict[str, Any] | None) -> int:
    seq = message.get("seq") if message else None
    return seq if type(seq) is int else 0
