"""The decisions feed: `spendgate.decision.made.v1` to rows of `decisions`, with the decision kept as it was given."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from services.core.events import to_ms
from services.core.money import parse_usd
from services.sink.columns import BOOL, I64, INSTANT, LABEL, TEXT, U16, U64, Columns
from services.sink.feed import Feed

Instant = Annotated[datetime, Meta(tz=True)]


class Budget(Struct, gc=False):
    """One line of the chain: enough to name the one that bound."""

    budget: str
    scope: str
    window: str
    binding: bool = False


class Held(Struct, gc=False):
    """The reservation of an allowed request."""

    id: str


class Known(Struct, gc=False):
    """How far in the ledger the decision's knowledge reached."""

    partition: int
    offset: int


class Decision(Struct, gc=False):
    """The columns of a decision. A tolerant reader: newer enforcers may know more actions, tiers and reasons."""

    decision: str
    decided_at: Instant
    organization: str
    model: str
    action: str
    tier: str
    reason: str
    project: str | None = None
    team: str | None = None
    user: str | None = None
    provider: str | None = None
    priority: str = ""
    estimate_usd: str | None = None
    dry_run: bool = False
    reservation: Held | None = None
    budgets: list[Budget] = []
    policy_version: int | None = None
    price_version: str = ""
    ledger: Known | None = None


class Envelope(Struct, gc=False, tag_field="type", tag="spendgate.decision.made.v1"):
    """A CloudEvent whose data is kept as bytes beside its columns."""

    source: str
    data: Raw


class DecisionRow(Struct, gc=False):
    """A decision as its table has it; `explanation` is the decision object exactly as it was given."""

    decision: str
    decided_at_ms: int
    organization: str
    project: str | None
    team: str | None
    user: str | None
    provider: str | None
    model: str
    priority: str
    action: str
    tier: str
    reason: str
    estimate_nanousd: int | None
    dry_run: bool
    reservation: str | None
    binding_budget: str
    binding_scope: str
    binding_window: str
    policy_version: int | None
    price_version: str
    explanation: str
    source: str
    ledger_partition: int | None
    ledger_offset: int | None


COLUMNS: Final[Columns] = {
    "decision": TEXT,
    "decided_at": INSTANT,
    "organization": LABEL,
    "project": LABEL,
    "team": LABEL,
    "user": TEXT,
    "provider": LABEL,
    "model": LABEL,
    "priority": LABEL,
    "action": LABEL,
    "tier": LABEL,
    "reason": LABEL,
    "estimate_nanousd": I64,
    "dry_run": BOOL,
    "reservation": TEXT,
    "binding_budget": LABEL,
    "binding_scope": TEXT,
    "binding_window": LABEL,
    "policy_version": U64,
    "price_version": LABEL,
    "explanation": TEXT,
    "source": LABEL,
    "ledger_partition": U16,
    "ledger_offset": I64,
}

NO_BUDGET: Final = Budget("", "", "")

_decode_decision = msgspec.json.Decoder(Decision).decode
_decode_many = msgspec.json.Decoder(list[Envelope]).decode
_decode_one = msgspec.json.Decoder(Envelope).decode


def _row(envelope: Envelope) -> DecisionRow:
    made = _decode_decision(envelope.data)
    binding = next((line for line in made.budgets if line.binding), NO_BUDGET)
    return DecisionRow(
        decision=made.decision,
        decided_at_ms=to_ms(made.decided_at),
        organization=made.organization,
        project=made.project,
        team=made.team,
        user=made.user,
        provider=made.provider,
        model=made.model,
        priority=made.priority,
        action=made.action,
        tier=made.tier,
        reason=made.reason,
        estimate_nanousd=None if made.estimate_usd is None else parse_usd(made.estimate_usd),
        dry_run=made.dry_run,
        reservation=None if made.reservation is None else made.reservation.id,
        binding_budget=binding.budget,
        binding_scope=binding.scope,
        binding_window=binding.window,
        policy_version=made.policy_version,
        price_version=made.price_version,
        explanation=bytes(envelope.data).decode(),
        source=envelope.source,
        ledger_partition=None if made.ledger is None else made.ledger.partition,
        ledger_offset=None if made.ledger is None else made.ledger.offset,
    )


DECISIONS: Final[Feed[DecisionRow]] = Feed(
    topic="decisions",
    table="decisions",
    columns=COLUMNS,
    time="decided_at",
    many=lambda value: [_row(envelope) for envelope in _decode_many(value)],
    one=lambda element: _row(_decode_one(element)),
)
