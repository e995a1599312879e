"""What Spendgate says itself: charges, alerts, audit entries and rejections."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.envelope import Data
from schemas.fields import Amount, Count, Day, Identifier, InstantMs, Name, Nanousd, Slug, Tags, Text, Tokens
from schemas.spending import Status

# Eight dimensions of 256 characters, each percent-encoded to as many as twelve.
ScopeText = Annotated[str, Field(min_length=1, max_length=65_536)]
WindowLabel = Annotated[str, Field(min_length=1, max_length=64)]


class Charge(Data):
    """A usage event after pricing and de-duplication: what it cost, and where in the ledger it came from.

    `kind`: `usage` (final), `unconfirmed` (an expired reservation, at its estimate), `adjustment` (the difference when
    an unconfirmed charge is settled after all), `correction`. A null cost is unpriced: its tokens are known.
    Added up, `unconfirmed_nanousd` is what is still charged at estimates.
    """

    charge: Name
    sequence: Count
    kind: Literal["usage", "unconfirmed", "adjustment", "correction"]
    organization: Name
    project: Name | None = None
    team: Name | None = None
    user: Name | None = None
    provider: Name | None = None
    model: Name
    tags: Tags = Field(default={})
    status: Status = "ok"
    cost_nanousd: Nanousd | None
    requests: Annotated[int, Field(ge=0, le=1)] = 1
    unpriced: Annotated[int, Field(ge=-1, le=1)] = 0
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cache_read_tokens: Tokens = 0
    cache_write_tokens: Tokens = 0
    reasoning_tokens: Tokens = 0
    input_cost_nanousd: Nanousd = 0
    cache_read_cost_nanousd: Nanousd = 0
    cache_write_cost_nanousd: Nanousd = 0
    output_cost_nanousd: Nanousd = 0
    unconfirmed_nanousd: Nanousd = 0
    price_version: Annotated[str, Field(max_length=256)] = ""
    charged_at_ms: InstantMs
    recorded_at_ms: InstantMs
    latency_ms: Annotated[int, Field(ge=0, le=86_400_000)] | None = None
    streaming: bool = False
    request_id: Name | None = None
    reservation: Name | None = None
    source: Name
    event_id: Name
    ledger_partition: Count
    ledger_offset: Count
    ledger_index: Count


class Alert(Data):
    """A threshold that a balance has crossed. `alert` follows from budget, window and threshold: twice is the same.

    `kind` projection: the forecast expects the limit to be crossed, with this probability, on `expected_on`. `unpriced`
    is of no budget, whatever `budget` says: the model that `scope` names has no known price. `limit_usd` is then 0.
    """

    alert: Name
    organization: Name
    budget: Identifier
    scope: ScopeText
    window: WindowLabel
    threshold: Annotated[str, Field(pattern=r"^[0-9]{1,2}(\.[0-9]{1,4})?$")]
    severity: Literal["info", "warning", "critical"]
    settled_usd: Amount
    limit_usd: Amount
    raised_at_ms: InstantMs
    ledger_partition: Count
    ledger_offset: Count
    kind: Literal["threshold", "projection", "unpriced"] = "threshold"
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    projected_usd: Amount | None = None
    expected_on: Day | None = None


class AuditEntry(Data):
    """Who changed what, and why. `entry` follows from the place in the ledger: twice is the same.

    `subject` is what was changed: an organization's policy, a budget, an enforcer, a charge. `before` and `after` are
    JSON texts; `budgets` names those whose room it changed. Without an `organization` it concerned a whole partition.
    """

    entry: Name
    organization: Name | None = None
    action: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z]+(\.[a-z]+)+$")]
    subject: Name
    by: Name
    key_id: Name | None = None
    reason: Text = ""
    before: Annotated[str, Field(max_length=65_536)] = ""
    after: Annotated[str, Field(max_length=65_536)] = ""
    budgets: Annotated[list[Name], Field(max_length=2_000)] = Field(default=[])
    at_ms: InstantMs
    ledger_partition: Count
    ledger_offset: Count
    ledger_index: Count


class Rejection(Data):
    """An event that was not counted: as it came, and why. Ledger positions are absent when it never got there."""

    reason: Slug
    detail: Annotated[str, Field(max_length=65_536)]
    field: Annotated[str, Field(max_length=1024)] | None = None
    rejected_at_ms: InstantMs
    stage: Literal["ingest", "aggregator", "sink"]
    organization: Name | None = None
    ledger_partition: Count | None = None
    ledger_offset: Count | None = None
    ledger_index: Count | None = None
    event: Annotated[str, Field(max_length=1_048_576)]
