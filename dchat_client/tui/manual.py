"""The tables of docs/tui.md, made from what is in force; a test holds the document to them."""

from __future__ import annotations

from dchat_client.commands import COMMANDS
from dchat_client.tui.keymap import KEYS, TITLES, shown


def tables() -> str:
    """Return the sections on commands and keys, in Markdown."""
    lines = ["## Commands", "", "| command | does |", "| --- | --- |"]
    lines += [f"| `{command.usage.replace('|', chr(92) + '|')}` | {command.about} |" for command in COMMANDS]
    lines += ["| `//TEXT` | says a text that begins with a slash |", "", "## Keys", ""]
    for where, title in TITLES.items():
        lines += [f"### {title}", "", "| key | does | its name in the file |", "| --- | --- | --- |"]
        lines += [f"| {shown(key.keys)} | {key.about} | `{key.name}` |" for key in KEYS if key.where == where]
        lines.append("")
    return "\n".join(lines)
