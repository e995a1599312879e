"""Asks a broker for its metadata, in Kafka's own protocol, to learn whether it takes part in the cluster.

Metadata request and response, version 4: https://kafka.apache.org/protocol#The_Messages_Metadata
"""

from __future__ import annotations

import asyncio
import struct

HEADER = struct.Struct(">hhih5s")
METADATA, VERSION, CORRELATION = 3, 4, 1
CLIENT = b"probe"
NO_TOPICS_NO_CREATION = struct.pack(">i?", 0, False)
ANSWER_WITHIN_S = 2.0


async def broker_answers(host: str, port: int) -> bool:
    """Whether the broker answers and counts itself among the live brokers (a fenced one does not)."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return await _live_brokers(host, port) > 0
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False


async def _live_brokers(host: str, port: int) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        request = HEADER.pack(METADATA, VERSION, CORRELATION, len(CLIENT), CLIENT) + NO_TOPICS_NO_CREATION
        writer.write(struct.pack(">i", len(request)) + request)
        _size, _correlation, _throttle_ms, brokers = struct.unpack(">iiii", await reader.readexactly(16))
        return int(brokers)
    finally:
        writer.close()
