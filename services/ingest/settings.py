"""What an operator can tell ingest, beside what all services share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.adapters.settings import Settings

MEBIBYTE = 1 << 20


class IngestSettings(Settings):
    """Settings of ingest; see the base class for how they are read."""

    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * MEBIBYTE)] = Field(
        4 * MEBIBYTE, description="largest request body, counted after decompression"
    )
    max_batch_events: Annotated[int, Field(ge=1, le=100_000)] = Field(10_000, description="most events in one request")
    spool_max_bytes: Annotated[int, Field(ge=0)] = Field(
        1024 * MEBIBYTE, description="most bytes of events on disk while Kafka is away; beyond it requests get 503"
    )
    append_timeout_s: Annotated[float, Field(gt=0, le=60)] = Field(
        2.0, description="seconds that Kafka is given before events go to the spool"
    )
    apply_wait_s: Annotated[float, Field(ge=0, le=30)] = Field(
        3.0, description="seconds that a policy or boost waits to be applied before it is answered with 202"
    )
