"""The data of reports: what an organization spent in a period, by one dimension, exact for any period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal

from clickhouse_connect.driver import AsyncClient

Dimension = Literal["project", "team", "user", "feature", "model", "provider", "day"]

FEATURE_TAG: Final = "feature"

_QUERIES: Final[Mapping[Dimension, str]] = {
    "project": "spend_by_hour",
    "team": "spend_by_hour",
    "model": "spend_by_hour",
    "provider": "spend_by_hour",
    "day": "spend_by_hour",
    "user": "spend_by_user",
    "feature": "spend_by_tag",
}


@dataclass(frozen=True, slots=True)
class ReportRow:
    """Spending under one name; the empty name is what has none: no project, no user, no such tag.

    `unpriced` requests are not in `cost_nanousd`: the true sum is at least that.
    """

    name: str
    cost_nanousd: int
    requests: int
    unpriced: int
    input_tokens: int
    output_tokens: int


async def spend_by(
    client: AsyncClient, dimension: Dimension, organization: str, start_ms: int, end_ms: int
) -> list[ReportRow]:
    """Spending from `start_ms` until before `end_ms`, the largest first; all rows together are everything spent.

    Hours and days are UTC. Raises `clickhouse.FAILURES`.
    """
    result = await client.query(
        _sql(_QUERIES[dimension]),
        parameters={
            "dimension": dimension,
            "tag": FEATURE_TAG,
            "organization": organization,
            "start_ms": start_ms,
            "end_ms": end_ms,
        },
    )
    return [ReportRow(str(name), *map(int, numbers)) for name, *numbers in result.result_rows]


@cache
def _sql(name: str) -> str:
    return files("services.cli").joinpath("sql", f"{name}.sql").read_text("utf-8")
