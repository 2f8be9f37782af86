"""dchat tui."""

from __future__ import annotations

import importlib

import click

from dchat_client.cli.face import Face


@click.command("tui")
@click.argument("room", required=False)
@click.pass_context
def tui_command(ctx: click.Context, room: str | None) -> None:
    """Open the full-screen client in this terminal, in ROOM or where you were last."""
    face: Face = ctx.obj
    try:
        screen = importlib.import_module("dchat_client.tui")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("textual", "rich"):
            raise
        raise click.ClickException(
            "Textual is not installed; install the full-screen client with: pip install 'd-chat[client]'"
        ) from None
    ctx.exit(screen.run(face, room=room))
