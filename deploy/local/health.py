"""Whether an HTTP service answers."""

from __future__ import annotations

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=2)


async def answers(url: str) -> bool:
    """Whether this URL answers with success, within two seconds."""
    try:
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session, session.get(url) as response:
            return response.status < 300
    except (OSError, TimeoutError, aiohttp.ClientError):
        return False
