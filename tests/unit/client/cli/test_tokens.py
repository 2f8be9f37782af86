"""dchat tokens."""

from __future__ import annotations

import json

from tests.unit.client.conftest import Dchat
from tests.unit.client.fake_server import FakeServer


def test_a_secret_is_printed_once_and_alone(dchat: Dchat, server: FakeServer) -> None:
    ran = dchat("tokens", "create", "ci", "--scope", "write")
    assert (ran.code, ran.out) == (0, "dchat_0_s3cret\n")
    assert "s3cret" not in ran.err
    assert server.api_tokens[0]["scopes"] == ["write"]
    assert "s3cret" not in (listed := dchat("tokens").out)
    assert listed.split("\t")[1:5] == ["00ffee", "ci", "api", "write"]


def test_what_a_token_may_and_until_when_is_asked_for(dchat: Dchat, server: FakeServer) -> None:
    args = ["--scope", "read", "--scope", "admin", "--expires", "2030-01-31T12:00:00Z", "--json"]
    answer = json.loads(dchat("tokens", "create", "ops", *args).out)
    assert answer["token"] == "dchat_0_s3cret"
    assert server.api_tokens[0] | {"scopes": ["read", "admin"]} == server.api_tokens[0]
    assert server.api_tokens[0]["expires_at"] == "2030-01-31T12:00:00.000Z"
    assert dchat("tokens", "create", "plain").code == 0
    assert server.api_tokens[1]["scopes"] == ["read", "write"]
    assert dchat("tokens", "create", "x", "--expires", "soon").code == 2


def test_a_token_is_revoked_by_the_first_letters_of_its_id(dchat: Dchat, server: FakeServer) -> None:
    dchat("tokens", "create", "a")
    dchat("tokens", "create", "b")
    assert dchat("tokens", "revoke", "10").code == 0
    assert [token["name"] for token in server.api_tokens] == ["a"]
    assert dchat("tokens", "revoke", "").code == 5
    assert dchat("tokens", "revoke", "99").code == 5
    assert [json.loads(line)["id"] for line in dchat("tokens", "list", "--json").out.splitlines()] == ["00ffee"]


def test_first_letters_that_two_ids_share_revoke_neither(dchat: Dchat, server: FakeServer) -> None:
    server.api_tokens = [{"id": "ab1", "name": "x"}, {"id": "ab2", "name": "y"}]
    ran = dchat("tokens", "revoke", "ab")
    assert (ran.code, "ab1 or ab2" in ran.err, len(server.api_tokens)) == (2, True, 2)
