"""What follows from a stretch of the ledger: everything that one transaction must carry."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from msgspec import Struct

from services.core.balance import Balance
from services.core.escrow import Registered
from services.core.outcomes import Alert, AuditEntry, Charge, Rejection
from services.core.seen import SeenRecord

Count = Literal[
    "counted",
    "duplicate",
    "rejected",
    "unpriced",
    "skipped",
    "policy",
    "boost",
    "move",
    "carry",
    "proposal",
    "claim",
    "alive",
    "forgotten",
    "acknowledged",
]
Exposure = Literal["unreserved", "overdrawn", "reclaimed", "shrunk"]
"""What can bring a balance above its hard limit, in nano-dollars: usage that no share covers, usage beyond the share it
was reserved from, shares taken back from enforcers presumed dead, and shares that a limit has shrunk below."""

POSITION_KEY: Final = "#position"
"""The key of a partition's position in the balances changelog, which ends each transaction; never a balance's."""


class Position(Struct, kw_only=True, gc=False):
    """How far a ledger partition has been applied.

    `offset`: the last record applied, -1 for none. `charges`: how many charges were ever posted, so their sequence
    numbers are gapless. `clock_ms`: the ledger's clock, which never goes back.
    """

    offset: int = -1
    charges: int = 0
    clock_ms: int = 0


class GrantedBoost(Struct, frozen=True, kw_only=True, gc=False):
    """A boost as the policies table keeps it. `key_id`: the API key behind it, where that is known.

    `approved_by`: the second person, if it needed one.
    """

    budget: str
    amount_usd: str
    until_ms: int
    by: str
    reason: str
    key_id: str | None = None
    approved_by: str | None = None


class Proposal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What awaits a second person: a policy, which would be `version`, or a boost.

    `base`: the version in force when it was made. Another policy in force closes a proposed one.
    """

    proposal: str
    by: str
    key_id: str | None = None
    reason: str = ""
    base: int
    proposed_at_ms: int
    expires_at_ms: int
    version: int | None = None
    policy: dict[str, Any] | None = None
    boost: GrantedBoost | None = None


class GrantedMove(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A move of money between two budgets as the policies table keeps it: from `since_ms` to the end of its window.

    `ends_ms` None: their window never ends. From `until_ms` on, what is free of it is to be given back by a move that
    `returns` this one; None: nothing is before the end. `rule` is the policy's rule that wanted it, if one did.
    """

    move: str
    from_budget: str
    to_budget: str
    amount_usd: str
    since_ms: int
    ends_ms: int | None = None
    until_ms: int | None = None
    rule: str | None = None
    returns: str | None = None
    by: str
    reason: str
    key_id: str | None = None


class CarriedOver(Struct, frozen=True, kw_only=True, gc=False):
    """What a budget's window left to the next one, for good; `turns_ms` is where one ends and the other begins."""

    budget: str
    window: str
    amount_usd: str
    turns_ms: int
    ends_ms: int


class PolicyEntry(Struct, frozen=True, kw_only=True):
    """An organization's policy in force: the value in the policies table, keyed by organization.

    `offset`: the record that changed the policy or its boosts last; `latest_offset`: that of the whole entry, with
    its open proposals. `approved_by`: the second person, if there was one.
    """

    organization: str
    version: int
    policy: dict[str, Any]
    by: str
    reason: str
    offset: int
    boosts: tuple[GrantedBoost, ...] = ()
    key_id: str | None = None
    approved_by: str | None = None
    proposals: tuple[Proposal, ...] = ()
    latest_offset: int = -1
    moves: tuple[GrantedMove, ...] = ()
    carries: tuple[CarriedOver, ...] = ()
    # Since when, by the ledger's clock, budgets carry over: of windows that ended before, nothing is known.
    carrying_since_ms: dict[str, int] = {}


@dataclass(slots=True)
class Effects:
    """Changed values (None: removed) and new outputs, in ledger order."""

    balances: dict[str, Balance | None] = field(default_factory=dict)
    policies: dict[str, PolicyEntry] = field(default_factory=dict)
    seen: dict[int, SeenRecord | None] = field(default_factory=dict)
    charges: list[Charge] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    audit: list[AuditEntry] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    counts: Counter[Count] = field(default_factory=Counter)
    enforcers: dict[str, Registered | None] = field(default_factory=dict)
    exposed: Counter[Exposure] = field(default_factory=Counter)
    position: Position | None = None

    def absorb(self, later: Effects) -> None:
        """Add the effects of the record that follows: newer values replace older ones."""
        self.balances.update(later.balances)
        self.policies.update(later.policies)
        self.seen.update(later.seen)
        self.charges += later.charges
        self.alerts += later.alerts
        self.audit += later.audit
        self.rejections += later.rejections
        self.counts.update(later.counts)
        self.enforcers.update(later.enforcers)
        self.exposed.update(later.exposed)
        if later.position is not None:
            self.position = later.position
