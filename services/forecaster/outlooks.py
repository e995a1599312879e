"""An organization's forecasts: from the daily spending of its scopes to what is told of them. Pure, and slow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from services.core.event_id import event_id
from services.core.forecast import DailySeries, Projection, Voice, first_day, project, reconcile
from services.core.foresight_events import BudgetRisk, FanPoint, Forecast
from services.core.policy import Budget, CompiledPolicy
from services.core.scope import Level, level_of
from services.forecaster.nowcast import with_today
from services.forecaster.plan import (
    Span,
    budgets_on,
    day_share,
    parents_of,
    scopes_above,
    scopes_of,
    spans,
    today_in,
)

VOICED: Final = (Level.ORGANIZATION, Level.PROJECT)
"""The levels with few scopes and much money: they are worth a slow model."""
RISKS_MAX: Final = 256


def forecasts(
    policy: CompiledPolicy,
    series: Mapping[str, DailySeries],
    now_ms: int,
    *,
    voices: Sequence[Voice] = (),
    voice_days: int = 0,
) -> list[Forecast]:
    """The forecasts of every scope that has spent anything, children adding up to their parents.

    `voices` are heard of organizations and projects that have been spending for `voice_days`. Who began today stands
    beside the adding up: whether that money is more or has only moved, nobody knows before tomorrow.
    """
    today = today_in(policy.zone, now_ms)
    old = {scope: found for scope, found in series.items() if _age(found, (today - found.first_day).days)}
    new = {scope: each for scope, each in series.items() if scope not in old and _spent_on(each, today) > 0}
    made: list[Forecast] = []
    for span in spans(policy, now_ms):
        chosen = [old[scope] for scope in scopes_of(policy, span.window.kind, old)]
        projections = [
            with_today(each, _spent_on(series[each.scope], today))
            for each in _projected(chosen, span, policy, now_ms, voices, voice_days)
        ]
        agreed = reconcile(projections, parents_of(each.scope for each in projections))
        begun = [new[scope] for scope in scopes_of(policy, span.window.kind, new)]
        first = _first_days(begun, agreed, span, today, day_share(policy.zone, now_ms))
        made += [_event(each, span, policy, now_ms) for each in (*agreed, *first)]
    return made


def limit_of(budget: Budget, now_ms: int) -> int:
    """What a window may cost in all, in nano-dollars: the boosts and moves in force, and no schedule of hours."""
    return max(0, budget.limit_nanousd + budget.boosted_at(now_ms) + budget.moved_at(now_ms))


def _projected(
    series: Sequence[DailySeries],
    span: Span,
    policy: CompiledPolicy,
    now_ms: int,
    voices: Sequence[Voice],
    voice_days: int,
) -> Iterable[Projection]:
    today = today_in(policy.zone, now_ms)
    loud = [
        each
        for each in series
        if voices and level_of(each.scope) in VOICED and _age(each, (today - each.first_day).days) >= voice_days
    ]
    voiced = {each.scope for each in loud}
    rest = [each for each in series if each.scope not in voiced]
    yield from project(loud, begin=span.begin, end=span.end, as_of=today, voices=voices)
    yield from project(rest, begin=span.begin, end=span.end, as_of=today)


def _first_days(
    begun: Sequence[DailySeries], agreed: Iterable[Projection], span: Span, today: date, share: float
) -> Iterator[Projection]:
    """Forecasts of the scopes that began today, in the shape of the nearest scope above that has a past."""
    known = {each.scope: each for each in agreed}
    for each in begun:
        above = next((known[scope] for scope in scopes_above(each.scope) if scope in known), None)
        yield first_day(each, begin=span.begin, end=span.end, as_of=today, day_share=share, parent=above)


def _spent_on(series: DailySeries, day: date) -> int:
    return series.between(day, day + timedelta(1))[0]


def _age(series: DailySeries, before: int) -> int:
    """How many days before that one it first spent anything; 0 if it never did."""
    spent = series.amounts_nanousd[:before] > 0
    return before - int(spent.argmax()) if spent.any() else 0


def _event(projection: Projection, span: Span, policy: CompiledPolicy, now_ms: int) -> Forecast:
    label = span.window.label
    return Forecast(
        forecast=event_id(f"{projection.scope}@{label}", after=f"/{projection.as_of.isoformat()}"),
        organization=policy.organization,
        scope=projection.scope,
        window=label,
        as_of=projection.as_of,
        begins=projection.begin,
        ends=projection.end,
        spent_nanousd=projection.spent_nanousd,
        total_nanousd=projection.total_nanousd,
        low_nanousd=projection.low_nanousd,
        high_nanousd=projection.high_nanousd,
        fan=[FanPoint(day=p.day, low_nanousd=p[1], mid_nanousd=p[2], high_nanousd=p[3]) for p in projection.fan],
        risks=_risks(projection, budgets_on(policy, span.window.kind, projection.scope), now_ms),
        models=list(projection.models),
        made_at_ms=now_ms,
    )


def _risks(projection: Projection, budgets: Iterable[Budget], now_ms: int) -> list[BudgetRisk]:
    return [
        BudgetRisk(
            budget=budget.name,
            limit_nanousd=(limit := limit_of(budget, now_ms)),
            probability=round(projection.probability_above(limit), 4),
            exhausted_on=projection.reaches(limit),
        )
        for budget in list(budgets)[:RISKS_MAX]
    ]
