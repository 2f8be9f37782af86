"""A peer for comparison: aiohttp on uvloop that reads a POST and answers, and does nothing else.

What a send costs beyond this is D-Chat's; what this costs is the HTTP library's.

usage: python -m benchmarks.empty_post PORT
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

ANSWER = b'{"message":{}}'


async def post(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=ANSWER, status=201, content_type="application/json")


async def serve(port: int) -> None:
    app = web.Application()
    app.router.add_post("/v1/rooms/{room}/messages", post)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        from uvloop import run
    except ImportError:
        from asyncio import run
    run(serve(int(sys.argv[1])))
