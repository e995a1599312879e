"""Every event that the fold reads from the ledger."""

from __future__ import annotations

from services.core.events import (
    AlertAcknowledged,
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
from services.core.moving_events import BudgetCarried, BudgetMoved

Governed = PolicyProposed | BoostRequested | ProposalReviewed
"""What people say of changes that need a second person."""

Moved = BudgetMoved | BudgetCarried
"""Money that goes from one budget, or one window, to another."""

Spent = UsageRecorded | ReservationExpired | UsageCorrected
"""What was used, and what it cost after all."""

Counted = Spent | PolicyChanged | BoostGranted | Governed | Moved | AlertAcknowledged
"""Events that count once, however often they are sent."""

LedgerEvent = Counted | AllowanceClaimed | EnforcerAlive | EnforcerForgotten
