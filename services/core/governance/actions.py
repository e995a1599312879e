"""What a weekly review asks somebody to do, from the most to the least urgent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from services.core.governance.review import Action, Review, Risk, Spend, unowned_bp
from services.core.governance.words import counted, dollars, percent, scope_words

UNOWNED_MIN_BP = 100
"""Below a hundredth of the spending, a missing name is not worth anybody's time."""

LIKELY = 0.5
NAMED_MAX = 5


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
    return f"{spent} of {dollars(use.limit_nanousd)} ({percent(use.utilization_bp)}){times}, {scope_words(use.scope)}"


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
            yield Action(f"Explain the {oddity.kind} of {scope_words(oddity.scope)}", why + moved)


def _denials(review: Review) -> Iterator[Action]:
    owners = {use.budget: use.owners for use in review.uses}
    for refusal in review.refusals:
        if refusal.denied and refusal.budget:
            why = f"{counted(refusal.denied, 'request')} denied ({refusal.reason}), {scope_words(refusal.scope)}"
            what = f"Check whether {refusal.budget} was meant to stop this work"
            yield Action(what, why, owners.get(refusal.budget, ()))
            return  # one is enough to look at them all


def _prices(review: Review) -> Iterator[Action]:
    if review.total.unpriced > 0:
        why = f"{counted(review.total.unpriced, 'request')} have no price: the true spending is higher than said here"
        yield Action("Find the price of what is unpriced, and correct it", why)


def _owners(review: Review) -> Iterator[Action]:
    worth = [spend for spend in review.unowned if unowned_bp(spend, review.total) >= UNOWNED_MIN_BP]
    if worth:
        names = " and ".join(spend.dimension for spend in worth)
        parts = ", ".join(_missing(review, spend) for spend in worth)
        yield Action(f"Have gateways name the {names} of each request", parts)
    ownerless = sorted({use.budget for use in review.uses if not use.owners})
    if ownerless:
        more = f" and {len(ownerless) - NAMED_MAX} more" if len(ownerless) > NAMED_MAX else ""
        yield Action("Name a contact in the policy", f"nobody answers for {', '.join(ownerless[:NAMED_MAX])}{more}")


def _missing(review: Review, spend: Spend) -> str:
    return f"{dollars(spend.now_nanousd)} ({percent(unowned_bp(spend, review.total))}) has no {spend.dimension}"
