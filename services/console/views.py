"""What is on each live page: which panels, and the figures in them. Pure functions of the board and the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Any, Final

from services.console import charts, figures
from services.console.board import Board
from services.console.books import Book, Limit, dimensions_of
from services.console.places import Crumb, crumbs, organization_of, scope_of_path
from services.console.pulse import HOUR_MS, organization_scope
from services.core.decision import Decision
from services.core.events import to_ms
from services.core.foresight_events import Anomaly, Forecast
from services.core.outcomes import Alert
from services.core.scope import Level, ScopeError, level_of
from services.core.window import Window, WindowKind

LISTED: Final = 8
"""Lines of a panel on a page that has others beside it."""
ALL: Final = 200
DECISIONS: Final = 100
LIMITS: Final = 14
ALIKE: Final = 3

_DAY: Final = timedelta(days=1)
_MAIN: Final = {
    Level.ORGANIZATION: ("fan", "children", "users", "models"),
    Level.PROJECT: ("fan", "children", "models"),
    Level.TEAM: ("fan", "models"),
    Level.USER: ("fan",),
}
_KINDS: Final = {Level.ORGANIZATION: "organization", Level.PROJECT: "project", Level.TEAM: "team", Level.USER: "user"}


@dataclass(frozen=True, slots=True)
class View:
    """A live page. Panels are names of templates, each shown and updated by itself; `figures` is what they show."""

    title: str
    main: tuple[str, ...]
    figures: dict[str, Any]
    side: tuple[str, ...] = ()
    top: tuple[str, ...] = ()
    crumbs: tuple[Crumb, ...] = ()
    kind: str = ""

    @property
    def panels(self) -> tuple[str, ...]:
        """All of them, in reading order."""
        return (*self.top, *self.main, *self.side)


def view_of(board: Board, path: str, organizations: Sequence[str], now_ms: int) -> View | None:
    """The live page at a path, of these organizations only; None when there is none."""
    simple = {"/": _overview, "/alerts": _alerts, "/anomalies": _anomalies, "/forecasts": _forecasts}
    simple["/decisions"] = _decisions
    if path in simple:
        return simple[path](board, organizations, now_ms)
    try:
        scope = scope_of_path(path)
    except ScopeError:
        return None
    if scope is None or organization_of(scope) not in organizations:
        return None
    return _scope(board, scope, now_ms) if _is_known(board, scope) else None


def daily_of(book: Book, scope: str, month: Window, now_ms: int) -> list[int]:
    """Nano-dollars of each day of a month so far, today included, in the organization's own days."""
    today = date.fromisoformat(book.window(WindowKind.DAY, now_ms).label.removeprefix("day:"))
    first = date.fromisoformat(f"{month.label.removeprefix('month:')}-01")
    amounts = book.amounts.get(scope, {})
    days = [first + n * _DAY for n in range((today - first).days + 1)]
    return [found.settled_nanousd if (found := amounts.get(f"day:{on.isoformat()}")) else 0 for on in days]


def _overview(board: Board, organizations: Sequence[str], now_ms: int) -> View:
    scopes = [organization_scope(name) for name in organizations]
    spends = [figures.spend_of(board, scope, now_ms) for scope in scopes]
    total = spends[0] if len(spends) == 1 else figures.total_of(spends)
    several = len(spends) > 1
    limits = _fullest_of_each(figures.limits_of(board, organizations, now_ms))
    return View(
        title="Overview",
        top=("kpis",),
        main=("spenders", "outlook", "refusals"),
        side=("limits", "models", "alerts", "anomalies"),
        figures={
            "several": several,
            "spend": total,
            "spark": charts.sparkline(total.minutes, width=240, height=36),
            "refused": _refused(board, organizations, now_ms),
            "tree": [
                (spend, figures.overview_rows(board, name, now_ms))
                for name, spend in zip(organizations, spends, strict=True)
            ],
            "limits": limits[:LIMITS],
            "limits_more": max(0, len(limits) - LIMITS),
            "models": figures.models_of(board, scopes, now_ms),
            "outlook": [found for scope in scopes if (found := outlook_of(board, scope, now_ms)) is not None],
            **_told(board, organizations, LISTED),
        },
    )


def _scope(board: Board, scope: str, now_ms: int) -> View:
    organization, level = organization_of(scope), level_of(scope)
    book, spend = board.book(organization), figures.spend_of(board, scope, now_ms)
    limits = figures.limits_within(book, scope, now_ms)
    if level is Level.ORGANIZATION:
        limits = _fullest_of_each(limits)
    steps = crumbs(scope)
    return View(
        title=steps[-1].name,
        kind=_KINDS[level],
        crumbs=tuple(steps),
        top=("kpis",),
        main=_MAIN[level],
        side=("limits", "alerts", "anomalies", "refusals"),
        figures={
            "several": False,
            "scope": scope,
            "zone": book.policy.zone,
            "level": level,
            "spend": spend,
            "spark": charts.sparkline(spend.minutes, width=240, height=36),
            "refused": _refused(board, [organization], now_ms, scope),
            "children": list(figures.children_of(board, scope, now_ms)),
            "children_are": "Projects" if level is Level.ORGANIZATION else "Teams",
            "users": figures.users_of(board, organization, now_ms) if level is Level.ORGANIZATION else None,
            "limits": limits[:LIMITS],
            "limits_more": max(0, len(limits) - LIMITS),
            "models": figures.models_of(board, [scope], now_ms),
            "outlook": outlook_of(board, scope, now_ms),
            **_told(board, [organization], LISTED, scope),
        },
    )


