"""What a gateway says and is told: asks, usage, decisions. Fields that a newer enforcer adds are ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

Priority = Literal["low", "normal", "high", "critical"]
Detail = Literal["full", "brief"]


class Ask(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """May this request spend this much? Without `max_output_tokens` the policy's default is reserved.

    A plain allow is answered with the budget that binds alone, in half the time, unless `detail` is `full`. Whatever is
    refused, throttled, offered on another model or warned about tells of every budget in any case.
    """

    organization: str
    project: str | None = None
    team: str | None = None
    user: str | None = None
    provider: str | None = None
    model: str
    input_tokens: int
    max_output_tokens: int | None = None
    priority: Priority = "normal"
    tags: dict[str, str] = {}
    dry_run: bool = False
    # Made, as a plain default would not be sent, and the enforcer's own is `full`.
    detail: Detail = field(default_factory=lambda: "brief")


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the call used. `provider` and `model` only where the call went to another than was asked for.

    Cached tokens are part of the input, reasoning tokens of the output; `cost_usd` is a decimal string and overrules
    the price list.
    """

    provider: str | None = field(default=None, name="gen_ai.provider.name")
    model: str | None = field(default=None, name="gen_ai.request.model")
    input_tokens: int | None = field(default=None, name="gen_ai.usage.input_tokens")
    output_tokens: int | None = field(default=None, name="gen_ai.usage.output_tokens")
    cache_read_tokens: int = field(default=0, name="gen_ai.usage.cache_read.input_tokens")
    cache_write_tokens: int = field(default=0, name="gen_ai.usage.cache_creation.input_tokens")
    reasoning_tokens: int = field(default=0, name="gen_ai.usage.reasoning.output_tokens")
    cost_usd: str | None = None
    request_id: str | None = None
    status: Literal["ok", "error", "cancelled"] = "ok"
    latency_ms: int | None = None
    streaming: bool = False


class Hold(Struct, frozen=True, kw_only=True):
    """Money set aside until the request is settled, released or expires."""

    id: str
    estimate_usd: str | None = None
    expires_at: datetime


class BudgetLine(Struct, frozen=True, kw_only=True):
    """One budget of the chain, before this request; `utilization` and `tier` include it. `binding`: it decided."""

    budget: str
    scope: str
    window: str
    window_ends_at: datetime | None = None
    limit_usd: str
    settled_usd: str
    reserved_usd: str
    remaining_usd: str
    utilization: float | None = None
    tier: str
    binding: bool


class Decision(Struct, frozen=True, kw_only=True):
    """Whether the request may be made. Send `max_output_tokens` on to the provider, or the estimate is no bound.

    `budgets` has the one that binds, and in `full` detail the others. `unavailable`: no enforcer decided this; the
    client was told to fail open or closed, and nothing is reserved.
    """

    decision: str
    action: str
    tier: str = "normal"
    reason: str
    message: str = ""
    warnings: list[str] = []
    organization: str
    project: str | None = None
    team: str | None = None
    user: str | None = None
    provider: str | None = None
    model: str
    tags: dict[str, str] = {}
    priority: str = "normal"
    input_tokens: int = 0
    max_output_tokens: int | None = None
    dry_run: bool = False
    detail: Detail = "full"
    estimate_usd: str | None = None
    reservation: Hold | None = None
    budgets: list[BudgetLine] = []
    remedies: list[str] = []
    policy_version: int | None = None
    price_version: str | None = None
    decided_at: datetime | None = None
    unavailable: bool = False

    @property
    def allowed(self) -> bool:
        """Whether the request may be made now."""
        return self.action in ("allow", "fallback")


class Settled(Struct, frozen=True, kw_only=True):
    """A settlement that is durable. `repeated`: it was settled before. `positions`: where the ledger has it."""

    reservation: str
    organization: str
    cost_usd: str | None = None
    estimate_usd: str | None = None
    overrun_usd: str
    durability: Literal["kafka", "spool"] | None = None
    positions: list[dict[str, int]] = []
    repeated: bool = False


def report(decision: Decision | str, usage: Usage) -> dict[str, Any]:
    """The body of a settlement: all that is known, as an enforcer that was restarted since has forgotten the request.

    A decision must hold a reservation; a bare id says no more than that.
    """
    body: dict[str, Any] = msgspec.to_builtins(usage)
    if isinstance(decision, str):
        return {"reservation": decision, **body}
    assert decision.reservation is not None, "the caller has looked"
    whose = {
        "organization": decision.organization,
        "project": decision.project,
        "team": decision.team,
        "user": decision.user,
        "tags": decision.tags,
        "gen_ai.provider.name": decision.provider,
        "gen_ai.request.model": decision.model,
    }
    return {"reservation": decision.reservation.id, **{k: v for k, v in whose.items() if v is not None}, **body}
