"""The process that owns the engine: `python -m deploy.local.clickhouse FOLDER PORT`, password in the environment."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from deploy.local.clickhouse.engine import Engine
from deploy.local.clickhouse.program import HOST, PASSWORD_VARIABLE
from deploy.local.clickhouse.server import create_app


async def serve(folder: Path, port: int, password: str) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs and close the engine."""
    engine = Engine(folder)
    runner = web.AppRunner(create_app(engine, password), access_log=None, shutdown_timeout=5)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    print(f"listening on {HOST}:{port}, data in {folder}", flush=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await runner.cleanup()
    engine.close()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), os.environ.get(PASSWORD_VARIABLE, "")))
