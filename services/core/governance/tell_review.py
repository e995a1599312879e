"""The weekly review as a document."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from services.core.events import from_ms
from services.core.governance.document import (
    Bar,
    Chart,
    Document,
    Fact,
    Section,
    Table,
    Task,
    Text,
    Tone,
    cells,
    columns,
)
from services.core.governance.review import Breakdown, Review, Risk, Spend, change
from services.core.governance.shares import share_bp
from services.core.governance.tell_budgets import utilization
from services.core.governance.words import counted, dollars, growth, interval, named, percent, scope_words, signed

NOTHING = "Nothing was charged in this week."


def tell_review(review: Review) -> Document:
    """The review as people read it, the most urgent first."""
    zone = ZoneInfo(review.zone)
    first, last = from_ms(review.begin_ms).astimezone(zone), from_ms(review.end_ms - 1).astimezone(zone)
    so_far = ", so far (compared with as much of the week before)" if review.partial else ""
    return Document(
        title="Weekly review" + (f": {review.team}" if review.team else ""),
        organization=review.organization,
        subtitle=f"{review.period}, {first:%-d %B} to {last:%-d %B %Y}, {review.zone}{so_far}",
        facts=tuple(_facts(review)),
        sections=tuple(_sections(review, zone)),
        notes=tuple(_notes(review)),
    )


def _facts(review: Review) -> Iterator[Fact]:
    total = review.total
    yield Fact("Spent", dollars(total.now_nanousd, unpriced=total.unpriced), counted(total.requests, "request"))
    tone: Tone = "bad" if review.change_nanousd > 0 else "good" if review.change_nanousd < 0 else ""
    before = f"{signed(review.change_nanousd)} on {dollars(total.before_nanousd)}"
    yield Fact("Against the week before", growth(total.now_nanousd, total.before_nanousd), before, tone)
    sure = sum(risk.probability >= 1 for risk in review.risks)
    note = f"{sure} used up" if sure else "none used up"
    yield Fact("Budgets at risk", f"{len(review.risks)}", note, "bad" if sure else "warn" if review.risks else "good")
    denied = sum(refusal.denied for refusal in review.refusals)
    throttled = sum(refusal.throttled for refusal in review.refusals)
    yield Fact("Denied", f"{denied:,}", f"{throttled:,} throttled", "warn" if denied else "")


def _sections(review: Review, zone: ZoneInfo) -> Iterator[Section]:
    who = tuple(Task(a.what, a.why, ", ".join(a.who)) for a in review.actions)
    yield Section("What to do", tasks=who, empty="Nothing needs a decision this week.")
    yield Section("By day", chart=_days(review, zone), empty=NOTHING)
    yield _movers(review)
    for breakdown in review.breakdowns:
        if len(breakdown.lines) > 1 or any(line.name for line in breakdown.lines):
            yield _breakdown(review, breakdown)
    yield _risks(review)
    yield _oddities(review, zone)
    yield _refusals(review)
    yield _unowned(review)


def _days(review: Review, zone: ZoneInfo) -> Chart | None:
    if not review.days:
        return None
    now, before = [0] * 7, [0] * 7
    for day in review.days:
        weekday = from_ms(int(day.name)).astimezone(zone).weekday()
        now[weekday] += day.now_nanousd
        before[weekday] += day.before_nanousd
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    bars = tuple(
        Bar(name, now[n], before[n], f"{name}: {dollars(now[n])}, the week before {dollars(before[n])}")
        for n, name in enumerate(names)
    )
    return Chart("this week", "the week before", bars, "Spending by day of the week")


def _movers(review: Review) -> Section:
    rows = tuple(
        cells(spend.dimension, named(spend.name, spend.dimension), *_moved(spend), _of_change(spend, review))
        for spend in review.movers
    )
    table = Table(columns("by", "who or what", ">this week", ">before", ">change", ">of the change"), rows)
    went = f"Spending went from {dollars(review.total.before_nanousd)} to {dollars(review.total.now_nanousd)}."
    says = (went, "A call counts under each of its names, so lines of different kinds overlap.") if rows else (went,)
    return Section("What moved, and why", says, table, empty="Nothing moved enough to be named.")


def _moved(spend: Spend) -> tuple[str | Text, ...]:
    moved = change(spend)
    tone: Tone = "bad" if moved > 0 else "good" if moved < 0 else "muted"
    now = dollars(spend.now_nanousd, unpriced=spend.unpriced)
    return now, dollars(spend.before_nanousd), Text(signed(moved), tone)


def _of_change(spend: Spend, review: Review) -> str:
    """A part of the whole change; what moved against it has none."""
    whole, part = review.change_nanousd, change(spend)
    if not whole or (part > 0) != (whole > 0):
        return "against it"
    return percent(min(share_bp(abs(part), abs(whole)), 99_990))


def _breakdown(review: Review, breakdown: Breakdown) -> Section:
    total, name = review.total, breakdown.dimension
    rows = [
        cells(named(line.name, name), *_moved(line), _share(line.now_nanousd, total.now_nanousd), f"{line.requests:,}")
        for line in breakdown.lines
    ]
    if breakdown.others:
        now, before = breakdown.others_now_nanousd, breakdown.others_before_nanousd
        requests = total.requests - sum(line.requests for line in breakdown.lines)
        moved = (dollars(now), dollars(before), signed(now - before))
        rows.append(cells(counted(breakdown.others, "other"), *moved, _share(now, total.now_nanousd), f"{requests:,}"))
    table = Table(
        columns(name, ">this week", ">before", ">change", ">share", ">requests"),
        tuple(rows),
        cells("total", *_moved(total), "", f"{total.requests:,}"),
    )
    return Section(f"By {name}", table=table)


def _share(part: int, whole: int) -> Text:
    points = share_bp(max(part, 0), whole)
    return Text(percent(points), "", points)


def _risks(review: Review) -> Section:
    rows = tuple(cells(*_risk(risk)) for risk in review.risks)
    table = Table(columns("budget", "scope", ">spent", ">limit", ">used", "expected", "asked first"), rows)
    says = ("A budget is at risk from its soft tier on, or when a forecast gives it a fair chance to be exceeded.",)
    return Section("Budgets at risk", says, table, empty="No budget is near its limit, and none is expected to be.")


def _risk(risk: Risk) -> tuple[str | Text, ...]:
    use, outlook = risk.use, risk.outlook
    expected = "-"
    if outlook is not None:
        day = f" on {outlook.exhausted_on:%-d %b}" if outlook.exhausted_on else ""
        total = interval(outlook.low_nanousd, outlook.high_nanousd)
        expected = f"{percent(int(outlook.probability * 10_000))} to be exceeded{day}; total {total}"
    if use is None:
        scope = scope_words(outlook.scope) if outlook is not None else ""
        spent = "" if outlook is None else dollars(outlook.spent_nanousd)
        limit = "" if outlook is None else dollars(outlook.limit_nanousd)
        return risk.budget, scope, spent, limit, "", expected, "nobody known"
    spent = dollars(use.spent_nanousd, unpriced=use.unpriced)
    owners = ", ".join(use.owners) or "nobody"
    return use.budget, scope_words(use.scope), spent, dollars(use.limit_nanousd), utilization(use), expected, owners


def _oddities(review: Review, zone: ZoneInfo) -> Section:
    rows = tuple(
        cells(
            f"{from_ms(o.begins_ms).astimezone(zone):%a %-d %b %H:%M}",
            Text(f"{o.kind}, {o.severity}", "bad" if o.severity == "critical" else "warn"),
            scope_words(o.scope),
            dollars(o.observed_nanousd),
            dollars(o.expected_nanousd),
            "; ".join(o.contributors) or "-",
        )
        for o in review.oddities
    )
    table = Table(columns("began", "what", "scope", ">observed", ">expected", "most by"), rows)
    return Section("Anomalies", table=table, empty="None was found.")


def _refusals(review: Review) -> Section:
    rows = tuple(
        cells(
            r.budget or "(cap on a request)",
            scope_words(r.scope) if r.scope else "-",
            f"{r.denied:,}",
            f"{r.throttled:,}",
            f"{r.fallen_back:,}",
            r.reason,
        )
        for r in review.refusals
    )
    table = Table(columns("budget", "scope", ">denied", ">throttled", ">on another model", "mostly because"), rows)
    return Section("Requests that did not pass", table=table, empty="Every request passed as it was asked for.")


def _unowned(review: Review) -> Section:
    rows = tuple(
        cells(
            f"no {spend.dimension}",
            dollars(spend.now_nanousd, unpriced=spend.unpriced),
            _share(spend.now_nanousd, review.total.now_nanousd),
            f"{spend.requests:,}",
        )
        for spend in review.unowned
    )
    table = Table(columns("what is missing", ">spent", ">share", ">requests"), rows)
    return Section("Spending that nobody owns", table=table, empty="Every request names its project, team and user.")


def _notes(review: Review) -> Iterator[str]:
    total = review.total
    if total.unpriced > 0:
        yield f"{counted(total.unpriced, 'request')} unpriced: their cost is missing in every sum, marked by ≥."
    if total.unconfirmed_nanousd:
        amount = dollars(total.unconfirmed_nanousd)
        yield f"{amount} is unconfirmed: charged at its estimate, because no settlement has arrived yet."
