"""From an organization, a period and the time to the three reports, as the core tells them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from schemas.policy import Policy
from services.console.reports.asking import Asking
from services.core.events import from_ms
from services.core.governance.accountability import Account, chargeback
from services.core.governance.actions import with_actions
from services.core.governance.cells import SUMMED, BudgetUse, Cell, Target, budget_uses, owners_of, target_of
from services.core.governance.planning import Horizon, Plan, plan_scopes, propose
from services.core.governance.review import Facts, Review, review
from services.core.governance.trend import MonthSpend, Projection
from services.core.policy import CompiledPolicy
from services.core.report_period import after, before, end_of, period_text, starts
from services.core.scope import parse_scope, scope_key
from services.core.window import Window, WindowKind, window_at

DAY_MS = 86_400_000
MONTHS = 9
"""How many months a plan looks back, the quarter's own included."""

OWNED = ("project", "team")
"""By what spending is planned and charged back."""

LENGTH = list(WindowKind)
"""Kinds of windows by length, the shortest first."""

LEAST_DAYS = 7
"""A running month says something about the next one once so many days of it are over."""


async def weekly(
    asking: Asking, policy: Policy, week: Window, now_ms: int, project: str = "", team: str = ""
) -> Review:
    """The review of a week: of the organization, or of one team of a project.

    A week that is not over is compared with as much of the week before. Raises TooMany.
    """
    zone, end_ms = ZoneInfo(policy.timezone), min(end_of(week), now_ms)
    last = before(week, zone)
    last_end_ms = end_of(last) if end_ms == end_of(week) else min(last.start_ms + end_ms - week.start_ms, week.start_ms)
    today = _day(end_ms - 1, zone)
    days = starts(WindowKind.DAY, last.start_ms, end_ms, zone)
    scope = scope_key({"org": policy.organization, "project": project, "team": team}) if team else ""
    uses = await _uses(asking, policy, week, end_ms)
    facts = Facts(
        organization=policy.organization,
        team=f"{project}/{team}" if team else "",
        period=period_text(week),
        zone=zone.key,
        begin_ms=week.start_ms,
        end_ms=end_of(week),
        partial=end_ms < end_of(week),
        spends=await asking.spends(week.start_ms, end_ms, (last.start_ms, last_end_ms), days, project, team),
        refusals=await asking.refusals(week.start_ms, end_ms, project, team),
        oddities=await asking.oddities(week.start_ms, end_ms, scope),
        outlooks=await asking.outlooks(today, today + timedelta(days=1), _day(end_ms, zone), scope),
        uses=[use for use in uses if not team or _concerns(use, project, team)],
    )
    return with_actions(review(facts))


async def account(asking: Asking, policy: Policy, month: Window, now_ms: int) -> Account:
    """The accountability of a month. Raises TooMany."""
    end_ms = min(end_of(month), now_ms)
    cells = await asking.cells([month.start_ms], end_ms, OWNED)
    direct: dict[tuple[str, str], int] = {}
    for cell in cells:
        direct[cell.project, cell.team] = direct.get((cell.project, cell.team), 0) + cell.cost_nanousd
    charged = chargeback(direct)
    return Account(
        organization=policy.organization,
        period=period_text(month),
        zone=policy.timezone,
        begin_ms=month.start_ms,
        end_ms=end_of(month),
        partial=end_ms < end_of(month),
        total_nanousd=sum(direct.values()),
        requests=sum(cell.requests for cell in cells),
        unpriced=sum(cell.unpriced for cell in cells),
        shared_nanousd=sum(line.project_nanousd + line.organization_nanousd for line in charged),
        charged=charged,
        uses=await _uses(asking, policy, month, end_ms),
        not_summed=tuple(budget.name for budget in policy.budgets if WindowKind(budget.window) not in SUMMED),
    )


