"""The decision: may this request spend its estimate? Every budget that it matches must have room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mypy_extensions import mypyc_attr

from services.core.ask import Ask
from services.core.estimate import Estimate
from services.core.judge import Judgement, Moment, Outcome, judge
from services.core.policy import RequestCaps
from services.core.standing import Link, Standing


class Action(StrEnum):
    """What the gateway should do, from mild to strict."""

    ALLOW = "allow"
    FALLBACK = "fallback"
    THROTTLE = "throttle"
    DENY = "deny"


class Reason(StrEnum):
    """Why. Refusals first, in the order in which they are checked; the first that applies is given."""

    INPUT_TOKENS_CAP = "input_tokens_cap"
    OUTPUT_TOKENS_CAP = "output_tokens_cap"
    COST_CAP = "cost_cap"
    UNPRICED_MODEL = "unpriced_model"
    BUDGET_EXCEEDED = "budget_exceeded"
    STATE_UNKNOWN = "state_unknown"
    PACED = "paced"
    FELL_BACK = "fell_back"
    STATE_UNKNOWN_ALLOWED = "state_unknown_allowed"
    MONITORED = "monitored"
    GRACE = "grace"
    NO_BUDGET = "no_budget"
    WITHIN_BUDGET = "within_budget"


DENIALS = (
    Reason.INPUT_TOKENS_CAP,
    Reason.OUTPUT_TOKENS_CAP,
    Reason.COST_CAP,
    Reason.UNPRICED_MODEL,
    Reason.BUDGET_EXCEEDED,
    Reason.STATE_UNKNOWN,
)

_WITHIN = Action.ALLOW, Reason.WITHIN_BUDGET
_ANSWERS = (
    _WITHIN,
    _WITHIN,
    _WITHIN,
    (Action.ALLOW, Reason.GRACE),
    (Action.ALLOW, Reason.MONITORED),
    (Action.ALLOW, Reason.STATE_UNKNOWN_ALLOWED),
    (Action.THROTTLE, Reason.PACED),
    (Action.DENY, Reason.STATE_UNKNOWN),
    (Action.DENY, Reason.BUDGET_EXCEEDED),
)
"""By the strictest outcome."""
_NORMAL = Outcome.NORMAL


@mypyc_attr(acyclic=True)
@dataclass(init=False, slots=True)
class Ruling:
    """The whole decision, in numbers, as the standings were: to be read before anything is reserved for it.

    `bound` is the place in the chain of the budget that decided, or would be the next to; negative without budgets.
    `requested` is the model that was asked for, where the ask is now for another; `tried` are the rulings on other
    models that came before it, or that were of no help.
    """

    ask: Final[Ask]
    estimate: Final[Estimate]
    caps: Final[RequestCaps]
    moment: Final[Moment]
    chain: Final[Sequence[Link]]
    judged: Final[tuple[Judgement, ...] | None]
    bound: Final[int]
    action: Final[Action]
    reason: Final[Reason]
    requested: Final[str | None]
    tried: Final[tuple[Ruling, ...]]

    def __init__(
        self,
        ask: Ask,
        estimate: Estimate,
        caps: RequestCaps,
        moment: Moment,
        chain: Sequence[Link],
        judged: tuple[Judgement, ...] | None,
        bound: int,
        action: Action,
        reason: Reason,
        requested: str | None = None,
        tried: tuple[Ruling, ...] = (),
    ) -> None:
        self.ask = ask
        self.estimate = estimate
        self.caps = caps
        self.moment = moment
        self.chain = chain
        self.judged = judged
        self.bound = bound
        self.action = action
        self.reason = reason
        self.requested = requested
        self.tried = tried

    @property
    def decided_at_ms(self) -> int:
        """When it was decided."""
        return self.moment.now_ms

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """What each budget of the chain says."""
        if self.judged is not None:
            return self.judged
        amount = self.estimate.at_least_nanousd
        return tuple([_normal(link, amount) for link in self.chain])

    @property
    def binding(self) -> Judgement | None:
        """What the budget says that decided, or that would be the next to."""
        return None if self.bound < 0 else self.judgements[self.bound]

    @property
    def outcome(self) -> Outcome:
        """The strictest outcome over all matching budgets."""
        return Outcome.NORMAL if self.judged is None or self.bound < 0 else self.judged[self.bound].outcome

    @property
    def tier(self) -> str:
        """The tier of the budget that decided."""
        return "normal" if self.judged is None or self.bound < 0 else self.judged[self.bound].tier

    @property
    def lacking(self) -> tuple[Judgement, ...]:
        """What must be claimed first, and the request decided again: the budgets whose room is not known here."""
        if self.reason is not Reason.STATE_UNKNOWN or self.moment.final:
            return ()
        return tuple([judgement for judgement in self.judgements if judgement.outcome is Outcome.UNKNOWN])

    @property
    def retry_after_ms(self) -> int | None:
        """When a throttled request may come again: by then every budget has earned it, if nobody else comes."""
        if self.action is not Action.THROTTLE:
            return None
        return max([judgement.wait_ms for judgement in self.judgements])

    @property
    def paced(self) -> tuple[tuple[Standing, int], ...]:
        """What the request adds to the pace of budgets in their throttle tier, in microseconds, if it is made."""
        if self.judged is None:
            return ()
        return tuple([(by.link.standing, by.interval_us) for by in self.judged if by.interval_us])


def decide(
    ask: Ask,
    estimate: Estimate,
    chain: Sequence[Link],
    caps: RequestCaps,
    now_ms: int,
    *,
    fresh: bool = True,
    final: bool = False,
    enforcers: int = 1,
) -> Ruling:
    """Rule on a request against the chain of budgets it matches, as they stand at `now_ms`. Changes nothing.

    `fresh`, `final` and `enforcers`: see `Moment`. Unless it is final, see whether anything is `lacking`.
    """
    moment = Moment(now_ms, fresh, final, enforcers)
    capped = _over_cap(ask, estimate, caps)
    if capped is None and fresh and estimate.nanousd is not None:
        bound = _quiet(chain, estimate.nanousd)
        if bound >= 0:
            return Ruling(ask, estimate, caps, moment, chain, None, bound, *_WITHIN)
    return _decide_fully(ask, estimate, chain, caps, moment, capped)


def _decide_fully(
    ask: Ask, estimate: Estimate, chain: Sequence[Link], caps: RequestCaps, moment: Moment, capped: Reason | None
) -> Ruling:
    amount = estimate.at_least_nanousd
    judged = tuple([judge(link, amount, ask.priority, moment) for link in chain])
    bound = strictest(judged)
    action, reason = Action.DENY, capped
    if reason is None and estimate.nanousd is None and any(map(_denies_unpriced, chain)):
        reason = Reason.UNPRICED_MODEL
    if reason is None:
        action, reason = (Action.ALLOW, Reason.NO_BUDGET) if bound < 0 else _ANSWERS[judged[bound].outcome]
    return Ruling(ask, estimate, caps, moment, chain, judged, bound, action, reason)


def strictest(judged: Sequence[Judgement]) -> int:
    """The place of the judgement that binds: the strictest and, among equals, the one with the least room; -1: none."""
    bound, outcome, room = -1, -1, 0
    for place, judgement in enumerate(judged):
        if judgement.outcome >= outcome and (judgement.outcome > outcome or judgement.room_nanousd < room):
            bound, outcome, room = place, judgement.outcome, judgement.room_nanousd
    return bound


def _quiet(chain: Sequence[Link], amount: int) -> int:
    """The place of the budget with the least room if every budget is normal and covered; else, or without any, -1.

    Says what `judge` and `strictest` would say, at a fraction of their cost: most requests end here.
    """
    bound, least = -1, 0
    for place, link in enumerate(chain):
        standing = link.standing
        taken = standing.pending_nanousd + standing.held_nanousd + amount
        after = standing.settled_nanousd + taken
        if after > link.soft_nanousd:
            return -1
        if link.blocks and (
            standing.granted_nanousd - standing.returned_nanousd - standing.used_nanousd < taken
            or standing.grace_from_ms
        ):
            return -1
        room = link.hard_nanousd - after
        if bound < 0 or room < least:
            bound, least = place, room
    return bound


def _normal(link: Link, amount: int) -> Judgement:
    assert link.fixed is not None, "the short way is for limits that do not vary"
    standing = link.standing
    after = standing.settled_nanousd + standing.pending_nanousd + standing.held_nanousd + amount
    return Judgement(link, link.fixed, after, _NORMAL)


def _over_cap(ask: Ask, estimate: Estimate, caps: RequestCaps) -> Reason | None:
    if caps.max_input_tokens is not None and ask.input_tokens > caps.max_input_tokens:
        return Reason.INPUT_TOKENS_CAP
    if caps.max_output_tokens is not None and estimate.max_output_tokens > caps.max_output_tokens:
        return Reason.OUTPUT_TOKENS_CAP
    if caps.max_cost_nanousd is not None and estimate.nanousd is not None and estimate.nanousd > caps.max_cost_nanousd:
        return Reason.COST_CAP
    return None


def _denies_unpriced(link: Link) -> bool:
    return link.blocks and link.budget.on_unpriced == "deny"
