"""dchat tokens: API tokens for programs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from dchat_client.address import segment
from dchat_client.cli.face import Face
from dchat_client.cli.rooms import write_table
from dchat_client.cli.when import When, iso, local
from dchat_client.errors import NotFound, ServerFault
from dchat_client.terminal import clean

if TYPE_CHECKING:
    from dchat_client.connection import Connection

_JSON = click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")


@click.group("tokens", invoke_without_command=True)
@click.pass_context
def tokens_command(ctx: click.Context) -> None:
    """Look after your tokens: your sign-ins, and those made for programs.

    \b
    dchat tokens                                          list them
    dchat tokens create ci --scope write --expires 90d    make one
    dchat tokens revoke 8c0d…                             end one
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_command, as_json=False)


@tokens_command.command("list")
@_JSON
@click.pass_obj
def list_command(face: Face, as_json: bool) -> None:
    """List the tokens: id, name, kind, scopes, when they were made and end. A * stands at the one in use here."""
    tokens = face.run(_tokens)
    if as_json:
        for token in tokens:
            face.json(token)
        return
    rows = []
    for token in tokens:
        scopes = token.get("scopes")
        rows.append(
            [
                "*" if token.get("current") else "",
                *(str(token.get(name) or "") for name in ("id", "name", "kind")),
                ",".join(map(str, scopes)) if isinstance(scopes, list) else "",
                local(token.get("created_at")),
                local(token.get("expires_at")) if token.get("expires_at") else "never",
            ]
        )
    write_table(face, ["", "ID", "NAME", "KIND", "SCOPES", "MADE", "ENDS"], rows)


@tokens_command.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(["read", "write", "admin"]),
    multiple=True,
    help="What it may do; may be given several times [read and write].",
)
@click.option("--expires", metavar="WHEN", type=When(ahead=True), help="Its end: 90d, or an ISO time [never].")
@click.option("--json", "as_json", is_flag=True, help="Print the secret and its facts as JSON.")
@click.pass_obj
def create_command(face: Face, name: str, scopes: tuple[str, ...], expires: datetime | None, as_json: bool) -> None:
    """Make a token called NAME for a program, and print its secret. It is shown this once and kept nowhere here.

    Give it to the program as DCHAT_TOKEN, or to dchat login --token-stdin.
    """
    body: dict[str, Any] = {"name": name, "scopes": list(dict.fromkeys(scopes)) or ["read", "write"]}
    if expires is not None:
        body["expires_at"] = iso(expires)

    async def work(connection: Connection) -> dict[str, Any]:
        return await connection.request("POST", "/v1/tokens", body=body)

    answer = face.run(work)
    secret, info = answer.get("token"), answer.get("info")
    if not isinstance(secret, str) or not isinstance(info, dict):
        raise ServerFault("the answer has no token", code="not_dchat")
    if as_json:
        face.json({"token": secret, "info": info})
        return
    face.data(clean(secret))
    ends = f"until {local(info.get('expires_at'))}" if info.get("expires_at") else "until it is revoked"
    scope = " and ".join(map(str, info.get("scopes") or []))
    face.say(f"Token {clean(str(info.get('id')))} may {clean(scope)} {ends}. It will not be shown again.")


@tokens_command.command("revoke")
@click.argument("token_id", metavar="ID")
@click.pass_obj
def revoke_command(face: Face, token_id: str) -> None:
    """End the token with this ID; its open streams are closed. The first letters of an id are enough."""

    async def work(connection: Connection) -> dict[str, Any]:
        token = _one(await _tokens(connection), token_id)
        await connection.request("DELETE", f"/v1/tokens/{segment(str(token['id']))}")
        return token

    token = face.run(work)
    also = " It was the one in use here: sign in again with dchat login." if token.get("current") else ""
    face.say(f"Token {clean(str(token['id']))} ({clean(str(token.get('name') or ''))}) is revoked.{also}")


async def _tokens(connection: Connection) -> list[dict[str, Any]]:
    rows = (await connection.request("GET", "/v1/tokens")).get("tokens")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _one(tokens: list[dict[str, Any]], text: str) -> dict[str, Any]:
    """Return the token whose id `text` is or begins. Raises NotFound, UsageError."""
    ids = [str(token.get("id")) for token in tokens]
    found = [name for name in ids if name == text] or [name for name in ids if text and name.startswith(text)]
    if not found:
        raise NotFound("you have no token with this id", code="token_not_found", status=404)
    if len(found) > 1:
        raise click.UsageError(f"{clean(text)} may be {' or '.join(map(clean, found))}; give more of it.")
    return tokens[ids.index(found[0])]
