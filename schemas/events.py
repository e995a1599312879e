"""Every event type: its name on the wire, and what its data says."""

from __future__ import annotations

from typing import Literal

from schemas.decision import Decision
from schemas.envelope import CloudEvent
from schemas.foresight import Anomaly, Forecast
from schemas.governance import BoostProposal, PolicyProposal, ProposalReview
from schemas.moving import Carry, Move
from schemas.notification import Notification
from schemas.outcomes import Alert, AuditEntry, Charge, Rejection
from schemas.spending import Correction, Expiry, Usage
from schemas.steering import Acknowledgement, AllowanceClaim, Boost, Farewell, Heartbeat, PolicyChange


class UsageRecorded(CloudEvent):
    """A request was answered, and this is what it used."""

    type: Literal["spendgate.usage.recorded.v1"]
    data: Usage


class ReservationExpired(CloudEvent):
    """A reservation ran out with no settlement."""

    type: Literal["spendgate.reservation.expired.v1"]
    data: Expiry


class UsageCorrected(CloudEvent):
    """A charge was wrong, and this is what it should have been."""

    type: Literal["spendgate.usage.corrected.v1"]
    data: Correction


class PolicyChanged(CloudEvent):
    """An organization has a new policy."""

    type: Literal["spendgate.policy.changed.v1"]
    data: PolicyChange


class BoostGranted(CloudEvent):
    """A budget has more room for a while."""

    type: Literal["spendgate.boost.granted.v1"]
    data: Boost


class BudgetMoved(CloudEvent):
    """Money of a window was moved from one budget to another."""

    type: Literal["spendgate.budget.moved.v1"]
    data: Move


class BudgetCarried(CloudEvent):
    """A window of a budget ended some time ago, and what it left unspent is the next one's."""

    type: Literal["spendgate.budget.carried.v1"]
    data: Carry


class PolicyProposed(CloudEvent):
    """Somebody wants another policy in force."""

    type: Literal["spendgate.policy.proposed.v1"]
    data: PolicyProposal


class BoostRequested(CloudEvent):
    """Somebody wants more room for a budget than one person may give."""

    type: Literal["spendgate.boost.requested.v1"]
    data: BoostProposal


class ProposalReviewed(CloudEvent):
    """Somebody approved or rejected what is proposed."""

    type: Literal["spendgate.proposal.reviewed.v1"]
    data: ProposalReview


class AlertAcknowledged(CloudEvent):
    """Somebody answered an alert, so that it need not escalate."""

    type: Literal["spendgate.alert.acknowledged.v1"]
    data: Acknowledgement


class AllowanceClaimed(CloudEvent):
    """An enforcer wants, or gives back, shares of balances."""

    type: Literal["spendgate.allowance.claimed.v1"]
    data: AllowanceClaim


class EnforcerAlive(CloudEvent):
    """An enforcer still holds its shares."""

    type: Literal["spendgate.enforcer.alive.v1"]
    data: Heartbeat


class EnforcerForgotten(CloudEvent):
    """Somebody knows that an enforcer is gone, and frees its shares."""

    type: Literal["spendgate.enforcer.forgotten.v1"]
    data: Farewell


class ChargePosted(CloudEvent):
    """Usage was priced and counted."""

    type: Literal["spendgate.charge.posted.v1"]
    data: Charge


class DecisionMade(CloudEvent):
    """An enforcer answered a check."""

    type: Literal["spendgate.decision.made.v1"]
    data: Decision


class AlertRaised(CloudEvent):
    """A balance crossed a threshold of its budget."""

    type: Literal["spendgate.alert.raised.v1"]
    data: Alert


class ForecastMade(CloudEvent):
    """The total of a window was forecast."""

    type: Literal["spendgate.forecast.made.v1"]
    data: Forecast


class AnomalyFound(CloudEvent):
    """Spending does not look like its past."""

    type: Literal["spendgate.anomaly.found.v1"]
    data: Anomaly


class AuditRecorded(CloudEvent):
    """Somebody changed something, and this is what it was before and after."""

    type: Literal["spendgate.audit.recorded.v1"]
    data: AuditEntry


class NotificationSent(CloudEvent):
    """Somebody was told of an alert, or could not be."""

    type: Literal["spendgate.notification.sent.v1"]
    data: Notification


class UsageRejected(CloudEvent):
    """An event was refused, and is kept with the reason."""

    type: Literal["spendgate.usage.rejected.v1"]
    data: Rejection
