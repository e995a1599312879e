"""Quarterly planning: how spending went by month, what the next quarter will cost, and which budgets that asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from services.core.governance.shares import apportion, share_bp
from services.core.governance.trend import MonthSpend, Projection, project_trend
from services.core.governance.words import dollars, growth, percent
from services.core.money import NANOS_PER_USD
from services.core.policy import CompiledPolicy
from services.core.scope import parse_scope, scope_key
from services.core.window import WindowKind

KEEP_BP: Final = 1_000
"""A limit within a tenth of the proposal is kept: nobody wants to decide about that."""

WORTH_BP: Final = 500
"""A scope without a budget gets a proposal from a twentieth of all spending on."""

LEAST_NANOUSD: Final = 10 * NANOS_PER_USD
Verdict = Literal["raise", "lower", "keep", "new"]
PLANNED: Final = (WindowKind.MONTH, WindowKind.QUARTER)


@dataclass(frozen=True, slots=True)
class Horizon:
    """The quarter that is planned, and the lengths of its months."""

    quarter: str
    month_days: tuple[int, ...]

    @property
    def days(self) -> int:
        """Its length."""
        return sum(self.month_days)


@dataclass(frozen=True, slots=True)
class ScopePlan:
    """One scope: its months, oldest first, and what the next quarter is expected to cost."""

    scope: str
    months: tuple[MonthSpend, ...]
    projection: Projection


@dataclass(frozen=True, slots=True)
class Proposal:
    """A budget for the next quarter: `limit_nanousd` is today's, None where there is none."""

    budget: str
    scope: str
    window: str
    limit_nanousd: int | None
    proposed_nanousd: int
    verdict: Verdict
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The planning report of a quarter. Projections of projects add up to the organization's."""

    organization: str
    period: str
    zone: str
    begin_ms: int
    end_ms: int
    horizon: Horizon
    total: ScopePlan
    scopes: tuple[ScopePlan, ...]
    proposals: tuple[Proposal, ...]
    unpriced: int = 0


def plan_scopes(
    series: Mapping[str, Sequence[MonthSpend]], horizon: Horizon, known: Mapping[str, Projection], organization: str
) -> tuple[ScopePlan, tuple[ScopePlan, ...]]:
    """The organization's plan, and those of its projects and teams, by scope.

    `known` are projections of the forecaster: they are taken before a plain trend. Children are scaled so that they add
    up to their parent, by largest remainder. The series of an organization are its own, its projects' (and
    `""` for what has none), and its teams'.
    """
    root = scope_key({"org": organization})
    plans = {
        scope: ScopePlan(scope, tuple(months), known.get(scope) or project_trend(months, horizon.month_days))
        for scope, months in series.items()
    }
    total = plans.pop(root, ScopePlan(root, (), Projection(0, 0, 0, "nothing was spent yet")))
    parents = sorted({_parent(scope, root) for scope in plans}, key=len)
    for parent in parents:
        above = total if parent == root else plans.get(parent)
        if above is not None:
            plans |= _reconciled([plans[s] for s in plans if _parent(s, root) == parent], above.projection)
    ranked = sorted(plans.values(), key=lambda plan: (-plan.projection.expected_nanousd, plan.scope))
    return total, tuple(ranked)


def _parent(scope: str, root: str) -> str:
    """What has no project, or no team in its project, is written with an empty last name."""
    above = scope.rpartition("/")[0]
    return above or root


def _reconciled(children: Sequence[ScopePlan], above: Projection) -> dict[str, ScopePlan]:
    parts = apportion(above.expected_nanousd, [child.projection.expected_nanousd for child in children])
    return {
        child.scope: replace(child, projection=_scaled(child.projection, part))
        for child, part in zip(children, parts, strict=True)
    }


