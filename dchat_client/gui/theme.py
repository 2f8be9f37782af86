"""How the window looks: theme, fonts and sizes, for the desktop's darkness and the screen's density.

Sizes are given in pixels of a screen of 96 dots an inch and multiplied by `scale`. The Sun Valley theme is drawn from
pictures and set in pixels, so its fonts are scaled here; without it Tk's own "clam" is coloured to the same palette.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import tkinter
from collections.abc import Callable
from contextlib import suppress
from tkinter import font, ttk

from dchat_client.gui.palette import DARK, LIGHT, Palette

_SIZES = {"body": 15, "bold": 15, "italic": 15, "small": 13, "mono": 14, "title": 18, "emoji": 15, "big": 34}
_SUN_VALLEY = {
    "Caption": 12,
    "Body": 14,
    "BodyStrong": 14,
    "BodyLarge": 18,
    "Subtitle": 20,
    "Title": 28,
    "TitleLarge": 40,
    "Display": 68,
}
ASK_S = 5.0
_EMOJI = ("Noto Color Emoji", "Apple Color Emoji", "Segoe UI Emoji")


class Theme:
    """The look of one root window. `palette`, `scale` and `fonts` are for those who draw."""

    def __init__(self, root: tkinter.Tk, *, zoom: float = 1.0) -> None:
        self.palette: Palette = LIGHT
        self._root = root
        self._density = density(root)
        self._zoom = zoom
        self._followers: list[Callable[[], None]] = []
        family = font.nametofont("TkDefaultFont", root).actual("family")
        emoji = next((name for name in _EMOJI if name in font.families(root)), family)
        looks: dict[str, dict[str, str]] = {
            "body": {"family": family},
            "bold": {"family": family, "weight": "bold"},
            "italic": {"family": family, "slant": "italic"},
            "small": {"family": family},
            "mono": {"family": font.nametofont("TkFixedFont", root).actual("family")},
            "title": {"family": family, "weight": "bold"},
            "emoji": {"family": emoji},
            "big": {"family": emoji},
        }
        self.fonts = {name: font.Font(root, name=f"dchat-{name}", **look) for name, look in looks.items()}  # type: ignore[arg-type]

    @property
    def scale(self) -> float:
        """Pixels of this window for one of a plain screen."""
        return self._density * self._zoom

    @property
    def zoom(self) -> float:
        """What the person has chosen on top of the screen's density."""
        return self._zoom

    def px(self, pixels: float) -> int:
        """Return how many pixels that many of a plain screen are here."""
        return round(pixels * self.scale)

    def follow(self, redraw: Callable[[], None]) -> None:
        """Have `redraw`, a widget's method, called now and after each change of colours or sizes."""
        self._followers.append(redraw)
        redraw()

    def forget_gone(self) -> None:
        """Call the methods of widgets that were destroyed no more."""
        self._followers = [each for each in self._followers if _is_there(each)]

    def set_zoom(self, zoom: float) -> None:
        """Make everything larger or smaller."""
        self._zoom = min(3.0, max(0.6, round(zoom, 2)))
        self.use(dark=self.palette.is_dark)

    def use(self, *, dark: bool) -> None:
        """Draw everything dark or light from now on."""
        self.palette = DARK if dark else LIGHT
        style = ttk.Style(self._root)
        if not _sun_valley(self._root, dark=dark):
            style.theme_use("clam")
            _colour_clam(style, self.palette)
        for name, each in self.fonts.items():
            each.configure(size=-self.px(_SIZES[name]))
        for name in ("TkDefaultFont", "TkTextFont", "TkMenuFont", "TkHeadingFont"):
            font.nametofont(name, self._root).configure(size=-self.px(14))
        for name, size in _SUN_VALLEY.items():
            with suppress(tkinter.TclError):  # there is no such font without the theme
                font.nametofont(f"SunValley{name}Font", self._root).configure(size=-self.px(size))
        self._own_styles(style)
        _colour_plain_widgets(self._root, self.palette)
        for redraw in self._followers:
            redraw()

    def _own_styles(self, style: ttk.Style) -> None:
        palette, px = self.palette, self.px
        self._root.configure(background=palette.ground)
        style.configure(
            ".",
            background=palette.ground,
            foreground=palette.text,
            fieldbackground=palette.ground,
            troughcolor=palette.ground,
            focuscolor=palette.accent,
            selectbackground=palette.accent,
            selectforeground=palette.on_accent,
            insertcolor=palette.text,
            insertwidth=max(1, px(1)),
            font="TkDefaultFont",
        )
        style.map(".", foreground=[("disabled", palette.dim)])
        for name in ("TFrame", "TLabel", "TPanedwindow"):
            style.configure(name, background=palette.ground)
        style.configure("TLabel", foreground=palette.text)
        style.configure("Dim.TLabel", foreground=palette.dim, font=self.fonts["small"])
        style.configure("Title.TLabel", font=self.fonts["title"])
        style.configure("Bad.TLabel", foreground=palette.bad, font=self.fonts["small"])
        style.configure("Raised.TFrame", background=palette.raised)
        for name, colour in (("", palette.text), ("Dim.", palette.dim), ("Bad.", palette.bad)):
            style.configure(f"Raised.{name}TLabel", background=palette.raised, foreground=colour)
        style.configure("Raised.Dim.TLabel", font=self.fonts["small"])
        style.configure("Raised.Bad.TLabel", font=self.fonts["small"])
        style.configure("Raised.Title.TLabel", background=palette.raised, font=self.fonts["title"])
        style.configure("Rooms.Treeview", rowheight=px(32), font=self.fonts["body"], indent=0)
        style.configure("Rooms.Treeview", background=palette.ground, fieldbackground=palette.ground)
        style.configure("Rooms.Treeview", foreground=palette.text, borderwidth=0)
        style.map("Rooms.Treeview", background=[("selected", palette.chosen)], foreground=[("selected", palette.text)])
        style.layout("Rooms.Treeview", [("Treeview.treearea", {"sticky": "nswe"})])
        style.layout(
            "Rooms.Treeview.Item",
            [("Treeitem.padding", {"sticky": "nswe", "children": [("Treeitem.text", {"sticky": "we"})]})],
        )
        style.configure("Rooms.Treeview.Item", padding=(px(14), 0, 0, 0))


