"""Freshness: how long after it was sent a usage is part of what an enforcer decides on, measured on a sample."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from time import perf_counter_ns

from services.cli.api import AWAY, Api, Refused
from services.cli.cast import Request
from services.cli.tally import Tally
from services.core.scope import scope_key

EVERY = 50
WAIT_MS = 10_000


class Freshness:
    """Asks the enforcer, for every fiftieth acknowledged usage, to answer once it knows that part of the ledger."""

    def __init__(self, api: Api, tally: Tally, *, every: int = EVERY) -> None:
        self._api, self._tally, self._every = api, tally, every
        self._seen = 0
        self._asking: set[asyncio.Task[None]] = set()

    def sample(self, request: Request, positions: Sequence[Mapping[str, int]], sent_ns: int) -> None:
        """Perhaps measure a usage that was sent at `sent_ns` and acknowledged at a ledger position (none: spooled)."""
        self._seen += 1
        if positions and self._seen % self._every == 1:
            after = f"{positions[0]['partition']}:{positions[0]['offset']}"
            task = asyncio.create_task(self._measure(request, after, sent_ns))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def finish(self) -> None:
        """Wait for the measurements under way."""
        if self._asking:
            await asyncio.wait(self._asking)

    async def _measure(self, request: Request, position: str, sent_ns: int) -> None:
        scope = scope_key({"org": request.organization})
        try:
            status = await self._api.status(scope, after=position, wait_ms=WAIT_MS)
        except (Refused, *AWAY) as error:
            self._tally.failures[f"freshness: {error}"] += 1
            return
        if status.reached:
            self._tally.fresh_ns.append(perf_counter_ns() - sent_ns)
        else:
            self._tally.failures[f"freshness: not visible after {WAIT_MS} ms"] += 1
