"""One budget of a policy: a limit on a scope in a window, and what happens on the way to it."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from schemas.fields import DIMENSION, Duration, Identifier, Name, Usd, basis_points, duration_ms
from schemas.when import when_problem

WindowName = Literal["minute", "hour", "day", "week", "month", "quarter", "year", "total"]
Priority = Literal["low", "normal", "high", "critical"]
Verdict = Literal["allow", "deny"]

EVERY = "*"
FALLBACKS_MAX = 64


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("not_a_number", "a fraction such as 0.8, not true or false")
    return value


def _json(places: int, **bounds: int) -> WithJsonSchema:
    """A number, or the same as a string: Pydantic's own schema would let any string through."""
    text = {"type": "string", "pattern": rf"^[0-9]{{1,3}}(\.[0-9]{{1,{places}}})?$"}
    return WithJsonSchema({"anyOf": [{"type": "number", **bounds}, text]})


_number = BeforeValidator(_no_bool)
Share = Annotated[Decimal, Field(gt=0, le=1, decimal_places=4), _number, _json(4, exclusiveMinimum=0, maximum=1)]
AlertAt = Annotated[Decimal, Field(gt=0, le=10, decimal_places=4), _number, _json(4, exclusiveMinimum=0, maximum=10)]
Factor = Annotated[Decimal, Field(ge=0, le=100, decimal_places=4), _number, _json(4, minimum=0, maximum=100)]
Percent = Annotated[Decimal, Field(gt=0, le=100, decimal_places=2), _number, _json(2, exclusiveMinimum=0, maximum=100)]

DimensionKey = Annotated[str, Field(max_length=260, pattern=DIMENSION)]
Scope = Annotated[dict[DimensionKey, Name], Field(max_length=8)]


def _readable(text: str) -> str:
    if problem := when_problem(text):
        raise PydanticCustomError("unreadable_when", "{problem}", {"problem": problem})
    return text


def _ascending(thresholds: tuple[Decimal, ...]) -> tuple[Decimal, ...]:
    if any(low >= high for low, high in pairwise(thresholds)):
        raise PydanticCustomError("not_ascending", "write thresholds from low to high, each once")
    return thresholds


class Part(BaseModel):
    """A part of a policy: frozen, and strict about names it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Tiers(Part):
    """At which utilization a budget warns, paces and blocks. Equal values switch the lower tier off."""

    soft: Share = Decimal("0.8")
    throttle: Share = Decimal("0.9")
    hard: Share = Decimal("1.0")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.soft <= self.throttle <= self.hard:
            found = f"soft {self.soft}, throttle {self.throttle}, hard {self.hard}"
            raise PydanticCustomError(
                "tiers_out_of_order",
                "tiers must rise: soft <= throttle <= hard (with defaults filled in: {found}); write all three",
                {"found": found},
            )
        return self

    @property
    def points(self) -> tuple[int, int, int]:
        """Soft, throttle and hard in basis points."""
        return basis_points(self.soft), basis_points(self.throttle), basis_points(self.hard)


class Grace(Part):
    """Room beyond the hard tier that some priorities may use for a while."""

    priorities: tuple[Priority, ...] = Field(min_length=1, max_length=4)
    percent: Percent
    duration: Duration

    @property
    def points(self) -> int:
        """The extra room in basis points of the limit."""
        return basis_points(self.percent / 100)

    @property
    def duration_ms(self) -> int:
        """How long the extra room is open, from its first use."""
        return duration_ms(self.duration)


class ScheduleRule(Part):
    """Multiplies the limit while `when` holds, in the organization's time zone. The last matching rule wins."""

    when: Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_readable)]
    factor: Factor

    @property
    def points(self) -> int:
        """The factor in basis points."""
        return basis_points(self.factor)


