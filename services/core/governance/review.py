"""The weekly review: what was spent, what moved and who moved it, what is at risk, what nobody owns, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from msgspec import Struct

from services.core.governance.cells import BudgetUse
from services.core.governance.shares import share_bp

Dimension = Literal["project", "team", "user", "model", "feature"]
DIMENSIONS: Final[tuple[Dimension, ...]] = ("project", "team", "user", "model", "feature")
LINES_MAX: Final = 8
MOVERS_MAX: Final = 6
RISK_MIN: Final = 0.2
"""From this chance on, a budget that a forecast expects to exceed is told as at risk."""

OWNED: Final[tuple[Dimension, ...]] = ("project", "team", "user")


class Spend(Struct, frozen=True, kw_only=True, gc=False):
    """Spending under one name in the week and in the week before; `dimension` total and day beside the others."""

    dimension: str
    name: str
    now_nanousd: int
    before_nanousd: int
    requests: int
    requests_before: int
    unpriced: int
    unconfirmed_nanousd: int


class Refusals(Struct, frozen=True, kw_only=True, gc=False):
    """Requests that a budget did not let pass as they were asked for."""

    budget: str
    scope: str
    denied: int
    throttled: int
    fallen_back: int
    reason: str


class Oddity(Struct, frozen=True, kw_only=True):
    """An anomaly that began in the week, with what moved most in it."""

    scope: str
    kind: str
    severity: str
    begins_ms: int
    observed_nanousd: int
    expected_nanousd: int
    contributors: tuple[str, ...] = ()


class Outlook(Struct, frozen=True, kw_only=True, gc=False):
    """The latest forecast of a scope and window, as far as one budget is concerned (`budget` empty: no budget)."""

    scope: str
    window: str
    as_of: date
    begins: date
    ends: date
    spent_nanousd: int
    total_nanousd: int
    low_nanousd: int
    high_nanousd: int
    budget: str = ""
    limit_nanousd: int = 0
    probability: float = 0.0
    exhausted_on: date | None = None


@dataclass(frozen=True, slots=True)
class Breakdown:
    """The largest names of a dimension, and all the others in one sum: together they are everything spent."""

    dimension: Dimension
    lines: tuple[Spend, ...]
    others: int
    others_now_nanousd: int
    others_before_nanousd: int


@dataclass(frozen=True, slots=True)
class Risk:
    """A budget that is nearly used up, or expected to be exceeded."""

    use: BudgetUse | None
    outlook: Outlook | None

    @property
    def budget(self) -> str:
        """Its name."""
        return self.use.budget if self.use is not None else self.outlook.budget if self.outlook is not None else ""

    @property
    def probability(self) -> float:
        """The chance that it is exceeded: certain once it has been."""
        if self.use is not None and self.use.utilization_bp >= 10_000:
            return 1.0
        return 0.0 if self.outlook is None else self.outlook.probability


@dataclass(frozen=True, slots=True)
class Action:
    """What to do, why, and who is asked first (nobody is named when nobody is known)."""

    what: str
    why: str
    who: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What a review is made of: rows as ClickHouse gives them, and what budgets were used for."""

    organization: str
    team: str
    period: str
    zone: str
    begin_ms: int
    end_ms: int
    partial: bool
    spends: Sequence[Spend]
    refusals: Sequence[Refusals] = ()
    oddities: Sequence[Oddity] = ()
    outlooks: Sequence[Outlook] = ()
    uses: Sequence[BudgetUse] = ()


@dataclass(frozen=True, slots=True)
class Review:
    """One week of one organization, or of one of its teams (`project/team`)."""

    organization: str
    team: str
    period: str
    zone: str
    begin_ms: int
    end_ms: int
    partial: bool
    total: Spend
    days: tuple[Spend, ...]
    breakdowns: tuple[Breakdown, ...]
    movers: tuple[Spend, ...]
    risks: tuple[Risk, ...]
    oddities: tuple[Oddity, ...]
    refusals: tuple[Refusals, ...]
    unowned: tuple[Spend, ...]
    uses: tuple[BudgetUse, ...] = ()
    actions: tuple[Action, ...] = field(default=())

    @property
    def change_nanousd(self) -> int:
        """How much more than in the week before."""
        return self.total.now_nanousd - self.total.before_nanousd


