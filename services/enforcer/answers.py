"""What the enforcer answers besides decisions."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from services.core.decision import LedgerPosition


class Settled(Struct, frozen=True, kw_only=True, gc=False):
    """A settlement that is durable.

    `cost_usd` is null when the usage has no price, `estimate_usd` when nothing was reserved. `overrun_usd` is what the
    cost exceeds the estimate by: the gateway broke its own cap. `repeated`: it was settled before, nothing changed.
    `positions` says where it was appended: nowhere yet while it waits in the spool, nor again when it was repeated.
    """

    reservation: str
    state: Literal["settled"] = "settled"
    organization: str
    cost_usd: str | None
    estimate_usd: str | None
    overrun_usd: str
    durability: Literal["kafka", "spool"] | None
    positions: list[LedgerPosition]
    repeated: bool


class Released(Struct, frozen=True, kw_only=True, gc=False):
    """A reservation that holds nothing any more and will not be charged."""

    reservation: str
    state: Literal["released"] = "released"


class BudgetStatus(Struct, frozen=True, kw_only=True, gc=False):
    """One budget on a balance. `utilization` is null for a limit of zero."""

    budget: str
    limit_usd: str
    remaining_usd: str
    utilization: float | None
    tier: str
    on_hard: str


class WindowStatus(Struct, frozen=True, kw_only=True, gc=False):
    """One balance. `settled_usd` includes `pending_usd`, which is on its way through the ledger, and `unconfirmed_usd`.

    With `unpriced` requests the true sum is at least `settled_usd`.
    """

    window: str
    starts_at: datetime
    ends_at: datetime | None
    settled_usd: str
    pending_usd: str
    reserved_usd: str
    unconfirmed_usd: str
    requests: int
    unpriced: int
    budgets: list[BudgetStatus]


class Status(Struct, frozen=True, kw_only=True, gc=False):
    """A scope's balances in the windows of now. `reached`: whether the ledger position asked for has been applied."""

    scope: str
    level: str
    organization: str
    policy_version: int
    windows: list[WindowStatus]
    ledger: LedgerPosition
    reached: bool
    as_of: datetime


class PartitionPosition(Struct, frozen=True, kw_only=True, gc=False):
    """How far one ledger partition has been applied; `clock` is the ledger's own, null while it holds nothing.

    `beat` is the last sign of this enforcer's life that the ledger has applied, `stale_ms` how old what is known can
    be, both null before the first. `leased`: whether shares may be spent. `enforcers` were heard of lately.
    """

    partition: int
    offset: int
    charges: int
    clock: datetime | None
    beat: int | None
    stale_ms: int | None
    leased: bool
    enforcers: int


class EnforcerLine(Struct, frozen=True, kw_only=True, gc=False):
    """An enforcer as the ledger knows it. `heard_at` is when, by the ledger's clock, it last said something.

    `silent_ms` is how long it has been silent where it was silent longest; after `reclaim_after_ms` (null: never) it is
    `reclaimed`: others have got its shares. `own`: the one that was asked.
    """

    enforcer: str
    heard_at: datetime
    silent_ms: int
    reclaim_after_ms: int | None
    reclaimed: bool
    own: bool


class Enforcers(Struct, frozen=True, kw_only=True, gc=False):
    """Every enforcer that the ledger knows, who was heard of last first."""

    enforcers: list[EnforcerLine]


class Positions(Struct, frozen=True, kw_only=True, gc=False):
    """What this enforcer knows, and what it holds; `shares` counts the balances of which it has one, or wants one."""

    enforcer: str
    restored: bool
    reservations: int
    shares: int
    partitions: list[PartitionPosition]