class CarryOver(Part):
    """What a window leaves unspent is added to the limit of the next one: at most an amount, or a part of the limit."""

    cap_usd: Usd | None = None
    cap_percent: Percent | None = None

    @model_validator(mode="after")
    def _one_cap(self) -> Self:
        if (self.cap_usd is None) == (self.cap_percent is None):
            raise PydanticCustomError(
                "no_single_cap", "write cap_usd (an amount) or cap_percent (of the limit), and not both"
            )
        return self

    @property
    def cap_bp(self) -> int | None:
        """The cap in basis points of the limit."""
        return None if self.cap_percent is None else basis_points(self.cap_percent / 100)


class Budget(Part):
    """A limit on what one scope may spend in one window. An empty scope is the whole organization.

    `fallback` maps a model to the one that is tried instead, step by step: from this budget's tier `fallback_at` on,
    and before any budget denies. A budget that only monitors offers none. `on_unknown` decides when an enforcer cannot
    learn in time whether there is room. Moves of money leave it `min_usd` and bring it to `max_usd` at
    most; rules serve budgets of a higher `priority` first, and never at the cost of one that is higher still.
    `owner`: who answers for it, a person or a team.
    """

    name: Identifier
    scope: Scope = {}
    limit_usd: Usd
    window: WindowName
    alerts: Annotated[tuple[AlertAt, ...], Field(max_length=16), AfterValidator(_ascending)] = (
        Decimal("0.5"),
        Decimal("0.75"),
        Decimal("0.9"),
        Decimal("1.0"),
    )
    tiers: Tiers = Tiers()
    on_hard: Literal["deny", "monitor"] = "deny"
    on_unknown: Verdict = "deny"
    on_unpriced: Verdict = "allow"
    grace: Grace | None = None
    fallback: Annotated[dict[Name, Name], Field(max_length=FALLBACKS_MAX)] = {}
    fallback_at: Literal["soft", "throttle", "hard"] = "throttle"
    schedule: Annotated[tuple[ScheduleRule, ...], Field(max_length=64)] = ()
    min_usd: Usd | None = None
    max_usd: Usd | None = None
    priority: Priority = "normal"
    carry_over: CarryOver | None = None
    owner: Name | None = None

    @property
    def alert_points(self) -> tuple[int, ...]:
        """The alert thresholds in basis points, rising."""
        return tuple(basis_points(threshold) for threshold in self.alerts)

    @model_validator(mode="after")
    def _limit_between(self) -> Self:
        limit = Decimal(self.limit_usd)
        if self.min_usd is not None and Decimal(self.min_usd) > limit:
            raise PydanticCustomError("min_above_limit", "min_usd is above limit_usd: lower it, or raise the limit")
        if self.max_usd is not None and Decimal(self.max_usd) < limit:
            raise PydanticCustomError("max_below_limit", "max_usd is below limit_usd: raise it, or lower the limit")
        return self

    @model_validator(mode="after")
    def _carries_what_it_has(self) -> Self:
        if self.carry_over is not None and self.window in ("minute", "hour", "total"):
            raise PydanticCustomError(
                "nothing_to_carry", "carry_over goes from a day, week, month, quarter or year to the next: remove it"
            )
        if self.carry_over is not None and EVERY in self.scope.values():
            raise PydanticCustomError(
                "carries_for_many", "carry_over is for one scope, not for each of many (`*`): name the one"
            )
        return self

    @model_validator(mode="after")
    def _fallbacks_end(self) -> Self:
        for model in self.fallback:
            if path := cycle_from(model, self.fallback):
                raise PydanticCustomError(
                    "fallback_cycle", "fallbacks go in a circle: {path}; remove one", {"path": " -> ".join(path)}
                )
        return self


def cycle_from(model: str, fallback: dict[str, str]) -> list[str]:
    """The models on the circle that a chain of fallbacks from `model` runs into; empty when the chain ends."""
    path = [model]
    while (following := fallback.get(path[-1])) is not None:
        if following in path:
            return [*path[path.index(following) :], following]
        path.append(following)
    return []