def review(facts: Facts) -> Review:
    """The review of a week, without its actions (see `actions.actions`)."""
    by_dimension: dict[str, list[Spend]] = {}
    for spend in facts.spends:
        by_dimension.setdefault(spend.dimension, []).append(spend)
    total = next(iter(by_dimension.get("total", ())), nothing("total"))
    dimensions = [d for d in DIMENSIONS if not (facts.team and d in ("project", "team"))]
    return Review(
        organization=facts.organization,
        team=facts.team,
        period=facts.period,
        zone=facts.zone,
        begin_ms=facts.begin_ms,
        end_ms=facts.end_ms,
        partial=facts.partial,
        total=total,
        days=tuple(sorted(by_dimension.get("day", ()), key=lambda day: int(day.name))),
        breakdowns=tuple(_breakdown(d, by_dimension.get(d, ())) for d in dimensions),
        movers=_movers([spend for d in dimensions for spend in by_dimension.get(d, ())], total),
        risks=_risks(facts.uses, facts.outlooks),
        oddities=tuple(sorted(facts.oddities, key=lambda o: o.expected_nanousd - o.observed_nanousd)),
        refusals=tuple(sorted(facts.refusals, key=lambda r: (-r.denied, -r.throttled, r.budget, r.scope))),
        unowned=tuple(s for d in OWNED if d in dimensions for s in by_dimension.get(d, ()) if _is_unowned(s)),
        uses=tuple(facts.uses),
    )


def nothing(dimension: str) -> Spend:
    """No spending at all."""
    return Spend(
        dimension=dimension,
        name="",
        now_nanousd=0,
        before_nanousd=0,
        requests=0,
        requests_before=0,
        unpriced=0,
        unconfirmed_nanousd=0,
    )


def change(spend: Spend) -> int:
    """How much more than before, in nano-dollars."""
    return spend.now_nanousd - spend.before_nanousd


def _breakdown(dimension: Dimension, spends: Iterable[Spend]) -> Breakdown:
    ranked = sorted(spends, key=lambda spend: (-spend.now_nanousd, -spend.before_nanousd, spend.name))
    shown, others = ranked[:LINES_MAX], ranked[LINES_MAX:]
    return Breakdown(
        dimension,
        tuple(shown),
        len(others),
        sum(spend.now_nanousd for spend in others),
        sum(spend.before_nanousd for spend in others),
    )


def _movers(spends: Iterable[Spend], total: Spend) -> tuple[Spend, ...]:
    """What moved most, the largest first, by at least a twentieth of the whole change."""
    least = max(abs(change(total)) // 20, 1)
    moved = [spend for spend in spends if abs(change(spend)) >= least]
    return tuple(sorted(moved, key=lambda s: (-abs(change(s)), s.dimension, s.name))[:MOVERS_MAX])


def _risks(uses: Sequence[BudgetUse], outlooks: Sequence[Outlook]) -> tuple[Risk, ...]:
    """Budgets from their soft tier on, and those that a forecast gives a fair chance to be exceeded; surest first."""
    likely = {(o.budget, o.scope, o.window): o for o in outlooks if o.budget and o.probability >= RISK_MIN}
    risks = []
    for use in uses:
        outlook = likely.pop((use.budget, use.scope, use.window), None)
        if outlook is not None or use.utilization_bp >= use.soft_bp:
            risks.append(Risk(use, outlook))
    risks += [Risk(None, outlook) for outlook in likely.values()]
    return tuple(sorted(risks, key=_urgency))


def _urgency(risk: Risk) -> tuple[float, int, str]:
    return -risk.probability, -(risk.use.utilization_bp if risk.use is not None else 0), risk.budget


def _is_unowned(spend: Spend) -> bool:
    return spend.name == "" and spend.now_nanousd != 0


def unowned_bp(spend: Spend, total: Spend) -> int:
    """What nobody owns, in basis points of all that was spent."""
    return share_bp(spend.now_nanousd, total.now_nanousd)