def _fullest_of_each(limits: Sequence[Limit]) -> list[Limit]:
    """Of a budget with a balance for each user, the three fullest stand for all; the order stays."""
    shown: Counter[tuple[str, str]] = Counter()
    kept = []
    for limit in limits:
        budget = organization_of(limit.scope), limit.budget.name
        shown[budget] += 1
        if shown[budget] <= ALIKE:
            kept.append(limit)
    return kept


@dataclass(frozen=True, slots=True)
class Outlook:
    """A scope's month so far, what is expected of it, and the chart of both."""

    scope: str
    window: Window
    begins: date
    daily_nanousd: list[int]
    forecast: Forecast | None
    limits: list[Limit]
    fan: charts.Fan

    @property
    def spent_nanousd(self) -> int:
        """All that was spent so far."""
        return sum(self.daily_nanousd)


def outlook_of(board: Board, scope: str, now_ms: int) -> Outlook | None:
    """The month of a scope; None for users without a forecast, whose days are not kept here."""
    book = board.book(organization_of(scope))
    month = book.window(WindowKind.MONTH, now_ms)
    forecast = board.feed.forecast(organization_of(scope), scope, month.label)
    if level_of(scope) is Level.USER and forecast is None:
        return None
    begins = date.fromisoformat(f"{month.label.removeprefix('month:')}-01")
    ends = (begins + timedelta(days=31)).replace(day=1)
    limits = [limit for limit in book.limits_on(scope, now_ms) if limit.window.kind is WindowKind.MONTH]
    daily = daily_of(book, scope, month, now_ms) if level_of(scope) is not Level.USER else []
    named = [(limit.budget.name, limit.limit_nanousd) for limit in limits]
    return Outlook(scope, month, begins, daily, forecast, limits, charts.fan_of(begins, ends, daily, forecast, named))


def _alerts(board: Board, organizations: Sequence[str], _now_ms: int) -> View:
    return View("Alerts", ("alerts",), {"whole": True, **_told(board, organizations, ALL)})


def _anomalies(board: Board, organizations: Sequence[str], _now_ms: int) -> View:
    return View("Anomalies", ("anomalies",), {"whole": True, **_told(board, organizations, ALL)})


def _decisions(board: Board, organizations: Sequence[str], _now_ms: int) -> View:
    found = [decision for name in organizations for decision in board.feed.decisions.of(name)]
    found.sort(key=lambda decision: decision.decided_at, reverse=True)
    return View("Decisions", ("decisions",), {"decisions": found[:DECISIONS], "several": len(organizations) > 1})


def _forecasts(board: Board, organizations: Sequence[str], now_ms: int) -> View:
    rows = [
        forecast
        for name in organizations
        for forecast in board.feed.forecasts(name, board.book(name).window(WindowKind.MONTH, now_ms).label)
    ]
    rows.sort(key=lambda forecast: (-forecast.total_nanousd, forecast.scope))
    outlooks = [outlook_of(board, organization_scope(name), now_ms) for name in organizations[:4]]
    top = max((row.high_nanousd for row in rows), default=1)
    told = {"forecasts": rows[:ALL], "forecasts_more": max(0, len(rows) - ALL), "top": max(1, top)}
    outlook = [found for found in outlooks if found is not None]
    return View("Forecasts", ("outlook", "forecasts"), {**told, "outlook": outlook, "several": len(organizations) > 1})


def _told(board: Board, organizations: Sequence[str], most: int, scope: str | None = None) -> dict[str, Any]:
    """What was said lately of these organizations, or of a part of one."""
    feed = board.feed
    alerts = [a for name in organizations for a in feed.alerts.of(name) if _concerns(a.scope, scope)]
    anomalies = [a for name in organizations for a in feed.anomalies.of(name) if _concerns(a.scope, scope)]
    refusals = [d for name in organizations for d in feed.notable.of(name) if scope is None or _asked_by(d, scope)]
    alerts.sort(key=_raised_at, reverse=True)
    anomalies.sort(key=_found_at, reverse=True)
    refusals.sort(key=_decided_at, reverse=True)
    answers = [feed.answers.get(alert.organization, alert.alert) for alert in alerts]
    return {
        "alerts": list(islice(zip(alerts, answers, strict=True), most)),
        "unanswered": answers.count(None),
        "alerts_more": max(0, len(alerts) - most),
        "anomalies": list(islice(anomalies, most)),
        "anomalies_more": max(0, len(anomalies) - most),
        "refusals": list(islice(refusals, most)),
        "refusals_more": max(0, len(refusals) - most),
        "zones": {name: board.book(name).policy.zone for name in organizations},
    }


def _refused(board: Board, organizations: Sequence[str], now_ms: int, scope: str | None = None) -> int:
    """How many requests of the last hour did not simply get their way; counted among those that are kept here."""
    return sum(
        to_ms(decision.decided_at) > now_ms - HOUR_MS and (scope is None or _asked_by(decision, scope))
        for name in organizations
        for decision in board.feed.notable.of(name)
    )


def _concerns(scope: str, of: str | None) -> bool:
    return of is None or figures.is_inside(scope, of)


def _asked_by(decision: Decision, scope: str) -> bool:
    asked = {"org": decision.organization, "project": decision.project, "team": decision.team, "user": decision.user}
    return all(asked.get(name) == value for name, value in dimensions_of(scope).items())


def _is_known(board: Board, scope: str) -> bool:
    book = board.books.by_organization.get(organization_of(scope))
    return book is not None and (level_of(scope) is Level.ORGANIZATION or scope in book.amounts)


def _raised_at(alert: Alert) -> int:
    return alert.raised_at_ms


def _found_at(anomaly: Anomaly) -> int:
    return anomaly.found_at_ms


def _decided_at(decision: Decision) -> int:
    return to_ms(decision.decided_at)
