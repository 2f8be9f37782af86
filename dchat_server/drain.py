"""Sending readers elsewhere, before a worker stops or because it has more than its share: in waves, each with a delay
of its own.

A worker that drains first gives notice: `/readyz` says 503, and everything else goes on, new streams too. Balancers
look every second or so, and what they send meanwhile must not meet an error: a browser's EventSource that is answered
503 once never comes back. Only then are streams sent away, and new ones refused.
"""

from __future__ import annotations

import asyncio
import random

from dchat_server.hub import Hub
from dchat_server.stream import Stream
from dchat_server.wire import Frame, control_frame

WAVES = 20
PER_SECOND = 2000
"""Streams sent away a second, where the time allows: a wave of sign-ins is what other workers get to feel."""
SPREAD_MS = 2000
LONGEST_NOTICE_S = 3.0
"""Longer than two of a balancer's questions, when it asks every second."""


def notice_of(drain_s: float) -> float:
    """Seconds of `drain_s` that are for the balancer to hear of it."""
    return min(LONGEST_NOTICE_S, drain_s / 4)


def reconnect_frame(after_ms: int) -> Frame:
    """`reconnect`, with the `retry:` field that makes a browser's EventSource wait as well."""
    plain = control_frame("reconnect", after_ms=after_ms)
    return Frame(plain.data, b"retry: %d\n" % after_ms + plain.block)


async def send_away(hub: Hub, within_s: float) -> None:
    """Close all streams with `reconnect` in `WAVES` waves, within `within_s` seconds, sooner when they are few."""
    streams = hub.streams()
    random.shuffle(streams)
    duration = min(within_s, len(streams) / PER_SECOND)
    size = max(1, -(-len(streams) // WAVES))
    for start in range(0, len(streams), size):
        _close(hub, streams[start : start + size])
        await asyncio.sleep(duration / WAVES)
    _close(hub, hub.streams())


async def send_some_away(hub: Hub, count: int, over_s: float) -> None:
    """Close `count` streams, any of them, with `reconnect`, evenly within `over_s` seconds, in ten waves a second."""
    streams = random.sample(hub.streams(), min(count, hub.count))
    waves = max(1, min(len(streams), int(over_s * 10)))
    for wave in range(waves):
        _close(hub, streams[wave::waves])
        await asyncio.sleep(over_s / waves)


def _close(hub: Hub, streams: list[Stream]) -> None:
    for stream in streams:
        hub.close(stream, reconnect_frame(random.randrange(100, SPREAD_MS)))
