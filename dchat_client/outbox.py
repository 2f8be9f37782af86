"""What one sender still has to send: in order, bounded, and safe to repeat. Pure.

Every entry carries a `client_id`, the server's idempotency key. When the outcome of a request is unknown
(the connection broke, the answer was cut), its entries are sent again with the same keys, and the server
answers with the first message instead of making a second one. The server keeps a key for 24 hours; an
outbox that waited longer than that may double.

Order: one request is in flight at a time, it takes entries from the front only, and answers are read in
order up to the first that is not final. From there on everything stays and is sent again, whatever the rest
of the answer says: an entry that may still be refused for now must not be overtaken.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dchat_client.backoff import Backoff
from dchat_client.errors import ChatError, SignInNeeded


class OutboxFull(Exception):
    """The outbox holds as much as it may; wait until something was sent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message to send. `tag` is the caller's own: a line number, a widget."""

    room: str
    text: str
    client_id: str
    reply_to: int | None = None
    tag: Any = None

    @property
    def size(self) -> int:
        """About how many bytes it takes in a request."""
        return len(self.text.encode("utf-8", "surrogatepass")) + 128

    def body(self) -> dict[str, Any]:
        """The JSON object the server takes."""
        reply = {} if self.reply_to is None else {"reply_to": self.reply_to}
        return {"text": self.text, "client_id": self.client_id, **reply}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an entry:

    a stored message (`repeat` when it was stored by an earlier try), or a refusal.
    """

    entry: Entry
    message: dict[str, Any] | None = None
    error: ChatError | None = None
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of a batch's answer: the message with 201 or 200, or the error that line got."""

    status: int
    message: dict[str, Any] | None = None
    error: ChatError | None = None


class Outbox:
    """A bounded queue of entries and the rules by which answers empty it."""

    def __init__(
        self,
        *,
        max_entries: int = 1000,
        max_bytes: int = 4 << 20,
        batch_entries: int = 500,
        batch_bytes: int = 256 << 10,
        backoff: Backoff | None = None,
        new_key: Callable[[], str] = lambda: secrets.token_hex(12),
    ) -> None:
        self.blocked: ChatError | None = None
        """Set when nothing can be sent until somebody signs in again;

        `unblock` takes it away. Nothing is dropped.
        """
        self.ready_at = 0.0
        """Not before this time is the next request to be made."""
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._batch_entries = batch_entries
        self._batch_bytes = batch_bytes
        self._step = batch_entries
        self._in_flight: tuple[Entry, ...] = ()
        self._backoff = backoff or Backoff(base_s=0.5, cap_s=15.0)
        self._new_key = new_key

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def has_room(self) -> bool:
        """Tell whether another message of ordinary size would be taken."""
        return len(self._entries) < self._max_entries and self._bytes < self._max_bytes

    def add(
        self,
        room: str,
        text: str,
        *,
        client_id: str | None = None,
        reply_to: int | None = None,
        tag: Any = None,
    ) -> Entry:
        """Queue a message and return its entry. Raises OutboxFull; then nothing was queued."""
        entry = Entry(room, text, client_id or self._new_key(), reply_to, tag)
        if self._entries and (len(self._entries) >= self._max_entries or self._bytes + entry.size > self._max_bytes):
            raise OutboxFull(f"{len(self._entries)} messages are waiting to be sent")
        self._entries.append(entry)
        self._bytes += entry.size
        return entry

    def cancel(self, client_id: str) -> Entry | None:
        """Take an entry back and return it; None when it is not here, or on its way, where nobody can stop it."""
        for entry in self._entries:
            if entry.client_id == client_id and entry not in self._in_flight:
                self._entries.remove(entry)
                self._bytes -= entry.size
                return entry
        return None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All that is still to be sent, in order, with what is on its way."""
        return tuple(self._entries)

    def take(self, now: float) -> tuple[Entry, ...]:
        """Return the entries of the next request: one room's, from the front. Empty when there is nothing
        to do yet.

        Exactly one of `answered`, `unclear` or `failed` must follow before it gives the next.
        """
        if self._in_flight or self.blocked or now < self.ready_at or not self._entries:
            return ()
        batch: list[Entry] = []
        size = 0
        for entry in self._entries:
            size += entry.size
            too_much = len(batch) >= self._step or size > self._batch_bytes
            if batch and (too_much or entry.room != batch[0].room):
                break
            batch.append(entry)
        self._in_flight = tuple(batch)
        return self._in_flight

    def answered(self, answers: Sequence[Answer], now: float) -> list[Outcome]:
        """Take the answers to the request in flight, in order, and return what is settled by them.

        Fewer answers than entries: the rest is unknown and will be sent again.
        """
        batch, self._in_flight = self._in_flight, ()
        settled: list[Outcome] = []
        halt: ChatError | None = None
        for entry, answer in zip(batch, answers, strict=False):
            if answer.error is not None and (answer.error.retryable or isinstance(answer.error, SignInNeeded)):
                halt = answer.error
                break
            self._drop_first()
            settled.append(Outcome(entry, answer.message, answer.error, repeat=answer.status == 200))
        if isinstance(halt, SignInNeeded):
            self.blocked = halt
        elif len(settled) < len(batch):
            # A server that took 50 of 500 need not be sent 500 again in a second.
            self._step = max(len(settled), 10)
            if settled:
                self._backoff.reset()
            self.ready_at = now + self._backoff.next(halt.retry_after_s if halt else None)
        else:
            self._step = min(self._step * 2, self._batch_entries)
            self._backoff.reset()
        return settled

    def unclear(self, error: ChatError, now: float) -> None:
        """The request in flight failed as a whole for now, or nobody knows: all of it will be sent again."""
        self._in_flight = ()
        self.ready_at = now + self._backoff.next(error.retry_after_s)

    def failed(self, error: ChatError) -> list[Outcome]:
        """The request in flight was refused as a whole for good.

        Returns its entries as refused, except for a 401.
        """
        batch, self._in_flight = self._in_flight, ()
        if isinstance(error, SignInNeeded):
            self.blocked = error
            return []
        for _ in batch:
            self._drop_first()
        return [Outcome(entry, error=error) for entry in batch]

    def unblock(self) -> None:
        """Somebody signed in: go on from the front."""
        self.blocked = None

    def _drop_first(self) -> None:
        self._bytes -= self._entries.popleft().size
