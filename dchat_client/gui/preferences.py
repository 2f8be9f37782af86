"""What the window remembers from one start to the next, in one small file."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from dchat_client.config import ConfigError, write_private

_MAX_BYTES = 256 << 10
_MAX_ROOMS = 1000
_MAX_DRAFTS = 50
_MAX_DRAFT_CHARS = 4000
_GEOMETRY = re.compile(r"\d{2,5}x\d{2,5}([+-]-?\d{1,5}){0,2}")
THEMES = ("auto", "light", "dark")
NOTIFY = ("all", "mentions", "none")


@dataclass(frozen=True, slots=True)
class Preferences:
    """`geometry` is Tk's ("960x640+10+10"), `sash` the width of the room list in pixels, `zoom` a factor.

    `notify` says for rooms by name what the desktop is told of; for all others that is "mentions". `drafts` is what
    stood in the input of rooms.
    """

    geometry: str = ""
    sash: int = 0
    zoom: float = 1.0
    theme: str = "auto"
    room: str = ""
    notify: dict[str, str] = field(default_factory=dict)
    drafts: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Preferences:
        """Return what the file says; whatever it does not say, or says badly, is as at the first start."""
        try:
            with path.open("rb") as file:
                values = json.loads(file.read(_MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            return cls()
        if not isinstance(values, dict):
            return cls()
        known = cls()
        for each in fields(cls):
            if each.name in values:
                known = _with(known, each.name, values[each.name])
        return known

    def save(self, path: Path) -> bool:
        """Write the file anew; tell whether that was possible. A window is worth having without."""
        try:
            write_private(path, json.dumps(asdict(self), ensure_ascii=True, indent=1) + "\n")
        except ConfigError:
            return False
        return True


def _with(known: Preferences, name: str, value: Any) -> Preferences:
    match name:
        case "geometry":
            good = isinstance(value, str) and _GEOMETRY.fullmatch(value) is not None
        case "sash":
            good = type(value) is int and 0 <= value <= 4000
        case "zoom":
            good = type(value) in (int, float) and 0.5 <= value <= 4
        case "theme":
            good = value in THEMES
        case "room":
            good = isinstance(value, str) and len(value) <= 200
        case _:
            good = isinstance(value, dict)
    if not good:
        return known
    if name == "notify":
        value = {room: word for room, word in list(value.items())[:_MAX_ROOMS] if word in NOTIFY}
    if name == "drafts":
        value = {room: text for room, text in list(value.items())[-_MAX_DRAFTS:] if _is_draft(text)}
    return replace(known, **{name: value})


def _is_draft(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= _MAX_DRAFT_CHARS
