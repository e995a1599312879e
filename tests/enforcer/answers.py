"""A decision that allows, and what it was asked for."""

from __future__ import annotations

from typing import Any

import msgspec

from services.core.ask import Ask
from services.core.decide import Action, Reason
from services.core.decision import Decision, Hold, LedgerPosition
from services.core.events import from_ms

_ALLOWED = Decision(
    decision="dec-1",
    action=Action.ALLOW,
    tier="normal",
    reason=Reason.WITHIN_BUDGET,
    warnings=[],
    organization="acme",
    model="gpt-4o",
    priority="normal",
    input_tokens=100,
    max_output_tokens=1024,
    estimate_usd="0.01",
    reservation=Hold(id="rsv-1", estimate_usd="0.01", expires_at=from_ms(1_795_000_000_000)),
    budgets=[],
    remedies=[],
    policy_version=1,
    price_version="prices/1",
    ledger=LedgerPosition(partition=0, offset=7),
    decided_at=from_ms(1_795_000_000_000),
)


def decision(**changed: Any) -> Decision:
    """The decision, changed."""
    return msgspec.structs.replace(_ALLOWED, **changed)


def asked(**changed: Any) -> Ask:
    """An ask of Acme's."""
    return msgspec.convert({"organization": "acme", "model": "gpt-4o", "input_tokens": 100, **changed}, Ask)
