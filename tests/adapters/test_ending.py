"""Background tasks end when they are told to, even one that loses the first word."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from services.adapters.ending import end_tasks


async def forgetful(losses: int) -> None:
    """Loses its first cancellations, as code does that waits for two things at once."""
    for _ in range(losses):
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    await asyncio.Event().wait()


async def test_a_lost_cancellation_is_repeated() -> None:
    tasks = [asyncio.create_task(forgetful(losses)) for losses in (0, 1, 2)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end_tasks(*tasks)
    assert all(task.cancelled() for task in tasks)


async def test_what_has_ended_already_is_left_alone() -> None:
    done = asyncio.create_task(asyncio.sleep(0))
    await done
    await end_tasks(done)
    await end_tasks()
    assert not done.cancelled()