def _is_there(redraw: Callable[[], None]) -> bool:
    widget = getattr(redraw, "__self__", None)
    return not isinstance(widget, tkinter.Misc) or bool(widget.winfo_exists())


def density(root: tkinter.Misc) -> float:
    """Return how many pixels stand for one of a plain screen; `DCHAT_SCALE` overrules what the desktop says."""
    with suppress(ValueError):
        return min(4.0, max(0.5, float(os.environ["DCHAT_SCALE"]))) if os.environ.get("DCHAT_SCALE") else _dots(root)
    return _dots(root)


def _dots(root: tkinter.Misc) -> float:
    windowing = root.tk.call("tk", "windowingsystem")
    if windowing == "aqua":
        return 1.0  # points, which the system scales by itself
    dots = float(root.winfo_fpixels("1i"))
    if windowing == "x11":
        # What the desktop's settings say; the server itself says 96 whatever hangs on it.
        dots = resource_dpi(str(_output("xrdb", "-query"))) or dots
    # Odd densities come from monitors that lie about their size; near to plain is plain.
    return 1.0 if dots < 110 else min(4.0, round(dots / 96 * 4) / 4)


def resource_dpi(resources: str) -> float | None:
    """Return Xft.dpi of the X resources, None when they do not say."""
    found = re.search(r"^Xft\.dpi:\s*(\d+(?:\.\d+)?)\s*$", resources, re.MULTILINE)
    return float(found[1]) if found else None


def before_the_window() -> None:
    """Tell Windows, before there is any window, that this program draws for the screen's real pixels."""
    if sys.platform == "win32":
        import ctypes

        with suppress(AttributeError, OSError):
            ctypes.windll.shcore.SetProcessDpiAwareness(1)


def desktop_is_dark() -> bool:
    """Ask the desktop; False when it does not say. May take a second: not for the window's thread."""
    try:
        import darkdetect  # type: ignore[import-untyped]
    except ImportError:
        return False
    try:
        return bool(darkdetect.isDark())
    except Exception:  # a plug-in of the desktop: whatever is wrong with it, the window is light
        return False


async def desktop_is_dark_soon() -> bool:
    """Ask the desktop without blocking the loop; False when it does not answer within some seconds."""
    answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def said(dark: bool) -> None:
        if not answer.done():
            answer.set_result(dark)

    def ask() -> None:
        dark = desktop_is_dark()
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(said, dark)

    # A thread of its own and a daemon: what asks the desktop starts a program, which may hang.
    threading.Thread(target=ask, daemon=True, name="dchat-desktop").start()
    with suppress(TimeoutError):
        return await asyncio.wait_for(answer, ASK_S)
    return False


def _sun_valley(root: tkinter.Tk, *, dark: bool) -> bool:
    try:
        import sv_ttk
    except ImportError:
        return False
    sv_ttk.set_theme("dark" if dark else "light", root)
    # It would give every widget that is there its own two colours, over those of our styles.
    for name in ("configure_colors {}", "config_menus {w}"):
        root.tk.eval(f"proc {name} {{}}")
    return True


def _colour_clam(style: ttk.Style, palette: Palette) -> None:
    style.configure(
        ".",
        bordercolor=palette.line,
        lightcolor=palette.ground,
        darkcolor=palette.ground,
        arrowcolor=palette.text,
    )
    style.configure("TButton", background=palette.raised, padding=6)
    style.map(
        "TButton",
        background=[("pressed", palette.line), ("active", palette.line)],
        foreground=[("disabled", palette.dim)],
    )
    style.configure("Accent.TButton", background=palette.accent, foreground=palette.on_accent)
    style.map("Accent.TButton", background=[("disabled", palette.raised)], foreground=[("disabled", palette.dim)])
    style.map("TEntry", bordercolor=[("focus", palette.accent)], lightcolor=[("focus", palette.accent)])
    style.configure("TScrollbar", background=palette.line, bordercolor=palette.ground)
    style.map("TScrollbar", background=[("active", palette.dim), ("disabled", palette.ground)])
    style.map("TCheckbutton", background=[("active", palette.ground)])


def _colour_plain_widgets(root: tkinter.Tk, palette: Palette) -> None:
    """Colour what is not ttk's and is made later: menus, lists."""
    for kind in ("Menu", "Listbox"):
        root.option_add(f"*{kind}.background", palette.raised)
        root.option_add(f"*{kind}.foreground", palette.text)
        root.option_add(f"*{kind}.activeBackground", palette.chosen)
        root.option_add(f"*{kind}.activeForeground", palette.text)
        root.option_add(f"*{kind}.selectBackground", palette.chosen)
        root.option_add(f"*{kind}.selectForeground", palette.text)
        root.option_add(f"*{kind}.borderWidth", 0)


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
