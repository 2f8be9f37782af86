"""The input: several lines, the keys of readline, what was sent before, completion.

It knows nothing of rooms. Its owner gives it sources to complete from and a history, and hears what is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from textual.message import Message
from textual.widgets import TextArea

from dchat_client.completion import Completion, Option, Sources, complete

MOST_ROWS = 8
MOST_CHARS = 65_536


class Composer(TextArea, inherit_bindings=False):
    """Where one writes."""

    DEFAULT_CSS = f"""
    Composer {{
        height: auto;
        min-height: 1;
        max-height: {MOST_ROWS};
        border: none !important;
        padding: 0 1;
        scrollbar-size-vertical: 1;
    }}
    Composer:focus {{ border: none; }}
    """

    class Completing(Message):
        """The options to show beside the input have changed; `chosen` is the one put in."""

        def __init__(self, options: tuple[Option, ...], chosen: int | None) -> None:
            super().__init__()
            self.options, self.chosen = options, chosen

    class LeftOff(Message):
        """Escape, with nothing being completed."""

    class Hint(Message):
        """Something to tell in a word."""

        def __init__(self, words: str) -> None:
            super().__init__()
            self.words = words

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, highlight_cursor_line=False, placeholder="")
        self.match_cursor_bracket = False
        self.sources: Callable[[], Sources] = Sources
        self.sent: Callable[[], Sequence[str]] = tuple
        self.on_send: Callable[[str], bool] = lambda text: False
        """Takes a text that is sent. False when it is to stay here."""
        self._completion: Completion | None = None
        self._chosen: int | None = None
        self._before_history: str | None = None
        self._at: int | None = None
        self._looked_for = ""
        self._cut = ""
        self._own_text: str | None = None

    def put(self, text: str) -> None:
        """Replace everything, with the cursor at the end; what was cut and sent before stays."""
        self.load_text(text)
        self._own_text = self.text
        self.move_cursor(self.document.end)
        self._at = self._before_history = None
        self._forget_completion()

    def write(self, text: str) -> None:
        """Put in what was typed or pasted, in place of what is selected."""
        if len(self.text) + len(text) > MOST_CHARS:
            self.post_message(self.Hint("That is too long to be sent from here; `dchat send ROOM -` takes files."))
            return
        result = self._replace_via_keyboard(text.replace("\r\n", "\n").replace("\r", "\n"), *self.selection)
        if result is not None:
            self.move_cursor(result.end_location)
        self._restart_blink()

    def on_text_area_changed(self) -> None:
        """Look for what may be completed, when it was written and not put in."""
        if self.text == self._own_text:
            return
        self._own_text = None
        self._at = None
        self._look(asked=False)

    # Sending and lines

    def action_send(self) -> None:
        """Send what is written. Nothing for an empty text."""
        if self.text.strip():
            self._forget_completion()
            text = self.text
            if self.on_send(text) and self.text == text:
                self.put("")

    def action_newline(self) -> None:
        """Begin a new line."""
        self.write("\n")

    def action_clear(self) -> None:
        """Copy what is selected, else clear the input; Up brings the text back."""
        if self.selected_text:
            self.action_copy()
        elif self.text:
            self._before_history, self._at = None, None
            cleared = self.text
            self.put("")
            self._before_history = cleared
        else:
            self.post_message(self.Hint("quit"))

    def action_leave_off(self) -> None:
        """Stop completing, or what one is writing for."""
        if self._completion is not None:
            self._forget_completion()
        else:
            self.post_message(self.LeftOff())

    # Completion

    def action_complete(self) -> None:
        """Put the next option in."""
        self._complete(1)

    def action_complete_back(self) -> None:
        """Put the option before in."""
        self._complete(-1)

    def _complete(self, step: int) -> None:
        if self._completion is None:
            self._look(asked=True)
        completion = self._completion
        if completion is None:
            return
        count = len(completion.options)
        at = (0 if step > 0 else count - 1) if self._chosen is None else (self._chosen + step) % count
        self._chosen = at
        row, column = self.cursor_location
        before = self._text_before_cursor()
        start_column = column - (len(before) - completion.start)
        result = self.replace(
            completion.options[at].text, (row, start_column), (row, column), maintain_selection_offset=False
        )
        self.move_cursor(result.end_location)
        self._own_text = self.text
        self.post_message(self.Completing(completion.options, at))

    def choose(self, index: int) -> None:
        """Put the option at `index` in, which was clicked."""
        if self._completion is not None and index < len(self._completion.options):
            self._chosen = index - 1 if index else len(self._completion.options) - 1
            self._complete(1)

    def _look(self, *, asked: bool) -> None:
        found = complete(self._text_before_cursor(), self.sources(), asked=asked) if self.text else None
        if found is None:
            self._forget_completion()
            return
        self._completion, self._chosen = found, None
        self.post_message(self.Completing(found.options, None))

    def _forget_completion(self) -> None:
        if self._completion is not None:
            self._completion = self._chosen = None
            self.post_message(self.Completing((), None))

    def _text_before_cursor(self) -> str:
        return self.get_text_range((0, 0), self.cursor_location)

    # What was sent before

    def action_history_back(self) -> None:
        """Go up a row; from the first one to what was sent before."""
        if not self.cursor_at_first_line:
            self.action_cursor_up()
            return
        if self._at is None and not self.text and self._before_history:
            self._put_from_history(self._before_history, None)
            return
        self._go_in_history(-1)

    def action_history_forward(self) -> None:
        """Go down a row; from the last one to what was sent after, and at last to what one was writing."""
        if not self.cursor_at_last_line:
            self.action_cursor_down()
        elif self._at is not None:
            self._go_in_history(1)

    def action_history_search(self) -> None:
        """Go back to what was sent with the present text in it."""
        sent = self.sent()
        if self._at is None:
            self._before_history, self._looked_for = self.text, self.text
        at = len(sent) if self._at is None else self._at
        found = next((index for index in range(at - 1, -1, -1) if self._looked_for in sent[index]), None)
        if found is None:
            self.post_message(self.Hint(f"Nothing you sent has {self._looked_for!r} in it, further back."))
        else:
            self._put_from_history(sent[found], found)

    def _go_in_history(self, step: int) -> None:
        sent = self.sent()
        if self._at is None:
            self._before_history, self._looked_for = self.text, ""
        at = (len(sent) if self._at is None else self._at) + step
        if at < 0:
            return
        if at >= len(sent):
            self._put_from_history(self._before_history or "", None)
        else:
            self._put_from_history(sent[at], at)

    def _put_from_history(self, text: str, at: int | None) -> None:
        before, looked_for = self._before_history, self._looked_for
        self.put(text)
        self._before_history, self._looked_for, self._at = before, looked_for, at

    # Readline's cutting and putting back

    def action_kill_word_left(self) -> None:
        """Cut the word before the cursor."""
        self._kill(self.get_cursor_word_left_location(), self.selection.end)

    def action_kill_word_right(self) -> None:
        """Cut the word behind the cursor."""
        self._kill(self.selection.end, self.get_cursor_word_right_location())

    def action_kill_to_start(self) -> None:
        """Cut to the start of the line."""
        self._kill((self.cursor_location[0], 0), self.selection.end)

    def action_kill_to_end(self) -> None:
        """Cut to the end of the line; at its end, the line end."""
        end = self.get_cursor_line_end_location()
        self._kill(self.selection.end, end if end != self.selection.end else self.get_cursor_right_location())

    def action_yank(self) -> None:
        """Put back what was cut last."""
        if self._cut:
            self._replace_via_keyboard(self._cut, *self.selection)

    def action_transpose(self) -> None:
        """Swap the signs around the cursor; at the end of the line, the two before it."""
        row, column = self.cursor_location
        line = self.document.get_line(row)
        column = min(column, len(line) - 1)
        if column >= 1:
            self.replace(line[column] + line[column - 1], (row, column - 1), (row, column + 1))
            self.move_cursor((row, column + 1))

    def _kill(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        if start != end:
            self._cut = self.get_text_range(start, end)
            self._delete_via_keyboard(start, end)
