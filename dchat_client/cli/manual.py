"""docs/cli.md, made from the commands themselves: `python -m dchat_client.cli.manual > docs/cli.md`.

What people wrote lies in manual.md beside this file. There a line `<!-- dchat: send dm -->` stands for the commands it
names, and is replaced by what their help says: so a fact about an option is written once, where the option is.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from importlib import resources

import click

from dchat_client.cli.program import dchat

WIDTH = 120
_PLACE = re.compile(r"<!-- dchat: ([a-z -]+) -->")
_NOTE = "<!-- Made by `python -m dchat_client.cli.manual` from the commands' help and dchat_client/cli/manual.md. -->"


def manual() -> str:
    """Return the whole of docs/cli.md."""
    written = resources.files("dchat_client.cli").joinpath("manual.md").read_text("utf-8")
    return f"{_NOTE}\n\n" + _PLACE.sub(lambda place: "\n\n".join(map(_command, place[1].split())), written)


def _command(name: str) -> str:
    context = click.Context(dchat, info_name="dchat")
    command = dchat.get_command(context, name)
    if command is None:
        raise LookupError(f"manual.md names a command that is not there: {name}")
    return "\n\n".join(_blocks(click.Context(command, info_name=name, parent=context), command))


def _blocks(context: click.Context, command: click.Command) -> Iterator[str]:
    arguments = [_argument(parameter) for parameter in command.params if isinstance(parameter, click.Argument)]
    yield f"### `{' '.join([context.command_path, *arguments])}`"
    yield from _paragraphs(command.help or "")
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    if options:
        yield "\n".join(["| option | does |", "| --- | --- |", *map(_option, options)])
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            yield from _blocks(click.Context(part, info_name=name, parent=context), part)


def _argument(argument: click.Argument) -> str:
    text = argument.metavar or (argument.name or "").upper()
    if argument.nargs == -1 and not argument.metavar:
        text += "…"
    return text if argument.required or text.startswith("[") else f"[{text}]"


def _paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a help text, filled; what click keeps as it is (\\b) as code."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if paragraph.startswith("\b\n"):
            yield f"```\n{textwrap.dedent(paragraph[2:])}\n```"
        else:
            yield textwrap.fill(" ".join(paragraph.split()), WIDTH, break_on_hyphens=False, break_long_words=False)


def _option(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    if not option.is_flag:
        choices = option.type.choices if isinstance(option.type, click.Choice) else ()
        value = option.metavar or "\\|".join(map(str, choices)) or (option.name or "").upper()
        names = f"{names[:-1]} {value}`"
    return f"| {names} | {' '.join((option.help or '').split())} |"


if __name__ == "__main__":
    sys.stdout.write(manual())
