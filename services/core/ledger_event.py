"""Every event that the fold reads from the ledger."""

from __future__ import annotations

from services.core.events import (
    AllowanceClaimed,
    BoostGranted,
    EnforcerAlive,
    EnforcerForgotten,
    PolicyChanged,
    ReservationExpired,
    UsageCorrected,
    UsageRecorded,
)
from services.core.governance_events import BoostRequested, PolicyProposed, ProposalReviewed

Governed = PolicyProposed | BoostRequested | ProposalReviewed
"""What people say of changes that need a second person."""

Counted = UsageRecorded | ReservationExpired | UsageCorrected | PolicyChanged | BoostGranted | Governed
"""Events that count once, however often they are sent."""

LedgerEvent = Counted | AllowanceClaimed | EnforcerAlive | EnforcerForgotten
