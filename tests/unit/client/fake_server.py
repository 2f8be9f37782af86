"""A small chat server for the client's tests: the contract's shapes, in memory, with faults to order.

It runs in a thread of its own, because the command line under test has its own event loop.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

USER = web.RequestKey("user", str)
TIME = "2026-11-23T06:04:00.123Z"


@dataclass
class Faults:
    """What goes wrong, and how often it still does."""

    posts: deque[str] = field(default_factory=deque)
    """For the next sends:

    "swallow" (stored, no answer), "busy" (503), "limit" (429), "cut" (half the answer), "500".
    """
    streams: deque[str] = field(default_factory=deque)
    """For the next streams:

    "busy", "html", "forget" (the cursor), "away" (reconnect at once), "expire", "silent".
    """
    hidden: set[tuple[str, int]] = field(default_factory=set)
    """Events (room, seq) that streams leave out."""
    pages: deque[str] = field(default_factory=deque)
    """For the next pages: "busy", "refuse"."""


def problem(status: int, code: str, **headers: str) -> web.Response:
    body = {"type": f"/docs/errors#{code}", "title": code, "status": status, "detail": f"{code}.", "code": code}
    return web.json_response(body, status=status, headers=headers, content_type="application/problem+json")


class FakeServer:
    """The server. Use it as a context manager; `url` is where it listens."""

    def __init__(self) -> None:
        self.url = ""
        self.faults = Faults()
        self.users: dict[str, str] = {"ada": "pw"}
        self.online = {"eve"}
        self.invite: str | None = None
        """Without it nobody registers."""
        self.tokens: dict[str, str] = {"t-ada": "ada"}
        self.rooms: dict[str, list[dict[str, Any]]] = {}
        self.members: dict[str, dict[str, str]] = {}
        self.details: dict[str, dict[str, Any]] = {}
        self.read: dict[str, int] = {}
        self.feed: list[dict[str, Any]] = []
        self.keys: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.attached: list[dict[str, str | None]] = []
        self.open_streams = 0
        self.max_line_bytes = 16 << 10
        self.cluster: dict[str, Any] = {}
        """What `/v1/cluster` answers; without it, ada is no administrator."""
        self.positions: dict[str, dict[str, Any]] = {}
        self.api_tokens: list[dict[str, Any]] = []
        self.verdicts: dict[str, list[dict[str, Any]]] = {}
        """room → the lines of its verification."""
        self.on_order: Callable[[str, dict[str, Any]], None] = lambda kind, body: None
        """Called with what an administrator asked for."""
        self.search: Callable[[dict[str, str]], dict[str, Any]] | None = None
        """What `/v1/search` answers; without it the server has no such thing."""
        self.threads = False
        """Whether the server has threads."""
        self.scanned = 1000
        """How many events it looks through at a time for one."""
        self._streams: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._news = asyncio.Condition()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._ready = threading.Event()
        self._stop = asyncio.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    # What tests do to it

    def room(self, name: str, *members: str, kind: str = "public", topic: str = "") -> None:
        """Make a room with these members."""
        self.rooms[name] = []
        self.members[name] = dict.fromkeys(members or ("ada",), "member")
        self.details[name] = {"kind": kind, "topic": topic}

    def say(self, room: str, text: str, sender: str = "bob", **fields: Any) -> dict[str, Any]:
        """Append a message, or with `type` another event, and tell the open streams."""
        return self._call(lambda: self._append(room, {"type": "message", "sender": sender, "text": text, **fields}))

    def cut(self) -> None:
        """Break all open streams."""
        self._call(lambda: [task.cancel() for task in self._streams])

    def _call(self, work: Callable[[], Any]) -> Any:
        async def inside() -> Any:
            result = work()
            async with self._news:
                self._news.notify_all()
            return result

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(10)

    def _append(self, room: str, event: dict[str, Any]) -> dict[str, Any]:
        log = self.rooms[room]
        seq = len(log) + 1
        event = {"room": room, "seq": seq, "epoch": 1, "ts": TIME, "id": f"{room}:{seq}", **event}
        log.append(event)
        self.feed.append(event)
        return event

    # Serving

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        app = web.Application(middlewares=[self._checked])
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://{}:{}".format(*runner.addresses[0][:2])
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    @web.middleware
    async def _checked(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests.append((request.method, request.path_qs))
        if request.path not in ("/v1/login", "/v1/register", "/healthz", "/readyz"):
            user = self.tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
            if user is None:
                return problem(401, "unauthorized")
            request[USER] = user
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        match [request.method, *parts]:
            case ["GET", "healthz" | "readyz"]:
                return web.json_response({"status": "ok", "version": "0"})
            case ["POST", "v1", "login" | "register" as call]:
                return await self._sign_in(await request.json(), new=call == "register")
            case ["POST", "v1", "logout"]:
                del self.tokens[request.headers["Authorization"].removeprefix("Bearer ")]
                return web.Response(status=204)
            case ["GET", "v1", "me"]:
                return web.json_response({"user": self._user(request[USER])})
            case ["GET", "v1", "sync"]:
                joined = [name for name in self.rooms if request[USER] in self.members[name]]
                rooms = [self._room(name, request[USER]) for name in joined]
                answer = {"user": self._user(request[USER]), "rooms": rooms, "cursor": str(len(self.feed))}
                return web.json_response(answer)
            case [_, "v1", "cluster", *rest]:
                return await self._in_cluster(request, rest)
            case ["GET", "v1", "events"]:
                return await self._events(request)
            case ["GET", "v1", "rooms"]:
                return self._list(request)
            case ["POST", "v1", "rooms"]:
                return self._create(await request.json(), request[USER])
            case ["POST", "v1", "dms"]:
                people = sorted({*(await request.json())["users"], request[USER]})
                name = "dm-" + "-".join(people)
                self.rooms.setdefault(name, [])
                self.members[name] = dict.fromkeys(people, "member")
                self.details[name] = {"kind": "dm", "topic": ""}
                return web.json_response({"room": self._room(name, request[USER])})
            case ["GET", "v1", "users"]:
                found = sorted(name for name in self.users if name.startswith(request.query.get("query", "")))
                rows = [{**self._present(name), "username": name} for name in found]
                return web.json_response({"users": rows, "next": None})
            case ["GET", "v1", "search"] if self.search is not None:
                return web.json_response(self.search(dict(request.query)))
            case [_, "v1", "tokens", *rest]:
                return await self._of_tokens(request, rest)
            case [_, "v1", "rooms", room, *rest] if room in self.rooms:
                return await self._in_room(request, room, rest)
            case [_, "v1", "rooms", *_]:
                return problem(404, "room_not_found")
        return problem(404, "not_found")

    async def _in_cluster(self, request: web.Request, rest: list[str]) -> web.StreamResponse:
        if not self.cluster:
            return problem(403, "forbidden")
        match rest:
            case []:
                return web.json_response(self.cluster)
            case ["drain"]:
                body = await request.json()
                self.on_order("drain", body)
                return web.json_response({"worker": body["worker"], "draining": not body["undo"]}, status=202)
            case ["step-down"]:
                leader = self.cluster["leader"]
                if leader is None:
                    return problem(409, "no_leader")
                self.on_order("step-down", leader)
                return web.json_response({"leader": leader}, status=202)
            case ["rooms", room] if room in self.positions:
                return web.json_response({"room": self.positions[room]})
            case ["rooms", room, "verify"] if room in self.verdicts:
                lines = "".join(json.dumps(line) + "\n" for line in self.verdicts[room])
                return web.Response(text=lines, content_type="application/x-ndjson")
        return problem(404, "room_not_found")

    async def _in_room(self, request: web.Request, room: str, rest: list[str]) -> web.StreamResponse:
        user = request[USER]
        match [request.method, *rest]:
            case ["GET"]:
                return web.json_response({"room": self._room(room, user)})
            case ["PATCH"]:
                self.details[room] |= await request.json()
                return web.json_response({"room": self._room(room, user)})
            case ["GET", "members"]:
                members = self.members[room].items()
                rows = [
                    {**self._present(name), "user": name, "display_name": name, "role": role} for name, role in members
                ]
                return web.json_response({"members": rows, "next": None})
            case ["PUT", "members", name]:
                body = await request.json() if request.can_read_body else {}
                name = user if name == "me" else name
                self.members[room][name] = body.get("role", "member")
                return web.json_response({"member": {"user": name, "role": self.members[room][name]}})
            case ["DELETE", "members", name]:
                self.members[room].pop(user if name == "me" else name, None)
                return web.Response(status=204)
            case ["PUT", "read"]:
                self.read[room] = (await request.json())["seq"]
                unread = len(self.rooms[room]) - self.read[room]
                return web.json_response({"room": room, "read": self.read[room], "unread": unread, "mentions": 0})
            case ["GET", "messages"]:
                return self._page(request, room)
            case ["POST", "messages"]:
                return await self._post(request, room)
            case [_, "messages", seq, *change] if seq.isdigit():
                found = [event for event in self.rooms[room] if event["type"] == "message" and event["seq"] == int(seq)]
                if not found:
                    return problem(404, "message_not_found")
                return await self._change(request, found[0], change)
        return problem(404, "not_found")

    async def _change(self, request: web.Request, message: dict[str, Any], change: list[str]) -> web.StreamResponse:
        if change == ["thread"]:
            return self._of_thread(request, message)
        reactions = message.setdefault("reactions", [])
        match [request.method, *change]:
            case ["PATCH"]:
                if message["sender"] != request[USER]:
                    return problem(403, "forbidden")
                message |= {"text": (await request.json())["text"], "edited_at": TIME}
            case ["DELETE"]:
                message.pop("text", None)
                message["deleted"] = True
                return web.Response(status=204)
            case ["PUT", "reactions", emoji]:
                reactions.append({"emoji": emoji, "count": 1, "users": [request[USER]]})
            case ["DELETE", "reactions", emoji]:
                reactions[:] = [row for row in reactions if row["emoji"] != emoji]
        return web.json_response({"message": {key: value for key, value in message.items() if key != "type"}})

    def _of_thread(self, request: web.Request, root: dict[str, Any]) -> web.Response:
        """Pages of two, or fewer where the answers lie far apart."""
        if not self.threads:
            return problem(404, "not_found")
        log, after = self.rooms[root["room"]], max(root["seq"], int(request.query.get("after", 0)))
        near = [event for event in log if after < event["seq"] <= after + self.scanned]
        replies = [event for event in near if event.get("reply_to") == root["seq"]]
        further = replies[1]["seq"] if len(replies) > 2 else after + self.scanned
        more = len(replies) > 2 or further < len(log)
        answer = {"root": root, "messages": replies[:2], "head": len(log), "has_more": more}
        return web.json_response(answer | ({"next": further} if more else {}))

    async def _of_tokens(self, request: web.Request, rest: list[str]) -> web.StreamResponse:
        match [request.method, *rest]:
            case ["GET"]:
                return web.json_response({"tokens": self.api_tokens})
            case ["POST"]:
                body = await request.json()
                info = {"id": f"{len(self.api_tokens)}0ffee", "kind": "api", "current": False, "created_at": TIME}
                info |= {"expires_at": None, **body}
                self.api_tokens.append(info)
                return web.json_response({"token": "dchat_0_s3cret", "info": info}, status=201)
        self.api_tokens = [token for token in self.api_tokens if token["id"] != rest[0]]
        return web.Response(status=204)

    async def _sign_in(self, body: dict[str, Any], *, new: bool) -> web.Response:
        self.bodies.append(body)
        name = body["username"]
        if new and self.invite is not None and body.get("invite") != self.invite:
            return problem(403, "registration_closed")
        if new and name in self.users:
            return problem(409, "username_taken")
        if new:
            self.users[name] = body["password"]
        if self.users.get(name) != body["password"]:
            return problem(401, "bad_credentials")
        self.tokens[f"t-{name}"] = name
        answer = {"user": self._user(name), "token": f"t-{name}", "token_id": "1", "expires_at": TIME}
        return web.json_response(answer, status=201 if new else 200)

    def _user(self, name: str) -> dict[str, Any]:
        return {"username": name, "display_name": name.title(), "admin": name == "ada", "status": ""}

    def _present(self, name: str) -> dict[str, Any]:
        return {"display_name": name.title(), "presence": "online" if name in self.online else "offline"}

    def _room(self, name: str, user: str) -> dict[str, Any]:
        head = len(self.rooms[name])
        members = self.members[name]
        value = {"room": name, **self.details[name], "members": len(members), "joined": user in members}
        read = self.read.get(name, 0)
        return value | {"head": head, "read": read, "unread": head - read, "mentions": 0, "users": list(members)}

    def _list(self, request: web.Request) -> web.Response:
        """Pages of two, so that a client that does not turn pages is noticed."""
        names = sorted(self.rooms)
        if request.query.get("joined"):
            names = [name for name in names if request[USER] in self.members[name]]
        names = [name for name in names if name.startswith(request.query.get("query", ""))]
        at = int(request.query.get("cursor", "0"))
        rooms = [self._room(name, request[USER]) for name in names[at : at + 2]]
        return web.json_response({"rooms": rooms, "next": str(at + 2) if at + 2 < len(names) else None})

    def _create(self, body: dict[str, Any], user: str) -> web.Response:
        if body["room"] in self.rooms:
            return problem(409, "room_taken")
        self.room(body["room"], user, kind=body["kind"], topic=body.get("topic", ""))
        return web.json_response({"room": self._room(body["room"], user)}, status=201)

    def _page(self, request: web.Request, room: str) -> web.Response:
        fault = self.faults.pages.popleft() if self.faults.pages else ""
        if fault:
            return problem(503, "backend_unavailable") if fault == "busy" else problem(403, "forbidden")
        limit = int(request.query.get("limit", "50"))
        messages = [event for event in self.rooms[room] if event["type"] == "message"]
        if (after := request.query.get("after")) is not None:
            found = [event for event in messages if event["seq"] > int(after)]
            page, has_more = found[:limit], len(found) > limit
        else:
            before = int(request.query.get("before", 1 << 50))
            found = [event for event in messages if event["seq"] < before]
            page, has_more = found[-limit:], len(found) > limit
        rows = [{key: value for key, value in event.items() if key != "type"} for event in page]
        return web.json_response({"messages": rows, "head": len(self.rooms[room]), "has_more": has_more})

    async def _post(self, request: web.Request, room: str) -> web.StreamResponse:
        fault = self.faults.posts.popleft() if self.faults.posts else ""
        if fault == "busy":
            return problem(503, "draining", **{"Retry-After": "0"})
        if fault == "500":
            return problem(500, "internal", **{"X-Request-Id": "r-4711"})
        lines = [json.loads(line) for line in (await request.text()).splitlines()]
        answers = []
        halted: tuple[int, dict[str, Any]] | None = None
        for number, line in enumerate(lines):
            if fault == "limit" and number == 1:
                halted = (429, {"code": "rate_limited", "detail": "slow", "status": 429})
            answers.append(halted or self._store(request[USER], room, line))
        async with self._news:
            self._news.notify_all()
        if fault == "swallow" and request.transport is not None:
            request.transport.abort()
        if request.content_type != "application/x-ndjson":
            status, body = answers[0]
            return (
                web.json_response({"message": body}, status=status) if status < 300 else problem(status, body["code"])
            )
        key = {True: "message", False: "error"}
        rows = [{"status": status, key[status < 300]: body, "retry_after": 0} for status, body in answers]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        if fault != "cut":
            return web.Response(text=text, content_type="application/x-ndjson")
        response = web.StreamResponse(
            headers={"Content-Type": "application/x-ndjson", "Content-Length": str(len(text))}
        )
        await response.prepare(request)
        await response.write(text.encode()[: len(text) // 2])
        assert request.transport is not None
        await asyncio.sleep(0.05)
        request.transport.close()
        return response

    def _store(self, user: str, room: str, line: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if user not in self.members[room]:
            return 403, {"code": "not_a_member", "detail": "not a member", "status": 403}
        if len(line["text"].encode()) > self.max_line_bytes:
            return 413, {"code": "message_too_long", "detail": "too long", "status": 413}
        key = (user, room, line.get("client_id", ""))
        if key[2] and key in self.keys:
            stored = self.keys[key]
            if stored["text"] != line["text"]:
                return 409, {"code": "idempotency_conflict", "detail": "conflict", "status": 409}
            return 200, stored
        self.keys[key] = self._append(room, {"type": "message", "sender": user, **line})
        return 201, self.keys[key]

    async def _events(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        cursor = request.headers.get("Last-Event-ID") or query.get("cursor")
        self.attached.append({"cursor": cursor, "since": query.get("since"), "rooms": query.get("rooms")})
        fault = self.faults.streams.popleft() if self.faults.streams else ""
        if fault == "busy":
            return problem(503, "overloaded", **{"Retry-After": "0"})
        if fault == "html":
            return web.Response(text="<html>", content_type="text/html")
        rooms = query["rooms"].split(",") if "rooms" in query else None
        if any(room not in self.rooms for room in rooms or []):
            return problem(404, "room_not_found")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        task = asyncio.ensure_future(self._write(response, request[USER], rooms, cursor, query.get("since"), fault))
        self._streams.add(task)
        self.open_streams += 1
        try:
            await task
        except (asyncio.CancelledError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._streams.discard(task)
            self.open_streams -= 1
        return response

    async def _write(
        self,
        response: web.StreamResponse,
        user: str,
        rooms: list[str] | None,
        cursor: str | None,
        since: str | None,
        fault: str,
    ) -> None:
        async def send(kind: str, **fields: Any) -> None:
            data = json.dumps({"type": kind, **fields})
            await response.write(f"event: {kind}\ndata: {data}\nid: {at}\n\n".encode())

        at = int(cursor) if cursor else 0 if since else len(self.feed)
        mine = rooms or [name for name, members in self.members.items() if user in members]
        if fault == "silent":
            await asyncio.sleep(60)
        await send("hello", worker="fake", protocol=1, time=TIME, cursor=str(at), rooms=mine)
        if fault == "forget":
            at = len(self.feed)
            gap = [{"room": room, "from": 1, "to": len(self.rooms[room])} for room in mine if self.rooms[room]]
            await send("gap", rooms=gap, refetch=True)
        if fault == "expire":
            await send("auth_expired", reason="the token was revoked")
            return
        if cursor:
            await send("resumed", replayed=len(self.feed) - at)
        while True:
            while at < len(self.feed):
                event = self.feed[at]
                at += 1
                if event["room"] in mine and (event["room"], event["seq"]) not in self.faults.hidden:
                    await send(**{"kind": event["type"], **{k: v for k, v in event.items() if k != "type"}})
            if fault == "away":
                await send("reconnect", after_ms=1)
                return
            async with self._news:
                await self._news.wait()
