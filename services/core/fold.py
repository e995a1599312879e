"""The fold: state and a ledger record in, changed balances and outputs out. The only place where money is counted.

Deterministic and free of I/O: the services, replay, simulator and tests all run this one function, and replaying the
ledger from the start gives the same balances, byte for byte.
"""

from __future__ import annotations

from services.core.application import Application
from services.core.apply_acknowledgement import apply_acknowledgement
from services.core.apply_carry import apply_transfer
from services.core.apply_claim import apply_said
from services.core.apply_policy import apply_limits
from services.core.apply_proposal import apply_proposal, expire_proposals
from services.core.apply_usage import apply_correction, apply_expiry, apply_usage
from services.core.effects import Effects
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
from services.core.ledger_event import LedgerEvent
from services.core.moving_events import BudgetCarried, BudgetMoved
from services.core.record import Malformed, Record, original_event, read_events
from services.core.rejection import Reason, Refused, rejection
from services.core.state import LedgerState


def fold(state: LedgerState, record: Record) -> Effects:
    """Apply one ledger record, whole or not at all; a record at or below the position changes nothing.

    Never raises for what a record contains: what cannot be counted becomes a rejection with its reason.
    """
    assert record.partition == state.partition, "a record belongs to the state of its own partition"
    if record.offset <= state.position.offset:
        return Effects()
    application = Application(state, record)
    application.begin()
    expire_proposals(application)
    for index, event in enumerate(read_events(record)):
        try:
            _apply(application, event, index)
        except Refused as refused:
            _reject(application, refused, event, index)
    return application.finish()


def _apply(to: Application, event: LedgerEvent | Malformed, index: int) -> None:
    match event:
        case UsageRecorded():
            apply_usage(to, event, index)
        case ReservationExpired():
            apply_expiry(to, event, index)
        case UsageCorrected():
            apply_correction(to, event, index)
        case PolicyChanged() | BoostGranted():
            apply_limits(to, event, index)
        case PolicyProposed() | BoostRequested() | ProposalReviewed():
            apply_proposal(to, event, index)
        case BudgetMoved() | BudgetCarried():
            apply_transfer(to, event, index)
        case AllowanceClaimed() | EnforcerAlive() | EnforcerForgotten():
            apply_said(to, event, index)
        case AlertAcknowledged():
            apply_acknowledgement(to, event, index)
        case Malformed():
            raise Refused(Reason.MALFORMED, event.detail)


def _reject(to: Application, refused: Refused, event: LedgerEvent | Malformed, index: int) -> None:
    to.effects.counts["rejected"] += 1
    original = event.event if isinstance(event, Malformed) else original_event(to.record, index)
    whose = None if isinstance(event, Malformed) else event.data
    organization = getattr(whose, "organization", None)
    to.effects.rejections.append(
        rejection(refused, to.record, index, to.clock_ms, organization=organization, event=original)
    )
