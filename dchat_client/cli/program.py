"""The `dchat` program: its commands by name, the options all share, and how every failure leaves it."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from dchat_client import __version__
from dchat_client.cli import completing
from dchat_client.cli.face import Face, OutputClosed
from dchat_client.config import ConfigError
from dchat_client.errors import Busy, ChatError, NotFound, SignInNeeded, Unreachable
from dchat_client.terminal import clean

OK, FAILED, USAGE, UNREACHABLE, SIGN_IN, NOT_FOUND, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, 4, 5, 130, 141

# name: (module in dchat_client.cli, one line of help). Help is repeated here so that `dchat --help` loads
# nothing.
COMMANDS = {
    "tui": ("tui", "Open the full-screen client."),
    "gui": ("gui", "Open the window."),
    "login": ("account", "Sign in and keep the token."),
    "register": ("account", "Make an account and sign in."),
    "logout": ("account", "Sign out; the token is revoked."),
    "whoami": ("account", "Show who is signed in."),
    "rooms": ("rooms", "List the rooms you can see."),
    "create": ("rooms", "Make a room."),
    "topic": ("rooms", "Show or set what a room is about."),
    "join": ("rooms", "Join a room."),
    "leave": ("rooms", "Leave a room."),
    "members": ("rooms", "List the members of a room."),
    "invite": ("rooms", "Bring somebody into a room."),
    "kick": ("rooms", "Put somebody out of a room."),
    "users": ("rooms", "List the people of this server."),
    "send": ("send", "Send a message, or a message a line."),
    "dm": ("send", "Write to one person, or to a few."),
    "tail": ("tail", "Print messages as they come."),
    "history": ("history", "Print past messages."),
    "search": ("search", "Find messages by their words."),
    "thread": ("search", "Print a message and what answers it."),
    "export": ("export", "Write a room's messages to a file."),
    "import": ("importing", "Bring in what was said elsewhere: Slack, IRC, exports."),
    "edit": ("messages", "Change a message of yours."),
    "delete": ("messages", "Delete a message."),
    "react": ("messages", "React to a message."),
    "read": ("history", "Mark a room as read."),
    "tokens": ("tokens", "List, make and revoke tokens."),
    "profile": ("profile", "List, choose and remove kept sign-ins."),
    "admin": ("admin", "Look after the server: workers, leader, archive."),
    "doctor": ("doctor", "Check configuration, network and server."),
    "completion": ("completion", "Print the completion script for a shell."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, importing its module; None when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"dchat_client.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed or refused, 2 usage or configuration, 3 server not reached,"
    " 4 not signed in, 5 not found, 130 interrupted, 141 output closed.",
)
@click.option("--url", metavar="URL[,URL…]", help="The server; several addresses are tried in turn. [DCHAT_URL]")
@click.option(
    "--profile",
    metavar="NAME",
    shell_complete=completing.profiles,
    help="Which kept server and user to use. [DCHAT_PROFILE]",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing on standard error but errors.")
@click.version_option(__version__, "-V", "--version", prog_name="dchat", message="%(prog)s %(version)s")
@click.pass_context
def dchat(ctx: click.Context, url: str | None, profile: str | None, quiet: bool) -> None:
    """Chat from the command line. Without a command, on a terminal: signs you in and opens the full-screen client.

    \b
    dchat register ada                        make an account
    dchat create lobby                        make a room
    dchat send lobby "Good morning"           say something
    dchat tail lobby                          read along
    dchat history lobby --limit 20            read back
    """
    ctx.obj = Face(url=url, profile_name=profile, quiet=quiet)
    if ctx.invoked_subcommand is not None:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        click.echo(ctx.get_help(), err=True)
        ctx.exit(USAGE)
    from dchat_client.cli.tui import tui_command
    from dchat_client.cli.welcome import welcome

    ctx.obj = welcome(ctx.obj)
    ctx.invoke(tui_command)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run `dchat` and exit;

    expected failures end in one or two lines on standard error and a documented code.
    """
    face = Face.plain()
    with suppress(ValueError):  # not the main thread: then signals are somebody else's
        # A supervisor's SIGTERM ends a command as Ctrl-C does: tidily, with its place kept.
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    for stream in (sys.stdout, sys.stderr):
        # Text of others may hold anything; printing it must not fail, whatever the terminal's encoding.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code: Any = dchat.main(args=args, prog_name="dchat", standalone_mode=False)
    except click.exceptions.Exit as exit_:
        code = exit_.exit_code
    except click.UsageError as error:
        error.show()
        code = USAGE
    except click.ClickException as error:
        face.error(clean(error.format_message()))
        code = FAILED
    except (KeyboardInterrupt, click.Abort):
        code = INTERRUPTED
    except OutputClosed:
        code = BROKEN_PIPE
    except ChatError as error:
        face.error(clean(error.detail), error.next_step or _for_operators(error))
        code = exit_code(error)
    except ConfigError as error:
        face.error(clean(str(error)))
        code = USAGE
    except OSError as error:
        face.error(clean(str(error)))
        code = FAILED
    _leave(code if isinstance(code, int) else OK)


def _for_operators(error: ChatError) -> str | None:
    """By what whoever runs the server finds a failure of its own."""
    if error.request_id is None or (error.status or 0) < 500:
        return None
    return f"The server's log has it as request {clean(error.request_id)}."


def exit_code(error: ChatError) -> int:
    """Return the exit code that stands for `error`."""
    if isinstance(error, SignInNeeded):
        return SIGN_IN
    if isinstance(error, NotFound):
        return NOT_FOUND
    if isinstance(error, Unreachable) or error.code == "not_dchat":
        return UNREACHABLE
    if isinstance(error, Busy) and error.status != 429:
        return UNREACHABLE
    return FAILED


def _leave(code: int) -> NoReturn:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = BROKEN_PIPE
    if code == BROKEN_PIPE:
        # Python flushes once more at exit and would complain; there is nobody left to read it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
