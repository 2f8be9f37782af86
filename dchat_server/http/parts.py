"""What handlers find in `request.app`, one key a part."""

from __future__ import annotations

from aiohttp import web

from dchat_server.accounts import Accounts
from dchat_server.cluster import Cluster
from dchat_server.config import Config
from dchat_server.dashboards import Dashboards
from dchat_server.inspection import Inspector
from dchat_server.limits import UserLimits
from dchat_server.slots import Slots
from dchat_server.tracing import Tracing

CONFIG: web.AppKey[Config] = web.AppKey("config", Config)
ACCOUNTS: web.AppKey[Accounts] = web.AppKey("accounts", Accounts)
LIMITER: web.AppKey[UserLimits] = web.AppKey("limiter", UserLimits)
SLOTS: web.AppKey[Slots] = web.AppKey("slots", Slots)
CLUSTER: web.AppKey[Cluster] = web.AppKey("cluster", Cluster)
DASHBOARDS: web.AppKey[Dashboards] = web.AppKey("dashboards", Dashboards)
TRACING: web.AppKey[Tracing] = web.AppKey("tracing", Tracing)
"""Only where requests are traced."""
INSPECTOR: web.AppKey[Inspector] = web.AppKey("inspector", Inspector)
