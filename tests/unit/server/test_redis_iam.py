"""Signing in to AWS' Redis by a role."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.credentials import Credentials
from redis.exceptions import AuthenticationError

from dchat_server.adapters.redis_iam import IamSignIn
from dchat_server.adapters.redis_locator import parse
from dchat_server.options import redis_address

URL = "rediss+cluster://chat-worker@log.example:6379?iam=elasticache:eu-central-1:chat-log"


class Role:
    """What botocore's session is asked here: a role, or none."""

    def __init__(self, keys: Credentials | None = None) -> None:
        self.keys, self.asked = keys, 0

    def get_credentials(self) -> Credentials | None:
        self.asked += 1
        return self.keys


@pytest.fixture
def role() -> Role:
    return Role(Credentials("AKIAEXAMPLE", "not-a-key", "of-the-role"))


def test_the_password_is_a_signed_request_to_connect_for_this_user_and_cluster(role: Role) -> None:
    user, password = IamSignIn("memorydb:eu-central-1:chat-log", "chat-worker", role).get_credentials()

    assert user == "chat-worker"
    assert password.startswith("chat-log/?")
    asked = {key: value for key, (value,) in parse_qs(urlsplit(f"https://{password}").query).items()}
    assert asked["Action"] == "connect"
    assert asked["User"] == "chat-worker"
    assert asked["X-Amz-Expires"] == "900"
    assert asked["X-Amz-Credential"].startswith("AKIAEXAMPLE/")
    assert asked["X-Amz-Credential"].endswith("/eu-central-1/memorydb/aws4_request")
    assert asked["X-Amz-Security-Token"] == "of-the-role"
    assert len(asked["X-Amz-Signature"]) == 64
    assert "not-a-key" not in password


async def test_each_connection_is_signed_anew(role: Role) -> None:
    sign_in = IamSignIn("elasticache:eu-central-1:chat-log", "chat-worker", role)

    await sign_in.get_credentials_async()
    await sign_in.get_credentials_async()

    assert role.asked == 2


def test_without_a_role_it_says_so() -> None:
    with pytest.raises(AuthenticationError, match="role"):
        IamSignIn("elasticache:eu-central-1:chat-log", "chat-worker", Role()).get_credentials()


def test_the_address_says_that_a_role_signs_in() -> None:
    target = parse(redis_address(URL))

    assert target.kind == "cluster"
    assert target.options["ssl"] is True
    assert isinstance(target.options["credential_provider"], IamSignIn)
    # redis-py refuses a provider beside these.
    assert not {"username", "password"} & target.options.keys()


@pytest.mark.parametrize(
    "address",
    [
        URL.replace("rediss", "redis"),  # in the clear
        URL.replace("+cluster", ""),
        URL.replace("chat-worker@", ""),
        URL.replace("chat-worker@", "chat-worker:password@"),
        URL.replace("elasticache:", "s3:"),
        URL.replace(":eu-central-1", ""),
        URL.replace("elasticache:eu-central-1:chat-log", ""),
    ],
)
def test_an_address_that_would_not_work_is_refused_before_anything_starts(address: str) -> None:
    with pytest.raises(ValueError, match="rediss\\+cluster://user@host:6379\\?iam="):
        redis_address(address)
