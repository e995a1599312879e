"""The words of a decision: why it was decided so, and what each budget has to say about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from services.core.decide import Action, Reason, Ruling
from services.core.events import iso
from services.core.judge import Judgement, Outcome
from services.core.money import format_usd


def message(ruling: Ruling) -> str:
    """Why, in one sentence; empty for a request that is simply within its budgets."""
    words = _MESSAGES.get(ruling.reason)
    return "" if words is None else words(ruling)


def warnings(ruling: Ruling) -> Iterator[str]:
    """What the caller should know though nobody asked."""
    if ruling.estimate.nanousd is None:
        yield f"{ruling.ask.model} has no known price: nothing is reserved, and it is counted as unpriced"
    for judgement in ruling.judgements:
        if judgement.outcome is not Outcome.NORMAL:
            yield _use(judgement) + _moved(judgement, ruling) + _besides(judgement, ruling)


def grace_until(judgement: Judgement) -> str:
    """When a budget's grace ends, or that it has not begun."""
    grace, from_ms = judgement.link.budget.grace, judgement.link.standing.grace_from_ms
    assert grace is not None, "only a budget that has grace is asked for it"
    return f"until {iso(from_ms + grace.duration_ms)}" if from_ms else f"for {grace.duration_ms // 1000} s from now"


def _use(judgement: Judgement) -> str:
    after, limit = format_usd(judgement.after_nanousd), format_usd(judgement.limits.limit_nanousd)
    return f"{judgement.link.budget.name}: {after} of {limit} USD in {judgement.link.window.label} with this request"


def _moved(judgement: Judgement, ruling: Ruling) -> str:
    """What of the limit is not in the policy: other budgets, or the window before, gave it or got it."""
    moved = judgement.link.budget.moved_at(ruling.moment.now_ms)
    if not moved:
        return ""
    return f" ({format_usd(abs(moved))} USD {'were moved to it' if moved > 0 else 'of its limit were moved away'})"


def _besides(judgement: Judgement, ruling: Ruling) -> str:
    match judgement.outcome:
        case Outcome.MONITORED:
            return "; it only monitors, or it would have denied this request"
        case Outcome.GRACE:
            return f"; priority {ruling.ask.priority} has grace {grace_until(judgement)}"
        case Outcome.ASSUMED:
            return "; nobody here knows whether it has room, and it allows that"
    return ""


def _input_cap(ruling: Ruling) -> str:
    ask = ruling.ask
    how = "" if ask.estimated_from == "tokens" else f" (estimated from its {ask.estimated_from})"
    return f"{ask.input_tokens} input tokens{how}, a request may have {ruling.caps.max_input_tokens}"


def _output_cap(ruling: Ruling) -> str:
    return f"{ruling.estimate.max_output_tokens} output tokens, a request may have {ruling.caps.max_output_tokens}"


def _cost_cap(ruling: Ruling) -> str:
    cap = format_usd(ruling.caps.max_cost_nanousd or 0)
    return f"the request may cost {format_usd(ruling.estimate.at_least_nanousd)} USD, one may cost {cap} USD"


def _unpriced(ruling: Ruling) -> str:
    return f"{ruling.ask.model} has no known price, and a budget denies what it cannot price"


def _exceeded(ruling: Ruling) -> str:
    judgement, amount = _binding(ruling), ruling.estimate.at_least_nanousd
    name, label, cost = judgement.link.budget.name, judgement.link.window.label, format_usd(amount)
    if judgement.outcome is Outcome.BLOCKED and judgement.room_nanousd >= 0:
        return f"what {name} has left in {label} is set aside for other requests, this one may cost {cost} USD"
    room = format_usd(max(0, judgement.room_nanousd + amount))
    moved = _moved(judgement, ruling)
    return f"{name} has {room} USD left in {label}{moved}, the request may cost {cost} USD"


def _paced(ruling: Ruling) -> str:
    judgement = _binding(ruling)
    name, label = judgement.link.budget.name, judgement.link.window.label
    return f"{name} paces what it has left, so that it lasts through {label}: come again in {ruling.retry_after_ms} ms"


def _unknown(ruling: Ruling) -> str:
    why = "has not answered in time" if ruling.moment.fresh else "has not been heard of for too long"
    return f"nobody here knows whether {_binding(ruling).link.budget.name} has room: the ledger {why}"


def _grace(ruling: Ruling) -> str:
    judgement = _binding(ruling)
    return f"{judgement.link.budget.name} is spent; priority {ruling.ask.priority} has grace {grace_until(judgement)}"


def _fell_back(ruling: Ruling) -> str:
    first = ruling.tried[0]
    if first.action is Action.ALLOW:
        why = f"{first.ask.model} is not used while {_binding(first).link.budget.name} is in its {first.tier} tier"
    else:
        why = f"{first.ask.model}: {message(first)}"
    return f"{why}; {ruling.ask.model} fits"


def _no_budget(ruling: Ruling) -> str:
    return f"no budget of {ruling.ask.organization} matches this request, so nothing limits it"


def _binding(ruling: Ruling) -> Judgement:
    assert ruling.binding is not None, "a budget decided, so one binds"
    return ruling.binding


_MESSAGES: Mapping[Reason, Callable[[Ruling], str]] = {
    Reason.INPUT_TOKENS_CAP: _input_cap,
    Reason.OUTPUT_TOKENS_CAP: _output_cap,
    Reason.COST_CAP: _cost_cap,
    Reason.UNPRICED_MODEL: _unpriced,
    Reason.BUDGET_EXCEEDED: _exceeded,
    Reason.STATE_UNKNOWN: _unknown,
    Reason.PACED: _paced,
    Reason.FELL_BACK: _fell_back,
    Reason.STATE_UNKNOWN_ALLOWED: _unknown,
    Reason.MONITORED: _exceeded,
    Reason.GRACE: _grace,
    Reason.NO_BUDGET: _no_budget,
}
