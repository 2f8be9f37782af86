"""The keys of the window, once for the menus and once for people to read."""

from __future__ import annotations

from dchat_client.commands import COMMANDS

KEYS = (
    ("Ctrl-K", "go to a room or a person by some letters"),
    ("Ctrl-↑  Ctrl-↓", "room above, room below"),
    ("Alt-↑  Alt-↓", "next room with something new"),
    ("Enter", "send"),
    ("Shift-Enter", "new line"),
    ("Tab", "complete a name, a room, an emoji, a command"),
    ("↑ in the empty input", "what you wrote before"),
    ("Page ↑  Page ↓", "scroll the messages"),
    ("Ctrl-End", "to the newest message"),
    ("F6", "go round: rooms, messages, input"),
    ("↑ ↓ in the messages", "choose one; then R answers, + reacts, E edits, Del deletes, C copies, U marks unread"),
    ("F2", "edit your last message"),
    ("Esc", "close, take back, go to the input"),
    ("Ctrl-N", "make a room"),
    ("Ctrl-F", "find messages in this room"),
    ("F8", "who is here"),
    ("F5", "connect again now"),
    ("F9", "dark or light"),
    ("Ctrl-+  Ctrl--  Ctrl-0", "larger, smaller, as usual"),
    ("F1", "this help"),
    ("Ctrl-Q", "quit"),
)
COMMAND_ROWS = tuple((command.usage, command.about) for command in COMMANDS)


def key_rows(windowing: str) -> list[tuple[str, str]]:
    """Return keys and what they do, as the keyboards of that windowing system name them."""
    if windowing != "aqua":
        return list(KEYS)
    return [(key.replace("Ctrl-", "⌘").replace("Alt-", "⌥"), about) for key, about in KEYS]
