"""How long to wait between attempts at something that is away: doubling, up to a limit."""

from __future__ import annotations

import asyncio

FIRST_MS = 100


class Pace:
    """One series of attempts."""

    def __init__(self, ms_max: int) -> None:
        self._ms_max = ms_max
        self.reset()

    def reset(self) -> None:
        """It worked; the next trouble is a new one."""
        self._ms = FIRST_MS

    async def wait(self) -> None:
        """Wait before the next attempt."""
        await asyncio.sleep(min(self._ms, self._ms_max) / 1000)
        self._ms = min(2 * self._ms, self._ms_max)
