"""A decision as everybody reads it: the answer of the API, the event on the topic, and the row that is kept."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from services.core.ask import Detail, Priority, Source
from services.core.decide import Action, Reason
from services.core.events import Event


class BudgetLine(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One budget of the chain, before this request; `utilization` and `tier` include it.

    `window_ends_at` is null for a window that never ends, `utilization` for a limit of zero. `binding` marks the budget
    that decided, or that would be the next to.

    `share_usd` is what this enforcer may still reserve below a hard tier that denies; `refused`: the ledger has said
    that it gets no more for now. The rest is said of budgets beyond normal: `committed_usd` is what is settled and what
    all enforcers may still spend, `grace_from` when grace was opened in this window, `grace_refused` that there is no
    room in it either, and `paced_until` where the pace of the throttle tier stands.
    """

    budget: str
    scope: str
    window: str
    window_ends_at: datetime | None
    limit_usd: str
    settled_usd: str
    reserved_usd: str
    remaining_usd: str
    utilization: float | None
    tier: str
    binding: bool
    on_hard: Literal["deny", "monitor"] = "deny"
    share_usd: str | None = None
    refused: bool = False
    grace_from: datetime | None = None
    grace_refused: bool = False
    committed_usd: str | None = None
    paced_until: datetime | None = None


class Attempt(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Another model that was looked at for the same request, and what came of it."""

    provider: str | None = None
    model: str
    action: Action
    tier: str
    reason: Reason
    input_tokens: int
    max_output_tokens: int
    estimate_usd: str | None
    budgets: list[BudgetLine]


class Hold(Struct, frozen=True, kw_only=True, gc=False):
    """Money set aside for the request until it is settled, released or expires; null when it has no known price."""

    id: str
    estimate_usd: str | None
    expires_at: datetime


class LedgerPosition(Struct, frozen=True, kw_only=True, gc=False):
    """How far in the organization's ledger partition the decision's knowledge reached; -1 is nothing yet."""

    partition: int
    offset: int


class Decision(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Whether a request may be made, and everything that this was decided from.

    `max_output_tokens` is the cap that was estimated with: a gateway must send it on, or the estimate is no bound.
    `input_tokens` were counted, or are an upper bound found from what `estimated_from` says.

    On a fallback, `model` is the one to use and `requested_model` the one that was asked for. `tried` are other models
    that were looked at before, or in vain. `retry_after_ms` is when a throttled request may come again. `stale_ms` is
    how old what was known of the ledger can be, null if it was not heard of yet; with `lease_over` that was too old to
    spend any share. `final`: nothing more could be claimed, so `on_unknown` decided what was not known. `enforcers` are
    those alive, which share a budget's pace.

    A `detail` of `brief` was asked for: `budgets` is then the one that binds, of a chain that has room. What is
    published is `full`.
    """

    decision: str
    action: Action
    tier: str
    reason: Reason
    message: str = ""
    warnings: list[str]
    organization: str
    project: str | None = None
    team: str | None = None
    user: str | None = None
    provider: str | None = None
    model: str
    tags: dict[str, str] = {}
    requested_model: str | None = None
    priority: Priority
    input_tokens: int
    estimated_from: Source = "tokens"
    max_output_tokens: int
    dry_run: bool = False
    estimate_usd: str | None
    reservation: Hold | None = None
    budgets: list[BudgetLine]
    remedies: list[str]
    retry_after_ms: int | None = None
    tried: list[Attempt] = []
    policy_version: int
    price_version: str
    ledger: LedgerPosition
    decided_at: datetime
    stale_ms: int | None = None
    lease_over: bool = False
    final: bool = False
    enforcers: int = 1
    detail: Detail = "full"


class DecisionMade(Event, frozen=True, kw_only=True, gc=False, tag="spendgate.decision.made.v1"):
    data: Decision
