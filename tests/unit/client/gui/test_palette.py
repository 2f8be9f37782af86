from __future__ import annotations

import pytest

from dchat_client.gui.palette import DARK, LIGHT, Palette


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_everything_written_can_be_read(palette: Palette) -> None:
    grounds = (palette.ground, palette.raised, palette.mention, palette.chosen)
    inks = (palette.text, palette.dim, palette.accent, palette.bad, *palette.senders)
    poor = [(ink, ground) for ink in inks for ground in grounds if contrast(ink, ground) < 4.5]
    assert poor == []
    assert contrast(palette.on_accent, palette.accent) >= 4.5
    for sign in (palette.good, palette.warn):
        assert contrast(sign, palette.ground) >= 4.5