async def quarterly(asking: Asking, policy: Policy, quarter: Window, now_ms: int) -> Plan:
    """The plan for the quarter after `quarter`. Raises TooMany."""
    zone, compiled = ZoneInfo(policy.timezone), CompiledPolicy.compile(policy, version=0)
    end_ms, following = min(end_of(quarter), now_ms), after(quarter, zone)
    months = starts(WindowKind.MONTH, quarter.start_ms, end_ms, zone)
    while len(months) < MONTHS:
        months.insert(0, before(window_at(WindowKind.MONTH, months[0], zone), zone).start_ms)
    cells = await asking.cells(months, end_ms, OWNED)
    horizon = Horizon(period_text(following), tuple(_lengths(following, zone)))
    known = await _known(asking, following, end_ms, zone)
    series = _series(policy.organization, cells, months, end_ms, zone)
    total, scopes = plan_scopes(series, horizon, known, policy.organization)
    return Plan(
        organization=policy.organization,
        period=period_text(quarter),
        zone=zone.key,
        begin_ms=quarter.start_ms,
        end_ms=end_of(quarter),
        horizon=horizon,
        total=total,
        scopes=scopes,
        proposals=propose(compiled, total, scopes, horizon, overcommit=policy.allocation.overcommit),
        unpriced=sum(cell.unpriced for cell in cells),
    )


async def _uses(asking: Asking, policy: Policy, period: Window, end_ms: int) -> tuple[BudgetUse, ...]:
    """Each budget in the windows that have a part in the period; of windows longer than it, in the last one."""
    zone, compiled = ZoneInfo(policy.timezone), CompiledPolicy.compile(policy, version=0)
    cells: dict[Target, list[Cell]] = {}
    for target in sorted({target_of(budget) for budget in compiled.budgets if budget.window in SUMMED}):
        kind, dimensions = target
        longer = LENGTH.index(kind) > LENGTH.index(period.kind)
        windows = starts(kind, end_ms - 1 if longer else period.start_ms, end_ms, zone)
        cells[target] = await asking.cells(windows, end_ms, dimensions)
    return budget_uses(compiled, cells, owners_of(policy))


def _concerns(use: BudgetUse, project: str, team: str) -> bool:
    """Whether a budget limits this team, and not only everybody together."""
    dimensions = parse_scope(use.scope)
    return dimensions.get("project") == project and dimensions.get("team", team) == team


def _series(
    organization: str, cells: Iterable[Cell], months: list[int], end_ms: int, zone: ZoneInfo
) -> dict[str, list[MonthSpend]]:
    """The months of the organization, its projects and their teams, from the first month with any spending on."""
    sums: dict[str, dict[int, int]] = {}
    for cell in cells:
        for scope in _scopes_of(organization, cell):
            found = sums.setdefault(scope, {})
            found[cell.window_ms] = found.get(cell.window_ms, 0) + cell.cost_nanousd
    first = min((month for found in sums.values() for month in found), default=end_ms)
    windows = [window_at(WindowKind.MONTH, month, zone) for month in months if month >= first]
    told = [w for w in windows if end_of(w) <= end_ms or end_ms - w.start_ms >= LEAST_DAYS * DAY_MS]
    return {scope: [_month(w, found.get(w.start_ms, 0), end_ms) for w in told] for scope, found in sums.items()}


def _scopes_of(organization: str, cell: Cell) -> tuple[str, str, str]:
    """The cell's scopes; what has no project or no team is a scope too, with an empty name, so that all add up."""
    root = scope_key({"org": organization})
    project = scope_key({"org": organization, "project": cell.project}) if cell.project else f"{root}/project:"
    team = scope_key({"team": cell.team}) if cell.team else "team:"
    return root, project, f"{project}/{team}"


def _month(window: Window, amount_nanousd: int, end_ms: int) -> MonthSpend:
    until_ms = min(end_of(window), end_ms)
    days = (until_ms - window.start_ms) / DAY_MS
    return MonthSpend(period_text(window), amount_nanousd, days, until_ms == end_of(window))


def _lengths(quarter: Window, zone: ZoneInfo) -> Iterable[int]:
    for start in starts(WindowKind.MONTH, quarter.start_ms, end_of(quarter), zone):
        month = window_at(WindowKind.MONTH, start, zone)
        yield (_day(end_of(month), zone) - _day(start, zone)).days


async def _known(asking: Asking, quarter: Window, end_ms: int, zone: ZoneInfo) -> dict[str, Projection]:
    """The forecaster's word on the quarter, of the scopes of which it has said something."""
    first, last = _day(quarter.start_ms, zone), _day(end_of(quarter), zone)
    outlooks = await asking.outlooks(first, last, _day(end_ms, zone), "")
    return {
        outlook.scope: Projection(outlook.total_nanousd, outlook.low_nanousd, outlook.high_nanousd, "forecaster")
        for outlook in outlooks
        if outlook.window == quarter.label and not outlook.budget
    }


def _day(at_ms: int, zone: ZoneInfo) -> date:
    return from_ms(at_ms).astimezone(zone).date()
