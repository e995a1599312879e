"""What one budget says to one request, as it stands: from `normal` to `blocked`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from mypy_extensions import mypyc_attr

from services.core.pacing import Pace, interval_us, wait_ms
from services.core.policy import Grace
from services.core.standing import Limits, Link, Standing


class Outcome(IntEnum):
    """What one budget says to one request, from mild to strict. The strictest over all matching budgets holds."""

    NORMAL = 0
    SOFT = 1
    THROTTLE = 2
    """In the tier, and at the pace or exempt from it."""
    GRACE = 3
    """Beyond the hard tier, where this priority may be."""
    MONITORED = 4
    """Beyond the hard tier of a budget that never blocks."""
    ASSUMED = 5
    """Nobody knows whether there is room, and the policy says to allow."""
    PACED = 6
    """In the throttle tier and ahead of its pace: to come again later."""
    UNKNOWN = 7
    """Nobody here knows yet whether there is room."""
    BLOCKED = 8


# By outcome; for what is not known, the tier is the one that the figures are in.
_TIERS = ("normal", "soft", "throttle", "grace", "hard", None, "throttle", None, "hard")

# Looked up once: each look-up of an enumeration's member takes as long as a comparison of amounts.
_NORMAL, _SOFT, _THROTTLE, _GRACE = Outcome.NORMAL, Outcome.SOFT, Outcome.THROTTLE, Outcome.GRACE
_PACED, _UNKNOWN, _BLOCKED = Outcome.PACED, Outcome.UNKNOWN, Outcome.BLOCKED


@mypyc_attr(acyclic=True)
@dataclass(init=False, slots=True)
class Moment:
    """When a request is judged, and how much is known then.

    `fresh`: the ledger has heard of this enforcer lately, so its shares are its own. `final`: nothing more can be
    claimed, and `on_unknown` decides what is not known. `enforcers` are those alive, which share a budget's pace.
    """

    now_ms: Final[int]
    fresh: Final[bool]
    final: Final[bool]
    enforcers: Final[int]

    def __init__(self, now_ms: int, fresh: bool = True, final: bool = False, enforcers: int = 1) -> None:
        self.now_ms = now_ms
        self.fresh = fresh
        self.final = final
        self.enforcers = enforcers


@mypyc_attr(acyclic=True)
@dataclass(init=False, slots=True)
class Judgement:
    """One budget's word. `after_nanousd`: spent and reserved, this request included.

    In the throttle tier of a budget that paces, `interval_us` is what the request adds to the pace, and `wait_ms` how
    long it has to wait. `wants_grace`: what it lacks is to be claimed beyond the hard tier if need be.
    """

    link: Final[Link]
    limits: Final[Limits]
    after_nanousd: Final[int]
    outcome: Final[Outcome]
    wait_ms: Final[int]
    interval_us: Final[int]
    wants_grace: Final[bool]

    def __init__(
        self,
        link: Link,
        limits: Limits,
        after_nanousd: int,
        outcome: Outcome,
        wait_ms: int = 0,
        interval_us: int = 0,
        wants_grace: bool = False,
    ) -> None:
        self.link = link
        self.limits = limits
        self.after_nanousd = after_nanousd
        self.outcome = outcome
        self.wait_ms = wait_ms
        self.interval_us = interval_us
        self.wants_grace = wants_grace

    @property
    def room_nanousd(self) -> int:
        """What is left below the hard tier after this request; negative when it does not fit."""
        return self.limits.hard_nanousd - self.after_nanousd

    @property
    def tier(self) -> str:
        """The tier that the budget is in with this request; for what is not known, the one that it seems to be in."""
        return _TIERS[self.outcome] or tier_name(self.limits, self.after_nanousd)


def judge(link: Link, amount_nanousd: int, priority: str, moment: Moment) -> Judgement:
    """What a budget says to a request of this amount and priority."""
    standing = link.standing
    limits = link.fixed or link.limits_at(moment.now_ms)
    after = standing.settled_nanousd + standing.pending_nanousd + standing.held_nanousd + amount_nanousd
    tier = tier_of(limits, after)
    if not link.blocks:
        return Judgement(link, limits, after, Outcome.MONITORED if tier is _BLOCKED else tier)
    grace = link.budget.grace
    graced = grace is not None and _may_have(grace, standing, priority, moment.now_ms)
    covered, wants_grace = _covered(standing, limits, after, amount_nanousd, tier, graced, moment.fresh)
    if covered is _UNKNOWN and moment.final and link.budget.on_unknown == "allow":
        covered = Outcome.ASSUMED
    # Who may go beyond the hard tier is not held up below it.
    if tier is _THROTTLE and not graced and link.window.end_ms is not None:
        left = max(0, link.window.end_ms - moment.now_ms)
        interval = interval_us(
            amount_nanousd, Pace(limits.hard_nanousd - after + amount_nanousd, left, moment.enforcers)
        )
        wait = min(left, wait_ms(standing.paced_until_us, interval, moment.now_ms)) if amount_nanousd else 0
        return Judgement(link, limits, after, max(covered, _PACED) if wait else covered, wait, interval)
    return Judgement(link, limits, after, covered, 0, 0, wants_grace)


def tier_of(limits: Limits, used_nanousd: int) -> Outcome:
    """The tier in which a budget is when so much is spent and reserved; beyond the last, BLOCKED."""
    if used_nanousd <= limits.soft_nanousd:
        return _NORMAL
    if used_nanousd <= limits.throttle_nanousd:
        return _SOFT
    return _THROTTLE if used_nanousd <= limits.hard_nanousd else _BLOCKED


def tier_name(limits: Limits, used_nanousd: int) -> str:
    """The same in words."""
    return _TIERS[tier_of(limits, used_nanousd)] or ""


def _may_have(grace: Grace, standing: Standing, priority: str, now_ms: int) -> bool:
    if priority not in grace.priorities:
        return False
    return not standing.grace_from_ms or now_ms < standing.grace_from_ms + grace.duration_ms


def _covered(
    standing: Standing, limits: Limits, after: int, amount: int, tier: Outcome, graced: bool, fresh: bool
) -> tuple[Outcome, bool]:
    """Whether the enforcer's own share covers the request, whatever the pace says; and whether to claim grace."""
    # Shares that were granted beyond the limit are for those with grace; all that is known of them is their sum.
    beyond = tier is _BLOCKED or (
        standing.grace_from_ms > 0 and standing.settled_nanousd + standing.outstanding_nanousd > limits.hard_nanousd
    )
    if beyond and not (graced and after <= limits.grace_nanousd):
        return _BLOCKED, False
    if not fresh:
        return _UNKNOWN, False
    if standing.share_nanousd >= amount:
        return (_GRACE if beyond else tier), False
    if not beyond and not standing.refused(amount):
        return _UNKNOWN, False
    # Within the limit others hold what is left.
    if graced and not standing.grace_refused(amount):
        return _UNKNOWN, True
    return _BLOCKED, False
