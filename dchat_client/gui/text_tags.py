"""How each tag of a transcript looks, in the theme's colours and sizes."""

from __future__ import annotations

import tkinter
from typing import Any

from dchat_client.gui.theme import Theme


def configure_tags(text: tkinter.Text, theme: Theme) -> None:
    """Give the text and its tags their looks; again after each change of the theme."""
    palette, px, fonts = theme.palette, theme.px, theme.fonts
    text.configure(
        font=fonts["body"],
        background=palette.ground,
        foreground=palette.text,
        padx=px(14),
        pady=px(6),
        selectbackground=palette.accent,
        selectforeground=palette.on_accent,
        inactiveselectbackground=palette.chosen,
        insertbackground=palette.text,
    )
    margins: dict[str, Any] = {"lmargin1": 0, "lmargin2": 0, "rmargin": px(8)}
    looks: dict[str, dict[str, Any]] = {
        "body": {"spacing1": px(1), "spacing2": px(2), "spacing3": px(1), **margins},
        "head": {"font": fonts["bold"], "spacing1": px(12), **margins},
        "answer": {"spacing1": 0},
        "time": {"font": fonts["small"], "foreground": palette.dim},
        "quote": {"font": fonts["small"], "foreground": palette.dim, "spacing1": px(12), **margins},
        "notice": {"font": fonts["small"], "foreground": palette.dim, "justify": "center", "spacing1": px(8)},
        "day": {
            "font": fonts["small"],
            "foreground": palette.dim,
            "justify": "center",
            "spacing1": px(18),
            "spacing3": px(4),
        },
        "unread": {
            "font": fonts["small"],
            "foreground": palette.bad,
            "background": palette.raised,
            "justify": "center",
            "spacing1": px(3),
            "spacing3": px(3),
        },
        "typing": {"font": fonts["small"], "foreground": palette.dim, "spacing1": px(6)},
        "pending": {"foreground": palette.dim},
        "failed": {"foreground": palette.dim},
        "turned": {"justify": "right"},
        "action": {"font": fonts["italic"]},
        "deleted": {"font": fonts["italic"], "foreground": palette.dim},
        "mark": {"font": fonts["small"], "foreground": palette.dim},
        "dim": {"foreground": palette.dim},
        "error": {"font": fonts["small"], "foreground": palette.bad},
        "act": {"font": fonts["small"], "foreground": palette.accent, "underline": True},
        "link": {"foreground": palette.accent, "underline": True},
        "code": {"font": fonts["mono"], "background": palette.raised},
        "person": {"foreground": palette.accent},
        "me": {"foreground": palette.accent, "font": fonts["bold"]},
        "reaction": {"font": fonts["small"], "background": palette.raised, "spacing1": px(4), "spacing3": px(2)},
        "mine": {"foreground": palette.accent, "background": palette.chosen},
        "calls": {"background": palette.mention, "lmargincolor": palette.mention},
        "chosen": {"background": palette.chosen, "lmargincolor": palette.chosen},
        "emoji": {"font": fonts["emoji"]},
        "big": {"font": fonts["big"]},
    }
    for number, colour in enumerate(palette.senders):
        looks[f"sender{number}"] = {"foreground": colour}
    for tag, look in looks.items():
        text.tag_configure(tag, **look)
    for tag in ("code", "reaction", "mine", "emoji", "big", "sel"):
        text.tag_raise(tag)
