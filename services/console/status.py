"""Where a scope stands and where it is going, in every window of now: the answer of `/v1/status`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from msgspec import Struct

from services.console.books import Book, Limit
from services.console.feed import Feed
from services.core.events import from_ms
from services.core.forecast import FanPoint, Projection
from services.core.foresight_events import Forecast
from services.core.money import format_usd
from services.core.outlook import Counted, Outlook, outlook
from services.core.scope import level_of, parse_scope, scope_key
from services.core.window import Window, WindowKind


class ExpectedTotal(Struct, frozen=True, kw_only=True):
    """What a window will have cost. `basis`: a forecast with its 80% interval, or the pace so far, which has none."""

    basis: str
    total_usd: str
    low_usd: str | None
    high_usd: str | None
    as_of: date | None


class BudgetOutlook(Struct, frozen=True, kw_only=True):
    """One budget. What is remaining, used and to be spent a day leaves out what enforcers hold."""

    budget: str
    limit_usd: str
    remaining_usd: str
    utilization: float | None
    tier: str
    on_hard: str
    recommended_daily_usd: str | None
    exhausted_on: date | None
    probability: float | None


class WindowOutlook(Struct, frozen=True, kw_only=True):
    """One balance. `settled_usd` includes `unconfirmed_usd`; with `unpriced` requests the truth is higher."""

    window: str
    starts_at: datetime
    ends_at: datetime | None
    settled_usd: str
    reserved_usd: str
    unconfirmed_usd: str
    requests: int
    unpriced: int
    days_elapsed: float | None
    days_remaining: float | None
    daily_average_usd: str | None
    expected: ExpectedTotal | None
    budgets: list[BudgetOutlook]


class ScopeOutlook(Struct, frozen=True, kw_only=True):
    """A scope in the windows of now."""

    scope: str
    level: str
    organization: str
    timezone: str
    policy_version: int
    windows: list[WindowOutlook]
    as_of: datetime


_KINDS: Final = tuple(WindowKind)


def status_of(book: Book, feed: Feed, scope_text: str, now_ms: int) -> ScopeOutlook:
    """The status of a scope: each window in which it has a balance or a budget. Raises `ScopeError`."""
    dimensions = parse_scope(scope_text)
    scope = scope_key(dimensions)
    limits = list(book.limits_on(scope, now_ms))
    counted = book.amounts.get(scope, {})
    windows = [book.window(kind, now_ms) for kind in _KINDS]
    return ScopeOutlook(
        scope=scope,
        level=level_of(dimensions),
        organization=dimensions["org"],
        timezone=book.policy.zone.key,
        policy_version=book.policy.version,
        windows=[
            _window(book, feed, scope, window, [limit for limit in limits if limit.window == window], now_ms)
            for window in windows
            if window.label in counted or any(limit.window == window for limit in limits)
        ],
        as_of=from_ms(now_ms),
    )


def projection_of(forecast: Forecast) -> Projection:
    """A forecast as it was told, to ask it things; its distribution is known by its interval alone."""
    return Projection(
        scope=forecast.scope,
        begin=forecast.begins,
        end=forecast.ends,
        as_of=forecast.as_of,
        spent_nanousd=forecast.spent_nanousd,
        total_nanousd=forecast.total_nanousd,
        low_nanousd=forecast.low_nanousd,
        high_nanousd=forecast.high_nanousd,
        fan=tuple(FanPoint(p.day, p.low_nanousd, p.mid_nanousd, p.high_nanousd) for p in forecast.fan),
        models=tuple(forecast.models),
    )


def outlook_of(book: Book, feed: Feed, scope: str, window: Window, limit: Limit | None, now_ms: int) -> Outlook:
    """The outlook of one balance, under one of its limits or under none."""
    amount = book.amount(scope, window)
    forecast = feed.forecast(book.policy.organization, scope, window.label)
    return outlook(
        Counted(
            settled_nanousd=amount.settled_nanousd,
            reserved_nanousd=amount.reserved_nanousd,
            unconfirmed_nanousd=amount.unconfirmed_nanousd,
            unpriced=amount.unpriced,
            requests=amount.requests,
        ),
        window,
        book.policy.zone,
        now_ms,
        limit_nanousd=None if limit is None else limit.limit_nanousd,
        projection=None if forecast is None else projection_of(forecast),
        chance=None if forecast is None or limit is None else _told(forecast, limit),
    )


def _told(forecast: Forecast, limit: Limit) -> float | None:
    """The probability that was told of this very limit."""
    return next(
        (
            risk.probability
            for risk in forecast.risks
            if risk.budget == limit.budget.name and risk.limit_nanousd == limit.limit_nanousd
        ),
        None,
    )


def _window(book: Book, feed: Feed, scope: str, window: Window, limits: Sequence[Limit], now_ms: int) -> WindowOutlook:
    told = outlook_of(book, feed, scope, window, None, now_ms)
    counted = told.counted
    return WindowOutlook(
        window=window.label,
        starts_at=from_ms(window.start_ms),
        ends_at=None if window.end_ms is None else from_ms(window.end_ms),
        settled_usd=format_usd(counted.settled_nanousd),
        reserved_usd=format_usd(counted.reserved_nanousd),
        unconfirmed_usd=format_usd(counted.unconfirmed_nanousd),
        requests=counted.requests,
        unpriced=counted.unpriced,
        days_elapsed=told.days_elapsed,
        days_remaining=told.days_remaining,
        daily_average_usd=_usd(told.daily_average_nanousd),
        expected=_expected(told),
        budgets=[_budget(limit, outlook_of(book, feed, scope, window, limit, now_ms)) for limit in limits],
    )


def _budget(limit: Limit, told: Outlook) -> BudgetOutlook:
    assert told.limit_nanousd is not None
    assert told.remaining_nanousd is not None
    return BudgetOutlook(
        budget=limit.budget.name,
        limit_usd=format_usd(told.limit_nanousd),
        remaining_usd=format_usd(told.remaining_nanousd),
        utilization=told.utilization,
        tier=limit.tier,
        on_hard=limit.budget.on_hard,
        recommended_daily_usd=_usd(told.recommended_daily_nanousd),
        exhausted_on=told.exhausted_on,
        probability=told.probability,
    )


def _expected(told: Outlook) -> ExpectedTotal | None:
    if told.expected is None:
        return None
    return ExpectedTotal(
        basis=told.expected.basis,
        total_usd=format_usd(told.expected.total_nanousd),
        low_usd=_usd(told.expected.low_nanousd),
        high_usd=_usd(told.expected.high_nanousd),
        as_of=told.expected.as_of,
    )


def _usd(nanousd: int | None) -> str | None:
    return None if nanousd is None else format_usd(nanousd)
