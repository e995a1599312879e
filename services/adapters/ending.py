"""Ending background tasks, for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

ASK_AGAIN_S = 0.5


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and return once all have ended, whatever their results.

    Asked again until they do: a cancellation that arrives while a library wraps up something else may get lost in it,
    and a rebalance that waits for such a task would wait for ever.
    """
    left: Iterable[asyncio.Task[Any]] = [task for task in tasks if not task.done()]
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=ASK_AGAIN_S)
