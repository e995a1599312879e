"""A policy compiled for the hot paths: which budgets a request falls under, and what each allows at an instant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from zoneinfo import ZoneInfo

from schemas.budget import Budget as WrittenBudget
from schemas.budget import Grace as WrittenGrace
from schemas.policy import Policy
from services.core.events import Dimensions
from services.core.money import parse_usd
from services.core.schedule import BASIS_POINTS, ScheduleRule, factor_at
from services.core.scope import TAG, scope_key
from services.core.window import WindowKind

ANY = "*"


@dataclass(frozen=True, slots=True)
class ActiveBoost:
    """Extra room of one budget until an instant."""

    amount_nanousd: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class ActiveMove:
    """What a move gives one of its two budgets (or, negative, takes from it) from an instant until its window's end."""

    amount_nanousd: int
    since_ms: int
    ends_ms: int | None


@dataclass(frozen=True, slots=True)
class Tiers:
    """Where a budget begins to warn, to pace and to block, in basis points of its limit."""

    soft_bp: int
    throttle_bp: int
    hard_bp: int


@dataclass(frozen=True, slots=True)
class Grace:
    """Room beyond the hard tier, in basis points of the limit: for some priorities, for a while after its first use."""

    priorities: frozenset[str]
    percent_bp: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget. `pattern`: the dimensions of its scope, without the organization; `*` matches any value."""

    name: str
    pattern: tuple[tuple[str, str], ...]
    window: WindowKind
    limit_nanousd: int
    alerts_bp: tuple[int, ...]
    tiers: Tiers
    on_hard: Literal["deny", "monitor"]
    on_unpriced: Literal["allow", "deny"]
    zone: ZoneInfo
    schedule: tuple[ScheduleRule, ...] = ()
    boosts: tuple[ActiveBoost, ...] = ()
    # What moves have added to or taken from the limit, as steps: (from when, how much in all), the latest first.
    shifts: tuple[tuple[int, int], ...] = ()
    on_unknown: Literal["allow", "deny"] = "deny"
    grace: Grace | None = None
    fallback: Mapping[str, str] = field(default_factory=dict, hash=False)
    fallback_at: Literal["soft", "throttle", "hard"] = "throttle"

    @property
    def varies(self) -> bool:
        """Whether the limit is a function of time."""
        return bool(self.schedule or self.boosts or self.shifts)

    def limit_at(self, at_ms: int) -> int:
        """The effective limit at an instant, in nano-dollars: scheduled factor first, boosts and moves on top.

        Never negative: a budget whose policy was lowered below what it has given away has nothing.
        """
        if not self.varies:
            return self.limit_nanousd
        scheduled = self.limit_nanousd * factor_at(self.schedule, at_ms, self.zone) // BASIS_POINTS
        return max(0, scheduled + self.boosted_at(at_ms) + self.moved_at(at_ms))

    def boosted_at(self, at_ms: int) -> int:
        """What boosts add at an instant."""
        return sum(boost.amount_nanousd for boost in self.boosts if at_ms < boost.until_ms)

    def moved_at(self, at_ms: int) -> int:
        """What moves have added at an instant, or taken: then it is negative."""
        for since_ms, moved_nanousd in self.shifts:
            if at_ms >= since_ms:
                return moved_nanousd
        return 0

    def match(self, values: Mapping[str, str]) -> dict[str, str] | None:
        """The dimensions that this budget counts together for a request, or None if it is not for it."""
        matched = {}
        for dimension, wanted in self.pattern:
            value = values.get(dimension)
            if value is None or wanted not in (ANY, value):
                return None
            matched[dimension] = value
        return matched


@dataclass(frozen=True, slots=True)
class RequestCaps:
    """Caps on a single request; None is no cap."""

    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    max_cost_nanousd: int | None = None
    default_max_output_tokens: int = 1024


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """An organization's policy. Version 0, without budgets, stands for an organization that has none yet."""

    organization: str
    version: int
    zone: ZoneInfo
    budgets: tuple[Budget, ...] = ()
    requests: RequestCaps = RequestCaps()
    # Dimensions beyond project, team and user that some budget names: all that must tell requests apart.
    named: tuple[str, ...] = field(init=False)
    # Models that some budget falls back to: what the organization would also use.
    substitutes: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        levels = {"project", "team", "user"}
        named = sorted({dimension for budget in self.budgets for dimension, _ in budget.pattern} - levels)
        object.__setattr__(self, "named", tuple(named))
        substitutes = dict.fromkeys([model for budget in self.budgets for model in budget.fallback.values()])
        object.__setattr__(self, "substitutes", tuple(substitutes))

    @classmethod
    def none(cls, organization: str) -> CompiledPolicy:
        """What holds before any policy has been applied: everything is counted, nothing is limited."""
        return cls(organization=organization, version=0, zone=ZoneInfo("UTC"))

    @classmethod
    def compile(
        cls,
        policy: Policy,
        *,
        version: int,
        boosts: Mapping[str, Sequence[ActiveBoost]] | None = None,
        moves: Mapping[str, Sequence[ActiveMove]] | None = None,
    ) -> CompiledPolicy:
        """The compiled form of a validated policy; `boosts` and `moves` are those still kept, by budget name."""
        zone = ZoneInfo(policy.timezone)
        added, moved = boosts or {}, moves or {}
        return cls(
            organization=policy.organization,
            version=version,
            zone=zone,
            budgets=tuple(
                _budget(budget, zone, added.get(budget.name, ()), moved.get(budget.name, ()))
                for budget in policy.budgets
            ),
            requests=_caps(policy),
        )

    def matching(self, values: Mapping[str, str]) -> list[tuple[Budget, dict[str, str]]]:
        """The budgets of a request with the dimensions each counts together, the more specific replacing `*`."""
        matches = [(budget, matched) for budget in self.budgets if (matched := budget.match(values)) is not None]
        exact = {_target(budget) for budget, _ in matches if not _is_general(budget)}
        return [match for match in matches if not _is_general(match[0]) or _target(match[0]) not in exact]

    def on(self, dimensions: Mapping[str, str]) -> list[Budget]:
        """The budgets that limit exactly the scope of these dimensions, not those a request in it must pass besides."""
        values = {dimension: value for dimension, value in dimensions.items() if dimension != "org"}
        return [budget for budget, matched in self.matching(values) if matched == values]


