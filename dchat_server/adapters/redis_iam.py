"""Signing in to ElastiCache and MemoryDB by an AWS role: no password exists that could be lost.

The password of a connection is a request to connect, signed with the role's keys. It holds for a quarter of an hour;
each connection gets a new one. The services end a connection after twelve hours, and the worker opens another, as after
any other loss.
"""

from __future__ import annotations

import asyncio
from typing import Any

import botocore.session  # type: ignore[import-untyped]
from botocore.auth import SigV4QueryAuth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError

TOKEN_S = 900
"""The longest that the services allow."""


class IamSignIn(CredentialProvider):
    """Name and password of `user` for a cluster.

    `where` is `elasticache:<region>:<replication group>` or `memorydb:<region>:<cluster>`; options.py checks it.
    """

    def __init__(self, where: str, user: str, session: Any = None) -> None:
        self._service, self._region, self._cluster = where.split(":")
        self._user = user
        self._session = session or botocore.session.get_session()

    def get_credentials(self) -> tuple[str, str]:
        """Sign. Asks the machine for its role's keys when the last ones have run out, which blocks for up to some
        seconds. Raises AuthenticationError when there are none."""
        keys = self._session.get_credentials()
        if keys is None:
            raise AuthenticationError("There is no AWS role or key to sign in to the message log with.")
        params = {"Action": "connect", "User": self._user}
        request = AWSRequest(method="GET", url=f"https://{self._cluster}/", params=params)
        SigV4QueryAuth(keys.get_frozen_credentials(), self._service, self._region, expires=TOKEN_S).add_auth(request)
        return self._user, str(request.url).removeprefix("https://")

    async def get_credentials_async(self) -> tuple[str, str]:
        return await asyncio.to_thread(self.get_credentials)
