"""From a ruling in numbers to a decision in words: every figure that it was decided from, and what would help."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from msgspec.structs import replace
from mypy_extensions import mypyc_attr

from services.core.decide import Action, Reason, Ruling
from services.core.decision import Attempt, BudgetLine, Decision, Hold, LedgerPosition
from services.core.events import from_ms, from_us
from services.core.judge import Judgement, Outcome
from services.core.money import format_usd
from services.core.pricing import PriceBook
from services.core.remedy import remedies
from services.core.standing import Limits, Link
from services.core.wording import message, warnings

# Limits, what the ledger has settled and the ends of windows are the same for request after request, many of which
# share a millisecond; and an estimate is told twice.
instant = lru_cache(maxsize=4096)(from_ms)

usd = lru_cache(maxsize=4096)(format_usd)

# Looked up once: each look-up of an enumeration's member takes as long as a comparison of amounts.
_NORMAL = Outcome.NORMAL
_WITHIN_BUDGET = Reason.WITHIN_BUDGET
_DENY, _THROTTLE = Action.DENY, Action.THROTTLE


@mypyc_attr(acyclic=True)
@dataclass(init=False, slots=True)
class Known:
    """What the decision knew besides the standings: with it, the decision can be derived again.

    `stale_ms`: how old what is known of the ledger can be; None when it was not heard of yet.
    """

    policy_version: Final[int]
    ledger: Final[LedgerPosition]
    prices: Final[PriceBook]
    stale_ms: Final[int | None]

    def __init__(
        self, policy_version: int, ledger: LedgerPosition, prices: PriceBook, stale_ms: int | None = None
    ) -> None:
        self.policy_version = policy_version
        self.ledger = ledger
        self.prices = prices
        self.stale_ms = stale_ms


def is_plain(ruling: Ruling) -> bool:
    """Whether nothing is to be said but yes: every budget has room, and none is beyond its normal tier."""
    if ruling.reason is not _WITHIN_BUDGET:
        return False
    return ruling.judged is None or (ruling.outcome is _NORMAL and ruling.estimate.nanousd is not None)


def explain(
    ruling: Ruling, decision_id: str, known: Known, hold: Hold | None = None, *, brief: bool = False
) -> Decision:
    """The decision that this ruling is, `hold` being what was reserved for it.

    `brief`, for a plain one: of the chain only the budget that binds.
    """
    if brief and ruling.judged is None and not ruling.tried:
        return _plainly(ruling, decision_id, known, hold)
    ask, estimate, moment = ruling.ask, ruling.estimate, ruling.moment
    action, reason = ruling.action, ruling.reason
    refused = action is _DENY or action is _THROTTLE
    return Decision(
        decision=decision_id,
        action=action,
        tier=ruling.tier,
        reason=reason,
        message="" if reason is _WITHIN_BUDGET else message(ruling),
        warnings=list(warnings(ruling)) if ruling.judged is not None else [],
        organization=ask.organization,
        project=ask.project,
        team=ask.team,
        user=ask.user,
        provider=ask.provider,
        model=ask.model,
        tags=ask.tags,
        requested_model=ruling.requested,
        priority=ask.priority,
        input_tokens=ask.input_tokens,
        estimated_from=ask.estimated_from,
        max_output_tokens=estimate.max_output_tokens,
        dry_run=ask.dry_run,
        estimate_usd=None if estimate.nanousd is None else usd(estimate.nanousd),
        reservation=hold,
        budgets=[_binding_line(ruling)] if brief else _lines(ruling),
        remedies=remedies(ruling, known.prices) if refused else [],
        retry_after_ms=ruling.retry_after_ms if refused else None,
        tried=[_attempt(other) for other in ruling.tried] if ruling.tried else [],
        policy_version=known.policy_version,
        price_version=known.prices.version,
        ledger=known.ledger,
        decided_at=instant(moment.now_ms),
        stale_ms=known.stale_ms,
        lease_over=not moment.fresh,
        final=moment.final,
        enforcers=moment.enforcers,
        detail="brief" if brief else "full",
    )


def _plainly(ruling: Ruling, decision_id: str, known: Known, hold: Hold | None) -> Decision:
    """The same as `explain` for what is asked most: brief, within budget, and nothing else was looked at."""
    ask, estimate, moment = ruling.ask, ruling.estimate, ruling.moment
    return Decision(
        decision=decision_id,
        action=ruling.action,
        tier="normal",
        reason=ruling.reason,
        warnings=[],
        organization=ask.organization,
        project=ask.project,
        team=ask.team,
        user=ask.user,
        provider=ask.provider,
        model=ask.model,
        tags=ask.tags,
        priority=ask.priority,
        input_tokens=ask.input_tokens,
        estimated_from=ask.estimated_from,
        max_output_tokens=estimate.max_output_tokens,
        dry_run=ask.dry_run,
        estimate_usd=None if estimate.nanousd is None else usd(estimate.nanousd),
        reservation=hold,
        budgets=[_binding_line(ruling)],
        remedies=[],
        policy_version=known.policy_version,
        price_version=known.prices.version,
        ledger=known.ledger,
        decided_at=instant(moment.now_ms),
        stale_ms=known.stale_ms,
        final=moment.final,
        enforcers=moment.enforcers,
        detail="brief",
    )


def utilization(amount_nanousd: int, limit_nanousd: int) -> float | None:
    """The share of a limit to four decimals; None when there is no limit to take a share of."""
    return amount_nanousd * 10_000 // limit_nanousd / 10_000 if limit_nanousd else None


def _attempt(ruling: Ruling) -> Attempt:
    ask, estimate = ruling.ask, ruling.estimate
    return Attempt(
        provider=ask.provider,
        model=ask.model,
        action=ruling.action,
        tier=ruling.tier,
        reason=ruling.reason,
        input_tokens=ask.input_tokens,
        max_output_tokens=estimate.max_output_tokens,
        estimate_usd=None if estimate.nanousd is None else usd(estimate.nanousd),
        budgets=_lines(ruling),
    )


def _lines(ruling: Ruling) -> list[BudgetLine]:
    amount, bound = ruling.estimate.at_least_nanousd, ruling.bound
    if ruling.judged is not None:
        return [_line(judgement, amount, place == bound) for place, judgement in enumerate(ruling.judged)]
    chain, now_ms = enumerate(ruling.chain), ruling.moment.now_ms
    return [_figures(link, link.limits_at(now_ms), amount, "normal", place == bound) for place, link in chain]


def _binding_line(ruling: Ruling) -> BudgetLine:
    amount, bound = ruling.estimate.at_least_nanousd, ruling.bound
    if ruling.judged is not None:
        return _line(ruling.judged[bound], amount, True)
    link = ruling.chain[bound]
    return _figures(link, link.limits_at(ruling.moment.now_ms), amount, "normal", True)


def _line(judgement: Judgement, amount: int, binding: bool) -> BudgetLine:
    link = judgement.link
    line = _figures(link, judgement.limits, amount, judgement.tier, binding)
    if judgement.outcome is _NORMAL and link.blocks:
        return line
    return replace(line, **_beyond_normal(judgement, amount))


def _figures(link: Link, limits: Limits, amount: int, tier: str, binding: bool) -> BudgetLine:
    standing, window, limit = link.standing, link.window, limits.limit_nanousd
    spent, held = standing.settled_nanousd + standing.pending_nanousd, standing.held_nanousd
    return BudgetLine(
        budget=link.budget.name,
        scope=link.scope,
        window=window.label,
        window_ends_at=None if window.end_ms is None else instant(window.end_ms),
        limit_usd=usd(limit),
        settled_usd=usd(spent),
        reserved_usd=format_usd(held),
        remaining_usd=format_usd(limit - spent - held),
        utilization=utilization(spent + held + amount, limit),
        tier=tier,
        binding=binding,
        share_usd=format_usd(standing.share_nanousd) if link.blocks else None,
    )


def _beyond_normal(judgement: Judgement, amount: int) -> dict[str, Any]:
    """What a line says besides, when the budget does not simply have room."""
    link = judgement.link
    if not link.blocks:
        return {"on_hard": link.budget.on_hard}
    standing = link.standing
    said: dict[str, Any] = {
        "refused": standing.refused(amount),
        "grace_refused": standing.grace_refused(amount),
        "committed_usd": format_usd(standing.settled_nanousd + standing.outstanding_nanousd),
    }
    if standing.grace_from_ms:
        said["grace_from"] = instant(standing.grace_from_ms)
    if standing.paced_until_us:
        said["paced_until"] = from_us(standing.paced_until_us)
    return said
