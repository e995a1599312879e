"""What an operator can tell the sink."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.adapters.settings import Settings


class SinkSettings(Settings):
    """Settings of the sink beside those that all services share."""

    group: str = Field("sink", description="consumer group, after the topic prefix; its offsets are the sink's memory")
    batch_bytes: Annotated[int, Field(ge=1, le=128 << 20)] = Field(
        16 << 20, description="bytes of records after which an insert starts; a charge is about 600 bytes"
    )
    linger_ms: Annotated[int, Field(ge=0, le=60_000)] = Field(
        500, description="how long the first record of an insert waits for others"
    )
    inserts_at_once: Annotated[int, Field(ge=1, le=64)] = Field(2, description="inserts under way at the same time")
    session_timeout_ms: Annotated[int, Field(ge=1_000, le=300_000)] = Field(
        10_000, description="after this silence Kafka gives the partitions of a worker to others"
    )
    retry_ms_max: Annotated[int, Field(ge=100, le=600_000)] = Field(
        5_000, description="longest wait between two attempts while ClickHouse is away"
    )

    @property
    def group_id(self) -> str:
        """The full name of the consumer group on the broker."""
        return f"{self.topic_prefix}{self.group}"
