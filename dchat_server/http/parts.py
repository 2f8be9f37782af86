"""What handlers find in `request.app`, one key a part."""

from __future__ import annotations

from aiohttp import web

from dchat_server.accounts import Accounts
from dchat_server.config import Config
from dchat_server.limits import UserLimits
from dchat_server.slots import Slots

CONFIG: web.AppKey[Config] = web.AppKey("config", Config)
ACCOUNTS: web.AppKey[Accounts] = web.AppKey("accounts", Accounts)
LIMITER: web.AppKey[UserLimits] = web.AppKey("limiter", UserLimits)
SLOTS: web.AppKey[Slots] = web.AppKey("slots", Slots)
