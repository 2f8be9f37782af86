"""dchat gui."""

from __future__ import annotations

import importlib

import click

from dchat_client.cli.face import Face


@click.command("gui")
@click.option("--host", metavar="HOST", help="The server's machine, instead of the profile's address.")
@click.option("--port", metavar="PORT", type=click.IntRange(1, 65535), help="Its port [5000].")
@click.option("--user", metavar="USER", help="Who signs in; the window asks for the password.")
@click.pass_context
def gui_command(ctx: click.Context, host: str | None, port: int | None, user: str | None) -> None:
    """Open the window on this desktop."""
    face: Face = ctx.obj
    try:
        window = importlib.import_module("dchat_client.gui")
    except ModuleNotFoundError as error:
        if error.name not in ("tkinter", "_tkinter"):
            raise
        raise click.ClickException(
            "Python's Tk is not installed; on Debian and Ubuntu: apt-get install python3-tk"
        ) from None
    ctx.exit(window.run(face, host=host, port=port, user=user))