def _scaled(projection: Projection, expected: int) -> Projection:
    if projection.expected_nanousd == 0:
        return replace(projection, expected_nanousd=expected, high_nanousd=max(projection.high_nanousd, expected))
    low = projection.low_nanousd * expected // projection.expected_nanousd
    high = -(-projection.high_nanousd * expected // projection.expected_nanousd)
    return replace(projection, expected_nanousd=expected, low_nanousd=low, high_nanousd=high)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A budget to propose, before its children are looked at."""

    name: str
    plan: ScopePlan
    window: WindowKind
    limit_nanousd: int | None


def propose(
    policy: CompiledPolicy, total: ScopePlan, scopes: Sequence[ScopePlan], horizon: Horizon, *, overcommit: bool
) -> tuple[Proposal, ...]:
    """A proposal for each budget by month or quarter on an organization, project or team, and for who lacks one.

    Unless a policy overcommits, a parent gets at least what its children get together: it would be refused otherwise.
    """
    plans = {plan.scope: plan for plan in (total, *scopes) if ":/" not in f"{plan.scope}/"}
    proposals: list[Proposal] = []
    for wanted in sorted(_wanted(policy, plans, total), key=lambda w: -w.plan.scope.count("/")):
        below = [p for p in proposals if p.window == wanted.window and _is_child(p.scope, wanted.plan.scope)]
        least = 0 if overcommit else sum(child.proposed_nanousd for child in below)
        proposals.append(_proposal(wanted, horizon, least))
    order = {scope: n for n, scope in enumerate(plans)}
    return tuple(sorted(proposals, key=lambda p: (order[p.scope], p.window, p.budget)))


def _is_child(scope: str, parent: str) -> bool:
    return scope.rpartition("/")[0] == parent


def _wanted(policy: CompiledPolicy, plans: Mapping[str, ScopePlan], total: ScopePlan) -> list[_Wanted]:
    """The policy's budgets that can be planned, and one a month for each scope that has none and spends enough."""
    found = []
    for budget in policy.budgets:
        scope = scope_key({"org": policy.organization, **dict(budget.pattern)})
        if budget.window in PLANNED and scope in plans:
            found.append(_Wanted(budget.name, plans[scope], budget.window, budget.limit_nanousd))
    budgeted = {wanted.plan.scope for wanted in found}
    for scope, plan in plans.items():
        worth = share_bp(plan.projection.expected_nanousd, total.projection.expected_nanousd) >= WORTH_BP
        if scope not in budgeted and worth:
            found.append(_Wanted(_name(scope), plan, WindowKind.MONTH, None))
    return found


def _name(scope: str) -> str:
    """What a new budget could be called: letters, digits and hyphens of the scope's own names."""
    names = list(parse_scope(scope).values())[1:] or ["organization"]
    return re.sub(r"[^A-Za-z0-9]+", "-", "-".join([*names, "month"])).strip("-")[:64]


def _proposal(wanted: _Wanted, horizon: Horizon, least: int) -> Proposal:
    """What is needed, rounded up, and not below `least`; the limit of today if that is near enough."""
    limit, need = wanted.limit_nanousd, _rounded(_need(wanted.plan, wanted.window, horizon))
    proposed = max(need, least)
    reasons = list(_reasons(wanted.plan, wanted.window, horizon))
    if limit is None:
        reasons.insert(0, "has no budget by month or quarter")
    if least > need:
        reasons.append(f"raised to {dollars(least)}, which the budgets below it add up to")
    verdict: Verdict = "new" if limit is None else "raise" if proposed > limit else "lower"
    if limit is not None and limit >= least and abs(proposed - limit) * 10_000 <= limit * KEEP_BP:
        proposed, verdict = limit, "keep"
        reasons.append(f"the limit of {dollars(limit)} is within {percent(KEEP_BP)} of that")
    return Proposal(wanted.name, wanted.plan.scope, str(wanted.window), limit, proposed, verdict, tuple(reasons))


def _need(plan: ScopePlan, window: WindowKind, horizon: Horizon) -> int:
    """The upper end of the interval; of a month, that of the quarter's longest at the quarter's daily average."""
    if window is WindowKind.QUARTER:
        return plan.projection.high_nanousd
    return -(-plan.projection.high_nanousd * max(horizon.month_days) // horizon.days)


def _rounded(nanousd: int) -> int:
    """Up to two significant figures of dollars, and never below ten dollars."""
    unit = NANOS_PER_USD
    while nanousd >= 100 * unit:
        unit *= 10
    return max(-(-nanousd // unit) * unit, LEAST_NANOUSD)


def _reasons(plan: ScopePlan, window: WindowKind, horizon: Horizon) -> tuple[str, ...]:
    whole = [month for month in plan.months if month.whole]
    said = []
    if whole:
        last = whole[-1]
        grown = f" ({growth(last.amount_nanousd, whole[-2].amount_nanousd)})" if len(whole) > 1 else ""
        said.append(f"{dollars(last.amount_nanousd)} in {last.month}{grown}")
    need = dollars(_need(plan, window, horizon))
    said.append(f"the upper end of the 80% interval is {need} a {window} ({plan.projection.method})")
    return tuple(said)
