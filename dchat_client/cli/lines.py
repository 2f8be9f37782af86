"""How messages and events look as lines of text."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from dchat_client.deeds import deed
from dchat_client.terminal import Style, clean, clean_lines

_MARGIN = "    │ "


class Lines:
    """Turns events of the stream, and messages of pages, into lines that are safe to print.

    A message of several lines is continued behind a margin, so that no message can look like two.
    """

    def __init__(self, style: Style, *, show_room: bool = False, show_seq: bool = False) -> None:
        self._style = style
        self._show_room = show_room
        self._show_seq = show_seq

    def of(self, event: dict[str, Any]) -> list[str]:
        """Return the lines for an event or a message; none for a type that has nothing to show."""
        kind = event.get("type", "message")
        if kind == "message":
            return self._message(event)
        words = deed(event)
        if words is None:
            return []
        who = self._style.name(_text(event, "sender"))
        first, *rest = clean_lines(words)
        return [f"{self._head(event)}* {who} {first}", *(self._style.dim(_MARGIN) + line for line in rest)]

    def _message(self, event: dict[str, Any]) -> list[str]:
        reply = event.get("reply_to")
        answer = self._style.dim(f" (to {reply})") if isinstance(reply, int) else ""
        head = f"{self._head(event)}{self._style.name(_text(event, 'sender'))}{answer}: "
        if event.get("deleted"):
            return [head + self._style.dim("(deleted)")]
        first, *rest = clean_lines(str(event.get("text", "")))
        lines = [head + first, *(self._style.dim(_MARGIN) + line for line in rest)]
        lines[-1] += self._style.dim(_marks(event))
        return lines

    def _head(self, event: dict[str, Any]) -> str:
        parts = [_time(event.get("ts"))]
        if self._show_room:
            parts.append(_text(event, "room"))
        if self._show_seq:
            parts.append(clean(f"#{event.get('seq')}"))
        return self._style.dim(" ".join(parts)) + " "


def _marks(message: dict[str, Any]) -> str:
    marks = " (edited)" if message.get("edited_at") else ""
    reactions = message.get("reactions")
    for reaction in reactions if isinstance(reactions, list) else []:
        if isinstance(reaction, dict):
            marks += f"  {clean(str(reaction.get('emoji', '')))} {clean(str(reaction.get('count', '')))}"
    return marks


def _text(event: dict[str, Any], name: str) -> str:
    value = event.get(name)
    return clean(value) if isinstance(value, str) else ""


def _time(ts: object) -> str:
    """Return the local time of an event, with its day when it was not today."""
    try:
        moment = datetime.fromisoformat(str(ts)).astimezone()
    except (ValueError, OverflowError, OSError):
        return "--:--"
    today = moment.date() == date.today()  # noqa: DTZ011 - a person's today is local
    return moment.strftime("%H:%M" if today else "%Y-%m-%d %H:%M")
