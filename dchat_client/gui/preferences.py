"""How the window looked, remembered from one start to the next, in one small file. What is kept of chats: kept.py."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from dchat_client.config import ConfigError, write_private

_MAX_BYTES = 256 << 10
_GEOMETRY = re.compile(r"\d{2,5}x\d{2,5}([+-]-?\d{1,5}){0,2}")
THEMES = ("auto", "light", "dark")


@dataclass(frozen=True, slots=True)
class Preferences:
    """`geometry` is Tk's ("960x640+10+10"), `sash` the width of the room list in pixels, `zoom` a factor."""

    geometry: str = ""
    sash: int = 0
    zoom: float = 1.0
    theme: str = "auto"

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
        case _:
            good = value in THEMES
    return replace(known, **{name: value}) if good else known
