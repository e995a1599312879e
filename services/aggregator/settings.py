"""What an operator can tune in the aggregator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from services.adapters.settings import Settings


class AggregatorSettings(Settings):
    """The shared settings, and those of the aggregator."""

    instance: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] | None = Field(
        None,
        description="this worker's own lasting name: killed and restarted under it, it has its partitions back at once "
        "instead of after the session timeout; no two workers may share one",
    )
    batch_records: Annotated[int, Field(ge=1, le=10_000)] = Field(
        400, description="ledger records that one batch takes at most"
    )
    batch_within_s: Annotated[float, Field(gt=0, le=5)] = Field(
        0.02, description="seconds that a batch waits for more records: the price of throughput is freshness"
    )
    transaction_charges: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        20_000, description="charges after which a transaction is committed, even within a batch"
    )
    transaction_timeout_s: Annotated[float, Field(ge=1, le=900)] = Field(
        20.0, description="seconds after which the broker aborts a transaction that a lost worker left open"
    )
    session_timeout_s: Annotated[float, Field(ge=1, le=300)] = Field(
        6.0, description="seconds without a heartbeat after which a worker's partitions go to another"
    )

    @property
    def application(self) -> str:
        """Names the consumer group, and begins every transactional id."""
        return f"{self.topic_prefix}aggregator"

    @property
    def faust_dir(self) -> Path:
        """Where Faust keeps its (empty) working directories."""
        return self.data_dir / "faust"
