"""What a weekly review asks somebody to do, from the most to the least urgent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from services.core.governance.review import Action, Review, Risk, unowned_bp
from services.core.governance.words import counted, dollars, percent, short_scope

UNOWNED_MIN_BP = 100
"""Below a hundredth of the spending, a missing name is not worth anybody's time."""

LIKELY = 0.5


def with_actions(review: Review) -> Review:
    """The review with what follows from it."""
    found = [*_budgets(review), *_anomalies(review), *_denials(review), *_prices(review), *_owners(review)]
    return replace(review, actions=tuple(found))


def _budgets(review: Review) -> Iterator[Action]:
    for risk in review.risks:
        if risk.use is not None and risk.use.utilization_bp >= 10_000:
            what = f"Decide about {risk.budget}: raise it, or cut what it pays for"
            yield Action(what, _used_up(risk), risk.use.owners)
        elif risk.probability >= LIKELY:
            owners = risk.use.owners if risk.use is not None else ()
            yield Action(f"Slow down or raise {risk.budget} before it is exceeded", _expected(risk), owners)


def _used_up(risk: Risk) -> str:
    use = risk.use
    if use is None:
        return ""
    times = f", {use.windows_over} times" if use.windows_over > 1 else ""
    spent = dollars(use.spent_nanousd, unpriced=use.unpriced)
    return f"{spent} of {dollars(use.limit_nanousd)} ({percent(use.utilization_bp)}){times}, {short_scope(use.scope)}"


def _expected(risk: Risk) -> str:
    outlook = risk.outlook
    if outlook is None:
        return ""
    day = f", around {outlook.exhausted_on:%-d %B}" if outlook.exhausted_on else ""
    chance = percent(int(outlook.probability * 10_000))
    expected, limit = dollars(outlook.total_nanousd), dollars(outlook.limit_nanousd)
    return f"{chance} likely to be exceeded{day}: {expected} expected, the limit is {limit}"


def _anomalies(review: Review) -> Iterator[Action]:
    for oddity in review.oddities:
        if oddity.severity != "info":
            observed, expected = dollars(oddity.observed_nanousd), dollars(oddity.expected_nanousd)
            why = f"{observed} where {expected} was expected"
            moved = f"; most by {oddity.contributors[0]}" if oddity.contributors else ""
            yield Action(f"Explain the {oddity.kind} of {short_scope(oddity.scope)}", why + moved)


def _denials(review: Review) -> Iterator[Action]:
    owners = {use.budget: use.owners for use in review.uses}
    for refusal in review.refusals:
        if refusal.denied and refusal.budget:
            why = f"{counted(refusal.denied, 'request')} denied ({refusal.reason}), {short_scope(refusal.scope)}"
            what = f"Check whether {refusal.budget} was meant to stop this work"
            yield Action(what, why, owners.get(refusal.budget, ()))
            return  # one is enough to look at them all


def _prices(review: Review) -> Iterator[Action]:
    if review.total.unpriced > 0:
        why = f"{counted(review.total.unpriced, 'request')} have no price: the true spending is higher than said here"
        yield Action("Find the price of what is unpriced, and correct it", why)


def _owners(review: Review) -> Iterator[Action]:
    for spend in review.unowned:
        if (points := unowned_bp(spend, review.total)) >= UNOWNED_MIN_BP:
            requests = counted(spend.requests, "request")
            why = f"{dollars(spend.now_nanousd)}, {percent(points)} of the week, in {requests}"
            yield Action(f"Have gateways name the {spend.dimension} of each request", why)
    ownerless = sorted({use.budget for use in review.uses if not use.owners})
    if ownerless:
        shown = ", ".join(ownerless[:5]) + (f" and {len(ownerless) - 5} more" if len(ownerless) > 5 else "")
        yield Action("Name a contact for each budget in the policy", f"nobody answers for {shown}")
