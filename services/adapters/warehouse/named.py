"""Runs the named queries of `deploy/clickhouse/queries`: one file a question, its parameters bound by the server."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from clickhouse_connect.driver import AsyncClient

QUERIES = Path(__file__).parents[3] / "deploy" / "clickhouse" / "queries"


@cache
def sql(name: str) -> str:
    """The text of a query. Raises `FileNotFoundError`."""
    return (QUERIES / f"{name}.sql").read_text("utf-8")


async def query(client: AsyncClient, name: str, **parameters: Any) -> list[dict[str, Any]]:
    """The rows of a named query, by column. Raises `clickhouse.FAILURES`."""
    result = await client.query(sql(name), parameters=parameters)
    return list(result.named_results())
