"""The menu bar and the keys that do the same from anywhere in the window."""

from __future__ import annotations

import tkinter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dchat_client.gui.theme import Theme

Act = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Item:
    """A menu's line: `key` is shown and, as a Tk sequence in `binding`, does the same. No `name`: a line between."""

    name: str = ""
    key: str = ""
    binding: str = ""


_MENUS: Mapping[str, tuple[Item, ...]] = {
    "Chat": (
        Item("Go to …", "Ctrl-K", "<Control-k>"),
        Item("Make a room …", "Ctrl-N", "<Control-n>"),
        Item("Find …", "Ctrl-F", "<Control-f>"),
        Item(),
        Item("Connect again", "F5", "<F5>"),
        Item("Sign out"),
        Item("Quit", "Ctrl-Q", "<Control-q>"),
    ),
    "Room": (
        Item("Room above", "Ctrl-↑", "<Control-Up>"),
        Item("Room below", "Ctrl-↓", "<Control-Down>"),
        Item("Next unread", "Alt-↓", "<Alt-Down>"),
        Item("Last unread", "Alt-↑", "<Alt-Up>"),
        Item(),
        Item("Who is here", "F8", "<F8>"),
        Item("Topic …"),
        Item("Leave …"),
        Item(),
        Item("Tell me of every message"),
        Item("Tell me of mentions"),
        Item("Tell me of nothing"),
    ),
    "Message": (
        Item("Edit the last one", "F2", "<F2>"),
        Item("Choose one", "F6", "<F6>"),
        Item("To the newest", "Ctrl-End", "<Control-End>"),
    ),
    "View": (
        Item("As the desktop"),
        Item("Light"),
        Item("Dark"),
        Item("Dark or light", "F9", "<F9>"),
        Item(),
        Item("Larger", "Ctrl-+", "<Control-plus>"),
        Item("Smaller", "Ctrl--", "<Control-minus>"),
        Item("Usual size", "Ctrl-0", "<Control-Key-0>"),
    ),
    "Help": (Item("Keys and commands", "F1", "<F1>"),),
}


class Menu:
    """`acts` has something to do for each name; those that need somebody signed in are dim until `enable`."""

    ALWAYS = frozenset({"Quit", "As the desktop", "Light", "Dark", "Dark or light", "Larger", "Smaller", "Usual size"})

    def __init__(self, root: tkinter.Tk, theme: Theme, acts: Mapping[str, Act]) -> None:
        self._theme, self._enabled = theme, False
        self._bar = tkinter.Menu(root, tearoff=False)
        self._menus = [self._bar]
        is_mac = root.tk.call("tk", "windowingsystem") == "aqua"
        for title, items in _MENUS.items():
            menu = tkinter.Menu(self._bar, tearoff=False)
            self._menus.append(menu)
            for item in items:
                if not item.name:
                    menu.add_separator()
                    continue
                key = item.key.replace("Ctrl-", "Command-") if is_mac else item.key
                menu.add_command(label=item.name, accelerator=key, command=self._guarded(item.name, acts[item.name]))
                if item.binding:
                    binding = item.binding.replace("Control-", "Command-") if is_mac else item.binding
                    root.bind_all(binding, lambda _, item=item: self._key(item.name, acts[item.name]))  # type: ignore[misc]
            self._bar.add_cascade(label=title, menu=menu, underline=0)
        root.configure(menu=self._bar)
        theme.follow(self._coloured)
        self.enable(False)

    def enable(self, enabled: bool) -> None:
        """Somebody is signed in, or nobody."""
        self._enabled = enabled
        for menu in self._menus[1:]:
            for index in range((menu.index("end") or 0) + 1):
                if menu.type(index) == "command" and menu.entrycget(index, "label") not in self.ALWAYS:
                    menu.entryconfigure(index, state="normal" if enabled else "disabled")

    def _guarded(self, name: str, act: Act) -> Callable[[], None]:
        def chosen() -> None:
            self._key(name, act)

        return chosen

    def _key(self, name: str, act: Act) -> str:
        if self._enabled or name in self.ALWAYS:
            act()
        return "break"

    def _coloured(self) -> None:
        palette = self._theme.palette
        for menu in self._menus:
            menu.configure(
                background=palette.raised,
                foreground=palette.text,
                activebackground=palette.accent,
                activeforeground=palette.on_accent,
                disabledforeground=palette.dim,
                borderwidth=0,
                activeborderwidth=0,
                relief="flat",
            )
