"""The floor of every HTTP bench: aiohttp on uvloop reads a request and answers with fixed bytes.

It is what the services are built on, and no more: an application with its router, the body read (a handler of a POST
cannot leave it unread), and aiohttp's usual response with a body as long as the service's own and the same headers. No
key is asked for, nothing is decoded, counted or logged.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop
from aiohttp import web


async def serve(answer: bytes, port_file: Path) -> None:
    """Serve until killed; the port is written once it listens."""

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=answer, content_type="application/json", charset="utf-8")

    app = web.Application()
    for path in ("/v1/check", "/v1/events"):
        app.router.add_post(path, handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    draft = port_file.with_suffix(".new")
    draft.write_text(str(runner.addresses[0][1]))
    draft.replace(port_file)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])))
