"""What an operator can tell the enforcer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from services.adapters.settings import Settings


class EnforcerSettings(Settings):
    """The enforcer's own settings, beside the shared ones."""

    enforcer: Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$")] = Field(
        "enforcer", description="name of this instance; its ids begin with it, each start adds something new"
    )
    reservation_ttl_s: Annotated[int, Field(ge=1, le=86_400)] = Field(
        600, description="seconds until a reservation that nobody settled is charged at its estimate"
    )
    reservations_max: Annotated[int, Field(ge=1)] = Field(1_000_000, description="reservations in flight at most")
    claim_timeout_ms: Annotated[int, Field(ge=0, le=30_000)] = Field(
        250, description="milliseconds that a check waits for a share; then `on_unknown` of its budgets decides"
    )
    lease_ttl_s: Annotated[int, Field(ge=1, le=86_400)] = Field(
        60, description="seconds that shares are spent for without a sign of the ledger"
    )
    reclaim_after_s: Annotated[int, Field(le=365 * 86_400)] | Literal["never"] = Field(
        3_600, description="seconds of silence after which others may get the shares; at least lease and reservation"
    )
    heartbeat_s: Annotated[float, Field(ge=0.05, le=3_600)] = Field(2, description="seconds between signs of life")
    deny_status: Literal[200, 402, 403, 429] = Field(429, description="HTTP status of a denial")
    sample_allows: Annotated[float, Field(ge=0, le=1)] = Field(
        0.01, description="share of plain allows that is published; denials and warnings always are"
    )
    decisions_buffer: Annotated[int, Field(ge=1)] = Field(
        20_000, description="decisions that wait for Kafka at most; more are dropped and counted"
    )
    decisions_kept: Annotated[int, Field(ge=0)] = Field(
        20_000, description="last decisions kept in memory, for `GET /v1/explain/{decision}`"
    )
    decisions_kept_max_bytes: Annotated[int, Field(ge=1 << 20)] = Field(
        128 << 20, description="bytes of memory that they may take; then fewer are kept"
    )
    spool_max_bytes: Annotated[int, Field(ge=1 << 20)] = Field(
        1 << 30, description="bytes of settlements kept on disk while Kafka is away"
    )
    append_timeout_s: Annotated[float, Field(gt=0, le=60)] = Field(
        2.0, description="seconds that Kafka is given before settlements go to the spool"
    )
    max_body_bytes: Annotated[int, Field(ge=1024)] = Field(64 << 10, description="largest request body")
    gateway_body_bytes: Annotated[int, Field(ge=1024, le=64 << 20)] = Field(
        1 << 20, description="largest request of a client that a gateway forwards here"
    )
    rpc_socket: Path | None = Field(None, description="Unix socket for the msgpack RPC, readable by its owner only")
    rpc_port: Annotated[int, Field(ge=0, le=65_535)] = Field(0, description="TCP port for the msgpack RPC; 0 is off")
    grpc_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        0, description="TCP port for Envoy's ext_authz over gRPC, which needs `spendgate[grpc]`; 0 is off"
    )

    @property
    def reclaim_after_ms(self) -> int | None:
        """The same in milliseconds; None: never."""
        return None if self.reclaim_after_s == "never" else self.reclaim_after_s * 1000

    @model_validator(mode="after")
    def _durations_fit(self) -> Self:
        least_s = self.lease_ttl_s + self.reservation_ttl_s
        if self.reclaim_after_s != "never" and self.reclaim_after_s < least_s:
            raise ValueError(
                f"reclaim_after_s must be at least lease_ttl_s + reservation_ttl_s = {least_s}, or `never`: "
                "a share that others get while its requests are in flight would be spent twice"
            )
        if self.heartbeat_s * 2 > self.lease_ttl_s:
            raise ValueError("heartbeat_s must be at most half of lease_ttl_s: a lease outlives a lost heartbeat")
        return self
