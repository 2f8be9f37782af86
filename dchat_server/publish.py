"""Sending messages and changing them: what a draft must be, who may do what, and how fast."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from dchat_server import fold, wire
from dchat_server.errors import ChatError
from dchat_server.history import MOST_TRIES, History
from dchat_server.model import MODERATORS, Draft, Message, Sent, mentions_in
from dchat_server.ports import Amendment, Archived, Moved, RoomLog

MAX_BATCH = 500
"""Messages in one NDJSON request."""
_PIECE = 250
"""Messages of a batch stored by one script call."""
MAX_EMOJI_CHARS = 32


class Limiter(Protocol):
    """Messages a person may still send now; see limits.py."""

    def try_spend(self, subject: str) -> bool: ...

    async def spend(self, subject: str, count: int) -> tuple[int, float]: ...


class Publisher:
    """Everything that adds to a room's log on somebody's behalf."""

    def __init__(self, log: RoomLog, history: History, limiter: Limiter, *, max_message_bytes: int) -> None:
        self._log, self._history, self._limiter = log, history, limiter
        self._max_bytes = max_message_bytes
        self.sent = 0

    def draft(self, sender: str, fields: Mapping[str, Any]) -> Draft:
        """A checked draft from the members of a request. Raises ChatError invalid_request, message_too_long."""
        text = self._text(fields.get("text"))
        client_id, reply_to = fields.get("client_id"), fields.get("reply_to")
        if client_id is not None and not (
            isinstance(client_id, str) and 1 <= len(client_id) <= 64 and client_id.isprintable()
        ):
            raise ChatError("invalid_request", "`client_id` must be a string of 1 to 64 printable characters.")
        if reply_to is not None and not (type(reply_to) is int and 1 <= reply_to < 1 << 53):
            raise ChatError("invalid_request", "`reply_to` must be the seq of a message.")
        if fields.get("attachments"):
            raise ChatError("invalid_request", "This server takes no attachments.")
        print_ = fingerprint(text, reply_to) if client_id is not None else ""
        body = wire.draft_body(sender, text, client_id, reply_to)
        return Draft(sender, text, body, client_id, print_, mentions_in(text))

    async def send(self, room: str, draft: Draft) -> Sent:
        """Store one message. Raises ChatError rate_limited and what `RoomLog.send` raises."""
        if not self._limiter.try_spend(draft.sender):
            granted, wait_s = await self._limiter.spend(draft.sender, 1)
            if not granted:
                raise _too_fast(wait_s)
        sent = await self._log.send(room, draft)
        self.sent += 1
        return sent

    def post(self, room: str, draft: Draft, told: Callable[[Sent | Exception | None], None]) -> bool:
        """`send` for callers that are no tasks, see `RoomLog.post`. False when a round trip is needed first to tell
        whether the sender may; nothing has happened then. Raises ChatError overloaded."""
        if not self._limiter.try_spend(draft.sender):
            return False

        def count(outcome: Sent | Exception | None) -> None:
            self.sent += isinstance(outcome, Sent)
            told(outcome)

        self._log.post(room, draft, count)
        return True

    async def send_many(self, room: str, drafts: Sequence[Draft | ChatError]) -> list[Sent | ChatError]:
        """Store a batch in order. A line that is refused for a passing reason ends it: all later lines get the same
        refusal, so what is sent again keeps its order."""
        out: list[Sent | ChatError] = []
        at = 0
        while at < len(drafts):
            piece = drafts[at : at + _PIECE]
            good = [draft for draft in piece if isinstance(draft, Draft)]
            wait_s, granted = 0.0, len(good)
            if good:
                granted, wait_s = await self._limiter.spend(good[0].sender, len(good))
            try:
                answers = iter(await self._log.send_many(room, good[:granted]) if granted else ())
            except ChatError as error:
                return out + [error] * (len(drafts) - len(out))
            for line in piece:
                answer = line if isinstance(line, ChatError) else next(answers, None)
                if answer is None:
                    return out + [_too_fast(wait_s)] * (len(drafts) - len(out))
                self.sent += isinstance(answer, Sent)
                out.append(answer)
            at += len(piece)
        return out

    async def edit(self, room: str, actor: str, seq: int, text: Any) -> Message:
        """Change the text of one's own message; the message as it is then."""
        new = self._text(text)
        message = await self._history.one(room, seq)
        if message.sender != actor:
            raise ChatError("forbidden", "Only its author may edit a message.")
        await self._slow_down(actor)

        def amendment(message: Message) -> Amendment:
            former = mentions_in(str(message.fields.get("text", "")))
            return Amendment("edit", seq, new, mentions=mentions_in(new), former=former)

        await self._amend(room, actor, message, amendment)
        return await self._history.one(room, seq)

    async def delete(self, room: str, actor: str, seq: int) -> None:
        """Delete one's own message, or anybody's as a moderator."""

        def amendment(message: Message) -> Amendment:
            others = () if message.sender == actor else MODERATORS
            return Amendment("delete", seq, others=others, mentions=mentions_in(str(message.fields.get("text", ""))))

        await self._amend(room, actor, await self._history.one(room, seq), amendment)

    async def react(self, room: str, actor: str, seq: int, emoji: str, add: bool) -> Message:
        """Add or take back a reaction; the message as it is then."""
        if not 1 <= len(emoji) <= MAX_EMOJI_CHARS or any(map(_unfit, emoji)):
            raise ChatError(
                "invalid_request", f"A reaction is an emoji or a short name, 1 to {MAX_EMOJI_CHARS} characters."
            )
        message = await self._history.one(room, seq)
        await self._slow_down(actor)
        await self._amend(room, actor, message, lambda message: Amendment("add" if add else "remove", seq, emoji))
        return await self._history.one(room, seq)

    async def _amend(self, room: str, actor: str, message: Message, make: Callable[[Message], Amendment]) -> None:
        """Change a message from the state it has: when the archive took that in meanwhile, from the one it has then."""
        for _ in range(MOST_TRIES):
            state = message.event.state if isinstance(message.event, Archived) else None
            base = fold.overlay_fields(state) if state is not None else {}
            try:
                await self._log.amend(room, actor, replace(make(message), base=base, known=message.known))
                return
            except Moved:
                message = await self._history.one(room, message.event.seq)
        raise ChatError("overloaded", "The message is being archived; try again shortly.")

    async def _slow_down(self, actor: str) -> None:
        granted, wait_s = await self._limiter.spend(actor, 1)
        if not granted:
            raise _too_fast(wait_s)

    def _text(self, text: Any) -> str:
        if not isinstance(text, str) or not text:
            raise ChatError("invalid_request", "`text` must be a string that is not empty.")
        size = len(text) if text.isascii() else len(text.encode())
        if size > self._max_bytes:
            raise ChatError("message_too_long", f"A message may have at most {self._max_bytes} bytes; this has {size}.")
        return text


def fingerprint(text: str, reply_to: int | None) -> str:
    """What tells this message from another one under the same idempotency key."""
    told = text if reply_to is None else f"{text}\0{reply_to}"
    return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()


def _unfit(char: str) -> bool:
    """True for what a reaction may not hold: space, controls, half characters. What Python does not know yet may be
    an emoji of this year."""
    return char.isspace() or unicodedata.category(char) in ("Cc", "Cs", "Co", "Zl", "Zp")


def _too_fast(wait_s: float) -> ChatError:
    return ChatError("rate_limited", "You send faster than this server allows.", retry_after_s=max(wait_s, 0.1))
