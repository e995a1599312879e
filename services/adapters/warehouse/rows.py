"""What whoever asks ClickHouse needs to be given: something that runs a named query."""

from __future__ import annotations

from typing import Any, Protocol


class Rows(Protocol):
    """Runs a query of `deploy/clickhouse/queries`. Raises `clickhouse.FAILURES`."""

    async def __call__(self, name: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """Its rows, by column."""
        ...
