"""Fallback: which other models a policy offers for a request, and which of them it gets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from services.core.decide import Action, Reason, Ruling
from services.core.judge import Judgement, Outcome

STEPS_MAX: Final = 8
"""How many other models are looked at for one request."""
SUGGESTIONS_MAX: Final = 3
"""How many are looked at only to say what would fit."""

RuleOn = Callable[[str], Ruling]

_REACHED = {"soft": Outcome.SOFT, "throttle": Outcome.THROTTLE, "hard": Outcome.UNKNOWN}
_OF_THE_REQUEST = (Reason.INPUT_TOKENS_CAP, Reason.OUTPUT_TOKENS_CAP)


def fall_back(first: Ruling, rule_on: RuleOn, substitutes: Sequence[str] = ()) -> Ruling:
    """The ruling on the first model offered, step by step, that may be used; else the one on the model asked for.

    Offers are looked at from the tier on that a budget names, and before any denial. `rule_on(model)` decides the same
    request for another model. `substitutes` are further models that are looked at for a refused request, only to say
    whether it would fit there. A ruling that lacks something is given back as it is: decide again when that is claimed.
    """
    tried: dict[str, Ruling] = {}
    offered = deque(offers(first))
    while offered and len(tried) < STEPS_MAX:
        model = offered.popleft()
        if model == first.ask.model or model in tried:
            continue
        other = tried[model] = rule_on(model)
        if other.lacking:
            return other
        if is_usable(other):
            others = (first, *[ruling for ruling in tried.values() if ruling is not other])
            return replace(
                other, action=Action.FALLBACK, reason=Reason.FELL_BACK, requested=first.ask.model, tried=others
            )
        offered.extendleft(reversed(list(offers(other))))
    if first.action is not Action.ALLOW and first.reason not in _OF_THE_REQUEST:
        further = [model for model in substitutes if model != first.ask.model and model not in tried]
        tried |= {model: rule_on(model) for model in further[:SUGGESTIONS_MAX]}
    decided = tuple([ruling for ruling in tried.values() if not ruling.lacking])
    return replace(first, tried=decided) if decided else first


def offers(ruling: Ruling) -> Iterator[str]:
    """The models that budgets offer instead of the ruling's, the strictest budget's first."""
    if (ruling.judged is None and ruling.action is Action.ALLOW) or ruling.reason in _OF_THE_REQUEST:
        return
    model, denied = ruling.ask.model, ruling.action is Action.DENY
    for judgement in sorted(ruling.judgements, key=lambda judgement: -judgement.outcome):
        offer = judgement.link.budget.fallback.get(model)
        if offer is not None and judgement.link.blocks and (denied or _has_reached(judgement)):
            yield offer


def is_usable(ruling: Ruling) -> bool:
    """Whether a model may be offered: a price that nobody knows cannot be said to fit."""
    return ruling.action is Action.ALLOW and ruling.estimate.nanousd is not None


def _has_reached(judgement: Judgement) -> bool:
    """Whether the budget is in the tier from which it offers; who has grace keeps the model asked for."""
    outcome = judgement.outcome
    return outcome is not Outcome.GRACE and outcome >= _REACHED[judgement.link.budget.fallback_at]
