"""Wire structs of what follows from the ledger: charges, alerts, audit entries, rejections; see `schemas.outcomes`."""

from __future__ import annotations

from datetime import date
from typing import Literal

from msgspec import Struct

from services.core.events import Event, Status


class Charge(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A usage event after pricing and de-duplication: what it cost, and where in the ledger it came from.

    `kind`: `usage` (final), `unconfirmed` (an expired reservation, at its estimate), `adjustment` (the difference when
    an unconfirmed charge is settled after all), `correction`. Sums over charges are sums over `cost_nanousd` of all
    kinds. None means unpriced: tokens are kept, the cost is not known. `unpriced` counts such requests the same way: 1
    when one is posted, -1 on the correction that prices it; `unconfirmed_nanousd` likewise is the estimate, and on the
    adjustment that settles it, the estimate with the other sign.
    """

    charge: str
    sequence: int
    kind: Literal["usage", "unconfirmed", "adjustment", "correction"]
    organization: str
    project: str | None = None
    team: str | None = None
    user: str | None = None
    provider: str | None = None
    model: str
    tags: dict[str, str] = {}
    status: Status = "ok"
    cost_nanousd: int | None
    requests: int = 1
    unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    input_cost_nanousd: int = 0
    cache_read_cost_nanousd: int = 0
    cache_write_cost_nanousd: int = 0
    output_cost_nanousd: int = 0
    unconfirmed_nanousd: int = 0
    price_version: str = ""
    charged_at_ms: int
    recorded_at_ms: int
    latency_ms: int | None = None
    streaming: bool = False
    request_id: str | None = None
    reservation: str | None = None
    source: str
    event_id: str
    ledger_partition: int
    ledger_offset: int
    ledger_index: int


class Alert(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A threshold that a balance has crossed; `alert` is deterministic, so a replay raises the same one.

    `kind` projection: a forecast expects the limit to be crossed, `expected_on` if it can name a day. `unpriced`: no
    budget's, but of a model that has no known price; `scope` names it, and it is told once a day.
    """

    alert: str
    organization: str
    budget: str
    scope: str
    window: str
    threshold: str
    severity: Literal["info", "warning", "critical"]
    settled_usd: str
    limit_usd: str
    raised_at_ms: int
    ledger_partition: int
    ledger_offset: int
    kind: Literal["threshold", "projection", "unpriced"] = "threshold"
    probability: float | None = None
    projected_usd: str | None = None
    expected_on: date | None = None


AuditAction = Literal[
    "policy.applied",
    "policy.proposed",
    "boost.granted",
    "budget.moved",
    "budget.carried",
    "boost.requested",
    "proposal.approved",
    "proposal.rejected",
    "proposal.withdrawn",
    "proposal.expired",
    "proposal.superseded",
    "enforcer.forgotten",
    "usage.corrected",
    "alert.acknowledged",
]


class AuditEntry(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Who changed what, and why; `entry` follows from its place in the ledger, so a replay gives the same one.

    `subject` is what was changed: an organization's policy, a budget, an enforcer, a charge. `by` is what the sender
    wrote, `key_id` the API key that was presented. `before` and `after` are JSON texts; `budgets` names those whose
    room it changed. `organization` None: it concerned the whole partition.
    """

    entry: str
    organization: str | None = None
    action: AuditAction
    subject: str
    by: str
    key_id: str | None = None
    reason: str = ""
    before: str = ""
    after: str = ""
    budgets: list[str] = []
    at_ms: int
    ledger_partition: int
    ledger_offset: int
    ledger_index: int


class Rejection(Struct, frozen=True, kw_only=True, gc=False):
    """An event that was not counted: as it came, and why."""

    reason: str
    detail: str
    field: str | None = None
    rejected_at_ms: int
    stage: Literal["ingest", "aggregator", "sink"]
    organization: str | None = None
    ledger_partition: int | None = None
    ledger_offset: int | None = None
    ledger_index: int | None = None
    event: str


class ChargePosted(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.charge.posted.v1"):
    data: Charge


class AlertRaised(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.alert.raised.v1"):
    data: Alert


class AuditRecorded(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.audit.recorded.v1"):
    data: AuditEntry


class UsageRejected(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.usage.rejected.v1"):
    data: Rejection
