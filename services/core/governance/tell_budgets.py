"""The use of budgets as cells of a document: one look for all reports."""

from __future__ import annotations

from services.core.governance.cells import BudgetUse
from services.core.governance.document import Text, Tone
from services.core.governance.words import percent


def utilization(use: BudgetUse) -> Text:
    """How full a budget is, in the tone of its tiers."""
    points = use.utilization_bp
    tone: Tone = "bad" if points >= 10_000 else "warn" if points >= use.soft_bp else "good"
    return Text(percent(points), tone, points)
