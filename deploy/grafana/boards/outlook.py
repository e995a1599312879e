"""The latest forecasts of all scopes, which tables of budgets and of risks read."""

from __future__ import annotations

LATEST = """
FROM
(
    SELECT
        organization, scope, window, as_of, ends, spent_nanousd, total_nanousd, low_nanousd, high_nanousd, models,
        risk_budgets, risk_limits, risk_chances, risk_days
    FROM forecasts FINAL
    WHERE @chosen(organization)
      AND as_of >= toDate($__toTime, 'UTC') - 7
      AND made_at <= ($__toTime)
    ORDER BY as_of DESC, begins DESC
    LIMIT 1 BY organization, scope, substringIndex(window, ':', 1)
)
"""
"""Of each scope and kind of window. Forecasts are made daily: what had none for a week is not spent on any more."""
