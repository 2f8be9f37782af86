"""Who sent a request: bearer tokens, cookies, tickets, origins, addresses; and the account calls over HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from dchat_server.accounts import Accounts
from dchat_server.config import Config
from dchat_server.http import accounts as calls
from dchat_server.http.auth import address_of, principal_of, scheme_of
from dchat_server.http.parts import ACCOUNTS, CONFIG, SLOTS
from dchat_server.http.problems import problems
from dchat_server.http.worker import WORKER
from dchat_server.passwords import Passwords
from dchat_server.slots import Slots
from tests.in_memory import MemoryAccountStore, MemoryBuckets, MemorySlotStore

PASSWORD = "correct horse"
Client = TestClient[Any, Any]
Start = Callable[..., Awaitable[Client]]


async def get_seen(request: web.Request) -> web.StreamResponse:
    return web.json_response({"address": address_of(request), "scheme": scheme_of(request)})


async def get_stream(request: web.Request) -> web.StreamResponse:
    who = await principal_of(request, scope="read", ticket=True)
    return web.json_response({"user": who.user})


async def post_plain(request: web.Request) -> web.StreamResponse:
    who = await principal_of(request, scope="write")
    return web.json_response({"user": who.user})


ROUTES = [
    web.post("/v1/register", calls.post_register),
    web.post("/v1/login", calls.post_login),
    web.post("/v1/logout", calls.post_logout),
    web.get("/v1/me", calls.get_me),
    web.patch("/v1/me", calls.patch_me),
    web.get("/v1/tokens", calls.get_tokens),
    web.post("/v1/tokens", calls.post_token),
    web.delete("/v1/tokens/{id}", calls.delete_token),
    web.post("/v1/tickets", calls.post_ticket),
    web.options("/v1/tickets", calls.options_ticket),
    web.post("/v1/invites", calls.post_invite),
    web.get("/v1/users", calls.get_users),
    web.get("/seen", get_seen),
    web.get("/stream", get_stream),
    web.post("/plain", post_plain),
]


@pytest_asyncio.fixture
async def start() -> AsyncIterator[Start]:
    """`await start(**config)`: a client of a server with these settings."""
    clients: list[Client] = []
    passwords = Passwords(memory_kib=64, rounds=1)

    async def start(**config: Any) -> Client:
        app = web.Application(middlewares=[problems])
        app[WORKER] = SimpleNamespace(refused=Counter(), draining=False)  # type: ignore[assignment]
        app[CONFIG] = Config(**config)
        app[SLOTS] = Slots(MemorySlotStore(), "w1", 0)
        app[ACCOUNTS] = Accounts(
            MemoryAccountStore(),
            MemoryBuckets(),
            passwords,
            shards=4,
            registration=app[CONFIG].registration,
            logins_per_minute=app[CONFIG].login_per_minute,
        )
        app.add_routes(ROUTES)
        client: Client = TestClient(TestServer(app))
        await client.start_server()
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()
    passwords.stop()


@pytest_asyncio.fixture
async def client(start: Start) -> Client:
    return await start()


async def register(client: Client, username: str = "ada") -> dict[str, Any]:
    """The answer of a registration. The client keeps no cookie of it."""
    async with client.post("/v1/register", json={"username": username, "password": PASSWORD}) as response:
        assert response.status == 201, await response.text()
        client.session.cookie_jar.clear()
        answer: dict[str, Any] = await response.json()
        return answer


async def told(client: Client, method: str, path: str, **options: Any) -> tuple[int, Any]:
    """(status, code of the problem or the answer)."""
    async with client.request(method, path, **options) as response:
        raw = await response.read()
        answer = orjson.loads(raw) if raw else None
        if response.status >= 400:
            assert response.content_type == "application/problem+json"
            assert answer["status"] == response.status
            assert ("WWW-Authenticate" in response.headers) == (response.status == 401)
            assert ("Retry-After" in response.headers) == (response.status in (429, 503))
            return response.status, answer["code"]
        return response.status, answer


def bearer(token: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {token}"}}


# Bearer


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER   {}  "])
async def test_a_bearer_token_signs_a_request(client: Client, form: str) -> None:
    token = (await register(client))["token"]
    headers = {"Authorization": form.format(token)}
    assert await told(client, "POST", "/plain", headers=headers) == (200, {"user": "ada"})
    assert (await told(client, "GET", "/v1/me", headers=headers))[1]["user"]["username"] == "ada"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer x", "Basic YTpi", "Bearer dchat_0_" + "a" * 43, "é"]
)
async def test_anything_else_is_refused(client: Client, header: str) -> None:
    assert await told(client, "POST", "/plain", headers={"Authorization": header}) == (401, "unauthorized")


async def test_without_anything_one_is_asked_to_sign_in(client: Client) -> None:
    assert await told(client, "GET", "/v1/me") == (401, "unauthorized")
    assert await told(client, "POST", "/plain") == (401, "unauthorized")


async def test_a_wrong_bearer_is_not_made_good_by_a_cookie(client: Client) -> None:
    token = (await register(client))["token"]
    headers = {"Authorization": "Bearer x", "Cookie": f"dchat_session={token}"}
    assert await told(client, "GET", "/v1/me", headers=headers) == (401, "unauthorized")


async def test_scopes_hold(client: Client) -> None:
    admin = (await register(client))["token"]
    plain = (await register(client, "bob"))["token"]
    made = {}
    for scope in ("read", "write", "admin"):
        body = {"name": scope, "scopes": [scope]}
        made[scope] = (await told(client, "POST", "/v1/tokens", json=body, **bearer(admin)))[1]["token"]
    allowed = {
        ("GET", "/v1/me"): "read",
        ("GET", "/v1/tokens"): "read",
        ("GET", "/v1/users"): "read",
        ("POST", "/v1/tickets"): "read",
        ("POST", "/plain"): "write",
        ("POST", "/v1/invites"): "admin",
    }
    for (method, path), needed in allowed.items():
        for scope, token in made.items():
            status, code = await told(client, method, path, **bearer(token))
            assert (status < 300) if scope == needed else ((status, code) == (403, "insufficient_scope"))
    assert await told(client, "POST", "/v1/invites", **bearer(plain)) == (403, "insufficient_scope")
    assert (await told(client, "POST", "/v1/logout", **bearer(made["read"])))[0] == 204


# Cookies


async def test_the_session_cookie_is_one_that_scripts_and_other_sites_cannot_use(client: Client) -> None:
    async with client.post("/v1/register", json={"username": "ada", "password": PASSWORD}) as response:
        cookie = response.headers["Set-Cookie"]
        token = (await response.json())["token"]
        assert response.headers["Cache-Control"] == "no-store"
    assert cookie.startswith(f"dchat_session={token};")
    for part in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=2592000"):
        assert part in cookie
    assert "Secure" not in cookie


@pytest.mark.parametrize(
    ("config", "headers", "secure"),
    [
        ({"secure_cookies": "always"}, {}, True),
        ({"secure_cookies": "never", "public_url": "https://chat.example"}, {}, False),
        ({"public_url": "https://chat.example"}, {}, True),
        ({"trusted_proxies": 1}, {"X-Forwarded-Proto": "https"}, True),
        ({"trusted_proxies": 1}, {"X-Forwarded-Proto": "http"}, False),
        ({}, {"X-Forwarded-Proto": "https"}, False),
    ],
)
async def test_the_cookie_is_secure_where_the_connection_is(
    start: Start, config: dict[str, Any], headers: dict[str, str], secure: bool
) -> None:
    client = await start(**config)
    body = {"username": "ada", "password": PASSWORD}
    async with client.post("/v1/register", json=body, headers=headers) as response:
        assert ("Secure" in response.headers["Set-Cookie"]) == secure


async def test_another_sites_page_gets_no_cookie(client: Client) -> None:
    await register(client)
    body = {"username": "ada", "password": PASSWORD}
    async with client.post("/v1/login", json=body, headers={"Origin": "https://evil.example"}) as response:
        assert response.status == 200
        assert "Set-Cookie" not in response.headers


async def test_a_cookie_signs_reading_and_with_our_origin_writing(client: Client) -> None:
    token = (await register(client))["token"]
    here = f"http://127.0.0.1:{client.port}"
    cookie = {"Cookie": f'a=b; dchat_session={token}; c="d"'}
    assert (await told(client, "GET", "/v1/me", headers=cookie))[0] == 200
    assert (await told(client, "GET", "/v1/me", headers={**cookie, "Origin": "https://evil.example"}))[0] == 200
    for origin in (here, here.upper().replace("HTTP", "http")):
        assert (await told(client, "POST", "/plain", headers={**cookie, "Origin": origin}))[0] == 200
    foreign = [
        "https://evil.example",
        "null",
        "",
        f"http://127.0.0.1:{client.port}.evil.example",
        f"http://evil.example/127.0.0.1:{client.port}",
        f"http://127.0.0.1:{client.port + 1 if client.port else 1}",
        "http://127.0.0.1",
        f"ftp://127.0.0.1:{client.port}",
        f"127.0.0.1:{client.port}",
    ]
    for origin in foreign:
        headers = {**cookie, "Origin": origin}
        assert await told(client, "POST", "/plain", headers=headers) == (403, "bad_origin"), origin
        assert await told(client, "POST", "/v1/logout", headers=headers) == (403, "bad_origin"), origin
    assert (await told(client, "GET", "/v1/me", headers=cookie))[0] == 200


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 200), ("same-site", 403), ("cross-site", 403), ("none", 403), (None, 403)]
)
async def test_without_an_origin_the_browser_must_say_same_origin(
    client: Client, site: str | None, status: int
) -> None:
    token = (await register(client))["token"]
    headers = {"Cookie": f"dchat_session={token}"} | ({"Sec-Fetch-Site": site} if site else {})
    assert (await told(client, "POST", "/plain", headers=headers))[0] == status


@pytest.mark.parametrize(
    ("config", "headers", "status"),
    [
        ({}, {"Origin": "https://chat.example", "Host": "chat.example"}, 200),  # a proxy we were not told of
        ({}, {"Origin": "https://chat.example", "Host": "chat.example:443"}, 200),
        ({}, {"Origin": "http://chat.example:80", "Host": "chat.example"}, 200),
        ({}, {"Origin": "https://chat.example", "Host": "backend:5000", "X-Forwarded-Host": "chat.example"}, 403),
        ({"public_url": "https://chat.example"}, {"Origin": "https://chat.example", "Host": "backend:5000"}, 200),
        ({"public_url": "https://chat.example"}, {"Origin": "http://chat.example", "Host": "backend:5000"}, 403),
        (
            {"trusted_proxies": 1},
            {"Origin": "https://chat.example", "Host": "chat.example", "X-Forwarded-Proto": "https"},
            200,
        ),
        (
            {"trusted_proxies": 1},
            {"Origin": "http://chat.example", "Host": "chat.example", "X-Forwarded-Proto": "https"},
            403,
        ),
        (
            {"trusted_proxies": 1},
            {
                "Origin": "https://chat.example",
                "Host": "backend:5000",
                "X-Forwarded-Host": "evil.example, chat.example",
                "X-Forwarded-Proto": "http, https",
            },
            200,
        ),
    ],
)
async def test_our_origin_is_the_one_people_see(
    start: Start, config: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    client = await start(**config)
    token = (await register(client))["token"]
    headers = {**headers, "Cookie": f"dchat_session={token}"}
    assert (await told(client, "POST", "/plain", headers=headers))[0] == status


async def test_a_logout_takes_the_cookie_back_and_ends_the_token(client: Client) -> None:
    token = (await register(client))["token"]
    headers = {"Cookie": f"dchat_session={token}", "Origin": f"http://127.0.0.1:{client.port}"}
    async with client.post("/v1/logout", headers=headers) as response:
        assert response.status == 204
        assert 'dchat_session=""' in response.headers["Set-Cookie"]
        assert "Max-Age=0" in response.headers["Set-Cookie"]
    assert await told(client, "GET", "/v1/me", **bearer(token)) == (401, "unauthorized")


# Tickets


async def test_a_ticket_opens_one_stream_and_nothing_else(client: Client) -> None:
    token = (await register(client))["token"]
    status, answer = await told(client, "POST", "/v1/tickets", **bearer(token))
    assert (status, answer["expires_in"]) == (201, 30)
    ticket = answer["ticket"]
    assert await told(client, "GET", f"/v1/me?ticket={ticket}") == (401, "unauthorized")
    assert await told(client, "GET", f"/stream?ticket={ticket}") == (200, {"user": "ada"})
    assert await told(client, "GET", f"/stream?ticket={ticket}") == (401, "unauthorized")
    assert await told(client, "GET", f"/stream?ticket={token}") == (401, "unauthorized")


async def test_a_page_of_another_site_fetches_a_ticket_with_a_token_and_never_with_the_session(client: Client) -> None:
    token = (await register(client))["token"]
    elsewhere = {"Origin": "https://elsewhere.example"}
    asked = {**elsewhere, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with client.request("OPTIONS", "/v1/tickets", headers=asked) as response:
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (204, "*")
        assert "authorization" in response.headers["Access-Control-Allow-Headers"]
    headers = {**elsewhere, "Authorization": f"Bearer {token}"}
    async with client.request("POST", "/v1/tickets", headers=headers) as response:
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (201, "*")
        assert "Access-Control-Allow-Credentials" not in response.headers
    headers = {**elsewhere, "Cookie": f"dchat_session={token}"}
    async with client.request("POST", "/v1/tickets", headers=headers) as response:
        assert (response.status, (await response.json())["code"]) == (403, "bad_origin")
        assert "Access-Control-Allow-Origin" not in response.headers


# Addresses


@pytest.mark.parametrize(
    ("hops", "forwarded", "address"),
    [
        (0, ["1.2.3.4"], "127.0.0.1"),
        (1, [], "127.0.0.1"),
        (1, ["1.2.3.4"], "1.2.3.4"),
        (1, ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        (2, ["6.6.6.6, 1.2.3.4, 10.0.0.1"], "1.2.3.4"),
        (2, ["6.6.6.6", "1.2.3.4 ,10.0.0.1"], "1.2.3.4"),
        (3, ["1.2.3.4"], "1.2.3.4"),
        (1, ["1.2.3.4:5678"], "1.2.3.4"),
        (1, ["[2001:db8:1:2:3:4:5:6]:5678"], "2001:db8:1:2::"),
        (1, ["2001:db8:1:2:ffff::1%eth0"], "2001:db8:1:2::"),
        (1, ["::ffff:1.2.3.4"], "1.2.3.4"),
        (1, ["nonsense"], "unknown"),
        (1, ["1.2.3.4,"], "unknown"),
    ],
)
async def test_the_address_is_the_one_the_outermost_trusted_proxy_saw(
    start: Start, hops: int, forwarded: list[str], address: str
) -> None:
    client = await start(trusted_proxies=hops)
    headers = [("X-Forwarded-For", line) for line in forwarded]
    assert (await told(client, "GET", "/seen", headers=headers))[1]["address"] == address


# The calls themselves


async def test_the_calls_answer_as_the_contract_says(client: Client) -> None:
    answer = await register(client)
    assert set(answer) == {"user", "token", "token_id", "expires_at"}
    assert set(answer["user"]) == {"username", "display_name", "admin", "status", "created_at"}
    signed = bearer(answer["token"])
    login = {"username": "ada", "password": PASSWORD, "extra": [1]}
    status, second = await told(client, "POST", "/v1/login", json=login)
    assert (status, set(second)) == (200, set(answer))
    client.session.cookie_jar.clear()
    status, changed = await told(client, "PATCH", "/v1/me", json={"status": "away", "display_name": None}, **signed)
    assert (status, changed["user"]["status"]) == (200, "away")
    body = {"name": "bot", "scopes": ["read"], "expires_at": "2099-01-31T12:00:00Z"}
    status, made = await told(client, "POST", "/v1/tokens", json=body, **signed)
    assert (status, set(made)) == (201, {"token", "info"})
    assert made["info"]["expires_at"] == "2099-01-31T12:00:00.000Z"
    assert {"id", "name", "scopes", "created_at", "expires_at"} <= set(made["info"])
    status, listed = await told(client, "GET", "/v1/tokens", **signed)
    assert [each["current"] for each in listed["tokens"]].count(True) == 1
    assert made["info"] in listed["tokens"]
    assert (await told(client, "DELETE", f"/v1/tokens/{made['info']['id']}", **signed)) == (204, None)
    gone = (404, "token_not_found")
    assert (await told(client, "DELETE", f"/v1/tokens/{made['info']['id']}", **signed)) == gone
    status, invite = await told(client, "POST", "/v1/invites", **signed)
    assert (status, set(invite)) == (201, {"invite", "expires_at"})


async def test_people_are_paged(client: Client) -> None:
    signed = bearer((await register(client))["token"])
    for name in ("bob", "bo", "cyd"):
        await register(client, name)
    status, page = await told(client, "GET", "/v1/users?limit=3", **signed)
    assert status == 200
    assert [user["username"] for user in page["users"]] == ["ada", "bo", "bob"]
    status, rest = await told(client, "GET", f"/v1/users?limit=3&cursor={page['next']}", **signed)
    assert rest == {"users": [{"username": "cyd", "display_name": "cyd", "presence": "offline"}], "next": None}
    assert (await told(client, "GET", "/v1/users?query=bo&limit=200", **signed))[1]["users"][1]["username"] == "bob"
    for query, code in (
        ("cursor=x", "bad_cursor"),
        ("cursor=%F0%9F%98%80", "bad_cursor"),
        ("limit=0", "invalid_request"),
    ):
        assert await told(client, "GET", f"/v1/users?{query}", **signed) == (400, code)


async def test_an_invite_lets_somebody_in(start: Start) -> None:
    client = await start(registration="invite")
    signed = bearer((await register(client))["token"])
    body = {"username": "bob", "password": PASSWORD}
    assert await told(client, "POST", "/v1/register", json=body) == (403, "registration_closed")
    invite = (await told(client, "POST", "/v1/invites", **signed))[1]["invite"]
    assert (await told(client, "POST", "/v1/register", json={**body, "invite": invite}))[0] == 201
    closed = (403, "registration_closed")
    assert await told(client, "POST", "/v1/register", json={**body, "username": "c", "invite": invite}) == closed


STRANGE: list[Any] = [None, 0, -1, 1.5, True, [], {}, [None], "", "\x00", "\u202e", "x" * 3000, "é" * 2048]


@pytest.mark.parametrize("value", STRANGE)
@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("POST", "/v1/register", ["username", "password", "display_name", "invite"]),
        ("POST", "/v1/login", ["username", "password"]),
        ("PATCH", "/v1/me", ["display_name", "status", "password", "old_password"]),
        ("POST", "/v1/tokens", ["name", "scopes", "expires_at"]),
    ],
)
async def test_nothing_strange_in_a_field_is_ever_our_mistake(
    client: Client, method: str, path: str, fields: list[str], value: Any
) -> None:
    signed = bearer((await register(client))["token"])
    good = {"username": "bob", "password": PASSWORD, "name": "x", "scopes": ["read"]}
    if path == "/v1/me":
        good = {"password": "new password", "old_password": PASSWORD}
    for field in fields:
        status, _ = await told(client, method, path, json={**good, field: value}, **signed)
        client.session.cookie_jar.clear()
        assert status < 500, (field, value)


@pytest.mark.parametrize("expires_at", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2027-13-01", "now"])
async def test_a_strange_time_is_refused_or_taken(client: Client, expires_at: str) -> None:
    signed = bearer((await register(client))["token"])
    body = {"name": "x", "scopes": ["read"], "expires_at": expires_at}
    assert (await told(client, "POST", "/v1/tokens", json=body, **signed))[0] in (201, 400)


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b'"x"', b'{"username":"\\ud800","password":"12345678"}', b"\xff"]
)
async def test_a_body_that_is_no_object_is_refused(client: Client, raw: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("/v1/register", "/v1/login"):
        assert (await told(client, "POST", path, data=raw, headers=headers))[0] == 400


async def test_the_sixth_login_in_a_minute_says_when_to_come_again(client: Client) -> None:
    await register(client)
    body = {"username": "ada", "password": "wrong wrong"}
    answers = [await told(client, "POST", "/v1/login", json=body) for _ in range(6)]
    assert answers == [(401, "bad_credentials")] * 5 + [(429, "too_many_logins")]
