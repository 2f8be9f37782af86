"""What the full-screen client and the window keep for a person: drafts, levels of notification, sent texts, the room.

It lies in the state folder, one small JSON file each. Every change reads the file again and replaces it in one step, so
two clients of the same account that run at the same time lose nothing of each other's but the very same draft. A file
that cannot be read is put aside, never fatal.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dchat_client.commands import LEVELS
from dchat_client.config import Folders, Profile, write_private

MOST_DRAFTS = 200
MOST_SENT = 200
_MOST_SENT_CHARS = 4000


class Kept:
    """What the faces of one account keep, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._drafts = _File(folder / "drafts.json", dict)
        self._levels = _File(folder / "notify.json", dict)
        self._sent = _File(folder / "sent.json", list)
        self._place = _File(folder / "place.json", dict)

    @classmethod
    def of(cls, folders: Folders, profile: Profile) -> Kept:
        """Return what is kept for a profile: another server or user has another folder."""
        words = (*sorted(profile.urls), profile.username or "", profile.token or "")
        owner = hashlib.sha256("\0".join(words).encode("utf-8", "surrogatepass")).hexdigest()[:8]
        return cls(folders.state / "chat" / f"{profile.name}.{owner}")

    def draft(self, room: str) -> str:
        """Return what was being written in the room."""
        return _text(self._drafts.value.get(room))

    def rooms_with_draft(self) -> set[str]:
        """Return the rooms in which something was being written."""
        return {room for room, text in self._drafts.value.items() if _text(text)}

    def keep_draft(self, room: str, text: str) -> None:
        """Keep what is being written; "" forgets it. Writes when it has changed. Raises ConfigError."""
        if text == self.draft(room):
            return

        def change(drafts: dict[str, Any]) -> None:
            drafts.pop(room, None)
            if text.strip():
                drafts[room] = text
            while len(drafts) > MOST_DRAFTS:
                del drafts[next(iter(drafts))]

        self._drafts.change(change)

    def level(self, room: str) -> str | None:
        """Return the room's own level of notification: all, mentions, none; None when it has none of its own."""
        level = self._levels.value.get(room)
        return level if level in LEVELS else None

    def set_level(self, room: str, level: str) -> None:
        """Keep a room's level. Raises ConfigError."""
        self._levels.change(lambda levels: levels.update({room: level}))

    @property
    def sent(self) -> list[str]:
        """What was sent from the input, the oldest first."""
        return [text for text in self._sent.value if isinstance(text, str)]

    def add_sent(self, text: str) -> None:
        """Keep a text that was sent, for the history of the input. Raises ConfigError."""
        if len(text) > _MOST_SENT_CHARS or self.sent[-1:] == [text]:
            return

        def change(sent: list[Any]) -> None:
            sent.append(text)
            del sent[:-MOST_SENT]

        self._sent.change(change)

    @property
    def room(self) -> str | None:
        """The room that was open last."""
        room = self._place.value.get("room")
        return room if isinstance(room, str) else None

    def set_room(self, room: str) -> None:
        """Keep the open room. Raises ConfigError."""
        if room != self.room:
            self._place.change(lambda place: place.update({"room": room}))


class _File:
    """One JSON file, `value` as it was read or written last."""

    def __init__(self, path: Path, kind: type[dict[str, Any]] | type[list[Any]]) -> None:
        self._path = path
        self._kind = kind
        self.value: Any = self._read()

    def change(self, change: Callable[[Any], object]) -> None:
        """Read, change, replace. The value is changed even when the file cannot be. Raises ConfigError."""
        value = self._read()
        change(value)
        self.value = value
        write_private(self._path, json.dumps(value) + "\n")

    def _read(self) -> Any:
        try:
            value = json.loads(self._path.read_text("utf-8"))
            if isinstance(value, self._kind):
                return value
        except FileNotFoundError:
            return self._kind()
        except OSError:
            return self._kind()
        except ValueError:
            pass
        with suppress(OSError):
            os.replace(self._path, self._path.with_suffix(".unreadable"))
        return self._kind()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
