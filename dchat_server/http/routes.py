"""All routes, as a table. Hot ones first: aiohttp looks them through in order."""

from __future__ import annotations

from aiohttp import web

from dchat_server.http import accounts, cluster, events, messages, ops, pages, rooms

_ROOM = "/v1/rooms/{room}"
_MESSAGE = _ROOM + "/messages/{seq}"

ROUTES = (
    ("POST", _ROOM + "/messages", messages.post_message),
    ("GET", _ROOM + "/messages", messages.get_messages),
    ("GET", "/v1/events", events.get_events),
    ("PUT", _ROOM + "/read", messages.put_read),
    ("POST", _ROOM + "/typing", messages.post_typing),
    ("GET", _MESSAGE, messages.get_message),
    ("GET", _MESSAGE + "/thread", messages.get_thread),
    ("PATCH", _MESSAGE, messages.patch_message),
    ("DELETE", _MESSAGE, messages.delete_message),
    ("PUT", _MESSAGE + "/reactions/{emoji}", messages.put_reaction),
    ("DELETE", _MESSAGE + "/reactions/{emoji}", messages.delete_reaction),
    ("GET", "/v1/sync", rooms.get_sync),
    ("GET", "/v1/rooms", rooms.get_rooms),
    ("POST", "/v1/rooms", rooms.post_room),
    ("POST", "/v1/dms", rooms.post_dm),
    ("GET", _ROOM, rooms.get_room),
    ("PATCH", _ROOM, rooms.patch_room),
    ("DELETE", _ROOM, rooms.delete_room),
    ("GET", _ROOM + "/members", rooms.get_members),
    ("PUT", _ROOM + "/members/{user}", rooms.put_member),
    ("DELETE", _ROOM + "/members/{user}", rooms.delete_member),
    ("POST", "/v1/register", accounts.post_register),
    ("POST", "/v1/login", accounts.post_login),
    ("POST", "/v1/logout", accounts.post_logout),
    ("GET", "/v1/me", accounts.get_me),
    ("PATCH", "/v1/me", accounts.patch_me),
    ("GET", "/v1/tokens", accounts.get_tokens),
    ("POST", "/v1/tokens", accounts.post_token),
    ("DELETE", "/v1/tokens/{id}", accounts.delete_token),
    ("POST", "/v1/tickets", accounts.post_ticket),
    ("POST", "/v1/invites", accounts.post_invite),
    ("GET", "/v1/users", accounts.get_users),
    ("GET", "/v1/cluster", cluster.get_cluster),
    ("GET", "/v1/cluster/events", cluster.get_cluster_events),
    ("POST", "/v1/cluster/drain", cluster.post_drain),
    ("POST", "/v1/cluster/step-down", cluster.post_step_down),
    ("GET", "/v1/cluster/rooms/{room}", cluster.get_cluster_room),
    ("POST", "/v1/cluster/rooms/{room}/verify", cluster.post_verify),
    ("GET", "/healthz", ops.get_healthz),
    ("GET", "/readyz", ops.get_readyz),
    ("GET", "/metrics", ops.get_metrics),
    ("GET", "/openapi.json", ops.get_openapi),
    ("GET", "/", pages.get_chat),
    ("GET", "/dashboard", pages.get_dashboard),
    ("GET", "/web/{path}", pages.get_file),
    ("GET", "/docs", pages.get_docs),
    ("GET", "/docs/errors", pages.get_errors),
    ("GET", "/docs/{file}", pages.get_docs_file),
)


def add_routes(app: web.Application) -> None:
    app[cluster.SEEN] = {}
    for method, path, handler in ROUTES:
        if method == "GET":
            # A HEAD of the stream would open one.
            pattern = path.replace("{path}", "{path:.+}")  # the one part of an address that may hold slashes
            app.router.add_get(pattern, handler, allow_head=not path.endswith("/events"))
        else:
            app.router.add_route(method, path, handler)
    app.router.add_route(
        "OPTIONS", "/v1/tickets", accounts.options_ticket
    )  # browsers' business, no call of the interface
