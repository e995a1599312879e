"""Keeps a process alive: one that dies is started again, after pauses that grow while it keeps dying."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from deploy.local.process import Process, StartError
from services.adapters.clock import monotonic_ms

Report = Callable[[str], None]
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STEADY_MS = 60_000
"""A process that lived this long has recovered: its next death is a new one."""


async def keep_alive(process: Process, report: Report) -> None:
    """Watch a started process until cancelled; each death and return is reported."""
    name, pause_s = process.program.name, FIRST_PAUSE_S
    while True:
        since_ms = monotonic_ms()
        code = await process.wait()
        if monotonic_ms() - since_ms > STEADY_MS:
            pause_s = FIRST_PAUSE_S
        report(f"{name} ended with {code}; starting it again in {pause_s:g} s (log: {process.program.log})")
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        try:
            await process.start()
        except StartError as error:
            report(str(error))
        else:
            report(f"{name} is back (pid {process.pid})")
