"""The window's colours, dark and light. Pure.

Every colour of text has at least 4.5 : 1 against the ground it stands on (WCAG AA); a test measures it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours as "#rrggbb". `senders` are handed out by name, the same for a person every time."""

    is_dark: bool
    ground: str
    raised: str
    """Menus, sheets, chosen rows."""
    line: str
    text: str
    dim: str
    accent: str
    on_accent: str
    bad: str
    good: str
    warn: str
    mention: str
    """The ground under a message that calls one by name."""
    chosen: str
    """The ground under a message that was chosen by keyboard."""
    senders: tuple[str, ...]


LIGHT = Palette(
    is_dark=False,
    ground="#fafafa",
    raised="#efefef",
    line="#d4d4d4",
    text="#1b1b1b",
    dim="#636363",
    accent="#005fb8",
    on_accent="#ffffff",
    bad="#b3261e",
    good="#0f6b2f",
    warn="#7a4a00",
    mention="#fdf1d3",
    chosen="#dcebfa",
    senders=(
        *("#a4262c", "#8a4100", "#6b5200", "#3d6300", "#0b6a0b", "#006864"),
        *("#00608a", "#0050b5", "#4b3fbd", "#7a2fb5", "#9a1f8d", "#ad1457"),
    ),
)
DARK = Palette(
    is_dark=True,
    ground="#1c1c1c",
    raised="#2b2b2b",
    line="#3d3d3d",
    text="#f0f0f0",
    dim="#a3a3a3",
    accent="#57c8ff",
    on_accent="#000000",
    bad="#ff8a80",
    good="#6fd58a",
    warn="#f2c063",
    mention="#3a3118",
    chosen="#21384d",
    senders=(
        *("#ff9e9e", "#ffb27a", "#e6c35c", "#b4d96c", "#7fdc8f", "#63d9c8"),
        *("#6cc7f5", "#8fb4ff", "#b3a6ff", "#d59bff", "#f49be8", "#ff97bd"),
    ),
)
