"""Small dialogs: a question, and the help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.console import Group
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from dchat_client.commands import COMMANDS
from dchat_client.tui.keymap import help_rows


class Question(ModalScreen[bool]):
    """Gives True for y or Enter, False for anything that means no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "yes", "Yes", show=False),
        Binding("n,escape,q", "no", "No", show=False),
    ]
    DEFAULT_CSS = """
    Question { align: center middle; background: $background 60%; }
    Question:ansi { background: ansi_default; }
    Question > Vertical {
        width: 60; max-width: 94%; height: auto; border: round $warning; background: $surface; padding: 1 2;
    }
    Question Static { height: auto; margin-bottom: 1; }
    Question Static:last-child { margin-bottom: 0; }
    """

    def __init__(self, question: str, detail: str, *, yes: str) -> None:
        super().__init__()
        self._question, self._detail, self._yes = question, detail, yes

    def compose(self) -> ComposeResult:
        """What is asked, what it is about, and the keys."""
        with Vertical():
            yield Static(Text(self._question, "bold"))
            yield Static(Text(self._detail, overflow="fold"))
            yield Static(Text(f"y: {self._yes}   n: no"))

    def action_yes(self) -> None:
        """Yes."""
        self.dismiss(True)

    def action_no(self) -> None:
        """No."""
        self.dismiss(False)


class Help(ModalScreen[None]):
    """Keys and commands, as they are in force."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1,enter", "close", "Close", show=False),
        Binding("down,j", "scroll('scroll_down')", show=False),
        Binding("up,k", "scroll('scroll_up')", show=False),
        Binding("pagedown,space", "scroll('scroll_page_down')", show=False),
        Binding("pageup", "scroll('scroll_page_up')", show=False),
        Binding("home", "scroll('scroll_home')", show=False),
        Binding("end", "scroll('scroll_end')", show=False),
    ]
    DEFAULT_CSS = """
    Help { align: center middle; background: $background 60%; }
    Help:ansi { background: ansi_default; }
    Help > VerticalScroll {
        width: 76; max-width: 98%; height: auto; max-height: 90%;
        border: round $primary; background: $surface; padding: 0 1; scrollbar-size-vertical: 1;
    }
    """

    def __init__(self, keys: Mapping[str, tuple[str, ...]], keys_file: str) -> None:
        super().__init__()
        self._keys, self._keys_file = keys, keys_file

    def compose(self) -> ComposeResult:
        """One text that scrolls."""
        with VerticalScroll() as box:
            box.border_title = "Help"
            box.border_subtitle = "Esc closes"
            yield Static(help_text(self._keys, self._keys_file))

    def action_close(self) -> None:
        """Close."""
        self.dismiss(None)

    def action_scroll(self, method: str) -> None:
        """Scroll the text."""
        getattr(self.query_one(VerticalScroll), method)(animate=False)


def help_text(keys: Mapping[str, tuple[str, ...]], keys_file: str) -> Group:
    """Return keys and commands, in two columns."""
    sections = help_rows(keys)
    commands = [(command.usage, command.about) for command in COMMANDS]
    sections.append(("Commands", [*commands, ("//TEXT", "say a text that begins with a slash")]))
    parts: list[Text | Table] = []
    for title, rows in sections:
        table = Table.grid(padding=(0, 2))
        table.add_column(width=26)
        table.add_column()
        for left, right in rows:
            table.add_row(Text(left, "bold"), Text(right))
        parts += [Text(title, "bold underline"), table, Text()]
    return Group(*parts, Text(f"Keys can be changed in {keys_file}, in a table [keys]; docs/tui.md tells how."))
