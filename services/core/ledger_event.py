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
from services.core.moving_events import BudgetCarried, BudgetMoved

Counted = (
    UsageRecorded | ReservationExpired | UsageCorrected | PolicyChanged | BoostGranted | BudgetMoved | BudgetCarried
)
"""Events that count once, however often they are sent."""

LedgerEvent = Counted | AllowanceClaimed | EnforcerAlive | EnforcerForgotten
