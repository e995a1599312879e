"""What an enforcer answered, with everything it knew: a decision can be explained, and derived again, afterwards."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.budget import Priority
from schemas.envelope import Data
from schemas.fields import Amount, Count, Identifier, Instant, Name, Slug, Tags, Tokens
from schemas.outcomes import ScopeText, WindowLabel

Sentence = Annotated[str, Field(max_length=4096)]
Tier = Literal["normal", "soft", "throttle", "hard", "grace"]
Action = Literal["allow", "fallback", "throttle", "deny"]


class BudgetLine(Data):
    """One budget of the chain, before this request; `utilization` and `tier` include it. `binding`: it decided.

    `share_usd` is what this enforcer may still reserve below a hard tier that denies; `refused`: the ledger has said
    that it gets no more for now. The rest is said of budgets beyond normal: `committed_usd` is what is settled and what
    all enforcers may still spend, `grace_from` when grace was opened in this window, `grace_refused` that there is no
    room in it either, and `paced_until` where the pace of the throttle tier stands.
    """

    budget: Identifier
    scope: ScopeText
    window: WindowLabel
    window_ends_at: Instant | None
    limit_usd: Amount
    settled_usd: Amount
    reserved_usd: Amount
    remaining_usd: Amount
    utilization: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    tier: Tier
    binding: bool
    on_hard: Literal["deny", "monitor"] = "deny"
    share_usd: Amount | None = None
    refused: bool = False
    grace_from: Instant | None = None
    grace_refused: bool = False
    committed_usd: Amount | None = None
    paced_until: Instant | None = None


class Attempt(Data):
    """Another model that was looked at for the same request, and what came of it."""

    provider: Name | None = None
    model: Name
    action: Action
    tier: Tier
    reason: Slug
    input_tokens: Tokens
    max_output_tokens: Tokens
    estimate_usd: Amount | None
    budgets: Annotated[list[BudgetLine], Field(max_length=1000)]


class Hold(Data):
    """Money set aside for the request until it is settled, released or expires; null when it has no known price."""

    id: Name
    estimate_usd: Amount | None
    expires_at: Instant


class LedgerPosition(Data):
    """How far in the organization's ledger partition the decision's knowledge reached; -1 is nothing yet."""

    partition: Count
    offset: Annotated[int, Field(ge=-1, le=2**53)]


class Decision(Data):
    """Whether a request may be made, and everything that this was decided from.

    On a fallback, `model` is the one to use and `requested_model` the one that was asked for. `tried` are other models
    that were looked at before, or in vain. `retry_after_ms` is when a throttled request may come again. `stale_ms` is
    how old what was known of the ledger can be, null if it was not heard of yet; with `lease_over` that was too old to
    spend any share. `final`: nothing more could be claimed, so `on_unknown` decided what was not known. `enforcers` are
    those alive, which share a budget's pace.

    A `detail` of `brief` was asked for: `budgets` is then the one that binds, of a chain that has room. Decisions on
    the topic are `full`.
    """

    decision: Name
    action: Action
    tier: Tier
    reason: Slug
    message: Sentence = ""
    warnings: Annotated[list[Sentence], Field(max_length=1000)]
    organization: Name
    project: Name | None = None
    team: Name | None = None
    user: Name | None = None
    provider: Name | None = None
    model: Name
    tags: Tags = Field(default={})
    requested_model: Name | None = None
    priority: Priority
    input_tokens: Tokens
    estimated_from: Literal["tokens", "chars", "messages"] = "tokens"
    max_output_tokens: Tokens
    dry_run: bool = False
    estimate_usd: Amount | None
    reservation: Hold | None = None
    budgets: Annotated[list[BudgetLine], Field(max_length=1000)]
    remedies: Annotated[list[Sentence], Field(max_length=100)]
    retry_after_ms: Count | None = None
    tried: Annotated[list[Attempt], Field(max_length=100, default_factory=list)]
    policy_version: Count
    price_version: Annotated[str, Field(max_length=256)]
    ledger: LedgerPosition
    decided_at: Instant
    stale_ms: Count | None = None
    lease_over: bool = False
    final: bool = False
    enforcers: Annotated[int, Field(ge=1)] = 1
    detail: Literal["full", "brief"] = "full"
