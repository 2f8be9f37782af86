"""Finding a server and coming in."""

from __future__ import annotations

import pytest

from dchat_client.entrance import check_server, find_server, is_private, spelled_out
from dchat_client.errors import ServerFault, Unreachable
from tests.unit.client.fake_server import FakeServer
from tests.unit.client.test_connection import listening


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("https://chat.example.org", ["https://chat.example.org"]),
        (
            " chat.example.org",
            ["https://chat.example.org", "http://chat.example.org", "http://chat.example.org:5000"],
        ),
        ("chat.example.org:8443", ["https://chat.example.org:8443", "http://chat.example.org:8443"]),
        ("localhost", ["http://localhost:5000", "http://localhost"]),
        ("127.0.0.1:5001", ["http://127.0.0.1:5001"]),
        ("a:1,b:2", ["a:1,b:2"]),
    ],
)
def test_an_address_is_spelled_out_encrypted_first(text: str, forms: list[str]) -> None:
    assert spelled_out(text) == forms


@pytest.mark.parametrize(
    ("urls", "private"),
    [
        (["https://chat.example.org"], True),
        (["http://127.0.0.1:5000", "http://localhost:1"], True),
        (["http://chat.example.org"], False),
        (["https://a.example", "http://a.example"], False),
    ],
)
def test_only_https_and_this_machine_are_private(urls: list[str], private: bool) -> None:
    assert is_private(urls) is private


async def test_a_server_is_found_and_what_is_none_is_told_apart(server: FakeServer, free_port: int) -> None:
    await check_server([f"http://127.0.0.1:{free_port}", server.url])
    assert await find_server(server.url.removeprefix("http://")) == (server.url,)
    with pytest.raises(Unreachable):
        await find_server(f"127.0.0.1:{free_port}")
    other = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'
    async with listening(other) as (url, _):
        with pytest.raises(ServerFault, match="not a D-Chat server"):
            await check_server([url])
