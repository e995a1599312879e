"""The quarterly plan as a document: trend, forecast, proposed budgets with their reasons."""

from __future__ import annotations

from collections.abc import Iterator

from services.core.governance.document import Bar, Chart, Document, Fact, Section, Table, Text, Tone, cells, columns
from services.core.governance.planning import Plan, Proposal, ScopePlan
from services.core.governance.words import counted, dollars, growth, interval, rough, scope_words

SCOPES_MAX = 20
_TONES: dict[str, Tone] = {"raise": "bad", "lower": "good", "keep": "muted", "new": "warn"}


def tell_plan(plan: Plan) -> Document:
    """The plan as people read it."""
    return Document(
        title=f"Planning {plan.horizon.quarter}",
        organization=plan.organization,
        subtitle=f"Looking back from {plan.period}, {plan.zone}",
        facts=tuple(_facts(plan)),
        sections=(_months(plan), _scopes(plan), _proposals(plan)),
        notes=tuple(_notes(plan)),
    )


def _facts(plan: Plan) -> Iterator[Fact]:
    projection, months = plan.total.projection, plan.total.months
    expected = rough(projection.expected_nanousd)
    yield Fact(f"Expected in {plan.horizon.quarter}", expected, projection.method)
    said = interval(projection.low_nanousd, projection.high_nanousd)
    yield Fact("80% interval", said, "four of five times it ends in here")
    whole = [month for month in months if month.whole]
    if whole:
        grown = growth(whole[-1].amount_nanousd, whole[-2].amount_nanousd) if len(whole) > 1 else ""
        yield Fact(
            f"Spent in {whole[-1].month}", dollars(whole[-1].amount_nanousd), grown and f"{grown} on the month before"
        )
    decisions = sum(proposal.verdict != "keep" for proposal in plan.proposals)
    yield Fact("Budgets to decide", f"{decisions}", f"of {len(plan.proposals)}", "warn" if decisions else "good")


def _months(plan: Plan) -> Section:
    bars = tuple(
        Bar(m.month, m.amount_nanousd, None, f"{m.month}: {dollars(m.amount_nanousd)}{'' if m.whole else ', so far'}")
        for m in plan.total.months
    )
    chart = Chart("spent", "", bars, "Spending by month") if bars else None
    running = [m for m in plan.total.months if not m.whole]
    says = (
        (f"{running[0].month} is not over: its {running[0].days:.0f} days so far count by their average.",)
        if running
        else ()
    )
    return Section("By month", says, chart=chart, empty="Nothing was charged in the months before.")


def _scopes(plan: Plan) -> Section:
    rows = tuple(cells(*_scope(each)) for each in plan.scopes[:SCOPES_MAX])
    table = Table(columns("scope", ">last whole month", ">change", ">expected", ">80% interval", "how"), rows)
    says = ("Projects add up to the organization, and teams to their project.",)
    return Section(f"Forecast of {plan.horizon.quarter}", says, table, empty="There is nothing to forecast from.")


def _scope(each: ScopePlan) -> tuple[str | Text, ...]:
    whole = [month.amount_nanousd for month in each.months if month.whole]
    last = dollars(whole[-1]) if whole else "-"
    grown = growth(whole[-1], whole[-2]) if len(whole) > 1 else "-"
    projection = each.projection
    said = interval(projection.low_nanousd, projection.high_nanousd)
    return scope_words(each.scope), last, grown, rough(projection.expected_nanousd), said, projection.method


def _proposals(plan: Plan) -> Section:
    rows = tuple(cells(*_proposal(each)) for each in plan.proposals)
    table = Table(columns("budget", "scope", "window", ">limit now", ">proposed", "verdict", "because"), rows)
    says = ("Proposals cover the upper end of the interval, rounded up to two figures. Nothing is changed by itself.",)
    return Section("Proposed budgets", says, table, empty="No scope has spent enough to propose a budget for.")


def _proposal(each: Proposal) -> tuple[str | Text, ...]:
    now = "-" if each.limit_nanousd is None else dollars(each.limit_nanousd)
    verdict = Text(each.verdict, _TONES[each.verdict])
    because = "; ".join(each.reasons)
    return each.budget, scope_words(each.scope), each.window, now, dollars(each.proposed_nanousd), verdict, because


def _notes(plan: Plan) -> Iterator[str]:
    if len(plan.scopes) > SCOPES_MAX:
        yield f"{counted(len(plan.scopes) - SCOPES_MAX, 'smaller scope')} are not shown; the JSON form has all."
    if plan.unpriced > 0:
        yield f"{counted(plan.unpriced, 'request')} unpriced: their cost is missing in every sum."
    yield "A plain trend is no forecast of the forecaster's: it knows months only, and says so where it was used."
