"""Why an event was not counted: a named reason, in words that say what to do."""

from __future__ import annotations

from enum import StrEnum

from services.core.outcomes import Rejection
from services.core.record import Record


class Reason(StrEnum):
    """Every reason for which the fold refuses an event."""

    MALFORMED = "malformed"
    LATE = "late"
    FUTURE = "future"
    INVALID_TIME = "invalid_time"
    INVALID_MONEY = "invalid_money"
    INCONSISTENT_USAGE = "inconsistent_usage"
    INVALID_POLICY = "invalid_policy"
    STALE_POLICY = "stale_policy"
    UNKNOWN_BUDGET = "unknown_budget"
    INVALID_CARRY = "invalid_carry"
    INVALID_MOVE = "invalid_move"
    BELOW_MINIMUM = "below_minimum"
    ABOVE_MAXIMUM = "above_maximum"
    ABOVE_PARENT = "above_parent"
    TOO_MANY_MOVES = "too_many_moves"
    INSUFFICIENT_ROOM = "insufficient_room"
    INVALID_BALANCE = "invalid_balance"
    REVIEW_REQUIRED = "review_required"
    STALE_PROPOSAL = "stale_proposal"
    SAME_PERSON = "same_person"
    TOO_MANY_PROPOSALS = "too_many_proposals"


class Refused(Exception):
    """An event that the fold will not count."""

    def __init__(self, reason: Reason, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.field = field


def rejection(
    refused: Refused, record: Record, index: int, clock_ms: int, *, organization: str | None, event: str
) -> Rejection:
    """The rejection to publish for a refused event."""
    return Rejection(
        reason=refused.reason.value,
        detail=refused.detail,
        field=refused.field,
        rejected_at_ms=clock_ms,
        stage="aggregator",
        organization=organization,
        ledger_partition=record.partition,
        ledger_offset=record.offset,
        ledger_index=index,
        event=event,
    )