def dimension_values(dimensions: Dimensions) -> dict[str, str]:
    """A request's dimensions by the names that scopes use; absent ones are left out."""
    values = {f"{TAG}{key}": value for key, value in dimensions.tags.items()}
    values["model"] = dimensions.model
    for name in ("project", "team", "user", "provider"):
        value = getattr(dimensions, name)
        if value is not None:
            values[name] = value
    return values


def budget_scope(organization: str, matched: Mapping[str, str]) -> str:
    """The scope in which a matched budget counts."""
    return scope_key({"org": organization, **matched})


def _target(budget: Budget) -> tuple[WindowKind, tuple[str, ...]]:
    return budget.window, tuple(dimension for dimension, _ in budget.pattern)


def _is_general(budget: Budget) -> bool:
    return any(value == ANY for _, value in budget.pattern)


def shifts_of(moves: Iterable[ActiveMove]) -> tuple[tuple[int, int], ...]:
    """Moves as steps of one function of time: (from when, how much in all), the latest first."""
    changes: dict[int, int] = {}
    for move in moves:
        changes[move.since_ms] = changes.get(move.since_ms, 0) + move.amount_nanousd
        if move.ends_ms is not None:
            changes[move.ends_ms] = changes.get(move.ends_ms, 0) - move.amount_nanousd
    steps, total = [], 0
    for at_ms in sorted(changes):
        total += changes[at_ms]
        steps.append((at_ms, total))
    return tuple(reversed(steps))


def _budget(
    written: WrittenBudget, zone: ZoneInfo, boosts: Iterable[ActiveBoost], moves: Iterable[ActiveMove]
) -> Budget:
    return Budget(
        name=written.name,
        pattern=tuple(sorted(written.scope.items())),
        window=WindowKind(written.window),
        limit_nanousd=parse_usd(written.limit_usd),
        alerts_bp=written.alert_points,
        tiers=Tiers(*written.tiers.points),
        on_hard=written.on_hard,
        on_unpriced=written.on_unpriced,
        zone=zone,
        schedule=tuple(ScheduleRule(rule.when, rule.points) for rule in written.schedule),
        boosts=tuple(boosts),
        shifts=shifts_of(moves),
        on_unknown=written.on_unknown,
        grace=_grace(written.grace),
        fallback=dict(written.fallback),
        fallback_at=written.fallback_at,
    )


def _grace(written: WrittenGrace | None) -> Grace | None:
    if written is None:
        return None
    return Grace(frozenset(written.priorities), written.points, written.duration_ms)


def _caps(policy: Policy) -> RequestCaps:
    caps = policy.requests
    return RequestCaps(
        max_input_tokens=caps.max_input_tokens,
        max_output_tokens=caps.max_output_tokens,
        max_cost_nanousd=None if caps.max_cost_usd is None else parse_usd(caps.max_cost_usd),
        default_max_output_tokens=caps.default_max_output_tokens,
    )
