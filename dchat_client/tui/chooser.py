"""A dialog in which one finds something by some of its letters: rooms, people, emoji, messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

MOST_SHOWN = 200
_PAUSE_S = 0.15
"""How long the typing has to rest before a server is asked."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to choose: what it gives, and how it is shown. The label's text is cleaned."""

    value: Any
    label: Text


Here = Callable[[str], Sequence[Choice]]
"""Query → what is known here, at once."""
Elsewhere = Callable[[str], Awaitable[Sequence[Choice]]]
"""Query → what a server knows, in a while."""


class Chooser(ModalScreen[Any]):
    """Gives the chosen value, or None. What is typed is matched by whoever gives the choices."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Close", show=False),
        Binding("down,ctrl+n,tab", "next", "Next", show=False),
        Binding("up,ctrl+p,shift+tab", "previous", "Previous", show=False),
        Binding("pagedown", "next_page", "Next page", show=False),
        Binding("pageup", "previous_page", "Previous page", show=False),
    ]
    DEFAULT_CSS = """
    Chooser { align: center top; background: $background 60%; }
    Chooser > Vertical {
        width: 64; max-width: 94%; height: auto; max-height: 80%; margin-top: 2;
        border: round $primary; background: $surface; padding: 0 1;
    }
    Chooser Input { border: none; padding: 0; height: 1; background: $surface; }
    Chooser Input:focus { border: none; }
    Chooser OptionList { border: none; padding: 0; height: auto; max-height: 16; background: $surface; }
    Chooser Static { height: 1; color: $text-muted; text-wrap: nowrap; }
    Chooser:ansi { background: ansi_default; }
    """

    def __init__(
        self, title: str, here: Here, elsewhere: Elsewhere | None = None, *, hint: str = "", query: str = ""
    ) -> None:
        super().__init__()
        self._title, self._hint, self._query = title, hint, query
        self._here, self._elsewhere = here, elsewhere
        self._choices: list[Choice] = []
        self._more: dict[str, Sequence[Choice]] = {}

    def compose(self) -> ComposeResult:
        """A field to type in, and what fits below it."""
        with Vertical() as box:
            box.border_title = Content(self._title)
            yield Input(self._query, placeholder="type some letters", compact=True, select_on_focus=False)
            yield OptionList(markup=False)
            yield Static(Text(self._hint or "Enter chooses, Esc closes"))

    def on_mount(self) -> None:
        """Show what there is before anything is typed."""
        self.query_one(OptionList).can_focus = False
        self._fill(self._query)
        self._ask()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Show what fits now."""
        self._query = event.value
        self._fill(event.value)
        self._ask()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Choose the highlighted one."""
        event.stop()
        self._choose(self.query_one(OptionList).highlighted)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Choose the clicked one."""
        self._choose(event.option_index)

    def refill(self) -> None:
        """What is known here has changed."""
        self._fill(self._query)

    def _choose(self, index: int | None) -> None:
        if index is not None and index < len(self._choices):
            self.dismiss(self._choices[index].value)

    def _fill(self, query: str) -> None:
        if not self.query(OptionList):
            return  # closed, while a server was still asked
        known = list(self._here(query))
        values = [choice.value for choice in known]
        self._choices = [*known, *(each for each in self._more.get(query, ()) if each.value not in values)][:MOST_SHOWN]
        options = self.query_one(OptionList)
        at = options.highlighted
        options.set_options(Option(choice.label) for choice in self._choices)
        if self._choices:
            options.highlighted = min(at or 0, len(self._choices) - 1)

    def _ask(self) -> None:
        if self._elsewhere is not None and self._query not in self._more:
            self.run_worker(self._ask_elsewhere(self._elsewhere, self._query), exclusive=True)

    async def _ask_elsewhere(self, elsewhere: Elsewhere, query: str) -> None:
        await asyncio.sleep(_PAUSE_S if query else 0)
        self._more[query] = await elsewhere(query)
        if query == self._query:
            self._fill(query)

    def action_close(self) -> None:
        """Choose nothing."""
        self.dismiss(None)

    def action_next(self) -> None:
        """Highlight the one below."""
        self.query_one(OptionList).action_cursor_down()

    def action_previous(self) -> None:
        """Highlight the one above."""
        self.query_one(OptionList).action_cursor_up()

    def action_next_page(self) -> None:
        """Highlight one a page below."""
        self.query_one(OptionList).action_page_down()  # type: ignore[no-untyped-call]

    def action_previous_page(self) -> None:
        """Highlight one a page above."""
        self.query_one(OptionList).action_page_up()  # type: ignore[no-untyped-call]
