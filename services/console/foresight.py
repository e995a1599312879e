"""Forecasts, alerts, notifications and the audit log as the API tells them: rows in dollars and ISO times. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.events import from_ms
from services.core.money import format_usd

Row = Mapping[str, Any]


def forecast_of(row: Row) -> dict[str, Any]:
    """One scope and window: the total with its 80% interval, the way there, and the budgets at risk."""
    fan = zip(row["fan_days"], row["fan_low"], row["fan_mid"], row["fan_high"], strict=True)
    risks = zip(row["risk_budgets"], row["risk_limits"], row["risk_chances"], row["risk_days"], strict=True)
    return {
        "forecast": row["forecast"],
        "scope": row["scope"],
        "window": row["window"],
        "as_of": row["as_of"],
        "begins": row["begins"],
        "ends": row["ends"],
        "spent_usd": format_usd(row["spent_nanousd"]),
        "total_usd": format_usd(row["total_nanousd"]),
        "low_usd": format_usd(row["low_nanousd"]),
        "high_usd": format_usd(row["high_nanousd"]),
        "fan": [
            {"day": day, "low_usd": format_usd(low), "mid_usd": format_usd(mid), "high_usd": format_usd(high)}
            for day, low, mid, high in fan
        ],
        "risks": [
            {"budget": budget, "limit_usd": format_usd(limit), "probability": chance, "exhausted_on": day}
            for budget, limit, chance, day in risks
        ],
        "models": row["models"],
        "made_at": from_ms(row["made_at_ms"]),
    }


def alert_of(row: Row) -> dict[str, Any]:
    """One alert, and who has answered it; the first answer holds."""
    projected = row["projected_nanousd"]
    answered = {"by": row["acknowledged_by"], "note": row["acknowledged_note"]}
    return {
        "alert": row["alert"],
        "kind": row["kind"],
        "budget": row["budget"],
        "scope": row["scope"],
        "window": row["window"],
        "threshold": row["threshold"],
        "severity": row["severity"],
        "settled_usd": format_usd(row["settled_nanousd"]),
        "limit_usd": format_usd(row["limit_nanousd"]),
        "probability": row["probability"],
        "projected_usd": None if projected is None else format_usd(projected),
        "expected_on": row["expected_on"],
        "raised_at": from_ms(row["raised_at_ms"]),
        "acknowledged": answered | {"at": from_ms(row["acknowledged_at_ms"])} if answered["by"] else None,
    }


def notification_of(row: Row) -> dict[str, Any]:
    """One alert told to one channel, or not."""
    return {
        "notification": row["notification"],
        "alert": row["alert"],
        "channel": row["channel"],
        "step": row["step"],
        "state": row["state"],
        "attempts": row["attempts"],
        "message": row["message"],
        "detail": row["detail"],
        "at": from_ms(row["at_ms"]),
    }


def anomaly_of(row: Row) -> dict[str, Any]:
    """One episode, and who made it so."""
    moved = zip(row["dimensions"], row["values"], row["values_observed"], row["values_expected"], strict=True)
    return {
        "anomaly": row["anomaly"],
        "scope": row["scope"],
        "kind": row["kind"],
        "severity": row["severity"],
        "begins": from_ms(row["begins_ms"]),
        "hour": from_ms(row["hour_ms"]),
        "observed_usd": format_usd(row["observed_nanousd"]),
        "expected_usd": format_usd(row["expected_nanousd"]),
        "score": row["score"],
        "contributors": [
            {
                "dimension": dimension,
                "value": value,
                "observed_usd": format_usd(observed),
                "expected_usd": format_usd(expected),
            }
            for dimension, value, observed, expected in moved
        ],
        "found_at": from_ms(row["found_at_ms"]),
    }


def audit_of(row: Row) -> dict[str, Any]:
    """One entry of the audit log: who did what, why, and what it was before and after."""
    return {
        "entry": row["entry"],
        "action": row["action"],
        "subject": row["subject"],
        "by": row["by"],
        "key_id": row["key_id"] or None,
        "reason": row["reason"],
        "before": _facts(row["before"]),
        "after": _facts(row["after"]),
        "budgets": row["budgets"],
        "at": from_ms(row["at_ms"]),
        "ledger": {"partition": row["ledger_partition"], "offset": row["ledger_offset"]},
    }


def _facts(text: str) -> dict[str, Any] | None:
    return msgspec.json.decode(text, type=dict[str, Any]) if text else None
