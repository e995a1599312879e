"""Connections to Kafka that a broker's death breaks, and nothing else with them, on uvloop as on asyncio's own loop.

Once its peer is gone, a transport of asyncio takes what is written and drops it. One of uvloop raises `RuntimeError`
until the loop has told its protocol of the end. aiokafka expects `OSError` alone (aiokafka issue 1038): whichever of
its background tasks happens to send in that moment is over. It says so for some of them. Nobody is told when it was
the one that refreshes metadata, which then is waited for forever, or the one that fetches, after which no record comes.

The connection by which a client finds its cluster is known to nobody else until the first answer. Whoever gives up the
client's start meanwhile would leave it open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import aiokafka.conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError


class Connection(AIOKafkaConnection):  # type: ignore[misc] # aiokafka has no types
    """A connection that is told of its end by whatever the event loop raises."""

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """An awaitable of the response. Raises `KafkaConnectionError`, the kind that aiokafka retries."""
        try:
            sent = super().send(request, expect_response)
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN, exc=error)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}") from error
        return self._unless_given_up(sent) if self._on_close_cb is None else sent

    async def _unless_given_up(self, sent: Awaitable[Any]) -> Any:
        """The response on a connection that has no owner yet who would be told of its end."""
        try:
            return await sent
        except asyncio.CancelledError:
            self.close()
            raise


def install() -> None:
    """Have every client of this process use it: aiokafka leaves no choice of a connection to whoever makes a client."""
    aiokafka.conn.AIOKafkaConnection = Connection
