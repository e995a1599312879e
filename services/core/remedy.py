"""What would make a refused request fit: worked out from the numbers of its ruling, never canned."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from services.core.decide import Reason, Ruling
from services.core.events import iso
from services.core.fallback import is_usable
from services.core.judge import Judgement, Outcome, judge
from services.core.money import format_usd
from services.core.pricing import PriceBook
from services.core.wording import grace_until

Fits = Callable[[int], bool]


def remedies(ruling: Ruling, prices: PriceBook) -> list[str]:
    """What the caller can do about a refusal, the cheapest first; empty when nothing but another policy helps."""
    retry_after_ms = ruling.retry_after_ms
    return [
        *([] if retry_after_ms is None else [f"retry in {retry_after_ms} ms"]),
        *_fewer_tokens(ruling, prices),
        *(f"fits on {other.ask.model}" for other in ruling.tried if is_usable(other)),
        *_waiting(ruling),
    ]


def largest(fits: Fits, most: int) -> int | None:
    """The largest number from 1 to `most` that fits, given that smaller ones fit better; None if not even 1 does."""
    if most < 1 or not fits(1):
        return None
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _fewer_tokens(ruling: Ruling, prices: PriceBook) -> Iterator[str]:
    if ruling.reason is Reason.UNPRICED_MODEL:
        return
    ask, caps, asked_output = ruling.ask, ruling.caps, ruling.estimate.max_output_tokens
    refusing = [found for found in ruling.judgements if found.outcome >= Outcome.ASSUMED]

    def fits(input_tokens: int, output_tokens: int) -> bool:
        bound = prices.upper_bound(
            ask.provider, ask.model, ruling.decided_at_ms, input_tokens=input_tokens, max_output_tokens=output_tokens
        )
        if bound is not None and caps.max_cost_nanousd is not None and bound > caps.max_cost_nanousd:
            return False
        amount = 1 if bound is None else bound
        return all(_has_room(judge(by.link, amount, ask.priority, ruling.moment), amount) for by in refusing)

    input_cap = _capped(ask.input_tokens, caps.max_input_tokens)
    output_cap = _capped(asked_output, caps.max_output_tokens)
    if input_cap == ask.input_tokens:
        output = largest(lambda tokens: fits(ask.input_tokens, tokens), output_cap)
        if output is not None and output < asked_output:
            yield f"fits if max_output_tokens ≤ {output}"
    if output_cap == asked_output:
        shorter = largest(lambda tokens: fits(tokens, asked_output), input_cap)
        if shorter is not None and shorter < ask.input_tokens:
            yield f"fits if input_tokens ≤ {shorter}"
            if ask.estimated_from != "tokens":
                yield f"may fit as it is: {ask.input_tokens} is a bound from its {ask.estimated_from}, send a count"


def _has_room(judgement: Judgement, amount: int) -> bool:
    """Whether the budget would say yes, once what nobody has yet is claimed."""
    if judgement.outcome < Outcome.ASSUMED:
        return True
    if judgement.outcome not in (Outcome.UNKNOWN, Outcome.ASSUMED) or judgement.wants_grace:
        return False
    standing = judgement.link.standing
    unclaimed = judgement.limits.hard_nanousd - standing.settled_nanousd - standing.outstanding_nanousd
    return standing.share_nanousd + max(0, unclaimed) >= amount


def _capped(tokens: int, cap: int | None) -> int:
    return tokens if cap is None else min(tokens, cap)


def _waiting(ruling: Ruling) -> Iterator[str]:
    """What another priority or time alone would do; nothing when the request itself breaks a cap."""
    if ruling.reason is not Reason.BUDGET_EXCEEDED:
        return
    amount = ruling.estimate.at_least_nanousd
    blocking = [judgement for judgement in ruling.judgements if judgement.outcome is Outcome.BLOCKED]
    yield from _grace(ruling, blocking, amount)
    if all(judgement.room_nanousd + judgement.link.standing.held_nanousd >= 0 for judgement in blocking):
        yield _in_flight(min(blocking, key=lambda judgement: judgement.room_nanousd))
    small = [judgement for judgement in blocking if amount > judgement.limits.hard_nanousd]
    if small:
        yield from map(_too_small, small)
        return
    last = max(blocking, key=_ends_ms)
    if last.link.window.end_ms is not None:
        yield f"window resets at {iso(last.link.window.end_ms)} ({last.link.budget.name})"


def _grace(ruling: Ruling, blocking: list[Judgement], amount: int) -> Iterator[str]:
    """The priorities that every blocking budget would let go beyond its hard tier."""
    for priority in ("high", "critical"):
        found = [judge(by.link, amount, priority, ruling.moment) for by in blocking]
        if all(verdict.outcome < Outcome.BLOCKED for verdict in found):
            yield f"grace is open for priority {priority} {grace_until(found[0])} ({found[0].link.budget.name})"


def _in_flight(judgement: Judgement) -> str:
    name, held = judgement.link.budget.name, judgement.link.standing.held_nanousd
    whose = f"{name} holds {format_usd(held)} USD for them here" if held else f"they hold what {name} has left"
    return f"may fit once requests in flight are settled: {whose}"


def _too_small(judgement: Judgement) -> str:
    hard = format_usd(judgement.limits.hard_nanousd)
    return f"waiting will not help: {judgement.link.budget.name} never has room for more than {hard} USD"


def _ends_ms(judgement: Judgement) -> float:
    end_ms = judgement.link.window.end_ms
    return float("inf") if end_ms is None else end_ms
