"""What there is to tell: an alert or an anomaly, in the same few words for both."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from services.core.foresight_events import Anomaly
from services.core.outcomes import Alert

Severity = Literal["info", "warning", "critical"]
RANK: dict[Severity, int] = {"info": 0, "warning": 1, "critical": 2}
PIPELINE: Final = "pipeline"
"""The kind of what concerns no organization but whoever runs this installation."""


class Notice(Struct, frozen=True, kw_only=True, gc=False):
    """Something that people are to hear of, once. `budget` None: it concerns a scope, not one of its budgets.

    `facts` is the whole alert or anomaly, as its topic has it.
    """

    id: str
    organization: str
    kind: str
    severity: Severity
    scope: str
    budget: str | None
    raised_at_ms: int
    facts: dict[str, Any]


def of_alert(alert: Alert) -> Notice:
    """A threshold that was crossed, or is expected to be."""
    return Notice(
        id=alert.alert,
        organization=alert.organization,
        kind=alert.kind,
        severity=alert.severity,
        scope=alert.scope,
        budget=None if alert.kind == "unpriced" else alert.budget,
        raised_at_ms=alert.raised_at_ms,
        facts=msgspec.to_builtins(alert),
    )


def of_anomaly(anomaly: Anomaly) -> Notice:
    """Spending that is not like its past. Told again with later hours it has the same id: it is one notice."""
    return Notice(
        id=anomaly.anomaly,
        organization=anomaly.organization,
        kind="anomaly",
        severity=anomaly.severity,
        scope=anomaly.scope,
        budget=None,
        raised_at_ms=anomaly.found_at_ms,
        facts=msgspec.to_builtins(anomaly),
    )
