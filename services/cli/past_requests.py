"""The requests of the past, oldest first, from ClickHouse: those that were made, and those that were denied."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from heapq import merge
from operator import attrgetter
from typing import Any, Final

from clickhouse_connect.driver import AsyncClient

from services.adapters.warehouse.named import query
from services.core.ask import Ask
from services.core.whatif import PastRequest

SLICE_MS: Final = 3_600_000
"""Read an hour at a time: what is in memory then is what one organization does in an hour."""


async def past_requests(
    client: AsyncClient, organization: str, start_ms: int, end_ms: int
) -> AsyncGenerator[tuple[int, list[PastRequest]], None]:
    """The requests from `start_ms` until before `end_ms`, an hour at a time if there were any: its end, and they.

    Raises `clickhouse.FAILURES`.
    """
    whole = {"organization": organization, "start_ms": start_ms, "end_ms": end_ms}
    for hour in await query(client, "request_hours", **whole):
        until_ms = min(hour["hour_ms"] + SLICE_MS, end_ms)
        period = whole | {"start_ms": max(hour["hour_ms"], start_ms), "end_ms": until_ms}
        made = await query(client, "requests_made", **period)
        denied = await query(client, "requests_denied", **period)
        both = merge(_made(organization, made), _denied(organization, denied), key=attrgetter("at_ms"))
        yield until_ms, list(both)


def _made(organization: str, rows: list[dict[str, Any]]) -> Iterator[PastRequest]:
    for row in rows:
        yield PastRequest(
            ask=_ask(organization, row, row["requested"] or row["model"], row["output_tokens"]),
            at_ms=row["at_ms"],
            made=True,
            provider=row["provider"] or None,
            model=row["model"],
            cost_nanousd=row["cost_nanousd"],
            output_tokens=row["output_tokens"],
            cache_read_tokens=row["cache_read_tokens"],
            cache_write_tokens=row["cache_write_tokens"],
            reasoning_tokens=row["reasoning_tokens"],
        )


def _denied(organization: str, rows: list[dict[str, Any]]) -> Iterator[PastRequest]:
    for row in rows:
        yield PastRequest(
            ask=_ask(organization, row, row["model"], row["max_output_tokens"]),
            at_ms=row["at_ms"],
            made=False,
            provider=row["provider"] or None,
            model=row["model"],
            cost_nanousd=row["estimate_nanousd"],
        )


def _ask(organization: str, row: Mapping[str, Any], model: str, output_tokens: int) -> Ask:
    return Ask(
        organization=organization,
        project=row["project"] or None,
        team=row["team"] or None,
        user=row["user"] or None,
        provider=row["provider"] or None,
        model=model,
        tags=row["tags"],
        input_tokens=row["input_tokens"],
        max_output_tokens=output_tokens,
        priority=row["priority"] or "normal",
    )
