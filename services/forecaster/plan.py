"""What is to be forecast for an organization: which windows, and of which scopes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from services.core.policy import Budget, CompiledPolicy
from services.core.scope import Level, level_of, parse_scope, scope_key
from services.core.wallclock import midnight_s
from services.core.window import Window, WindowKind, window_at

FORECAST: Final = (WindowKind.MONTH, WindowKind.QUARTER, WindowKind.YEAR, WindowKind.WEEK)
"""Shorter windows are over before a forecast of them helps: of them, the pace says enough."""

_LEVELS: Final = ({"project"}, {"project", "team"}, {"user"})

dimensions_of = lru_cache(maxsize=65_536)(parse_scope)


@dataclass(frozen=True, slots=True)
class Span:
    """A window as days of the organization's calendar; `end` is the first day after it."""

    window: Window
    begin: date
    end: date


def today_in(zone: ZoneInfo, now_ms: int) -> date:
    """The day that it is in a time zone."""
    return datetime.fromtimestamp(now_ms // 1000, zone).date()


def day_share(zone: ZoneInfo, now_ms: int) -> float:
    """How much of the day that it is in a time zone has gone by, 0.0 to 1.0; some days have 23 hours."""
    today = today_in(zone, now_ms)
    begin_s, end_s = midnight_s(today, zone), midnight_s(today + timedelta(1), zone)
    return (now_ms / 1000 - begin_s) / (end_s - begin_s)


def spans(policy: CompiledPolicy, now_ms: int) -> list[Span]:
    """The windows of now that are forecast: the month always, the others where a budget has them."""
    budgeted = {WindowKind.MONTH, *(budget.window for budget in policy.budgets)}
    return [_span(window_at(kind, now_ms, policy.zone), policy.zone) for kind in FORECAST if kind in budgeted]


def first_day(policy: CompiledPolicy, now_ms: int, history_days: int) -> date:
    """The day from which on spending has to be known: for the models, and for the sum of the longest window."""
    begins = [span.begin for span in spans(policy, now_ms)]
    return min([*begins, today_in(policy.zone, now_ms) - timedelta(history_days)])


def odd_budgets(policy: CompiledPolicy) -> list[Budget]:
    """The budgets in forecast windows whose scopes are of no level, such as a model: their spending is asked for."""
    return [
        budget
        for budget in policy.budgets
        if budget.window in FORECAST and {name for name, _ in budget.pattern} not in (set(), *_LEVELS)
    ]


def scopes_of(policy: CompiledPolicy, kind: WindowKind, scopes: Iterable[str]) -> list[str]:
    """Those scopes that are forecast in a window: every level's in the month, else those with a budget there."""
    return [
        scope
        for scope in scopes
        if (kind is WindowKind.MONTH and level_of(scope) is not Level.BUDGET) or budgets_on(policy, kind, scope)
    ]


def budgets_on(policy: CompiledPolicy, kind: WindowKind, scope: str) -> list[Budget]:
    """The budgets of a window that limit exactly this scope."""
    return [budget for budget in policy.on(dimensions_of(scope)) if budget.window is kind]


def parents_of(scopes: Iterable[str]) -> dict[str, str]:
    """The scope that each is a part of: a team of its project, projects and users of their organization."""
    parents = {}
    for scope in scopes:
        dimensions = dimensions_of(scope)
        match level_of(scope):
            case Level.TEAM:
                parents[scope] = scope_key({name: dimensions[name] for name in ("org", "project")})
            case Level.PROJECT | Level.USER:
                parents[scope] = scope_key({"org": dimensions["org"]})
    return parents


def scopes_above(scope: str) -> list[str]:
    """The scopes that one is inside of, the nearest first, its organization last."""
    dimensions = dimensions_of(scope)
    levels = [names for names in (("org", "project"), ("org",)) if set(names) < dimensions.keys()]
    return [scope_key({name: dimensions[name] for name in names}) for names in levels]


def _span(window: Window, zone: ZoneInfo) -> Span:
    assert window.end_ms is not None, "what is forecast ends"
    return Span(window, today_in(zone, window.start_ms), today_in(zone, window.end_ms))
