"""dchat completion."""

from __future__ import annotations

import click

from dchat_client.terminal import clean

_WHERE = {
    "bash": 'eval "$(dchat completion bash)"   in ~/.bashrc',
    "zsh": 'eval "$(dchat completion zsh)"   in ~/.zshrc, after compinit',
    "fish": "dchat completion fish > ~/.config/fish/completions/dchat.fish",
}


@click.command("completion", epilog="\b\n" + "\n".join(_WHERE.values()))
@click.argument("shell", type=click.Choice(list(_WHERE)))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete dchat's commands and options."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:  # pragma: no cover - the three are part of click
        raise click.ClickException(f"completion for {clean(shell)} is not available")
    root = ctx.find_root()
    # Not .source(): for bash that runs bash to ask its version, and complains when there is none.
    script = found(root.command, {}, "dchat", "_DCHAT_COMPLETE")
    ctx.obj.data((script.source_template % script.source_vars()).rstrip())
